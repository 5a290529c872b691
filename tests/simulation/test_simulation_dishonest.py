"""In a room with a passphrase tampering by the relay is noticed, and no forgery is emitted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest
from attrs import evolve
from virtual_client import Client
from virtual_ledger import Stream
from virtual_stage import KEYED, Stage
from virtual_tampering import (
    Change,
    Diversion,
    ReplayFirst,
    SwapPairs,
    Tampering,
    flip_bit,
    is_message,
    to_each,
    withhold,
)

from udprelay.protocol.wire import FromRelay
from udprelay.protocol.wire.entries import JoinEntry
from udprelay.protocol.wire.from_client import DataUp
from udprelay.protocol.wire.header import MORE, RELIABLE, RESUBMITTED, SEALED
from udprelay.protocol.wire.sequenced import Data, Entry, Private
from udprelay.session_client.events import Distrusted, Event, Lost, MemberJoined

E = TypeVar("E", bound=Event)

LONG = 130.0
"""Seconds after which no client has a reason to resubmit its messages."""


class KeyedRoom:
    """Anna, Bert and Carla in a room with a passphrase; the relay tampers with Bert's part."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.anna, self.bert, self.carla = (
            self.stage.add_client(nick, KEYED) for nick in ("Anna", "Bert", "Carla")
        )
        for client in (self.anna, self.bert, self.carla):
            client.start()
            self.stage.run(1.0)
        self.anna.send(40)
        self.stage.run(LONG)
        self.before = len(self.bert.visit.received)
        assert self.before == 1

    def tamper(self, change: Change) -> Tampering:
        """Let the relay tamper while Anna sends messages."""
        tampering = Tampering(self.stage, self.bert, change)
        tampering.start()
        for _ in range(3):
            self.anna.send(40)
            self.anna.send(40)
            self.stage.run(0.5)
        self.stage.run(30.0)
        assert tampering.changed
        # The ledger checks that each message received was sent, is no duplicate, and is in order.
        assert len(self.carla.visit.received) == 7
        assert not self.carla.visit.distrusted
        assert not self.carla.visit.lost
        return tampering

    def number(self, client: Client) -> int:
        """Return a client's member number."""
        assert client.session_client.number is not None
        return client.session_client.number


@pytest.fixture
def keyed() -> KeyedRoom:
    return KeyedRoom()


def events_of(client: Client, kind: type[E]) -> list[E]:
    return [event for event in client.events if isinstance(event, kind)]


@pytest.mark.parametrize(
    "change",
    [
        flip_bit,
        lambda data: evolve(data, own=data.own + 1),
        lambda data: evolve(data, flags=data.flags | MORE),
        lambda data: evolve(data, flags=SEALED),
        lambda data: evolve(data, payload=b"an invention of the relay"),
        lambda data: evolve(data, payload=data.payload[:-1]),
    ],
    ids=["bit", "own sequence", "piece", "unreliable", "payload", "truncated"],
)
def test_changed_messages_are_dropped_and_reported(
    keyed: KeyedRoom, change: Callable[[Data], Data]
) -> None:
    keyed.tamper(to_each(change))
    assert len(keyed.bert.visit.received) == keyed.before
    assert "seal" in keyed.bert.visit.distrusted


def test_unsealed_messages_are_dropped_and_reported(keyed: KeyedRoom) -> None:
    keyed.tamper(to_each(lambda data: evolve(data, flags=RELIABLE, payload=b"trust me")))
    assert len(keyed.bert.visit.received) == keyed.before
    assert keyed.bert.visit.distrusted[0] == "unsealed"


def test_a_message_in_the_name_of_another_sender_is_dropped_and_reported(keyed: KeyedRoom) -> None:
    carla = keyed.number(keyed.carla)
    keyed.tamper(to_each(lambda data: evolve(data, number=carla)))
    assert len(keyed.bert.visit.received) == keyed.before
    assert keyed.bert.visit.distrusted[0] == "seal"


def test_a_room_message_forged_as_private_is_dropped_and_reported(keyed: KeyedRoom) -> None:
    def change(read: FromRelay) -> list[FromRelay]:
        if not isinstance(read, Data) or not is_message(read):
            return [read]
        session_id = keyed.bert.session_id
        return [read, Private(session_id, SEALED, 0, read.number, read.own, read.payload)]

    keyed.tamper(change)
    assert len(keyed.bert.visit.received) == keyed.before + 6
    assert "seal" in keyed.bert.visit.distrusted


def test_a_withheld_message_is_reported(keyed: KeyedRoom) -> None:
    claim_gone = withhold(lambda: keyed.bert.session_id)
    withheld: list[int] = []

    def change(read: FromRelay) -> list[FromRelay]:
        if (
            isinstance(read, Data)
            and is_message(read)
            and (withheld == [] or read.own in withheld)
        ):
            withheld.append(read.own)
            return [claim_gone(read)]
        return [read]

    keyed.tamper(change)
    assert len(keyed.bert.visit.received) == keyed.before + 5
    assert keyed.bert.visit.distrusted == ["withheld"]
    assert [event.count for event in events_of(keyed.bert, Lost)] == [1]


def test_a_replayed_message_is_dropped_and_reported(keyed: KeyedRoom) -> None:
    keyed.tamper(ReplayFirst())
    assert len(keyed.bert.visit.received) == keyed.before + 1
    assert "repeated" in keyed.bert.visit.distrusted


def test_a_message_replayed_as_resubmitted_is_dropped(keyed: KeyedRoom) -> None:
    keyed.tamper(ReplayFirst(RESUBMITTED))
    assert len(keyed.bert.visit.received) == keyed.before + 1


def test_swapped_messages_are_reported_and_stay_in_order(keyed: KeyedRoom) -> None:
    keyed.tamper(SwapPairs())
    received = [message.order for message in keyed.bert.visit.received]
    assert received == sorted(received)
    assert "withheld" in keyed.bert.visit.distrusted


def test_a_message_forged_in_the_name_of_a_member_is_reported_to_all(keyed: KeyedRoom) -> None:
    anna = keyed.anna
    # The relay knows her session, and uses her next own sequence before she does.
    invented = DataUp(anna.session_id, RELIABLE | SEALED, 2, b"give them all my money, Anna")
    keyed.stage.network.send(anna.address, anna.relay, invented.encode())
    keyed.stage.run(1.0)
    anna.send(40)
    keyed.stage.run(30.0)
    for client in (keyed.bert, keyed.carla):
        assert len(client.visit.received) == keyed.before
        assert client.visit.distrusted[0] == "seal"


def test_a_diverted_private_message_is_dropped_and_reported(keyed: KeyedRoom) -> None:
    diversion = Diversion(keyed.stage, keyed.carla, keyed.bert)
    diversion.start()
    for stream in (Stream.PRIVATE, Stream.PRIVATE_UNRELIABLE):
        keyed.anna.send_private(keyed.carla.visit, 40, stream)
    keyed.stage.run(30.0)
    assert diversion.diverted == 2
    assert len(keyed.carla.visit.received) == 3
    assert len(keyed.bert.visit.received) == keyed.before
    assert keyed.bert.visit.distrusted[0] == "seal"


def test_a_nick_forged_by_the_relay_is_not_emitted(keyed: KeyedRoom) -> None:
    def change(read: FromRelay) -> list[FromRelay]:
        if isinstance(read, Entry) and isinstance(read.body, JoinEntry):
            return [evolve(read, body=evolve(read.body, nick="Your bank"))]
        return [read]

    Tampering(keyed.stage, keyed.bert, change).start()
    dora = keyed.stage.add_client("Dora", KEYED)
    dora.start()
    keyed.stage.run(1.0)
    dora.send(40)
    keyed.stage.run(5.0)
    assert [event.nick for event in events_of(keyed.bert, MemberJoined)][-1] is None
    assert [event.reason for event in events_of(keyed.bert, Distrusted)] == ["badge"]
    # Her message is correctly sealed.
    assert len(keyed.bert.visit.received) == keyed.before + 1
