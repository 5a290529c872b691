from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from client_programs import Peer, started
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
