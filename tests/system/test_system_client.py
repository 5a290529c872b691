"""``udprelay-client`` as installed."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from free_port import free_port

if TYPE_CHECKING:
    from system_processes import Start

pytest_plugins = ("system_fixtures",)


def test_a_line_from_a_pipe_reaches_a_member(start: Start, host: str) -> None:
    relay = start.relay()
    member = start.member(relay)
    peer = f"[{host}]:{relay.port}" if ":" in host else f"{host}:{relay.port}"
    client = start.client("--wait", "0", peer)
    client.type("hello\n")
    client.close_input()
    assert client.status() == 0
    assert client.stdout.all + client.stderr.all == ""
    assert member.receive() == b"hello"


def test_two_clients_communicate_through_the_relay(start: Start) -> None:
    relay = start.relay()
    one, other = (
        start.client("--keepalive", "60", peer)
        for peer in (f"127.0.0.1:{relay.port}", f"[::1]:{relay.port}")
    )
    relay.event("member.joined", member="guest-2")
    one.type("hello\n")
    assert other.stdout.next_line() == "hello"
    other.type("Grüß Gott\n")
    one.stdout.wait_for_line("Grüß Gott")


def test_client_leaves_after_the_count_of_messages(start: Start) -> None:
    relay = start.relay()
    client = start.client("--keepalive", "60", "--count", "2", f"127.0.0.1:{relay.port}")
    relay.event("member.joined", member="guest-1")
    start.member(relay).send(b"one", b"two", b"three")
    assert client.status() == 0
    assert client.stdout.lines == ["one", "two"]


def test_if_no_program_listens_the_status_is_2(start: Start) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    client = start.client(f"127.0.0.1:{port}")
    client.type("hello\n")
    client.close_input()
    assert client.status() == 2
    assert client.stderr.lines == [f"udprelay-client: no program listens at 127.0.0.1:{port}"]


def test_client_continues_after_a_restart_of_the_relay(start: Start) -> None:
    first = start.relay("--port", str(free_port()))
    client = start.client("--keepalive", "0.1", f"127.0.0.1:{first.port}")
    first.event("member.joined", member="guest-1")
    first.stop()
    client.stderr.wait_for("no program listens at")
    second = start.relay("--port", str(first.port))
    second.event("member.joined", member="guest-1")
    start.member(second).send(b"after the restart")
    assert client.stdout.next_line() == "after the restart"
