"""What signals do to a relay, its file with the process id, and starts after a crash."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from system_processes import TIMEOUT

if TYPE_CHECKING:
    from installation import Installation
    from system_processes import Relay, Start

pytest_plugins = ("system_fixtures",)

ENDS_WITH_A_FAREWELL = ["relay.stopping", "listener.statistics", "listener.closed", "room.closed"]


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket on which systemd hears that a relay is ready."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(TIMEOUT)
        yield systemd


def names(relay: Relay) -> list[str]:
    return [event["event"] for event in relay.events]


def test_a_relay_survives_signals_that_do_not_stop_it(start: Start) -> None:
    relay = start.relay()
    actions = {"SIGHUP": "reopen-log", "SIGUSR1": "statistics", "SIGUSR2": "none"}
    for name, action in actions.items():
        for _ in range(2):
            relay.signal(getattr(signal, name))
        relay.event("signal.received", signal=name, action=action)
    one, other = start.member(relay), start.member(relay)
    one.send(b"hello")
    assert other.receive() == b"hello"
    assert relay.stop()["event"] == "relay.stopped"


def test_a_relay_that_starts_survives_them_too(start: Start) -> None:
    process = start.twistd("-n", "udprelay", "--port", "0")
    caught = Path(f"/proc/{process.pid}/status")
    # It takes a moment until Twisted is loaded; before, Python has no handler.
    deadline = time.monotonic() + TIMEOUT
    while not _mask(caught, "SigCgt") & 1 << signal.SIGHUP - 1:
        assert time.monotonic() < deadline
        # Nothing else tells of it.
        time.sleep(0.01)
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        process.signal(number)
    process.stdout.wait_for("listener.opened")


def _mask(status: Path, name: str) -> int:
    """Return a set of signals of a process."""
    (line,) = (line for line in status.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1], 16)


def test_usr1_logs_the_counters(start: Start) -> None:
    relay = start.relay()
    start.member(relay)
    relay.signal(signal.SIGUSR1)
    assert relay.event("relay.statistics")["counts"]["joins"] == 1
    assert relay.event("room.statistics")["members"] == 1


def test_quit_stops_with_a_farewell_and_status_0(start: Start) -> None:
    relay = start.relay()
    start.member(relay)
    relay.signal(signal.SIGQUIT)
    assert relay.status() == 0
    assert names(relay)[-5:-1] == ENDS_WITH_A_FAREWELL


def test_signals_to_stop_may_come_together(start: Start) -> None:
    relay = start.relay()
    start.member(relay)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        relay.signal(number)
    relay.status()
    assert names(relay)[-5:-1] == ENDS_WITH_A_FAREWELL
    assert "diagnostic" not in names(relay)


def test_signals_during_a_flood_do_no_harm(start: Start) -> None:
    relay = start.relay()
    flooding = start.member(relay)
    start.member(relay)
    for _ in range(20):
        flooding.send(*[bytes(1000)] * 100)
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            relay.signal(number)
    assert relay.stop()["event"] == "relay.stopped"


@pytest.mark.parametrize(
    ("before", "action"), [((), "stop"), (("nohup",), "reopen-log")], ids=["", "nohup"]
)
def test_a_relay_whose_terminal_is_closed_stops_with_a_farewell(
    start: Start,
    installation: Installation,
    systemd: socket.socket,
    before: tuple[str, ...],
    action: str,
) -> None:
    config = start.config("[log]\nfile = relay.log\nformat = json\n")
    relay = (installation.twistd, "-n", "udprelay", *config, "--port", "0")
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        ("setsid", "--ctty", *before, *relay),
        cwd=start.place,
        env={**os.environ, "NOTIFY_SOCKET": systemd.getsockname()},
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs)
    assert systemd.recv(100) == b"READY=1"
    os.close(ours)
    if before:
        process.send_signal(signal.SIGHUP)
        process.terminate()
    process.wait(TIMEOUT)
    log = [json.loads(line) for line in (start.place / "relay.log").read_text().splitlines()]
    # One or more: the kernel's, and the one above; those that wait together become one.
    assert {one["action"] for one in log if one.get("signal") == "SIGHUP"} == {action}
    assert log[-1]["event"] == "relay.stopped"


def test_the_log_file_is_opened_again(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "relay.log"
    config = start.config(f"[log]\nfile = {log}\n")
    process = start.twistd("-n", "udprelay", *config, "--port", "0", "--console")
    process.type("/who\n")
    process.stdout.wait_for_line("console      console")
    # A thread writes the file: the console may answer before the first lines are there.
    start.command("tail", "-c", "+1", "-f", log).stdout.wait_for("console.* joined")
    log.rename(tmp_path / "relay.log.1")
    process.signal(signal.SIGHUP)
    process.type("/who\n")
    process.stdout.wait_for_line("console      console")
    process.end()
    first, *_, last = log.read_text().splitlines()
    assert "signal.received: SIGHUP: reopen-log" in first
    assert "relay.stopped: " in last


# The file with the process id


def test_two_relays_run_in_one_directory(start: Start) -> None:
    first, second = start.relay(), start.relay()
    assert first.port != second.port
    assert not (start.place / "twistd.pid").exists()


def test_a_relay_that_was_asked_for_a_file_writes_it(start: Start) -> None:
    command = ("-n", "--pidfile=twistd.pid", "udprelay", "--port", "0")
    running = start.twistd(*command)
    running.stdout.wait_for("listener.opened")
    pid_file = start.place / "twistd.pid"
    assert int(pid_file.read_text()) > 1
    refused = start.twistd(*command)
    assert refused.status() == 1
    assert "Another twistd server is running" in refused.stderr.all
    running.end()
    assert not pid_file.exists()


def test_a_stale_file_does_not_refuse_a_daemon(start: Start) -> None:
    pid_file = start.place / "pid"
    # The number of another program: it was used again.
    pid_file.write_text(str(os.getpid()))
    config = start.config("[log]\nfile = relay.log\n")
    process = start.twistd("--pidfile", "pid", "udprelay", *config, "--port", "0")
    assert process.status() == 0, process.stderr.all
    daemon = os.pidfd_open(int(pid_file.read_text()))
    refused = start.twistd("--pidfile", "pid", "udprelay", *config, "--port", "0")
    assert refused.status() == 1
    signal.pidfd_send_signal(daemon, signal.SIGTERM)
    os.close(daemon)


def test_a_relay_starts_where_it_may_not_write_without_a_home(
    start: Start, unprivileged: tuple[str, ...]
) -> None:
    start.config("")
    start.place.chmod(0o555)
    relay = start.relay(before=(*unprivileged, "env", "-i"))
    start.member(relay)
    assert relay.stop()["event"] == "relay.stopped"
    assert relay.stderr.all == ""
    start.place.chmod(0o755)


def can_unshare() -> bool:
    if os.geteuid() or shutil.which("unshare") is None:
        return False
    return not subprocess.run(("unshare", "-pf", "--mount-proc", "true"), check=False).returncode


needs_namespaces = pytest.mark.skipif(not can_unshare(), reason="needs namespaces: root, unshare")


@needs_namespaces
def test_process_1_of_a_container_starts_again_after_a_kill(start: Start) -> None:
    container = ("unshare", "-pf", "--mount-proc", "--kill-child")
    killed = start.relay(before=container)
    start.member(killed)
    killed.signal(signal.SIGKILL)
    killed.status()
    again = start.relay(before=container)
    start.member(again)
    # unshare ignores SIGTERM.
    again.signal(signal.SIGKILL)
    again.status()


# systemd


def test_systemd_is_told_when_the_relay_is_ready(start: Start, systemd: socket.socket) -> None:
    relay = start.relay(environment={"NOTIFY_SOCKET": systemd.getsockname()})
    assert systemd.recv(100) == b"READY=1"
    start.member(relay)
    relay.stop()
    assert systemd.recv(100) == b"STOPPING=1"


def test_a_relay_whose_socket_of_systemd_is_gone_runs(start: Start) -> None:
    relay = start.relay(environment={"NOTIFY_SOCKET": "@no-such-socket"})
    start.member(relay)
