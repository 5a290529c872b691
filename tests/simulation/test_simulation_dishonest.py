"""A dishonest relay in a room with a passphrase is noticed, and never has a wrong text shown."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from attrs import evolve
from virtual_client import Client
from virtual_deceit import (
    Deceit,
    Deed,
    Diverts,
    Exchanges,
    Replays,
    alters,
    is_said,
    to_each,
    withholds,
)
from virtual_ledger import Stream
from virtual_stage import KEYED, Stage

from udprelay.protocol.wire import FromRelay
from udprelay.protocol.wire.entries import JoinEntry
from udprelay.protocol.wire.from_client import DataUp
from udprelay.protocol.wire.header import AGAIN, MORE, RELIABLE, SEALED
from udprelay.protocol.wire.sequenced import Data, Entry, Private
from udprelay.session_client.events import Distrusted, Lost, MemberJoined

LONG = 130.0
"""Seconds after which nobody has a reason to repeat what it has said."""


class Vault:
    """Anna, Bert and Carla in a room with a passphrase; Bert is deceived."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.anna, self.bert, self.carla = (
            self.stage.client(nick, KEYED) for nick in ("Anna", "Bert", "Carla")
        )
        for client in (self.anna, self.bert, self.carla):
            client.come()
            self.stage.run(1.0)
        self.anna.say(40)
        self.stage.run(LONG)
        self.shown = len(self.bert.visit.received)
        assert self.shown == 1

    def deceive(self, deed: Deed) -> Deceit:
        """Let the relay do something to Bert while Anna speaks."""
        deceit = Deceit(self.stage, self.bert, deed)
        deceit.begin()
        for _ in range(3):
            self.anna.say(40)
            self.anna.say(40)
            self.stage.run(0.5)
        self.stage.run(30.0)
        assert deceit.done
        # What is shown at all is what was said, once and in order: the ledger sees to that.
        assert len(self.carla.visit.received) == 7
        assert not self.carla.visit.distrusted
        assert not self.carla.visit.lost
        return deceit

    def number(self, client: Client) -> int:
        """Return a client's member number."""
        assert client.membership.number is not None
        return client.membership.number


@pytest.fixture
def vault() -> Vault:
    return Vault()


def events_of(client: Client, kind: type) -> list:
    return [event for event in client.happened if isinstance(event, kind)]


@pytest.mark.parametrize(
    "change",
    [
        alters,
        lambda said: evolve(said, own=said.own + 1),
        lambda said: evolve(said, flags=said.flags | MORE),
        lambda said: evolve(said, flags=SEALED),
        lambda said: evolve(said, payload=b"an invention of the relay"),
        lambda said: evolve(said, payload=said.payload[:-1]),
    ],
    ids=["alters", "another place", "another piece", "unreliable", "invents", "cuts"],
)
def test_what_is_changed_is_not_shown_and_told(vault: Vault, change: Callable[[Data], Data]):
    vault.deceive(to_each(change))
    assert len(vault.bert.visit.received) == vault.shown
    assert "seal" in vault.bert.visit.distrusted


def test_what_is_not_sealed_is_not_shown_and_told(vault: Vault):
    vault.deceive(to_each(lambda said: evolve(said, flags=RELIABLE, payload=b"trust me")))
    assert len(vault.bert.visit.received) == vault.shown
    assert vault.bert.visit.distrusted[0] == "unsealed"


def test_another_sender_is_noticed(vault: Vault):
    carla = vault.number(vault.carla)
    vault.deceive(to_each(lambda said: evolve(said, number=carla)))
    assert len(vault.bert.visit.received) == vault.shown
    assert vault.bert.visit.distrusted[0] == "seal"


def test_a_message_to_the_room_is_not_made_private(vault: Vault):
    def deed(read: FromRelay) -> list[FromRelay]:
        if not isinstance(read, Data) or not is_said(read):
            return [read]
        session_id = vault.bert.session_id
        return [read, Private(session_id, SEALED, 0, read.number, read.own, read.payload)]

    vault.deceive(deed)
    assert len(vault.bert.visit.received) == vault.shown + 6
    assert "seal" in vault.bert.visit.distrusted


def test_what_is_withheld_is_told(vault: Vault):
    change = withholds(lambda: vault.bert.session_id)
    withheld: list[int] = []

    def deed(read: FromRelay) -> list[FromRelay]:
        if isinstance(read, Data) and is_said(read) and (withheld == [] or read.own in withheld):
            withheld.append(read.own)
            return [change(read)]
        return [read]

    vault.deceive(deed)
    assert len(vault.bert.visit.received) == vault.shown + 5
    assert vault.bert.visit.distrusted == ["withheld"]
    assert [event.count for event in events_of(vault.bert, Lost)] == [1]


def test_an_old_message_in_the_place_of_new_ones_is_told(vault: Vault):
    vault.deceive(Replays())
    assert len(vault.bert.visit.received) == vault.shown + 1
    assert "repeated" in vault.bert.visit.distrusted


def test_an_old_message_that_is_said_to_be_offered_again_is_not_shown_again(vault: Vault):
    vault.deceive(Replays(AGAIN))
    assert len(vault.bert.visit.received) == vault.shown + 1


def test_exchanged_messages_are_told_and_never_shown_in_the_wrong_order(vault: Vault):
    vault.deceive(Exchanges())
    received = [said.order for said in vault.bert.visit.received]
    assert received == sorted(received)
    assert "withheld" in vault.bert.visit.distrusted


def test_what_is_invented_in_somebodys_name_is_told_to_everybody(vault: Vault):
    anna = vault.anna
    # The relay knows her session; it gives her message to itself before she does.
    invented = DataUp(anna.session_id, RELIABLE | SEALED, 2, b"give them all my money, Anna")
    vault.stage.network.send(anna.address, anna.relay, invented.encode())
    vault.stage.run(1.0)
    anna.say(40)
    vault.stage.run(30.0)
    for client in (vault.bert, vault.carla):
        assert len(client.visit.received) == vault.shown
        assert client.visit.distrusted[0] == "seal"


def test_what_is_private_to_one_cannot_be_given_to_another(vault: Vault):
    diverts = Diverts(vault.stage, vault.carla, vault.bert)
    diverts.begin()
    for stream in (Stream.PRIVATE, Stream.PRIVATE_UNRELIABLE):
        vault.anna.whisper(vault.carla.visit, 40, stream)
    vault.stage.run(30.0)
    assert diverts.diverted == 2
    assert len(vault.carla.visit.received) == 3
    assert len(vault.bert.visit.received) == vault.shown
    assert vault.bert.visit.distrusted[0] == "seal"


def test_a_nick_that_the_relay_gives_to_somebody_is_not_shown(vault: Vault):
    def deed(read: FromRelay) -> list[FromRelay]:
        if isinstance(read, Entry) and isinstance(read.body, JoinEntry):
            return [evolve(read, body=evolve(read.body, nick="Your bank"))]
        return [read]

    deceit = Deceit(vault.stage, vault.bert, deed)
    deceit.begin()
    dora = vault.stage.client("Dora", KEYED)
    dora.come()
    vault.stage.run(1.0)
    dora.say(40)
    vault.stage.run(5.0)
    assert [event.nick for event in events_of(vault.bert, MemberJoined)][-1] is None
    assert [event.reason for event in events_of(vault.bert, Distrusted)] == ["badge"]
    # What she says is sealed by her, whoever she is.
    assert len(vault.bert.visit.received) == vault.shown + 1
