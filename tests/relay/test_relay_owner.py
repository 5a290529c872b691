"""The operator's actions: the console, messages to one member, kicks."""

from __future__ import annotations

import pytest
from relay_driver import (
    ANNA,
    BERT,
    LABELLED,
    START,
    UNTRUSTED,
    Relay,
    open_to_all,
    with_policy,
)

from udprelay.protocol.wire.members import MemberKind
from udprelay.relay import events
from udprelay.relay.drops import DropReason
from udprelay.relay.rules import Limits, ListenerRules, PlainPolicy, RelayRules, RoomRules


class TestConsole:
    def test_gets_the_payloads_of_others(self) -> None:
        relay = Relay()
        console = relay.console()
        relay.receive(ANNA, b"hello")
        relay.send(console, b"hello to you")
        assert relay.inboxes == {"console": [b"hello"], ANNA: [b"hello to you"]}

    def test_is_a_member_without_an_address(self) -> None:
        relay = Relay()
        relay.console()
        assert relay.drain_events() == [
            events.RoomOpened(room="lobby"),
            events.MemberJoined(
                room="lobby", member="console", kind="console", address="", listener=""
            ),
        ]

    def test_its_payloads_are_labelled_like_those_of_others(self) -> None:
        relay = Relay(LABELLED)
        console = relay.console()
        relay.join(ANNA)
        relay.send(console, b"hello")
        assert relay.inboxes == {ANNA: [b"console: hello"]}

    def test_its_payload_is_dropped_if_it_is_too_long_with_the_label(self) -> None:
        relay = Relay(LABELLED)
        console = relay.console()
        relay.join(ANNA)
        relay.send(console, b"x" * 65_507)
        assert relay.inboxes == {}
        assert relay.dropped() == {"too-long": 1}

    def test_its_payloads_are_counted(self) -> None:
        relay = Relay()
        console = relay.console()
        relay.join(ANNA, BERT)
        relay.send(console, b"hello")
        assert (
            relay.hub.roster.datagrams,
            relay.hub.roster.payload_bytes,
            relay.hub.roster.deliveries,
        ) == (1, 5, 2)


class TestSendTo:
    def test_reaches_one_member_alone(self) -> None:
        relay = Relay()
        relay.join(ANNA, BERT)
        relay.hub.send_to(relay.member(BERT), b"psst", relay.now)
        assert relay.replies() == [(BERT, b"psst")]
        assert relay.inboxes == {}

    def test_uses_the_listener_of_the_member(self) -> None:
        relay = Relay(open_to_all(red=RoomRules(), blue=RoomRules()))
        relay.join(ANNA, listener="blue")
        relay.hub.send_to(relay.member(ANNA, "blue"), b"psst", relay.now)
        relay.settle()
        assert relay.transports["blue"].replies == [(ANNA, b"psst")]

    def test_reaches_a_local_member_by_its_transport(self) -> None:
        relay = Relay()
        pages = relay.new_transport("pages")
        page = relay.hub.add_local("lobby", "page", MemberKind.PLAIN, pages, relay.now)
        relay.console()
        relay.hub.send_to(page, b"psst", relay.now)
        relay.settle()
        assert pages.replies == [("page", b"psst")]

    def test_a_reply_that_a_transport_drops_is_counted_under_its_name(self) -> None:
        relay = Relay()
        pages = relay.new_transport("pages")
        relay.hub.unanswered(pages, DropReason.CONSOLE_BEHIND, relay.now)
        relay.hub.unanswered(relay.transports["main"], DropReason.SEND_BUFFER, relay.now)
        relay.wait(10)
        assert [(drop.listener, drop.room) for drop in relay.events(events.DatagramsDropped)] == [
            ("pages", ""),
            ("main", "lobby"),
        ]


class TestKick:
    def test_a_plain_member_is_removed_at_once(self) -> None:
        relay = Relay()
        relay.join(ANNA, BERT)
        relay.hub.kick(relay.member(BERT), relay.now)
        assert relay.drain_events() == [
            events.MemberLeft(
                room="lobby", member="guest-2", address=BERT, listener="main", reason="kicked"
            )
        ]
        relay.receive(ANNA, b"gone")
        assert relay.inboxes == {}

    def test_a_kicked_address_is_refused_for_kick_time(self) -> None:
        relay = Relay(RelayRules(limits=Limits(kick_time=60)))
        relay.join(ANNA, BERT)
        relay.hub.kick(relay.member(BERT), relay.now)
        relay.now = START + 59.999
        relay.receive(BERT, b"let me in")
        assert relay.members() == {ANNA}
        assert relay.dropped() == {"kicked": 1}
        relay.now = START + 60
        relay.receive(BERT, b"let me in")
        assert relay.members() == {ANNA, BERT}

    def test_further_datagrams_do_not_prolong_kick_time(self) -> None:
        relay = Relay(RelayRules(limits=Limits(kick_time=60)))
        relay.join(BERT)
        relay.hub.kick(relay.member(BERT), relay.now)
        for _ in range(60):
            relay.receive(BERT, b"let me in")
            relay.now += 1
        relay.receive(BERT)
        assert relay.members() == {BERT}

    @pytest.mark.parametrize("plain", [PlainPolicy.ANY, PlainPolicy.CHALLENGE])
    def test_a_kicked_address_is_not_challenged(self, plain: PlainPolicy) -> None:
        relay = Relay(with_policy(plain))
        relay.receive(UNTRUSTED, b"hello, is anybody here?")
        if plain is PlainPolicy.CHALLENGE:
            ((_, reply),) = relay.replies()
            relay.receive(UNTRUSTED, reply.split()[-1])
        relay.hub.kick(relay.member(UNTRUSTED), relay.now)
        relay.receive(UNTRUSTED, b"hello, is anybody here?")
        assert relay.replies() == []
        assert relay.members() == set()

    def test_another_listener_of_the_room_refuses_the_address_too(self) -> None:
        listeners = {name: ListenerRules() for name in ("main", "side")}
        relay = Relay(RelayRules(listeners=listeners))
        relay.join(ANNA)
        relay.hub.kick(relay.member(ANNA), relay.now)
        relay.receive(ANNA, b"hello", listener="side")
        assert relay.members("side") == set()

    def test_other_rooms_admit_the_address(self) -> None:
        relay = Relay(open_to_all(red=RoomRules(), blue=RoomRules()))
        relay.join(ANNA, listener="red")
        relay.hub.kick(relay.member(ANNA, "red"), relay.now)
        relay.receive(ANNA, b"hello", listener="blue")
        assert relay.members("blue") == {ANNA}

    def test_other_ports_of_the_address_are_not_refused(self) -> None:
        relay = Relay()
        relay.join("10.0.0.1:1")
        relay.hub.kick(relay.member("10.0.0.1:1"), relay.now)
        relay.receive("10.0.0.1:2")
        assert relay.members() == {"10.0.0.1:2"}

    def test_the_oldest_of_1025_kicked_addresses_is_admitted_again(self) -> None:
        relay = Relay(with_policy(PlainPolicy.ANY, max_members=2000))
        sources = [f"10.0.0.1:{port}" for port in range(1, 1026)]
        for source in sources:
            relay.join(source)
            relay.hub.kick(relay.member(source), relay.now)
        relay.receive_batch(*((source, b"") for source in sources))
        assert relay.members() == {sources[0]}

    def test_a_local_member_is_removed_and_nothing_is_refused(self) -> None:
        relay = Relay()
        relay.join(ANNA)
        console = relay.console()
        relay.hub.kick(console, relay.now)
        (left,) = relay.events(events.MemberLeft)
        assert (left.member, left.address, left.reason) == ("console", "", "kicked")
        relay.receive(ANNA, b"gone")
        assert relay.inboxes == {}
        assert relay.console().slot == 0
