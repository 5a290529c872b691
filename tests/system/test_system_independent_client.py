"""
Clients written from ``docs/protocol.rst`` alone, together with those of udprelay.

They use no code of udprelay: anything that they need has to be in that document.
"""

from __future__ import annotations

import ast
import signal
import sys

import pytest
from system_processes import PROGRAMS, Process, Relay, Start

from free_port import free_port

pytest_plugins = ("system_fixtures",)

PROGRAM = PROGRAMS / "independent_client.py"
INDEPENDENT = [f"i{number}" for number in range(2)]
OWN = [f"u{number}" for number in range(2)]
NICKS = INDEPENDENT + OWN
LINES = 16
OTHERS = (len(NICKS) - 1) * LINES
LOSS, DUPLICATION, REORDERING = 0.2, 0.02, 0.05

pytestmark = pytest.mark.timeout(300)


def crowd(start: Start, port: int, *flags: str) -> dict[str, Process]:
    """Start clients of both kinds, which leave when their input ends; return them by nick."""
    clients = {}
    for nick in INDEPENDENT:
        place = ("127.0.0.1", str(port), "lobby", nick)
        clients[nick] = start.command(sys.executable, "-I", PROGRAM, *flags, *place)
    for nick in OWN:
        clients[nick] = start.session(
            *("--nick", nick, "--wait", "0", *flags), f"127.0.0.1:{port}"
        )
    return clients


def bad_network(start: Start, relay: Relay, seed: int) -> int:
    return start.bad_network(relay.port, LOSS, DUPLICATION, REORDERING, seed)


def wait_until_all_have_joined(relay: Relay) -> None:
    for nick in NICKS:
        relay.event("member.joined", member=nick)


def send_lines(clients: dict[str, Process], numbers: range) -> None:
    for client in clients.values():
        client.type("".join(f"line {number}\n" for number in numbers))


def has_all_lines(text: str, _: bool) -> bool:
    return text.count("\n") >= OTHERS


def assert_all_receive_all(clients: dict[str, Process]) -> None:
    for client in clients.values():
        client.stdout.wait_until(has_all_lines)
    for client in clients.values():
        client.close_input()
    for me, client in clients.items():
        assert client.status() == 0, client.stderr.all
        received = client.stdout.lines
        assert len(received) == OTHERS
        for other in NICKS:
            sent = [line for line in received if line.startswith(f"{other}: ")]
            expected = [] if other == me else [f"{other}: line {i}" for i in range(LINES)]
            assert sent == expected


def test_it_does_not_import_udprelay() -> None:
    imports = [
        node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(ast.parse(PROGRAM.read_text()))
        if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    assert "cbor2" in imports
    assert not [name for name in imports if name is None or name.startswith("udprelay")]


def test_clients_of_both_kinds_receive_each_line_once_and_in_order_over_a_bad_network(
    start: Start,
) -> None:
    relay = start.relay()
    clients = crowd(start, bad_network(start, relay, seed=3))
    wait_until_all_have_joined(relay)
    send_lines(clients, range(LINES))
    assert_all_receive_all(clients)


def test_clients_of_both_kinds_can_read_each_other_in_a_room_with_a_passphrase(
    start: Start,
) -> None:
    file = start.place / "passphrase"
    file.write_text("correct horse battery staple\n")
    file.chmod(0o600)
    flags = ("--passphrase-file", str(file))
    key = start.session("--access-key", *flags)
    assert key.status() == 0, key.stderr.all
    relay = start.relay(config=f"[room:lobby]\n{key.stdout.all}")
    clients = crowd(start, bad_network(start, relay, seed=4), *flags)
    wait_until_all_have_joined(relay)
    send_lines(clients, range(LINES))
    assert_all_receive_all(clients)


def test_clients_of_both_kinds_lose_nothing_when_the_relay_is_killed(
    start: Start,
) -> None:
    first = start.relay("--port", str(free_port()))
    clients = crowd(start, bad_network(start, first, seed=5))
    wait_until_all_have_joined(first)
    send_lines(clients, range(LINES // 2))
    for client in clients.values():  # each resumes at the second relay
        client.stdout.wait_for(rf"line {LINES // 4}\n")
    first.signal(signal.SIGKILL)
    first.status()
    send_lines(clients, range(LINES // 2, LINES))
    second = start.relay("--port", str(first.port))
    wait_until_all_have_joined(second)
    assert_all_receive_all(clients)
