"""A relay stops on SIGTERM and SIGINT, and logs its totals."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from system_processes import TIMEOUT

from free_port import free_port

if TYPE_CHECKING:
    from system_processes import Relay, Start

pytest_plugins = ("system_fixtures",)

# A name server that does not answer.
HANGING_LOOK_UPS = """
import socket, sys, time
look_up = socket.getaddrinfo

def hang(host, *others, **named):
    if host == "collector.example.org":
        print("looking up", file=sys.stderr, flush=True)
        time.sleep(600)
    return look_up(host, *others, **named)

socket.getaddrinfo = hang
"""

both_signals = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


def names(relay: Relay) -> list[str]:
    return [event["event"] for event in relay.events]


@both_signals
def test_signal_stops_the_relay(start: Start, number: signal.Signals) -> None:
    relay = start.relay()
    start.member(relay)
    relay.signal(number)
    # twistd ends itself by the signal that it received.
    assert relay.status() == -number


@both_signals
def test_stop_is_logged_and_the_totals_are_last(start: Start, number: signal.Signals) -> None:
    relay = start.relay()
    one, other = start.member(relay), start.member(relay, "::1")
    one.send(b"hello")
    assert other.receive() == b"hello"
    other.send(b"hello, one")
    assert one.receive() == b"hello, one"
    totals = relay.stop(number)
    stop = names(relay)[names(relay).index("relay.stopping") :]
    assert stop == [
        "relay.stopping",
        "listener.statistics",
        "listener.closed",
        "room.closed",
        "relay.stopped",
    ]
    del totals["time"], totals["uptime"]
    assert totals == {
        "level": "info",
        "event": "relay.stopped",
        "members": 2,
        "datagrams": 2,
        "bytes": 15,
        "deliveries": 2,
        "dropped": {},
    }


def test_relay_stops_during_a_flood(start: Start) -> None:
    relay = start.relay()
    flooding = start.member(relay)
    for _ in range(10):
        start.member(relay)
    flooding.send(*[bytes(1000)] * 2000)
    relay.signal(signal.SIGTERM)
    deadline = time.monotonic() + TIMEOUT
    try:
        while time.monotonic() < deadline:
            flooding.send(*[bytes(1000)] * 100)
    except ConnectionRefusedError:
        pass
    relay.status()
    assert time.monotonic() < deadline
    assert names(relay)[-1] == "relay.stopped"


def test_relay_stops_while_the_look_up_of_a_name_hangs(start: Start, tmp_path: Path) -> None:
    place = tmp_path / "hanging"
    place.mkdir()
    (place / "sitecustomize.py").write_text(HANGING_LOOK_UPS)
    relay = start.relay(
        config="[room:lobby]\ntargets = collector.example.org:2055\n",
        environment={"PYTHONPATH": str(place)},
    )
    relay.event("diagnostic", message="looking up")  # twistd logs the output to stderr.
    start.member(relay)
    assert relay.stop()["event"] == "relay.stopped"


def test_no_files_are_left(start: Start) -> None:
    relay = start.relay()
    start.member(relay)
    relay.stop()
    assert [path.name for path in start.place.iterdir()] == ["udprelay.ini"]


def test_port_is_free_again(start: Start) -> None:
    first = start.relay("--port", str(free_port()))
    member = start.member(first)
    first.stop()
    second = start.relay("--port", str(first.port))
    member.send(b"")
    second.event("member.joined", address=member.address)
