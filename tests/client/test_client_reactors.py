"""A program can be a member under any reactor."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import pytest_twisted
from client_programs import ENVIRONMENT, PATIENCE
from client_relay import Company, RunningRelay
from twisted.internet.threads import deferToThread

CHILD = Path(__file__).with_name("member_child.py")


@pytest.mark.parametrize(
    ("reactor", "name"),
    [
        ("epoll", "EPollReactor"),
        ("poll", "PollReactor"),
        ("select", "SelectReactor"),
        ("asyncio", "AsyncioSelectorReactor"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_relay_that_is_gone_and_back_is_found_again(reactor: str, name: str) -> None:
    relay = RunningRelay()
    relay.change(session_timeout=2.0)
    relay.start()
    company = Company(relay)
    with subprocess.Popen(
        [sys.executable, str(CHILD), reactor, str(relay.port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=ENVIRONMENT,
        bufsize=0,
    ) as child:
        assert child.stdin
        assert child.stdout

        async def said() -> str:
            line: bytes = await deferToThread(child.stdout.readline)  # type: ignore[union-attr]
            return line.decode().strip()

        try:
            assert [await said(), await said()] == [name, "Joined"]
            # Nobody listens: ICMP errors come back, and must not cost the socket.
            await relay.stop(farewell=False)
            child.stdin.write(b"hello\n")
            assert await said() == "ContactLost"
            relay.start()
            assert [await said(), await said()] == ["Joined", "Delivered"]
            ada = await company.join("ada")
            assert await said() == "MemberJoined"
            await ada.send(b"good day")
            assert await said() == "good day"
            child.stdin.close()
            assert await said() == "Closed"
            assert await deferToThread(child.wait, PATIENCE) == 0
        finally:
            child.kill()
    await company.leave()
    await relay.stop()
