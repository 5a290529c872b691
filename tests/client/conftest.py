from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import count
from pathlib import Path

import pytest
from client_programs import Peer, started
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


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    """A relay that the tests of a module share."""
    with closing(RelayProcess(tmp_path_factory.mktemp("relay"))) as process:
        yield process


_numbers = count(1)


@pytest.fixture
def room() -> str:
    """A room of the test's own."""
    return f"room{next(_numbers)}"


@pytest.fixture
def bob(
    start_client: Callable[..., subprocess.Popen[bytes]], relay: RelayProcess, room: str
) -> subprocess.Popen[bytes]:
    """Somebody in the room, in a pipe."""
    process = start_client("-n", "bob", "-r", room, relay.address)
    relay.wait_for("member.joined", room=room)
    return process
