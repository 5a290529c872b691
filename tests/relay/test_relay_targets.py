"""Targets: fixed addresses that get all payloads of a room and may send none."""

from __future__ import annotations

import pytest
from relay_driver import ANNA, BERT, Relay, open_to_all

from udprelay.relay import events
from udprelay.relay.drops import DropReason
from udprelay.relay.rules import PlainPolicy, RelayRules, RoomRules

COLLECTOR = "10.0.0.7:2055"


def unreachable(relay: Relay, source: str, listener: str = "main") -> None:
    relay.hub.unreachable(
        relay.listeners[listener], source, DropReason.UNREACHABLE, "refused", relay.now
    )


def test_a_target_gets_all_payloads_of_its_room() -> None:
    relay = Relay()
    relay.target(COLLECTOR)
    relay.receive(ANNA, b"1")
    relay.receive(BERT, b"2")
    assert relay.inboxes == {COLLECTOR: [b"1", b"2"], ANNA: [b"2"]}


def test_a_target_is_a_member_with_its_configured_name() -> None:
    relay = Relay()
    relay.target(COLLECTOR)
    assert relay.hub.drain_events() == [
        events.RoomOpened(room="lobby"),
        events.MemberJoined(
            room="lobby",
            member=f"target {COLLECTOR}",
            kind="target",
            address=COLLECTOR,
            listener="main",
        ),
    ]


@pytest.mark.parametrize("payload", [b"", b"hello"])
@pytest.mark.parametrize("plain", [PlainPolicy.ANY, PlainPolicy.CHALLENGE, PlainPolicy.NETWORKS])
def test_datagrams_of_a_target_are_dropped_at_every_listener(
    payload: bytes, plain: PlainPolicy
) -> None:
    one = RelayRules().listeners["main"]
    listeners = {"main": one, "other": type(one)(plain=plain)}
    relay = Relay(RelayRules(listeners=listeners))
    relay.join(ANNA)
    relay.target(COLLECTOR)
    for listener in listeners:
        relay.receive(COLLECTOR, payload, listener=listener)
    assert relay.inboxes == {}
    assert relay.replies() == []
    assert relay.dropped() == {"from-target": 2}


@pytest.mark.parametrize("where", ["main", "other"])
def test_a_plain_member_whose_address_becomes_a_target_is_replaced(where: str) -> None:
    listeners = {name: RelayRules().listeners["main"] for name in ("main", "other")}
    relay = Relay(RelayRules(listeners=listeners))
    relay.join(ANNA)
    relay.join(COLLECTOR, listener=where)
    relay.target(COLLECTOR)
    (left,) = relay.events(events.MemberLeft)
    assert (left.member, left.reason) == ("guest-2", "replaced")
    relay.receive(COLLECTOR, b"dropped", listener=where)
    relay.receive(ANNA, b"once")
    assert relay.inboxes == {COLLECTOR: [b"once"]}


def test_a_removed_target_may_join_as_a_plain_member() -> None:
    relay = Relay()
    relay.join(ANNA)
    target = relay.target(COLLECTOR)
    relay.hub.drain_events()
    relay.hub.remove_target(target, relay.now)
    (left,) = relay.hub.drain_events()
    assert left == events.MemberLeft(
        room="lobby",
        member=f"target {COLLECTOR}",
        address=COLLECTOR,
        listener="main",
        reason="replaced",
    )
    relay.receive(COLLECTOR, b"now a plain member")
    assert relay.inboxes == {ANNA: [b"now a plain member"]}


class TestOneAddressForTwoRooms:
    def test_gets_the_payloads_of_both(self) -> None:
        relay = Relay(open_to_all(red=RoomRules(), blue=RoomRules()))
        for room in ("red", "blue"):
            relay.target(COLLECTOR, room, listener="red")
            relay.receive(ANNA, room.encode(), listener=room)
        assert relay.inboxes == {COLLECTOR: [b"red", b"blue"]}

    def test_stays_a_target_of_one_when_it_is_removed_from_the_other(self) -> None:
        relay = Relay(open_to_all(red=RoomRules(), blue=RoomRules()))
        first = relay.target(COLLECTOR, "red", listener="red")
        second = relay.target(COLLECTOR, "blue", listener="red")
        relay.hub.remove_target(first, relay.now)
        relay.receive(COLLECTOR, b"hello", listener="red")
        assert relay.members("red") == set()
        relay.hub.remove_target(second, relay.now)
        relay.receive(COLLECTOR, b"hello", listener="red")
        assert relay.members("red") == {COLLECTOR}
        assert relay.dropped() == {"from-target": 1}

    def test_is_unreachable_for_both(self) -> None:
        relay = Relay(open_to_all(red=RoomRules(), blue=RoomRules()))
        for room in ("red", "blue"):
            relay.target(COLLECTOR, room, listener="red")
        unreachable(relay, COLLECTOR, listener="red")
        rooms = [event.room for event in relay.events(events.TargetUnreachable)]
        assert rooms == ["red", "blue"]
        assert relay.dropped() == {"unreachable": 1}


class TestUnreachable:
    def test_has_one_event_per_target_refresh_and_is_always_counted(self) -> None:
        relay = Relay()
        relay.target(COLLECTOR)
        relay.hub.drain_events()
        counts = []
        for _ in range(4):
            unreachable(relay, COLLECTOR)
            counts.append(len(relay.events(events.TargetUnreachable)))
            relay.now += 100
        assert counts == [1, 0, 0, 1]
        assert relay.dropped() == {"unreachable": 4}

    def test_names_the_target_its_room_and_the_error(self) -> None:
        relay = Relay()
        relay.target(COLLECTOR)
        unreachable(relay, COLLECTOR)
        assert relay.events(events.TargetUnreachable) == [
            events.TargetUnreachable(
                room="lobby", target=f"target {COLLECTOR}", address=COLLECTOR, error="refused"
            )
        ]

    def test_does_not_remove_the_target(self) -> None:
        relay = Relay()
        relay.target(COLLECTOR)
        unreachable(relay, COLLECTOR)
        relay.receive(ANNA, b"still there?")
        assert relay.inboxes == {COLLECTOR: [b"still there?"]}


def test_remove_target_removes_only_targets() -> None:
    relay = Relay()
    relay.join(ANNA)
    console = relay.console()
    relay.hub.remove_target(console, relay.now)
    relay.hub.remove_target(relay.member(ANNA), relay.now)
    assert len(relay.hub.roster.rooms["lobby"]) == 2
