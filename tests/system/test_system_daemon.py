"""The relay in the background, and without privileges."""

from __future__ import annotations

import json
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from system_processes import TIMEOUT

if TYPE_CHECKING:
    from system_processes import Start

pytest_plugins = ("system_fixtures",)


def test_twist_runs_it_in_the_foreground_with_the_log_of_its_flags(start: Start) -> None:
    relay = start.relay(command=("twist",))
    one, other = start.member(relay), start.member(relay)
    one.send(b"hello")
    assert other.receive() == b"hello"
    assert relay.stop()["event"] == "relay.stopped"
    assert relay.stderr.all == ""


class Daemon:
    """A relay in the background, no child of the tests."""

    def __init__(self, place: Path) -> None:
        self.pid_file = place / "pid"
        self._log = place / "relay.log"
        self._handle = os.pidfd_open(int(self.pid_file.read_text()))

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    @property
    def port(self) -> int:
        (opened,) = (event for event in self.events if event["event"] == "listener.opened")
        return int(opened["port"])

    def stop(self) -> None:
        signal.pidfd_send_signal(self._handle, signal.SIGTERM)
        assert select.select([self._handle], [], [], TIMEOUT)[0], "it is still running"

    def close(self) -> None:
        if not select.select([self._handle], [], [], 0)[0]:
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        os.close(self._handle)


@pytest.fixture
def daemon(start: Start, tmp_path: Path) -> Iterator[Daemon]:
    config = start.config(f"[log]\nfile = {tmp_path / 'relay.log'}\nformat = json\n")
    process = start.twistd("--pidfile", "pid", "udprelay", *config, "--port", "0")
    assert process.status() == 0
    assert process.stdout.all + process.stderr.all == ""
    daemon = Daemon(tmp_path)
    yield daemon
    daemon.close()


def test_daemon_relays_once_its_parent_has_ended(start: Start, daemon: Daemon) -> None:
    one, other = start.endpoint(daemon.port), start.endpoint(daemon.port)
    one.send(b"I am here")
    other.send(b"hello")
    assert one.receive() == b"hello"


def test_daemon_logs_its_totals_and_removes_its_pid_file(start: Start, daemon: Daemon) -> None:
    one, other = start.endpoint(daemon.port), start.endpoint(daemon.port)
    one.send(b"I am here")
    other.send(b"hello")
    assert one.receive() == b"hello"
    daemon.stop()
    assert daemon.events[-1]["event"] == "relay.stopped"
    assert daemon.events[-1]["members"] == 2
    assert not daemon.pid_file.exists()


def test_relay_needs_no_privileges(start: Start, unprivileged: tuple[str, ...], host: str) -> None:
    relay = start.relay(before=unprivileged)
    one, other = start.member(relay, host), start.member(relay)
    one.send(b"hello")
    assert other.receive() == b"hello"
    assert relay.stop()["deliveries"] == 1
