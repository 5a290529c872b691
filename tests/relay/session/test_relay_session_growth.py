"""
The bounds of memory.

None grows with unverified sources, with members that have left, or with closed rooms. An idle
session member takes little.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve
from forged_datagrams import KINDS, sixteen, source
from relay_driver import ANNA, Relay
from relay_session import Client, SessionRelay, joined, refused

from reachable import Footprint, footprint, growth, module_state
from udprelay.protocol.access_key import AccessKey
from udprelay.protocol.wire.from_client import Leave, PathResponse, Ping
from udprelay.relay.rules import Limits, ListenerRules, PlainPolicy, RelayRules, RoomRules

WARM_UP = 64
COUNT = 300
TOLERANCE = Footprint(objects=16, size=2048)
"""One reference for each datagram is 8 bytes: 2,400 bytes in all."""

COUNTERS = ("bytes", "datagrams", "deliveries", "dropped.", "joins", "leaves.", "listeners.")
"""The names in the census that may grow."""

LIMITED = Limits()
UNLIMITED = Limits(
    challenge_rate=1e9,
    challenge_burst=10**9,
    session_rate=1e9,
    session_burst=10**9,
    proof_rate=1e9,
    proof_burst=10**9,
    source_members=0,
    source_rooms=0,
    join_rate=1e6,
    join_burst=10**6,
)
KEY = AccessKey(b"s" * 16, b"k" * 32)
RULES = RelayRules(
    max_members=20,
    open_rooms=False,
    listeners={
        "main": ListenerRules(),
        "networks": ListenerRules(room="vault", plain=PlainPolicy.NETWORKS),
        "off": ListenerRules(plain=PlainPolicy.OFF),
    },
    rooms={"vault": RoomRules(access_key=KEY), "small": RoomRules(max_members=1)},
)


def assert_no_growth(relay: Relay, act: Callable[[int], object]) -> None:
    """Do something many times; check that the memory of the hub and its modules stays."""
    roots = (relay.hub, relay.listeners)

    def measured(numbers: range) -> Footprint:
        for number in numbers:
            act(number)
            relay.replies()
            relay.drain_events()
            relay.inboxes.clear()
            relay.wait(0.01)
        return footprint(*roots, *module_state())

    before = measured(range(WARM_UP))
    tables = relay.hub.census.read()
    grown = growth(before, measured(range(WARM_UP, WARM_UP + COUNT)))
    assert grown.objects <= TOLERANCE.objects, grown
    assert grown.size <= TOLERANCE.size, grown
    for name, size in relay.hub.census.read().items():
        counter = name.startswith(COUNTERS) or name.rpartition(".")[2] in COUNTERS
        assert size <= tables[name] or counter, name


@pytest.mark.parametrize("limits", [LIMITED, UNLIMITED], ids=["limited", "unlimited"])
@pytest.mark.parametrize("kind", KINDS)
def test_datagrams_of_unverified_sources_leave_nothing(kind: str, limits: Limits) -> None:
    relay = Relay(evolve(RULES, limits=limits))
    forge = KINDS[kind]

    def act(number: int) -> None:
        datagram = forge(number, relay.now)
        for listener in relay.listeners:
            if number % 2:
                relay.receive(source(number), datagram, listener=listener)
            else:
                batch = [(source(number), datagram), (source(number + 2**16), datagram)]
                relay.receive_batch(*batch, *batch, listener=listener)

    assert_no_growth(relay, act)
    assert relay.hub.roster.rooms == {}
    assert not any(listener.members for listener in relay.listeners.values())


REFUSED: dict[str, dict[str, Any]] = {
    "kicked": {"room": "lobby", "nick": "kicked", "secret": b"kicked".ljust(16, b"\0")},
    "no-room": {"room": "attic"},
    "key-required": {"room": "vault"},
    "wrong-key": {"room": "vault", "access_key": bytes(32)},
    "no-key-here": {"room": "small", "access_key": bytes(32)},
    "nick-taken": {"room": "small", "nick": "anna"},
    "nick-invalid": {"room": "lobby", "nick": "two\nlines"},
    "room-full": {"room": "small"},
}


@pytest.mark.parametrize("reason", REFUSED)
def test_refused_joins_leave_nothing(reason: str) -> None:
    relay = SessionRelay(evolve(RULES, limits=evolve(UNLIMITED, kick_time=1e6)))
    Client(relay, ANNA, "anna", "small").join()
    kicked = Client(relay, ANNA, "kicked")
    kicked.join()
    relay.hub.kick(kicked.session, relay.now)
    answers = set()

    def act(number: int) -> None:
        options = {"nick": f"nick-{number}", "secret": sixteen(number), **REFUSED[reason]}
        answers.add(refused(Client(relay, source(number), **options)).code)
        for client in relay.listeners["main"].sessions.values():
            client.last_heard = relay.now

    assert_no_growth(relay, act)
    assert answers == {reason}


@pytest.mark.parametrize("kind", ["PING", "PATH-RESPONSE"])
def test_datagrams_with_a_session_id_from_other_addresses_leave_nothing(kind: str) -> None:
    relay = SessionRelay(evolve(RULES, limits=UNLIMITED))
    (anna,) = joined(relay, "anna")

    def act(number: int) -> None:
        token = number.to_bytes(8, "big")
        datagram = Ping(anna.id, token, 0) if kind == "PING" else PathResponse(anna.id, token)
        relay.receive(source(number), datagram.encode())

    assert_no_growth(relay, act)
    assert anna.session.source == anna.source


@pytest.mark.parametrize("reason", ["left", "kicked", "idle"])
def test_members_that_have_left_leave_nothing(reason: str) -> None:
    relay = SessionRelay(evolve(RULES, limits=evolve(UNLIMITED, kick_time=1.0)))

    def act(number: int) -> None:
        # One room: the tags of 2,048 closed rooms are remembered.
        anna = Client(relay, source(number), f"nick-{number}", secret=sixteen(number))
        anna.join()
        for payload in (b"one", b"two"):
            anna.send_data(payload)
            anna.send_private(anna, payload)
        anna.send_data(b"early", own=9)
        relay.receive(source(number + 2**16), Ping(anna.id, bytes(8), 0).encode())
        if reason == "left":
            anna.send(Leave(anna.id).encode())
        elif reason == "kicked":
            relay.hub.kick(anna.session, relay.now)
        relay.wait(60)
        assert relay.hub.roster.rooms == {}

    assert_no_growth(relay, act)


def test_plain_members_that_have_left_leave_nothing() -> None:
    relay = SessionRelay()

    def act(number: int) -> None:
        relay.receive(source(number), b"hello")
        relay.wait(301)
        assert relay.hub.roster.rooms == {}

    assert_no_growth(relay, act)


IDLE = 2000
"""Bytes of an idle session member without its numbers; an empty deque alone takes 600."""


def test_an_idle_session_member_takes_little_memory() -> None:
    room = RoomRules(max_members=10_000, history=64)
    relay = SessionRelay(RelayRules(room_defaults=room, limits=UNLIMITED))

    def measured(numbers: range) -> Footprint:
        for number in numbers:
            Client(relay, source(number), f"nick-{number}", secret=sixteen(number)).join()
            relay.replies()
            relay.inboxes.clear()
        relay.wait(10)
        relay.drain_events()
        relay.inboxes.clear()
        return footprint(relay.hub, relay.listeners)

    before = measured(range(WARM_UP))
    grown = growth(before, measured(range(WARM_UP, WARM_UP + COUNT)))
    assert grown.size / COUNT <= IDLE, grown
