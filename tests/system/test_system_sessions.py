"""The session protocol between processes: real clients, a real relay, a bad network."""

from __future__ import annotations

import signal

import pytest
from system_processes import Process, Relay, Start

from free_port import free_port

pytest_plugins = ("system_fixtures",)

CLIENTS, LINES = 10, 100
LOSS, DOUBLED, OVERTAKEN = 0.2, 0.02, 0.05
OTHERS = (CLIENTS - 1) * LINES


def crowd(start: Start, port: int) -> list[Process]:
    """Clients in pipes that leave when they have heard all that the others say."""
    return [
        start.session(
            *("--nick", f"n{number}", "--count", str(OTHERS), "--wait", "inf"),
            f"127.0.0.1:{port}",
        )
        for number in range(CLIENTS)
    ]


def wait_until_all_are_in(relay: Relay) -> None:
    for number in range(CLIENTS):
        relay.event("member.joined", member=f"n{number}")


def say(clients: list[Process], numbers: range) -> None:
    for client in clients:
        client.type("".join(f"line {number}\n" for number in numbers))


def assert_all_heard_all(clients: list[Process]) -> None:
    for me, client in enumerate(clients):
        assert client.status(90) == 0, client.stderr.all
        heard = client.stdout.lines
        assert len(heard) == OTHERS
        for other in range(CLIENTS):
            said = [line for line in heard if line.startswith(f"n{other}: ")]
            expected = [] if other == me else [f"n{other}: line {i}" for i in range(LINES)]
            assert said == expected


@pytest.mark.timeout(180)
def test_every_line_comes_once_and_in_order_through_a_network_that_loses_a_fifth(
    start: Start,
) -> None:
    relay = start.relay()
    clients = crowd(start, start.bad_network(relay.port, LOSS, DOUBLED, OVERTAKEN, seed=1))
    wait_until_all_are_in(relay)
    say(clients, range(LINES))
    assert_all_heard_all(clients)


@pytest.mark.timeout(180)
def test_every_line_comes_once_and_in_order_although_the_relay_is_killed_in_the_middle(
    start: Start,
) -> None:
    first = start.relay("--port", str(free_port()))
    clients = crowd(start, start.bad_network(first.port, LOSS, DOUBLED, OVERTAKEN, seed=2))
    wait_until_all_are_in(first)
    say(clients, range(LINES // 2))
    for me, client in enumerate(clients):
        # Whoever has not been welcomed yet would be new to the second relay.
        client.stdout.wait_for_line(f"n{(me + 1) % CLIENTS}: line 0")
    clients[0].stdout.wait_for_line(f"n1: line {LINES // 4}")
    first.signal(signal.SIGKILL)
    first.status()
    say(clients, range(LINES // 2, LINES))
    second = start.relay("--port", str(first.port))
    wait_until_all_are_in(second)
    assert_all_heard_all(clients)
