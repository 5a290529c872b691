"""Members work under every reactor."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import pytest_twisted
from client_programs import ENVIRONMENT, TIMEOUT
from client_relay import Members, RunningRelay
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
async def test_a_member_reconnects_under_every_reactor(reactor: str, name: str) -> None:
    relay = RunningRelay()
    relay.change(session_timeout=2.0)
    relay.start()
    members = Members(relay)
    with subprocess.Popen(
        [sys.executable, str(CHILD), reactor, str(relay.port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=ENVIRONMENT,
        bufsize=0,
    ) as child:
        assert child.stdin
        assert child.stdout

        async def next_line() -> str:
            line: bytes = await deferToThread(child.stdout.readline)  # type: ignore[union-attr]
            return line.decode().strip()

        try:
            assert [await next_line(), await next_line()] == [name, "Joined"]
            # The ICMP errors that come back must not close the socket.
            await relay.stop(farewell=False)
            child.stdin.write(b"hello\n")
            assert await next_line() == "ContactLost"
            relay.start()
            assert [await next_line(), await next_line()] == ["Joined", "Delivered"]
            ada = await members.join("ada")
            assert await next_line() == "MemberJoined"
            await ada.send(b"good day")
            assert await next_line() == "good day"
            child.stdin.close()
            assert await next_line() == "Closed"
            assert await deferToThread(child.wait, TIMEOUT) == 0
        finally:
            child.kill()
    await members.leave()
    await relay.stop()
