"""The session protocol between processes: clients, a relay and a bad network."""

from __future__ import annotations

import signal

import pytest
from system_processes import TIMEOUT, Process, Relay, Start

from free_port import free_port

pytest_plugins = ("system_fixtures",)

CLIENTS, LINES = 6, 60
LOSS, DUPLICATION, REORDERING = 0.2, 0.02, 0.05
OTHERS = (CLIENTS - 1) * LINES


def crowd(start: Start, port: int) -> list[Process]:
    """Start clients in pipes, which leave after all lines of the others."""
    return [
        start.session(
            *("--nick", f"n{number}", "--count", str(OTHERS), "--wait", "inf"),
            f"127.0.0.1:{port}",
        )
        for number in range(CLIENTS)
    ]


def wait_until_all_have_joined(relay: Relay) -> None:
    for number in range(CLIENTS):
        relay.event("member.joined", member=f"n{number}")


def send_lines(clients: list[Process], numbers: range) -> None:
    for client in clients:
        client.type("".join(f"line {number}\n" for number in numbers))


def assert_all_received_all(clients: list[Process]) -> None:
    for me, client in enumerate(clients):
        assert client.status(3 * TIMEOUT) == 0, client.stderr.all
        received = client.stdout.lines
        assert len(received) == OTHERS
        for other in range(CLIENTS):
            sent = [line for line in received if line.startswith(f"n{other}: ")]
            expected = [] if other == me else [f"n{other}: line {i}" for i in range(LINES)]
            assert sent == expected


@pytest.mark.timeout(400)
def test_each_line_arrives_once_and_in_order_over_a_bad_network(
    start: Start,
) -> None:
    relay = start.relay()
    clients = crowd(start, start.bad_network(relay.port, LOSS, DUPLICATION, REORDERING, seed=1))
    wait_until_all_have_joined(relay)
    send_lines(clients, range(LINES))
    assert_all_received_all(clients)


@pytest.mark.timeout(400)
def test_each_line_arrives_once_and_in_order_when_the_relay_is_killed(
    start: Start,
) -> None:
    first = start.relay("--port", str(free_port()))
    clients = crowd(start, start.bad_network(first.port, LOSS, DUPLICATION, REORDERING, seed=2))
    wait_until_all_have_joined(first)
    send_lines(clients, range(LINES // 2))
    for me, client in enumerate(clients):
        # A client without a session would be new to the second relay.
        client.stdout.wait_for_line(f"n{(me + 1) % CLIENTS}: line 0")
    clients[0].stdout.wait_for_line(f"n1: line {LINES // 4}")
    first.signal(signal.SIGKILL)
    first.status()
    send_lines(clients, range(LINES // 2, LINES))
    second = start.relay("--port", str(first.port))
    wait_until_all_have_joined(second)
    assert_all_received_all(clients)
