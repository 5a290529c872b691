"""Strangers: a flood of datagrams of sources that are no members is looked at only in part."""

from __future__ import annotations

import pytest
from relay_driver import ANNA, BERT, Relay

from udprelay.protocol.wire.header import HEADER_SIZE, SIGNATURE, VERSION, Type
from udprelay.relay.events import MemberJoined
from udprelay.relay.rules import Limits, ListenerRules, PlainPolicy, RelayRules
from udprelay.relay.strangers import BURST

RATE = 10
AT_ONCE = int(RATE * BURST)


def relay_with(rate: float = RATE) -> Relay:
    listeners = {"main": ListenerRules(plain=PlainPolicy.ANY)}
    return Relay(RelayRules(listeners=listeners, limits=Limits(stranger_rate=rate)))


def stranger(number: int) -> str:
    return f"203.0.113.{number // 250}:{1000 + number % 250}"


def framed(kind: int) -> bytes:
    """Return a session datagram of no session."""
    return (SIGNATURE + bytes((VERSION, kind, 0))).ljust(HEADER_SIZE, b"\x01") + bytes(50)


def ignored(relay: Relay) -> int:
    return relay.hub.census.read()["dropped.stranger-limit"]


def knock(relay: Relay, count: int, payload: bytes = b"hello", first: int = 0) -> int:
    """Let strangers send one datagram each; return how many were looked at."""
    before = ignored(relay)
    for number in range(first, first + count):
        relay.receive(stranger(number), payload)
    return count - (ignored(relay) - before)


def test_as_many_as_in_four_seconds_are_looked_at_at_once_and_then_the_rate() -> None:
    relay = relay_with()
    assert knock(relay, AT_ONCE + 100) == AT_ONCE
    assert len(relay.events(MemberJoined)) == AT_ONCE
    relay.wait(1.0)
    assert knock(relay, 100, first=500) == RATE


def test_members_are_no_strangers() -> None:
    relay = relay_with()
    relay.join(ANNA, BERT)
    knock(relay, AT_ONCE + 100)
    for inbox in relay.inboxes.values():
        inbox.clear()
    before = ignored(relay)
    relay.receive(ANNA, *[b"still here"] * 100)
    relay.receive(f"{ANNA} of 192.0.2.2", b"and at another address of the relay")
    assert len(relay.inboxes[BERT]) == 101
    assert ignored(relay) == before


@pytest.mark.parametrize(
    "others", [b"payload", framed(Type.HELLO), framed(Type.JOIN)], ids=["plain", "hello", "join"]
)
def test_each_kind_has_a_limit_of_its_own(others: bytes) -> None:
    relay = relay_with()
    knock(relay, AT_ONCE + 100, others)
    kinds = [b"payload", framed(Type.HELLO), framed(Type.JOIN)]
    assert [knock(relay, AT_ONCE, kind, 1000) for kind in kinds if kind != others] == [AT_ONCE] * 2


def test_a_run_is_looked_at_as_far_as_the_limit_allows() -> None:
    relay = relay_with()
    relay.receive(stranger(0), *[framed(Type.JOIN)] * (AT_ONCE + 5))
    assert ignored(relay) == 5


def test_there_may_be_no_limit() -> None:
    relay = relay_with(0)
    assert knock(relay, 500, framed(Type.HELLO)) == 500


def test_what_is_looked_at_of_a_run_is_received() -> None:
    relay = relay_with()
    knock(relay, AT_ONCE - 2)
    relay.join(BERT)
    relay.inboxes[BERT].clear()
    relay.receive_batch(*((stranger(900), payload) for payload in (b"one", b"two", b"six")))
    assert relay.inboxes[BERT] == [b"one"]
