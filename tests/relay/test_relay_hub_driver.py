"""The driver: what the owner of a hub does, whatever a transport does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from relay_driver import (
    ANNA,
    BERT,
    CARL,
    UNTRUSTED,
    Inboxes,
    Relay,
    open_to_all,
    plain_only,
    read_endpoint,
)
from relay_session import Client, SessionRelay, joined

from udprelay.protocol.endpoint import Endpoint
from udprelay.protocol.wire.from_client import Leave, Ping
from udprelay.protocol.wire.from_relay import Bye, Pong
from udprelay.protocol.wire.members import MemberKind
from udprelay.protocol.wire.sequenced import Data, Entry
from udprelay.relay.driver import HubDriver
from udprelay.relay.drops import DropReason
from udprelay.relay.events import MemberJoined
from udprelay.relay.room import Group
from udprelay.relay.rules import PlainPolicy, RoomRules
from udprelay.segments import Run, runs_by_source


class Broken(Inboxes):
    """A transport with a fault."""

    def deliver(self, runs: Sequence[Run], group: Group, count: int) -> list[DropReason]:
        raise RuntimeError("a fault of a transport")

    def reply(self, datagrams: Sequence[tuple[Any, bytes]]) -> list[DropReason]:
        raise RuntimeError("a fault of a transport")


def test_a_fault_of_one_transport_costs_no_other_its_deliveries() -> None:
    relay = Relay()
    relay.hub.add_local("lobby", "page", MemberKind.CONSOLE, Broken("p", relay.inboxes), 0.0)
    relay.join(ANNA, BERT)
    batch = runs_by_source([(ANNA, b"hello"), (CARL, b"a new member")])
    with pytest.raises(RuntimeError, match="a fault"):
        relay.driver.receive(relay.listeners["main"], batch, relay.now)
    assert relay.inboxes[BERT] == [b"hello", b"a new member"]
    assert [event.address for event in relay.events(MemberJoined)] == [CARL]


def test_a_fault_with_replies_costs_nobody_else_replies_or_entries() -> None:
    relay = SessionRelay()
    anna, bert = joined(relay, "anna", "bert")
    broken = Broken("p", relay.inboxes)
    local = relay.hub.add_local("lobby", "page", MemberKind.CONSOLE, broken, relay.now)
    relay.settle()
    anna.drain()
    bert.drain()
    relay.hub.send_to(local, b"fails", relay.now)
    ping, leave = Ping(anna.id, bytes(8), 0).encode(), Leave(bert.id).encode()
    batch = runs_by_source([(anna.source, ping), (bert.source, leave)])
    with pytest.raises(RuntimeError, match="a fault"):
        relay.driver.receive(relay.listeners["main"], batch, relay.now)
    assert [type(datagram) for datagram in anna.drain()] == [Pong, Entry]
    assert [type(datagram) for datagram in bert.drain()] == [Bye]


def test_a_delivery_that_fails_in_the_middle_of_a_fan_out_is_counted() -> None:
    relay = Relay()
    relay.join(ANNA, BERT, CARL)
    relay.transports["main"].failing.add(BERT)
    relay.receive_batch((ANNA, b"one"), (ANNA, b"two"))
    assert relay.inboxes == {CARL: [b"one", b"two"]}
    assert relay.dropped() == {"send-failed": 2}


def test_a_second_transport_reaches_members_of_the_same_room() -> None:
    relay = Relay(open_to_all(lobby=RoomRules()))
    other = relay.new_transport("other")
    listener = relay.hub.open_listener("lobby", other)
    relay.join(ANNA, listener="lobby")
    for payload in (b"", b"by another way"):
        relay.driver.receive(listener, runs_by_source([(BERT, payload)]), relay.now)
    relay.receive(ANNA, b"hello", listener="lobby")
    assert relay.inboxes == {ANNA: [b"by another way"], BERT: [b"hello"]}


def test_the_owner_is_told_when_something_is_due() -> None:
    relay = Relay()
    due: list[float | None] = []
    relay.driver = HubDriver(relay.hub, lambda: relay.now, lambda event: None, due.append)
    relay.receive(ANNA, b"hello")
    assert due[-1] == relay.hub.next_deadline() == relay.now + 300


def test_64_senders_in_32_rooms_with_as_many_sizes_are_one_batch() -> None:
    relay = SessionRelay()
    clients = [
        Client(relay, f"10.0.2.{n}:1", f"nick-{n}", room=f"room-{n % 32}") for n in range(64)
    ]
    for client in clients:
        client.join()
    relay.wait(1)
    for client in clients:
        client.drain()
    payloads = [bytes([n]) * (n + 1) for n in range(64)]
    relay.receive_batch(
        *[(one.source, one.data(sent, 0)) for one, sent in zip(clients, payloads, strict=True)]
    )
    got = [[data.payload for data in client.drain(Data)] for client in clients]
    assert got == [[payloads[(n + 32) % 64]] for n in range(64)]


def test_a_batch_that_fails_still_delivers_what_came_before() -> None:
    relay = Relay(plain_only(PlainPolicy.ANY))
    relay.join(ANNA, BERT)
    transport = relay.transports["main"]

    def fails_once(source: str) -> Endpoint:
        if source == UNTRUSTED:
            raise RuntimeError("a fault of a transport")
        return read_endpoint(source)

    transport.endpoint = fails_once  # type: ignore[method-assign]
    sent = [(ANNA, b"one"), (CARL, b"joins, which seals"), (ANNA, b"two"), (UNTRUSTED, b"x")]
    with pytest.raises(RuntimeError, match="a fault"):
        relay.driver.receive(relay.listeners["main"], runs_by_source(sent), relay.now)
    assert relay.inboxes[BERT] == [b"one", b"joins, which seals", b"two"]
    relay.hub.kick(relay.member(BERT), relay.now)
    relay.receive(ANNA, b"next")
    assert relay.inboxes[CARL] == [b"two", b"next"]
