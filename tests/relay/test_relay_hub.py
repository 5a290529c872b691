"""Relaying of plain datagrams: who gets a payload, and in which form."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from relay_driver import ANNA, BERT, CARL, LABELLED, Relay, open_to_all, plain_only, with_room

from udprelay.protocol.endpoint import MAX_PAYLOAD
from udprelay.relay.rules import RelayRules, RoomRules


def test_the_first_datagram_joins_and_is_relayed() -> None:
    relay = Relay()
    relay.receive(ANNA, b"anybody here?")
    relay.receive(BERT, b"me")
    relay.receive(ANNA, b"hello")
    assert relay.inboxes == {ANNA: [b"me"], BERT: [b"hello"]}


def test_all_members_but_the_sender_get_a_payload() -> None:
    relay = Relay()
    relay.join(ANNA, BERT, CARL)
    relay.receive(BERT, b"hello")
    assert relay.inboxes == {ANNA: [b"hello"], CARL: [b"hello"]}


def test_the_only_member_of_a_room_gets_nothing() -> None:
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
def test_datagrams_of_one_sender_arrive_in_order(payloads: list[bytes], segmented: bool) -> None:
    relay = Relay(plain_only())
    relay.segmented = segmented
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


def test_a_new_member_gets_no_earlier_payloads_of_the_same_batch() -> None:
    relay = Relay()
    relay.receive_batch((ANNA, b"1"), (ANNA, b"2"), (BERT, b"3"), (ANNA, b"4"), (CARL, b"5"))
    assert relay.inboxes == {ANNA: [b"3", b"5"], BERT: [b"4", b"5"]}


def test_an_empty_batch_delivers_nothing() -> None:
    relay = Relay()
    assert relay.hub.receive(relay.listeners["main"], [], relay.now) == []


def test_payloads_stay_in_their_room() -> None:
    relay = Relay(open_to_all(red=RoomRules(), blue=RoomRules()))
    for room in ("red", "blue"):
        relay.join(ANNA, BERT, listener=room)
    relay.receive(ANNA, b"for blue", listener="blue")
    red, blue = relay.listeners["red"].members, relay.listeners["blue"].members
    assert relay.inboxes == {BERT: [b"for blue"]}
    assert red[ANNA].room is not blue[ANNA].room
    assert (red[ANNA].room.datagrams, blue[ANNA].room.datagrams) == (0, 1)


def test_two_listeners_may_have_one_room() -> None:
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
    def test_another_member_is_rejected_and_its_datagram_dropped(self) -> None:
        relay = Relay(with_room(max_members=2))
        relay.join(ANNA, BERT)
        relay.receive(CARL, b"hello")
        assert relay.members() == {ANNA, BERT}
        assert relay.inboxes == {}
        assert relay.dropped() == {"room-full": 1}

    def test_members_still_get_payloads(self) -> None:
        relay = Relay(with_room(max_members=2))
        relay.join(ANNA, BERT, CARL)
        relay.receive(ANNA, b"hello")
        assert relay.inboxes == {BERT: [b"hello"]}

    def test_a_member_that_leaves_makes_space(self) -> None:
        relay = Relay(with_room(max_members=2, idle_timeout=10))
        relay.join(ANNA, BERT)
        relay.wait(10)
        relay.receive(CARL)
        assert relay.members() == {CARL}

    def test_the_relay_has_a_limit_for_all_rooms(self) -> None:
        rules = open_to_all(red=RoomRules(), blue=RoomRules())
        relay = Relay(RelayRules(max_members=2, listeners=rules.listeners, rooms=rules.rooms))
        relay.join(ANNA, listener="red")
        relay.join(BERT, listener="blue")
        relay.receive(CARL, b"hello", listener="blue")
        assert relay.members("blue") == {BERT}
        assert relay.dropped() == {"relay-full": 1}

    def test_the_limit_holds_within_a_batch(self) -> None:
        relay = Relay(with_room(max_members=2))
        relay.receive_batch((ANNA, b"1"), (BERT, b"2"), (CARL, b"3"), (ANNA, b"4"))
        assert relay.inboxes == {ANNA: [b"2"], BERT: [b"4"]}


class TestLabel:
    def test_plain_members_get_the_name_of_the_sender(self) -> None:
        relay = Relay(LABELLED)
        relay.join(ANNA, BERT, CARL)
        relay.receive(BERT, b"hello")
        assert relay.inboxes == {ANNA: [b"guest-2: hello"], CARL: [b"guest-2: hello"]}

    def test_does_not_show_the_address(self) -> None:
        relay = Relay(LABELLED)
        relay.join(ANNA, BERT)
        relay.receive(BERT, b"hello")
        assert b"10.0.0.2" not in relay.inboxes[ANNA][0]

    def test_targets_and_the_console_get_the_bare_payload(self) -> None:
        relay = Relay(LABELLED)
        relay.target("192.0.2.7:2055")
        relay.console()
        relay.receive(ANNA, b"hello")
        assert relay.inboxes == {"192.0.2.7:2055": [b"hello"], "console": [b"hello"]}

    def test_a_payload_too_long_with_its_label_is_dropped_for_labelled_members(
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

    def test_is_off_by_default(self) -> None:
        assert RoomRules().label.value == "none"


def test_guest_numbers_are_not_reused_while_the_room_is_open() -> None:
    relay = Relay(with_room(idle_timeout=10))
    relay.join(ANNA)
    relay.wait(5)
    relay.join(BERT)
    relay.wait(5)
    relay.join(ANNA)
    assert [relay.member(source).name for source in (BERT, ANNA)] == ["guest-2", "guest-3"]


def test_members_are_reached_through_the_listener_where_they_joined() -> None:
    listeners = {name: RelayRules().listeners["main"] for name in ("one", "two")}
    relay = Relay(RelayRules(listeners=listeners))
    relay.join(ANNA, listener="one")
    relay.join(BERT, listener="two")
    (fan_out,) = relay.hub.receive(relay.listeners["one"], [(ANNA, [b"x"])], relay.now)
    sources = {group.transport: [m.source for m in group.members] for group, _ in fan_out.groups}
    assert sources == {relay.listeners["one"]: [ANNA], relay.listeners["two"]: [BERT]}
