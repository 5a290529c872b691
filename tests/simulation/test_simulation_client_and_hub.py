"""Memberships of a real relay, with a network between them that loses what a test wants."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relay_driver import ANNA, BERT, CARL, Relay, read_endpoint

from udprelay.protocol.access_key import AccessKey
from udprelay.protocol.keys import derive
from udprelay.protocol.wire.header import Type
from udprelay.relay.hub import Hub
from udprelay.relay.rules import ListenerRules, RelayRules, RoomRules
from udprelay.session_client.client import SessionClient
from udprelay.session_client.events import (
    Closed,
    ContactLost,
    Delivered,
    Event,
    Failed,
    Joined,
    KeysNeeded,
    Lost,
    MemberJoined,
    MemberLeft,
    NickChanged,
    NickRefused,
    Received,
    Refused,
)
from udprelay.session_client.settings import Settings, State

E = TypeVar("E", bound=Event)

SALT = bytes(16)
TICK = 0.01


class Town:
    """
    A relay, clients, and what flies between them; a datagram takes a tick each way.

    :ivar loses: tells whether a datagram is lost, by the side that has sent it.
    """

    def __init__(self, rules: RelayRules | None = None) -> None:
        self.rules = rules or RelayRules()
        self.relay = Relay(rules)
        self.clients: dict[str, SessionClient] = {}
        self.events: dict[str, list[Event]] = {}
        self.loses: Callable[[bytes], bool] = lambda datagram: False
        self.is_there = True
        self._up: list[tuple[str, bytes]] = []
        self._random = Random(1)

    @property
    def now(self) -> float:
        return self.relay.now

    def enter(self, source: str, nick: str, **options: bool) -> SessionClient:
        settings = Settings("lobby", nick, **options)
        client = SessionClient(settings, self._random.randbytes, self.now)
        self.clients[source], self.events[source] = client, []
        client.start(self.now)
        return client

    def restart(self) -> None:
        """Put another relay in the place of this one."""
        self.relay.hub = hub = Hub(
            self.rules, self._random.randbytes(32), lambda endpoint: False, self.now
        )
        self.relay.listeners = {"main": hub.open_listener("main", read_endpoint)}
        self.is_there = True

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK)):
            self._tick()

    def _tick(self) -> None:
        self.relay.wait(TICK)
        for source, datagram in self._take_down():
            if source in self.clients and not self.loses(datagram):
                self.clients[source].receive(datagram, self.now)
        up, self._up = self._up, []
        for source, datagram in up:
            if self.is_there:
                self.relay.receive(source, datagram)
        for source, client in self.clients.items():
            deadline = client.next_deadline()
            if deadline is not None and deadline <= self.now:
                client.expire(self.now)
            self._up += [(source, d) for d in client.drain_datagrams() if not self.loses(d)]
            self.events[source] += client.drain_events()

    def _take_down(self) -> list[tuple[str, bytes]]:
        down = self.relay.replies() if self.is_there else []
        down += [(source, d) for source, inbox in self.relay.inboxes.items() for d in inbox]
        self.relay.inboxes.clear()
        return down

    def said(self, source: str) -> list[bytes]:
        return [event.payload for event in self.told(source, Received)]

    def told(self, source: str, kind: type[E]) -> list[E]:
        return [event for event in self.events[source] if isinstance(event, kind)]


@pytest.fixture
def town() -> Town:
    return Town()


def together(town: Town) -> tuple[SessionClient, SessionClient]:
    anna, bert = town.enter(ANNA, "anna"), town.enter(BERT, "bert")
    town.run(1)
    assert (anna.state, bert.state) == (State.JOINED, State.JOINED)
    return anna, bert


def test_two_see_each_other(town: Town) -> None:
    anna, bert = together(town)
    assert {member.nick for member in anna.members.values()} == {"anna", "bert"}
    assert {member.nick for member in bert.members.values()} == {"anna", "bert"}
    assert [event.nick for event in town.told(ANNA, MemberJoined)] == ["bert"]


def test_a_message_is_received_and_delivered(town: Town) -> None:
    anna, _ = together(town)
    assert anna.number is not None
    message = anna.send(b"hello", town.now)
    town.run(1)
    assert town.told(BERT, Received) == [
        Received(anna.number, "anna", b"hello", reliable=True, private=False, sealed=False)
    ]
    assert town.told(ANNA, Delivered) == [Delivered(message)]
    assert town.said(ANNA) == []


def test_an_unreliable_message_is_received(town: Town) -> None:
    anna, _ = together(town)
    anna.send(b"hello", town.now, reliable=False)
    town.run(1)
    assert town.said(BERT) == [b"hello"]


def test_a_message_in_pieces_arrives_whole(town: Town) -> None:
    anna, _ = together(town)
    payload = bytes(range(256)) * 256
    anna.send(payload, town.now)
    town.run(3)
    assert town.said(BERT) == [payload]


def test_private_messages_reach_one_member(town: Town) -> None:
    anna, bert = together(town)
    town.enter(CARL, "carl")
    town.run(1)
    message = anna.send_private(bert.number or 0, b"psst", town.now)
    anna.send_private(bert.number or 0, b"hey", town.now, reliable=False)
    town.run(1)
    assert sorted(town.said(BERT)) == [b"hey", b"psst"]
    assert town.said(CARL) == []
    assert town.told(ANNA, Delivered) == [Delivered(message)]


def test_a_private_message_to_one_that_has_left_fails(town: Town) -> None:
    anna, bert = together(town)
    number = bert.number or 0
    town.loses = lambda datagram: datagram[4] == Type.ENTRY
    bert.leave(town.now)
    town.run(0.1)
    message = anna.send_private(number, b"psst", town.now)
    town.run(1)
    assert Failed(message, "absent") in town.told(ANNA, Failed)


def test_new_nicks_are_seen_by_all(town: Town) -> None:
    anna, bert = together(town)
    anna.change_nick("anne", town.now)
    town.run(1)
    assert anna.nick == "anne"
    number = anna.number or 0
    assert town.told(ANNA, NickChanged) == [NickChanged(number, "anna", "anne", own=True)]
    assert town.told(BERT, NickChanged) == [NickChanged(number, "anna", "anne", own=False)]
    assert bert.members[number].nick == "anne"


def test_a_nick_that_is_taken_is_not_given(town: Town) -> None:
    anna, _ = together(town)
    anna.change_nick("BERT", town.now)
    town.run(1)
    (refused,) = town.told(ANNA, NickRefused)
    assert refused.code == "nick-taken"


def test_a_second_anna_is_refused_or_takes_another_nick(town: Town) -> None:
    together(town)
    town.enter(CARL, "anna")
    third = town.enter("10.0.0.9:9", "anna", other_nicks=True)
    town.run(1)
    (refused,) = town.told(CARL, Refused)
    assert refused.code == "nick-taken"
    assert third.nick == "anna-2"


def test_whoever_leaves_is_seen_to_leave(town: Town) -> None:
    anna, _ = together(town)
    anna.leave(town.now)
    town.run(1)
    assert town.told(ANNA, Closed) == [Closed("left", "")]
    assert [event.reason for event in town.told(BERT, MemberLeft)] == ["left"]


def test_members_stay_without_saying_anything(town: Town) -> None:
    anna, bert = together(town)
    town.run(120)
    assert (anna.state, bert.state) == (State.JOINED, State.JOINED)
    assert town.told(ANNA, ContactLost) == []
    assert anna.statistics.round_trip is not None


def test_whoever_gets_another_address_stays_a_member(town: Town) -> None:
    anna, bert = together(town)
    town.clients[CARL] = town.clients.pop(ANNA)
    town.events[CARL] = []
    anna.send(b"from here", town.now)
    town.run(1)
    bert.send(b"to there", town.now)
    town.run(1)
    assert town.said(BERT) == [b"from here"]
    assert town.said(CARL) == [b"to there"]
    assert town.told(CARL, ContactLost) == []


def test_a_relay_that_stops_is_come_back_to(town: Town) -> None:
    anna, bert = together(town)
    town.relay.hub.close(town.now)
    town.run(TICK)
    town.restart()
    town.run(20)
    assert (anna.state, bert.state) == (State.JOINED, State.JOINED)
    anna.send(b"again", town.now)
    town.run(1)
    assert town.said(BERT) == [b"again"]


def test_a_nick_that_was_taken_while_the_relay_was_gone_is_changed(town: Town) -> None:
    anna, _ = together(town)
    town.restart()
    town.enter(CARL, "anna")
    town.run(20)
    assert anna.nick == "anna-2"
    assert town.told(ANNA, NickChanged) == [
        NickChanged(anna.number or 0, "anna", "anna-2", own=True)
    ]
    assert town.told(ANNA, NickRefused) == []


def test_what_a_relay_has_acknowledged_and_not_passed_on_survives_its_death(town: Town) -> None:
    anna, bert = together(town)
    town.loses = lambda datagram: datagram[4] == Type.DATA
    messages = [anna.send(b"%d" % n, town.now) for n in range(5)]
    town.run(0.1)
    assert town.told(ANNA, Delivered) == [Delivered(message) for message in messages]
    town.is_there = False
    town.loses = lambda datagram: False
    town.run(40)
    town.restart()
    town.run(10)
    assert (anna.state, bert.state) == (State.JOINED, State.JOINED)
    assert town.said(BERT) == [b"0", b"1", b"2", b"3", b"4"]


def test_nothing_is_received_twice_when_a_relay_dies(town: Town) -> None:
    anna, bert = together(town)
    anna.send(b"from anna", town.now)
    bert.send(b"from bert", town.now)
    town.run(1)
    town.restart()
    anna.send(b"later", town.now)
    town.run(10)
    assert town.said(BERT) == [b"from anna", b"later"]
    assert town.said(ANNA) == [b"from bert"]
    assert [type(event) for event in town.events[ANNA] if isinstance(event, Joined)] == [
        Joined
    ] * 2


def test_private_messages_survive_the_death_of_a_relay(town: Town) -> None:
    anna, bert = together(town)
    town.is_there = False
    anna.send_private(bert.number or 0, b"psst", town.now)
    town.run(2)
    town.restart()
    town.run(30)
    assert town.said(BERT) == [b"psst"]


def test_a_message_too_large_for_the_path_fails_and_what_follows_arrives(town: Town) -> None:
    anna, _ = together(town)
    town.loses = lambda datagram: len(datagram) > 1000
    large = anna.send(bytes(1100), town.now)
    town.run(1)
    small = anna.send(b"small", town.now)
    town.run(65)
    assert town.told(ANNA, Failed) == [Failed(large, "unacknowledged")]
    assert town.told(ANNA, Delivered) == [Delivered(small)]
    assert town.said(BERT) == [b"small"]


def test_rooms_with_a_key_have_sealed_messages() -> None:
    keys = derive("correct horse", SALT)
    room = RoomRules(access_key=AccessKey(SALT, keys.access))
    town = Town(RelayRules(listeners={"main": ListenerRules()}, rooms={"lobby": room}))
    town.enter(ANNA, "anna", keyed=True)
    town.enter(BERT, "bert", keyed=True)
    town.run(0.1)
    for source, client in town.clients.items():
        assert town.told(source, KeysNeeded) == [KeysNeeded(SALT)]
        client.provide_keys(SALT, keys, town.now)
    town.run(1)
    anna, bert = town.clients.values()
    anna.send(b"secret", town.now)
    anna.send_private(bert.number or 0, b"psst", town.now)
    town.run(1)
    assert all(member.trusted for member in bert.members.values())
    (private, said) = town.told(BERT, Received)
    assert (said.payload, said.sealed, said.nick) == (b"secret", True, "anna")
    assert (private.payload, private.sealed, private.private) == (b"psst", True, True)


def test_a_wrong_passphrase_is_refused() -> None:
    keys = derive("correct horse", SALT)
    room = RoomRules(access_key=AccessKey(SALT, keys.access))
    town = Town(RelayRules(listeners={"main": ListenerRules()}, rooms={"lobby": room}))
    client = town.enter(ANNA, "anna", keyed=True)
    town.run(0.1)
    client.provide_keys(SALT, derive("wrong horse", SALT), town.now)
    town.run(1)
    (refused,) = town.told(ANNA, Refused)
    assert refused.code == "wrong-key"


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32))
def test_with_a_fifth_of_all_datagrams_lost_everything_arrives_once_in_order(seed: int) -> None:
    town, random = Town(), Random(seed)
    town.loses = lambda datagram: random.random() < 1 / 5
    clients = [town.enter(source, f"m{n}") for n, source in enumerate((ANNA, BERT, CARL))]
    town.run(30)
    assert [client.state for client in clients] == [State.JOINED] * 3
    sent: list[list[int]] = [[], [], []]
    for number in range(30):
        clients[number % 3].send(b"%d" % number, town.now)
        sent[number % 3].append(number)
        town.run(0.1)
    town.run(25)
    for (source, _), mine in zip(town.clients.items(), sent, strict=True):
        assert len(town.told(source, Delivered)) == 10
        received = [int(payload) for payload in town.said(source)]
        assert town.told(source, Lost) == []
        assert sorted(received) == sorted({*range(30)} - {*mine})
        for other in sent:
            if other is not mine:
                assert [number for number in received if number in other] == other
