"""``nc``, ``ncat`` and ``socat`` with the relay and the client."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from system_processes import Start

pytest_plugins = ("system_fixtures",)

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("nc.openbsd", "ncat", "socat"))),
    reason="needs the nc of OpenBSD, ncat and socat",
)
NC = "nc.openbsd"


# Through the relay


def test_two_nc_communicate(start: Start, host: str) -> None:
    relay = start.relay()
    one = start.command(NC, "-u", host, str(relay.port))
    one.type("is anybody there?\n")
    relay.event("member.joined", member="guest-1")
    other = start.command(NC, "-u", host, str(relay.port))
    other.type("hello\n")
    assert one.stdout.next_line() == "hello"
    one.type("there you are\n")
    assert other.stdout.next_line() == "there you are"


def test_all_kinds_of_programs_share_a_room(start: Start) -> None:
    relay = start.relay()
    port = str(relay.port)
    programs = {
        "nc, IPv4": start.command(NC, "-u", "127.0.0.1", port),
        "nc, IPv6": start.command(NC, "-u", "::1", port),
        "ncat, IPv4": start.command("ncat", "-u", "127.0.0.1", port),
        "ncat, IPv6": start.command("ncat", "-u", "::1", port),
        "socat, IPv4": start.command("socat", "-", f"UDP4:127.0.0.1:{port}"),
        "socat, IPv6": start.command("socat", "-", f"UDP6:[::1]:{port}"),
        "socket, IPv4": start.program("chat", "127.0.0.1", port),
        "socket, IPv6": start.program("chat", "::1", port),
        "client, IPv4": start.client(f"127.0.0.1:{port}"),
        "client, IPv6": start.client(f"[::1]:{port}"),
    }
    for number, (name, program) in enumerate(programs.items(), 1):
        program.type(f"here is {name}\n")
        relay.event("member.joined", member=f"guest-{number}")
    for name, program in programs.items():
        program.type(f"this is {name}\n")
        for listener in programs.values():
            if listener is not program:
                listener.stdout.wait_for(f"this is {name}")
    for name, program in programs.items():
        program.end()
        assert f"this is {name}" not in program.stdout.all


# The client without a relay


def test_client_communicates_with_a_listening_nc(start: Start) -> None:
    nc = start.command(NC, "-v", "-u", "-l", "127.0.0.1", "0")
    port = nc.stderr.wait_for(r"^Bound on \S+ (\d+)\n")[1]
    client = start.client("--newline", f"127.0.0.1:{port}")
    client.type("hello nc\n")
    nc.stdout.wait_for_line("hello nc")
    nc.type("hello client\n")
    assert client.stdout.next_line() == "hello client"
    client.type("good bye\n")
    nc.stdout.wait_for_line("good bye")


def test_client_communicates_with_a_listening_socat(start: Start) -> None:
    socat = start.command("socat", "-d", "-d", "-", "UDP4-LISTEN:0,bind=127.0.0.1")
    port = socat.stderr.wait_for(r"listening on UDP AF=2 127\.0\.0\.1:(\d+)")[1]
    client = start.client("--newline", f"127.0.0.1:{port}")
    client.type("hello socat\n")
    socat.stdout.wait_for_line("hello socat")
    socat.type("hello client\n")
    assert client.stdout.next_line() == "hello client"
