"""Session clients and a hub, with a network that loses chosen datagrams."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relay_driver import ANNA, BERT, CARL, Relay

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


class Network:
    """
    A relay, clients, and the datagrams between them; each takes a tick.

    :ivar is_lost: returns whether a datagram in either direction is lost.
    :ivar is_up: whether the relay receives and sends datagrams.
    """

    def __init__(self, rules: RelayRules | None = None) -> None:
        self.rules = rules or RelayRules()
        self.relay = Relay(rules)
        self.clients: dict[str, SessionClient] = {}
        self.events: dict[str, list[Event]] = {}
        self.is_lost: Callable[[bytes], bool] = lambda datagram: False
        self.is_up = True
        self._up: list[tuple[str, bytes]] = []
        self._random = Random(1)

    @property
    def now(self) -> float:
        return self.relay.now

    def join(self, source: str, nick: str, **options: bool) -> SessionClient:
        settings = Settings("lobby", nick, **options)
        client = SessionClient(settings, self._random.randbytes, self.now)
        self.clients[source], self.events[source] = client, []
        client.start(self.now)
        return client

    def restart(self) -> None:
        """Replace the relay by a new one."""
        secret = self._random.randbytes(32)
        self.relay.run(Hub(self.rules, secret, lambda endpoint: False, self.now))
        self.is_up = True

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK)):
            self._tick()

    def _tick(self) -> None:
        self.relay.wait(TICK)
        for source, datagram in self._drain_down():
            if source in self.clients and not self.is_lost(datagram):
                self.clients[source].receive(datagram, self.now)
        up, self._up = self._up, []
        for source, datagram in up:
            if self.is_up:
                self.relay.receive(source, datagram)
        for source, client in self.clients.items():
            deadline = client.next_deadline()
            if deadline is not None and deadline <= self.now:
                client.expire(self.now)
            self._up += [(source, d) for d in client.drain_datagrams() if not self.is_lost(d)]
            self.events[source] += client.drain_events()

    def _drain_down(self) -> list[tuple[str, bytes]]:
        down = self.relay.replies() if self.is_up else []
        down += [(source, d) for source, inbox in self.relay.inboxes.items() for d in inbox]
        self.relay.inboxes.clear()
        return down

    def payloads(self, source: str) -> list[bytes]:
        return [event.payload for event in self.events_of(source, Received)]

    def events_of(self, source: str, kind: type[E]) -> list[E]:
        return [event for event in self.events[source] if isinstance(event, kind)]


@pytest.fixture
def network() -> Network:
    return Network()


def join_two(network: Network) -> tuple[SessionClient, SessionClient]:
    anna, bert = network.join(ANNA, "anna"), network.join(BERT, "bert")
    network.run(1)
    assert (anna.state, bert.state) == (State.JOINED, State.JOINED)
    return anna, bert


def test_two_clients_have_each_other_in_the_roster(network: Network) -> None:
    anna, bert = join_two(network)
    assert {member.nick for member in anna.members.values()} == {"anna", "bert"}
    assert {member.nick for member in bert.members.values()} == {"anna", "bert"}
    assert [event.nick for event in network.events_of(ANNA, MemberJoined)] == ["bert"]


def test_a_message_is_received_and_delivered(network: Network) -> None:
    anna, _ = join_two(network)
    assert anna.number is not None
    message = anna.send(b"hello", network.now)
    network.run(1)
    assert network.events_of(BERT, Received) == [
        Received(anna.number, "anna", b"hello", reliable=True, private=False, sealed=False)
    ]
    assert network.events_of(ANNA, Delivered) == [Delivered(message)]
    assert network.payloads(ANNA) == []


def test_an_unreliable_message_is_received(network: Network) -> None:
    anna, _ = join_two(network)
    anna.send(b"hello", network.now, reliable=False)
    network.run(1)
    assert network.payloads(BERT) == [b"hello"]


def test_a_message_in_pieces_is_reassembled(network: Network) -> None:
    anna, _ = join_two(network)
    payload = bytes(range(256)) * 256
    anna.send(payload, network.now)
    network.run(3)
    assert network.payloads(BERT) == [payload]


def test_a_private_message_reaches_one_member_only(network: Network) -> None:
    anna, bert = join_two(network)
    network.join(CARL, "carl")
    network.run(1)
    message = anna.send_private(bert.number or 0, b"psst", network.now)
    anna.send_private(bert.number or 0, b"hey", network.now, reliable=False)
    network.run(1)
    assert sorted(network.payloads(BERT)) == [b"hey", b"psst"]
    assert network.payloads(CARL) == []
    assert network.events_of(ANNA, Delivered) == [Delivered(message)]


def test_a_private_message_to_a_former_member_fails(network: Network) -> None:
    anna, bert = join_two(network)
    number = bert.number or 0
    network.is_lost = lambda datagram: datagram[4] == Type.ENTRY
    bert.leave(network.now)
    network.run(0.1)
    message = anna.send_private(number, b"psst", network.now)
    network.run(1)
    assert Failed(message, "absent") in network.events_of(ANNA, Failed)


def test_a_nick_change_reaches_all_members(network: Network) -> None:
    anna, bert = join_two(network)
    anna.change_nick("anne", network.now)
    network.run(1)
    assert anna.nick == "anne"
    number = anna.number or 0
    assert network.events_of(ANNA, NickChanged) == [NickChanged(number, "anna", "anne", own=True)]
    assert network.events_of(BERT, NickChanged) == [NickChanged(number, "anna", "anne", own=False)]
    assert bert.members[number].nick == "anne"


def test_a_taken_nick_is_refused(network: Network) -> None:
    anna, _ = join_two(network)
    anna.change_nick("BERT", network.now)
    network.run(1)
    (refused,) = network.events_of(ANNA, NickRefused)
    assert refused.code == "nick-taken"


def test_a_client_with_a_taken_nick_is_refused_or_tries_other_nicks(network: Network) -> None:
    join_two(network)
    network.join(CARL, "anna")
    third = network.join("10.0.0.9:9", "anna", other_nicks=True)
    network.run(1)
    (refused,) = network.events_of(CARL, Refused)
    assert refused.code == "nick-taken"
    assert third.nick == "anna-2"


def test_a_leave_reaches_the_other_members(network: Network) -> None:
    anna, _ = join_two(network)
    anna.leave(network.now)
    network.run(1)
    assert network.events_of(ANNA, Closed) == [Closed("left", "")]
    assert [event.reason for event in network.events_of(BERT, MemberLeft)] == ["left"]


def test_members_without_messages_stay(network: Network) -> None:
    anna, bert = join_two(network)
    network.run(120)
    assert (anna.state, bert.state) == (State.JOINED, State.JOINED)
    assert network.events_of(ANNA, ContactLost) == []
    assert anna.statistics.round_trip is not None


def test_a_member_with_a_new_address_stays(network: Network) -> None:
    anna, bert = join_two(network)
    network.clients[CARL] = network.clients.pop(ANNA)
    network.events[CARL] = []
    anna.send(b"from here", network.now)
    network.run(1)
    bert.send(b"to there", network.now)
    network.run(1)
    assert network.payloads(BERT) == [b"from here"]
    assert network.payloads(CARL) == [b"to there"]
    assert network.events_of(CARL, ContactLost) == []


def test_clients_rejoin_after_a_restart_with_bye(network: Network) -> None:
    anna, bert = join_two(network)
    network.relay.hub.close(network.now)
    network.run(TICK)
    network.restart()
    network.run(20)
    assert (anna.state, bert.state) == (State.JOINED, State.JOINED)
    anna.send(b"again", network.now)
    network.run(1)
    assert network.payloads(BERT) == [b"again"]


def test_a_nick_that_was_taken_before_the_resumption_is_changed(network: Network) -> None:
    anna, _ = join_two(network)
    network.restart()
    network.join(CARL, "anna")
    network.run(20)
    assert anna.nick == "anna-2"
    assert network.events_of(ANNA, NickChanged) == [
        NickChanged(anna.number or 0, "anna", "anna-2", own=True)
    ]
    assert network.events_of(ANNA, NickRefused) == []


def test_acknowledged_messages_that_were_not_forwarded_survive_the_relay(network: Network) -> None:
    anna, bert = join_two(network)
    network.is_lost = lambda datagram: datagram[4] == Type.DATA
    messages = [anna.send(b"%d" % n, network.now) for n in range(5)]
    network.run(0.1)
    assert network.events_of(ANNA, Delivered) == [Delivered(message) for message in messages]
    network.is_up = False
    network.is_lost = lambda datagram: False
    network.run(40)
    network.restart()
    network.run(10)
    assert (anna.state, bert.state) == (State.JOINED, State.JOINED)
    assert network.payloads(BERT) == [b"0", b"1", b"2", b"3", b"4"]


def test_a_restart_causes_no_duplicates(network: Network) -> None:
    anna, bert = join_two(network)
    anna.send(b"from anna", network.now)
    bert.send(b"from bert", network.now)
    network.run(1)
    network.restart()
    anna.send(b"later", network.now)
    network.run(10)
    assert network.payloads(BERT) == [b"from anna", b"later"]
    assert network.payloads(ANNA) == [b"from bert"]
    assert [type(event) for event in network.events[ANNA] if isinstance(event, Joined)] == [
        Joined
    ] * 2


def test_private_messages_survive_the_relay(network: Network) -> None:
    anna, bert = join_two(network)
    network.is_up = False
    anna.send_private(bert.number or 0, b"psst", network.now)
    network.run(2)
    network.restart()
    network.run(30)
    assert network.payloads(BERT) == [b"psst"]


def test_a_message_too_large_for_the_path_fails_and_later_ones_arrive(network: Network) -> None:
    anna, _ = join_two(network)
    network.is_lost = lambda datagram: len(datagram) > 1000
    large = anna.send(bytes(1100), network.now)
    network.run(1)
    small = anna.send(b"small", network.now)
    network.run(65)
    assert network.events_of(ANNA, Failed) == [Failed(large, "unacknowledged")]
    assert network.events_of(ANNA, Delivered) == [Delivered(small)]
    assert network.payloads(BERT) == [b"small"]


def test_messages_in_rooms_with_a_passphrase_are_sealed() -> None:
    keys = derive("correct horse", SALT)
    room = RoomRules(access_key=AccessKey(SALT, keys.access))
    network = Network(RelayRules(listeners={"main": ListenerRules()}, rooms={"lobby": room}))
    network.join(ANNA, "anna", keyed=True)
    network.join(BERT, "bert", keyed=True)
    network.run(0.1)
    for source, client in network.clients.items():
        assert network.events_of(source, KeysNeeded) == [KeysNeeded(SALT)]
        client.provide_keys(SALT, keys, network.now)
    network.run(1)
    anna, bert = network.clients.values()
    anna.send(b"secret", network.now)
    anna.send_private(bert.number or 0, b"psst", network.now)
    network.run(1)
    assert all(member.trusted for member in bert.members.values())
    (private, public) = network.events_of(BERT, Received)
    assert (public.payload, public.sealed, public.nick) == (b"secret", True, "anna")
    assert (private.payload, private.sealed, private.private) == (b"psst", True, True)


def test_a_wrong_passphrase_is_refused() -> None:
    keys = derive("correct horse", SALT)
    room = RoomRules(access_key=AccessKey(SALT, keys.access))
    network = Network(RelayRules(listeners={"main": ListenerRules()}, rooms={"lobby": room}))
    client = network.join(ANNA, "anna", keyed=True)
    network.run(0.1)
    client.provide_keys(SALT, derive("wrong horse", SALT), network.now)
    network.run(1)
    (refused,) = network.events_of(ANNA, Refused)
    assert refused.code == "wrong-key"


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32))
def test_with_a_fifth_of_the_datagrams_lost_all_messages_arrive_once_and_in_order(
    seed: int,
) -> None:
    network, random = Network(), Random(seed)
    network.is_lost = lambda datagram: random.random() < 1 / 5
    clients = [network.join(source, f"m{n}") for n, source in enumerate((ANNA, BERT, CARL))]
    network.run(30)
    assert [client.state for client in clients] == [State.JOINED] * 3
    sent: list[list[int]] = [[], [], []]
    for number in range(30):
        clients[number % 3].send(b"%d" % number, network.now)
        sent[number % 3].append(number)
        network.run(0.1)
    network.run(25)
    for (source, _), mine in zip(network.clients.items(), sent, strict=True):
        assert len(network.events_of(source, Delivered)) == 10
        received = [int(payload) for payload in network.payloads(source)]
        assert network.events_of(source, Lost) == []
        assert sorted(received) == sorted({*range(30)} - {*mine})
        for other in sent:
            if other is not mine:
                assert [number for number in received if number in other] == other
