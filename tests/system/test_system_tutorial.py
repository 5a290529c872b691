"""The programs of a UDP tutorial, with the relay or the client as their peer."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from system_processes import Process, Relay, Start

pytest_plugins = ("system_fixtures",)


def pattern_of(host: str) -> str:
    """Return a pattern for an address as in a URL."""
    return re.escape(f"[{host}]" if ":" in host else host)


# The client of ten lines


def test_ten_line_client_gets_an_answer_from_the_console(start: Start, host: str) -> None:
    relay = start.relay("--console")
    client = start.program("ten_lines", host, relay.port)
    relay.stderr.wait_for(rf"^\[{pattern_of(host)}:\d+\] hello server\n")
    relay.type("/reply hello client\n")
    assert client.status() == 0
    assert client.stdout.lines == [f"[{host}:{relay.port}] hello client"]


def test_ten_line_client_gets_an_answer_from_another_program(start: Start, host: str) -> None:
    relay = start.relay()
    other = start.member(relay)
    client = start.program("ten_lines", host, relay.port)
    assert other.receive() == b"hello server"
    other.send(b"hello client")
    assert client.status() == 0
    assert client.stdout.lines == [f"[{host}:{relay.port}] hello client"]


# The server that blocks


@pytest.fixture
def server(start: Start) -> tuple[Process, str]:
    process = start.program("blocking_server")
    return process, f"127.0.0.1:{process.stdout.next_line()}"


def test_client_communicates_with_a_server_that_blocks(
    start: Start, server: tuple[Process, str]
) -> None:
    process, address = server
    client = start.client(address)
    for word in ("one", "two", "three"):
        client.type(f"{word}\n")
        process.stdout.wait_for(rf"^\[127\.0\.0\.1:\d+\] {word}\n")
        process.type(f"{word} is fine\n")
        assert client.stdout.next_line() == f"{word} is fine"


def test_messages_to_a_blocked_server_are_answered_in_order(
    start: Start, server: tuple[Process, str]
) -> None:
    process, address = server
    client = start.client(address)
    client.type("one\ntwo\nthree\n")
    process.type("1\n2\n3\n")
    assert [client.stdout.next_line() for _ in range(3)] == ["1", "2", "3"]


# A chat of two


def test_two_chat(start: Start, host: str) -> None:
    relay = start.relay()
    one = start.program("chat", host, relay.port)
    one.type("is anybody there?\n")
    relay.event("member.joined", member="guest-1")
    other = start.program("chat", host, relay.port)
    other.type("hello\n")
    assert one.stdout.next_line() == "hello"
    one.type("there you are\n")
    assert other.stdout.next_line() == "there you are"


def test_a_chat_program_communicates_with_the_client(start: Start) -> None:
    relay = start.relay()
    client = start.client("--keepalive", "60", f"127.0.0.1:{relay.port}")
    relay.event("member.joined", member="guest-1")
    chat = start.program("chat", "::1", relay.port)
    chat.type("hello from a script\n")
    assert client.stdout.next_line() == "hello from a script"
    client.type("hello from the client\n")
    assert chat.stdout.next_line() == "hello from the client"


# A group

GROUP = 5


@pytest.fixture
def group(start: Start) -> tuple[Relay, list[Process]]:
    """Programs that have joined with an empty datagram."""
    relay = start.relay()
    programs = []
    for number in range(GROUP):
        programs.append(start.program("group", ("127.0.0.1", "::1")[number % 2], relay.port))
        programs[-1].type("\n")
    relay.event("member.joined", member=f"guest-{GROUP}")
    return relay, programs


def assert_all_others_receive(programs: list[Process], *payloads: bytes) -> None:
    """Send the payloads from each program; assert that the others receive nothing else."""
    for sender in programs:
        for payload in payloads:
            sender.type(f"{payload.hex()}\n")
        for receiver in programs:
            if receiver is not sender:
                for payload in payloads:
                    assert bytes.fromhex(receiver.stdout.next_line()) == payload


def test_group_receives_text(group: tuple[Relay, list[Process]]) -> None:
    assert_all_others_receive(group[1], b"hello everybody\n", "Schöne Grüße 👋".encode(), b" ")


def test_group_receives_binary_data(group: tuple[Relay, list[Process]]) -> None:
    chance = random.Random(1)
    payloads = [chance.randbytes(length) for length in (1, 2, 100, 1472, 1473, 8193, 20_000)]
    assert_all_others_receive(group[1], bytes(range(256)), *payloads)


def test_no_program_of_the_group_receives_its_own_payloads(
    start: Start, group: tuple[Relay, list[Process]]
) -> None:
    relay, programs = group
    programs[0].type(f"{b'from me'.hex()}\n")
    assert bytes.fromhex(programs[1].stdout.next_line()) == b"from me"
    # An echo would arrive before this.
    start.member(relay).send(b"from another")
    assert bytes.fromhex(programs[0].stdout.next_line()) == b"from another"
