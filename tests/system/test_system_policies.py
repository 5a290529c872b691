"""The policies for plain members, with trusted and untrusted addresses."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from system_processes import Relay, Start

pytest_plugins = ("system_fixtures",)

# 127.0.0.2 is trusted; 127.0.0.1 and ::1 are not.
POLICY = "[listener:main]\nplain = {}\nplain_networks = 127.0.0.2/32\n"
CODE = r"[0-9][a-z][0-9a-z]{6}"


def policy(name: str) -> str:
    return POLICY.format(name)


@pytest.fixture
def challenging(start: Start) -> Relay:
    return start.relay(config=policy("challenge"))


def test_trusted_network_needs_no_challenge(start: Start, challenging: Relay) -> None:
    one, other = (start.member(challenging, "127.0.0.2") for _ in range(2))
    one.send(b"hello")
    assert other.receive() == b"hello"


@pytest.mark.skipif(not shutil.which("nc.openbsd"), reason="needs the nc of OpenBSD")
def test_a_user_of_nc_joins_with_the_code(start: Start, challenging: Relay, host: str) -> None:
    inside = start.member(challenging, "127.0.0.2")
    nc = start.command("nc.openbsd", "-u", host, str(challenging.port))
    nc.type("hello\n")
    code = nc.stdout.wait_for(rf"({CODE})\n")[1]
    nc.type(f"{code}\n")
    challenging.event("member.joined", member="guest-2")
    nc.type("here I am\n")
    assert inside.receive() == b"here I am\n"  # neither the first line nor the code
    inside.send(b"welcome\n")
    nc.stdout.wait_for_line("welcome")


def test_a_longer_text_is_answered_with_an_explanation(start: Start, challenging: Relay) -> None:
    source = start.endpoint(challenging.port)
    source.send(b"hello everybody\n")
    assert source.receive().startswith(b"udprelay: to join, send this code: ")


def code_in(challenge: bytes) -> bytes:
    """Return the last word of a challenge: the code."""
    return challenge.split()[-1]


def test_a_program_joins_with_the_last_word(start: Start, challenging: Relay, host: str) -> None:
    source = start.endpoint(challenging.port, host)
    source.send(b"hello everybody")
    source.send(code_in(source.receive()))
    challenging.event("member.joined", address=source.address)


def test_a_challenge_that_is_echoed_is_not_accepted(start: Start, challenging: Relay) -> None:
    # Otherwise a forged datagram could make any echo service a member.
    source = start.endpoint(challenging.port)
    source.send(b"hello everybody")
    source.send(source.receive())
    challenging.event("member.rejected", address=source.address, reason="challenge-echo")
    assert challenging.stop()["members"] == 0


def test_the_code_of_another_address_is_not_accepted(start: Start, challenging: Relay) -> None:
    one, other = start.endpoint(challenging.port), start.endpoint(challenging.port)
    one.send(b"hello everybody")
    code = code_in(one.receive())
    other.send(code)
    assert code_in(other.receive()) != code
    totals = challenging.stop()
    assert (totals["members"], totals["dropped"]) == (0, {"challenged": 2})


def test_an_unverified_source_neither_receives_nor_sends(start: Start, challenging: Relay) -> None:
    one, other = (start.member(challenging, "127.0.0.2") for _ in range(2))
    source = start.endpoint(challenging.port)
    source.send(b"please let me in")
    assert b"code" in source.receive()
    one.send(b"among us")
    assert other.receive() == b"among us"
    source.send(b"please let me in")
    assert b"code" in source.receive()
    one.send(b"still among us")
    assert other.receive() == b"still among us"


def test_networks_does_not_answer_untrusted_sources(start: Start) -> None:
    relay = start.relay(config=policy("networks"))
    source, member = start.endpoint(relay.port), start.endpoint(relay.port, "127.0.0.2")
    source.send(b"hello")
    relay.event("member.rejected", address=source.address, reason="outside-networks")
    member.send(b"hello")
    relay.event("member.joined", address=member.address)
    totals = relay.stop()
    assert (totals["members"], totals["dropped"]) == (1, {"outside-networks": 1})
    assert not source.readable


def test_any_admits_all_sources_and_logs_a_warning(start: Start, host: str) -> None:
    relay = start.relay(config=policy("any"))
    warning = relay.event("listener.unprotected", listener="main")
    assert warning["level"] == "warn"
    start.member(relay, host)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2"])
def test_off_rejects_all_sources(start: Start, address: str) -> None:
    relay = start.relay(config=policy("off"))
    program = start.endpoint(relay.port, address)
    program.send(b"hello")
    relay.event("member.rejected", address=program.address, reason="plain-off")
    assert relay.stop()["members"] == 0
    assert not program.readable
