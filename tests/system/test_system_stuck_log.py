"""The relay goes on, and stops, whatever becomes of its log."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import termios
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from system_processes import TIMEOUT

from free_port import free_port

if TYPE_CHECKING:
    from installation import Installation
    from system_processes import Start

pytest_plugins = ("system_fixtures",)

# In the log each zero byte is "\\x00". So the entries of all have 7 MB, more than may wait.
ZEROS = bytes(1400)
MESSAGES = 1000

StartLogging = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def start_logging(
    start: Start, installation: Installation, tmp_path: Path, port: int
) -> Iterator[StartLogging]:
    """Start a relay that logs payloads; return it when it is ready."""
    with ExitStack() as stack, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(TIMEOUT)

        def start_logging(output: int, *before: str, file: str = "") -> subprocess.Popen[bytes]:
            log = f"[log]\nformat = json\npayloads = yes\nfile = {file}\nrotate_size = 0\n"
            process = subprocess.Popen(
                (*before, installation.twistd, "-n", "udprelay", *start.config(log), f"-p{port}"),
                cwd=start.place,
                env={**os.environ, "NOTIFY_SOCKET": systemd.getsockname()},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            assert systemd.recv(100) == b"READY=1"
            return process

        yield start_logging


@pytest.fixture
def relay_messages(start: Start, port: int) -> Callable[[], None]:
    """Send messages to a member, which must receive each."""

    def relay_messages() -> None:
        one, other = start.endpoint(port), start.endpoint(port)
        other.send(b"hello")
        one.send(b"")
        for number in range(MESSAGES):
            # Each differs: one that is sent again as soon as it is received is taken for a loop.
            one.send(b"%d" % number + ZEROS)
            assert other.receive() == b"%d" % number + ZEROS

    return relay_messages


def assert_complete(log: list[dict[str, Any]]) -> None:
    """Each entry about a payload is there, or counted in its place."""
    kinds = [entry["event"] for entry in log]
    place = kinds.index("log.lost")
    written = kinds.count("datagram.relayed")
    assert 0 < written < MESSAGES
    assert written + log[place]["count"] == MESSAGES + 1
    times = [entry["time"] for entry in log]
    assert times[place - 1] <= log[place]["since"] <= times[place]
    del times[place]
    assert times == sorted(times)
    assert kinds[-1] == "relay.stopped"


def test_a_pipe_that_nobody_reads_for_a_while(
    start_logging: StartLogging, relay_messages: Callable[[], None]
) -> None:
    ours, theirs = os.pipe()
    relay = start_logging(theirs)
    os.close(theirs)
    relay_messages()
    with os.fdopen(ours, "rb") as reader:
        log = [json.loads(reader.readline())]
        while log[-1]["event"] != "log.lost":
            log.append(json.loads(reader.readline()))
        relay.terminate()
        log += map(json.loads, reader)
    assert_complete(log)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_a_pipe_that_nobody_reads(
    start_logging: StartLogging, relay_messages: Callable[[], None], number: int
) -> None:
    ours, theirs = os.pipe()
    relay = start_logging(theirs)
    os.close(theirs)
    relay_messages()
    relay.send_signal(number)
    assert relay.wait(TIMEOUT) == (0 if number == signal.SIGQUIT else -number)
    os.close(ours)


def test_a_reader_that_has_left(
    start_logging: StartLogging, relay_messages: Callable[[], None]
) -> None:
    ours, theirs = os.pipe()
    relay = start_logging(theirs)
    os.close(theirs)
    os.close(ours)
    relay_messages()
    relay.terminate()
    assert relay.wait(TIMEOUT) == -signal.SIGTERM


def test_a_terminal_that_is_stopped(
    start_logging: StartLogging, relay_messages: Callable[[], None]
) -> None:
    ours, theirs = os.openpty()
    # Ctrl-S.
    termios.tcflow(theirs, termios.TCOOFF)
    relay = start_logging(theirs)
    relay_messages()
    relay.terminate()
    assert relay.wait(TIMEOUT) == -signal.SIGTERM
    os.close(theirs)
    os.close(ours)


def can_mount() -> bool:
    if os.geteuid() or shutil.which("unshare") is None:
        return False
    return not subprocess.run(("unshare", "-m", "true"), check=False).returncode


@pytest.mark.skipif(not can_mount(), reason="needs a mount of its own: root, unshare")
def test_a_disk_that_is_full_for_a_while(
    start: Start,
    start_logging: StartLogging,
    relay_messages: Callable[[], None],
    tmp_path: Path,
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    full = f"mount -t tmpfs -o size=16m none {disk}; head -c 16m /dev/zero > {disk}/full"
    # Some space for the first entries.
    full += f'; truncate -s -64K {disk}/full; exec "$@"'
    relay = start_logging(
        subprocess.DEVNULL, "unshare", "-m", "sh", "-c", full, "sh", file=f"{disk}/relay.log"
    )
    # As the relay sees it.
    place = Path(f"/proc/{relay.pid}/root{disk}")
    log = start.command("tail", "-c", "+1", "-f", place / "relay.log")
    relay_messages()
    (place / "full").unlink()
    log.stdout.wait_for('"log.lost"')
    relay.terminate()
    relay.wait(TIMEOUT)
    log.stdout.wait_for('"relay.stopped".*\n')
    log.end()
    entries = [json.loads(line) for line in log.stdout.lines]
    assert "log.failed" in [entry["event"] for entry in entries]
    assert_complete([entry for entry in entries if entry["event"] != "log.failed"])
