"""What is said in a room, and who hears it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from relay_driver import ANNA, BERT, CARL, LABELLED, Relay, open_to_all, plain_only, with_room

from udprelay.protocol.endpoint import MAX_PAYLOAD
from udprelay.relay.rules import RelayRules, RoomRules


def test_the_first_datagram_joins_and_is_already_relayed() -> None:
    relay = Relay()
    relay.receive(ANNA, b"anybody here?")
    relay.receive(BERT, b"me")
    relay.receive(ANNA, b"hello")
    assert relay.inboxes == {ANNA: [b"me"], BERT: [b"hello"]}


def test_everyone_in_the_room_gets_it_and_the_sender_does_not() -> None:
    relay = Relay()
    relay.join(ANNA, BERT, CARL)
    relay.receive(BERT, b"hello")
    assert relay.inboxes == {ANNA: [b"hello"], CARL: [b"hello"]}


def test_a_program_alone_in_its_room_hears_nothing() -> None:
    relay = Relay()
    relay.receive(ANNA, b"1", b"2")
    assert relay.inboxes == {}
    assert relay.hub.roster.deliveries == 0


def test_two_ports_of_one_address_are_two_members() -> None:
    relay = Relay()
    relay.join("10.0.0.1:1", "10.0.0.1:2")
    relay.receive("10.0.0.1:1", b"hello")
    assert relay.inboxes == {"10.0.0.1:2": [b"hello"]}


@pytest.mark.parametrize(
    "payload", [bytes(range(256)), b"\0", b"\n", b"\xff" * MAX_PAYLOAD], ids=len
)
def test_payloads_arrive_exactly_as_sent(payload: bytes) -> None:
    relay = Relay()
    relay.join(ANNA, BERT)
    relay.receive(ANNA, payload)
    assert relay.inboxes == {BERT: [payload]}


@given(
    st.one_of(st.lists(st.binary(min_size=1)), st.lists(st.binary(min_size=3, max_size=3))),
    st.booleans(),
)
@example([b"\xfdUR\x01", b"\xfd..."], True)
def test_datagrams_of_one_sender_arrive_in_order(payloads: list[bytes], joins: bool) -> None:
    relay = Relay(plain_only())
    relay.joins = joins
    relay.join(ANNA, BERT)
    relay.receive_batch(*((ANNA, payload) for payload in payloads))
    assert relay.inboxes[BERT] == payloads


def test_an_empty_datagram_joins_and_is_not_relayed() -> None:
    relay = Relay()
    relay.receive(ANNA, b"")
    relay.receive(BERT, b"")
    relay.receive(ANNA, b"")
    assert relay.members() == {ANNA, BERT}
    assert relay.inboxes == {}
    assert (relay.hub.roster.datagrams, relay.hub.roster.deliveries) == (0, 0)


def test_who_joins_gets_nothing_that_was_said_before_even_in_the_same_batch() -> None:
    relay = Relay()
    relay.receive_batch((ANNA, b"1"), (ANNA, b"2"), (BERT, b"3"), (ANNA, b"4"), (CARL, b"5"))
    assert relay.inboxes == {ANNA: [b"3", b"5"], BERT: [b"4", b"5"]}


def test_an_empty_batch_delivers_nothing() -> None:
    relay = Relay()
    assert relay.hub.receive(relay.listeners["main"], [], relay.now) == []


def test_rooms_hear_nothing_of_each_other() -> None:
    relay = Relay(open_to_all(red=RoomRules(), blue=RoomRules()))
    for room in ("red", "blue"):
        relay.join(ANNA, BERT, listener=room)
    relay.receive(ANNA, b"to the blue ones", listener="blue")
    red, blue = relay.listeners["red"].members, relay.listeners["blue"].members
    assert relay.inboxes == {BERT: [b"to the blue ones"]}
    assert red[ANNA].room is not blue[ANNA].room
    assert (red[ANNA].room.datagrams, blue[ANNA].room.datagrams) == (0, 1)


def test_two_listeners_can_lead_to_one_room() -> None:
    listeners = {name: RelayRules().listeners["main"] for name in ("one", "two")}
    relay = Relay(RelayRules(listeners=listeners))
    relay.join(ANNA, listener="one")
    relay.join(BERT, listener="two")
    relay.receive(ANNA, b"across", listener="one")
    assert relay.inboxes == {BERT: [b"across"]}


def test_one_address_at_two_listeners_of_a_room_is_two_members() -> None:
    listeners = {name: RelayRules().listeners["main"] for name in ("one", "two")}
    relay = Relay(RelayRules(listeners=listeners))
    relay.join(ANNA, listener="one")
    relay.join(ANNA, listener="two")
    relay.receive(ANNA, b"echo", listener="one")
    assert relay.inboxes == {ANNA: [b"echo"]}


class TestFullRoom:
    def test_the_next_one_is_refused_and_its_datagram_dropped(self) -> None:
        relay = Relay(with_room(max_members=2))
        relay.join(ANNA, BERT)
        relay.receive(CARL, b"hello")
        assert relay.members() == {ANNA, BERT}
        assert relay.inboxes == {}
        assert relay.dropped() == {"room-full": 1}

    def test_members_go_on(self) -> None:
        relay = Relay(with_room(max_members=2))
        relay.join(ANNA, BERT, CARL)
        relay.receive(ANNA, b"hello")
        assert relay.inboxes == {BERT: [b"hello"]}

    def test_a_place_that_becomes_free_is_taken(self) -> None:
        relay = Relay(with_room(max_members=2, idle_timeout=10))
        relay.join(ANNA, BERT)
        relay.wait(10)
        relay.receive(CARL)
        assert relay.members() == {CARL}

    def test_all_rooms_together_have_a_limit_too(self) -> None:
        rules = open_to_all(red=RoomRules(), blue=RoomRules())
        relay = Relay(RelayRules(max_members=2, listeners=rules.listeners, rooms=rules.rooms))
        relay.join(ANNA, listener="red")
        relay.join(BERT, listener="blue")
        relay.receive(CARL, b"hello", listener="blue")
        assert relay.members("blue") == {BERT}
        assert relay.dropped() == {"relay-full": 1}

    def test_it_is_full_within_a_batch(self) -> None:
        relay = Relay(with_room(max_members=2))
        relay.receive_batch((ANNA, b"1"), (BERT, b"2"), (CARL, b"3"), (ANNA, b"4"))
        assert relay.inboxes == {ANNA: [b"2"], BERT: [b"4"]}


class TestLabel:
    def test_plain_members_see_the_name_of_the_sender(self) -> None:
        relay = Relay(LABELLED)
        relay.join(ANNA, BERT, CARL)
        relay.receive(BERT, b"hello")
        assert relay.inboxes == {ANNA: [b"guest-2: hello"], CARL: [b"guest-2: hello"]}

    def test_never_its_address(self) -> None:
        relay = Relay(LABELLED)
        relay.join(ANNA, BERT)
        relay.receive(BERT, b"hello")
        assert b"10.0.0.2" not in relay.inboxes[ANNA][0]

    def test_targets_and_the_console_get_the_text_alone(self) -> None:
        relay = Relay(LABELLED)
        relay.target("192.0.2.7:2055")
        relay.hub.add_console("lobby", "terminal", relay.now)
        relay.receive(ANNA, b"hello")
        assert relay.inboxes == {"192.0.2.7:2055": [b"hello"], "console": [b"hello"]}

    def test_what_is_too_long_with_it_is_dropped_and_counted_for_those_who_would_see_it(
        self,
    ) -> None:
        relay = Relay(LABELLED)
        relay.join(ANNA, BERT)
        relay.target("192.0.2.7:2055")
        fits = b"x" * (MAX_PAYLOAD - len("guest-1: "))
        relay.receive_batch((ANNA, fits), (ANNA, fits + b"x"), (ANNA, b"next"))
        assert [len(payload) for payload in relay.inboxes[BERT]] == [MAX_PAYLOAD, 13]
        assert relay.inboxes["192.0.2.7:2055"] == [fits, fits + b"x", b"next"]
        assert relay.dropped() == {"too-long": 1}
        assert relay.hub.roster.deliveries == 5

    def test_no_label_is_the_default(self) -> None:
        assert RoomRules().label.value == "none"


def test_names_are_not_given_again_while_the_room_is_open() -> None:
    relay = Relay(with_room(idle_timeout=10))
    relay.join(ANNA)
    relay.wait(5)
    relay.join(BERT)
    relay.wait(5)
    relay.join(ANNA)
    assert [relay.member(source).name for source in (BERT, ANNA)] == ["guest-2", "guest-3"]


def test_members_are_reached_through_the_listener_that_they_came_by() -> None:
    listeners = {name: RelayRules().listeners["main"] for name in ("one", "two")}
    relay = Relay(RelayRules(listeners=listeners))
    relay.join(ANNA, listener="one")
    relay.join(BERT, listener="two")
    (fan_out,) = relay.hub.receive(relay.listeners["one"], [(ANNA, [b"x"])], relay.now)
    ways = {group.way: [m.source for m in group.members] for group, _ in fan_out.reach}
    assert ways == {relay.listeners["one"]: [ANNA], relay.listeners["two"]: [BERT]}
