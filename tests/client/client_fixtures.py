from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from client_channel import ChannelRun, OpenChannel
from client_programs import Peer, started
from client_relay import Members, RunningRelay, until
from client_relay_process import RelayProcess
from client_terminal import TerminalProcess


@pytest.fixture
def peer() -> Iterator[Peer]:
    with closing(Peer()) as opened:
        yield opened


@pytest.fixture
def start_client() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    with ExitStack() as stack:

        def start(*arguments: str, **streams: object) -> subprocess.Popen[bytes]:
            return stack.enter_context(contextmanager(started)(arguments, **streams))

        yield start


@pytest.fixture
def start_terminal(tmp_path: Path) -> Iterator[Callable[..., TerminalProcess]]:
    with ExitStack() as stack:

        def start(*arguments: str, **environment: str) -> TerminalProcess:
            environment = {"XDG_STATE_HOME": str(tmp_path), **environment}
            return stack.enter_context(closing(TerminalProcess(arguments, environment)))

        yield start


@pytest.fixture(scope="session")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    """A relay for all tests of this process: its start takes as long as most of them."""
    with closing(RelayProcess(tmp_path_factory.mktemp("relay"))) as process:
        yield process


# Of this process: a client that is leaving may find the relay of another one at the port of its
# own.
_process = os.getpid()
_numbers = count(1)


@pytest.fixture
def room() -> str:
    """A room that no other test uses."""
    return f"room{next(_numbers)}-{_process}"


@pytest.fixture
def bob(
    start_client: Callable[..., subprocess.Popen[bytes]], relay: RelayProcess, room: str
) -> subprocess.Popen[bytes]:
    """A client in a pipe, in the room as bob."""
    process = start_client("-n", "bob", "-r", room, relay.address)
    relay.wait_for("member.joined", room=room)
    return process


@pytest_twisted.async_yield_fixture
async def members() -> AsyncIterator[Members]:
    relay = RunningRelay()
    # Without a farewell, the next PING detects it: after a quarter of this.
    relay.change(session_timeout=2.0)
    made = Members(relay.start())
    yield made
    await made.leave()
    await relay.stop()


@pytest_twisted.async_yield_fixture
async def open_channel(members: Members) -> AsyncIterator[OpenChannel]:
    opened: list[ChannelRun] = []

    async def make(**options: Any) -> ChannelRun:
        run = ChannelRun(members.relay.port, **options)
        opened.append(run)
        run.open()
        await until(lambda: run.observer.is_open or run.observer.status is not None)
        return run

    yield make
    for run in opened:
        await run.channel.close()
