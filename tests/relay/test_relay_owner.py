"""What the relay's owner can do: be a member, say something to one alone, put one out."""

from __future__ import annotations

import pytest
from relay_driver import ANNA, BERT, LABELLED, START, STRANGER, Relay, open_to_all, with_policy

from udprelay.relay import events
from udprelay.relay.rules import Limits, ListenerRules, PlainPolicy, RelayRules, RoomRules


class TestConsole:
    def test_hears_the_room_and_not_itself(self) -> None:
        relay = Relay()
        console = relay.hub.add_console("lobby", "terminal", relay.now)
        relay.receive(ANNA, b"hello")
        relay.deliver(relay.hub.say(console, b"hello to you", relay.now))
        assert relay.inboxes == {"console": [b"hello"], ANNA: [b"hello to you"]}

    def test_is_a_member_without_an_address(self) -> None:
        relay = Relay()
        relay.hub.add_console("lobby", "terminal", relay.now)
        assert relay.hub.take_events() == [
            events.RoomOpened(room="lobby"),
            events.MemberJoined(
                room="lobby", member="console", kind="console", address="", listener=""
            ),
        ]

    def test_has_its_name_before_its_text_where_names_are_shown(self) -> None:
        relay = Relay(LABELLED)
        console = relay.hub.add_console("lobby", "terminal", relay.now)
        relay.join(ANNA)
        relay.deliver(relay.hub.say(console, b"hello", relay.now))
        assert relay.inboxes == {ANNA: [b"console: hello"]}

    def test_is_told_by_count_if_its_text_is_too_long_with_the_name(self) -> None:
        relay = Relay(LABELLED)
        console = relay.hub.add_console("lobby", "terminal", relay.now)
        relay.join(ANNA)
        relay.deliver(relay.hub.say(console, b"x" * 65_507, relay.now))
        assert relay.inboxes == {}
        assert relay.dropped() == {"too-long": 1}

    def test_counts_as_a_sender_like_any_other(self) -> None:
        relay = Relay()
        console = relay.hub.add_console("lobby", "terminal", relay.now)
        relay.join(ANNA, BERT)
        relay.deliver(relay.hub.say(console, b"hello", relay.now))
        assert (
            relay.hub.roster.datagrams,
            relay.hub.roster.payload_bytes,
            relay.hub.roster.deliveries,
        ) == (1, 5, 2)


class TestTell:
    def test_reaches_one_member_alone(self) -> None:
        relay = Relay()
        relay.join(ANNA, BERT)
        relay.hub.tell(relay.member(BERT), b"psst", relay.now)
        assert relay.replies() == [(BERT, b"psst")]
        assert relay.inboxes == {}

    def test_goes_by_the_listener_of_the_member(self) -> None:
        relay = Relay(open_to_all(red=RoomRules(), blue=RoomRules()))
        relay.join(ANNA, listener="blue")
        relay.hub.tell(relay.member(ANNA, "blue"), b"psst", relay.now)
        (reply,) = relay.hub.take_replies()
        assert reply.listener is relay.listeners["blue"]

    def test_a_local_member_has_no_listener_to_be_told_by(self) -> None:
        relay = Relay()
        relay.hub.tell(relay.hub.add_console("lobby", "terminal", relay.now), b"psst", relay.now)
        assert relay.replies() == []


class TestKick:
    def test_a_guest_is_out_at_once(self) -> None:
        relay = Relay()
        relay.join(ANNA, BERT)
        relay.hub.kick(relay.member(BERT), relay.now)
        assert relay.hub.take_events() == [
            events.MemberLeft(
                room="lobby", member="guest-2", address=BERT, listener="main", reason="kicked"
            )
        ]
        relay.receive(ANNA, b"gone")
        assert relay.inboxes == {}

    def test_it_is_refused_for_kick_time_and_then_admitted_again(self) -> None:
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

    def test_asking_again_does_not_prolong_it(self) -> None:
        relay = Relay(RelayRules(limits=Limits(kick_time=60)))
        relay.join(BERT)
        relay.hub.kick(relay.member(BERT), relay.now)
        for _ in range(60):
            relay.receive(BERT, b"let me in")
            relay.now += 1
        relay.receive(BERT)
        assert relay.members() == {BERT}

    @pytest.mark.parametrize("plain", [PlainPolicy.ANY, PlainPolicy.CHALLENGE])
    def test_a_kicked_stranger_is_not_even_challenged(self, plain: PlainPolicy) -> None:
        relay = Relay(with_policy(plain))
        address = relay.listeners["main"].endpoint(STRANGER)
        relay.hub._admission.kicked.add("lobby", address, relay.now)
        relay.receive(STRANGER, b"hello again")
        assert relay.replies() == []
        assert relay.members() == set()

    def test_another_listener_of_the_room_is_no_way_back_in(self) -> None:
        listeners = {name: ListenerRules() for name in ("main", "side")}
        relay = Relay(RelayRules(listeners=listeners))
        relay.join(ANNA)
        relay.hub.kick(relay.member(ANNA), relay.now)
        relay.receive(ANNA, b"hello", listener="side")
        assert relay.members("side") == set()

    def test_other_rooms_are_not_closed_to_it(self) -> None:
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

    def test_the_table_is_bounded_and_forgets_the_oldest(self) -> None:
        relay = Relay(with_policy(PlainPolicy.ANY, max_members=2000))
        sources = [f"10.0.0.1:{port}" for port in range(1, 1026)]
        for source in sources:
            relay.join(source)
            relay.hub.kick(relay.member(source), relay.now)
        assert len(relay.hub._admission.kicked) == 1024
        relay.receive_batch(*((source, b"") for source in sources))
        assert relay.members() == {sources[0]}

    def test_the_table_is_empty_when_the_time_is_over(self) -> None:
        relay = Relay()
        for port in range(1, 10):
            relay.join(f"10.0.0.1:{port}")
            relay.hub.kick(relay.member(f"10.0.0.1:{port}"), relay.now)
        relay.wait(300)
        relay.receive(ANNA)
        assert len(relay.hub._admission.kicked) == 0

    def test_a_local_member_has_no_address_to_be_refused(self) -> None:
        relay = Relay()
        relay.hub.kick(relay.hub.add_console("lobby", "terminal", relay.now), relay.now)
        assert relay.hub.roster.rooms == {}
        assert len(relay.hub._admission.kicked) == 0
