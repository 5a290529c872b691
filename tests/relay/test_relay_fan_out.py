"""The renderings of a fan-out, and the groups that get them."""

from __future__ import annotations

from relay_driver import ANNA, BERT, Relay
from relay_session import SessionRelay, joined

from udprelay.protocol.wire.header import RELIABLE, RESUBMITTED
from udprelay.protocol.wire.members import MemberKind
from udprelay.relay.fan_out import FanOut
from udprelay.relay.room import Group, Member, Rendering, Room
from udprelay.relay.rules import Label, RoomRules
from udprelay.relay.session.fan_out import SessionFanOut


def add_member(room: Room, kind: MemberKind) -> None:
    """Add a member that one transport reaches."""
    group = room.group("transport", kind)
    group.add(Member(room, group, kind, None, None, "somewhere", 0.0))


def fan_out_of(relay: Relay, source: str, datagram: bytes) -> FanOut:
    """Return the fan-out of one datagram."""
    (fan_out,) = relay.hub.receive(relay.listeners["main"], [(source, [datagram])], relay.now)
    return fan_out


def test_a_room_of_plain_members_has_a_plain_fan_out() -> None:
    relay = Relay()
    relay.join(ANNA, BERT)
    assert type(fan_out_of(relay, ANNA, b"hello")) is FanOut


def test_each_group_gets_its_rendering() -> None:
    relay = SessionRelay()
    (anna,) = joined(relay, "anna")
    relay.target("192.0.2.7:2055")
    fan_out = fan_out_of(relay, anna.source, anna.data(b"hello", 0))
    renderings = {group.rendering: fan_out.for_group(group)[0] for group, _ in fan_out.groups}
    assert [len(datagram) for datagram in renderings[Rendering.FRAMED]] == [30 + 5]
    assert renderings[Rendering.BARE] == [b"hello"]


def test_payloads_are_kept_bare_only_if_a_member_or_the_log_needs_them() -> None:
    relay = SessionRelay()
    anna, _ = joined(relay, "anna", "bert")
    for keep in (False, True):
        fan_out = SessionFanOut(relay.room(), relay.room_log(), keep)
        fan_out.add_data(anna.data(b"hello"), anna.session)
        assert fan_out.payloads == ([b"hello"] if keep else [])


def test_resubmitted_data_is_never_bare() -> None:
    relay = SessionRelay()
    (anna,) = joined(relay, "anna")
    fan_out = SessionFanOut(relay.room(), relay.room_log(), True)
    fan_out.add_data(anna.data(b"hello", RELIABLE | RESUBMITTED), anna.session)
    assert fan_out.payloads == []


def test_the_kind_of_a_member_decides_its_rendering() -> None:
    room = Room("lobby", RoomRules(label=Label.NICK))
    kinds = (MemberKind.PLAIN, MemberKind.SESSION, MemberKind.TARGET)
    groups = [room.group("transport", kind) for kind in kinds]
    assert [group.rendering for group in groups] == [
        Rendering.LABELLED,
        Rendering.FRAMED,
        Rendering.BARE,
    ]
    assert [group.labelled for group in groups] == [True, False, False]


def test_only_a_group_with_members_needs_bare_payloads() -> None:
    room = Room("lobby", RoomRules())
    assert not room.has_bare
    room.group("transport", MemberKind.PLAIN)
    add_member(room, MemberKind.SESSION)
    assert not room.has_bare
    add_member(room, MemberKind.TARGET)
    assert room.has_bare


def test_each_transport_and_rendering_has_its_own_group() -> None:
    room = Room("lobby", RoomRules())
    groups: set[Group] = {
        room.group(transport, kind)
        for transport in ("one", "two")
        for kind in (MemberKind.PLAIN, MemberKind.SESSION)
    }
    assert len(groups) == 4
