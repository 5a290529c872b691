"""One fan-out has every form in which the members of its room get it."""

from __future__ import annotations

from relay_session import SessionRelay, joined

from udprelay.protocol.wire.header import AGAIN, RELIABLE
from udprelay.relay.fan_out import FanOut, SessionFanOut, fan_out_for
from udprelay.relay.room import Group, Kind, Member, Rendering, Room
from udprelay.relay.rules import Label, RoomRules


def member(room: Room, kind: Kind, way: str = "way") -> Member:
    group = room.group(way, kind)
    one = Member(room, group, kind, None, None, "somewhere", 0.0)
    group.add(one)
    return one


def test_a_room_of_plain_members_needs_no_frames() -> None:
    room = Room("lobby", RoomRules())
    assert type(fan_out_for(room)) is FanOut


def test_each_group_gets_its_own_form() -> None:
    relay = SessionRelay()
    (anna,) = joined(relay, "anna")
    relay.target("192.0.2.7:2055")
    room = relay.room()
    assert type(fan_out_for(room)) is SessionFanOut
    fan_out = SessionFanOut(room, anna.session.side)
    fan_out.add_data(anna.data(b"hello"), anna.session)
    fan_out.seal(None, relay.now)
    forms = {group.rendering: fan_out.for_group(group)[0] for group, _ in fan_out.reach}
    assert [len(datagram) for datagram in forms[Rendering.FRAMED]] == [30 + 5]
    assert forms[Rendering.BARE] == [b"hello"]


def test_where_nobody_gets_it_bare_there_is_no_bare_form() -> None:
    relay = SessionRelay()
    anna, _ = joined(relay, "anna", "bert")
    for keep in (False, True):
        fan_out = SessionFanOut(relay.room(), anna.session.side, keep)
        fan_out.add_data(anna.data(b"hello"), anna.session)
        assert fan_out.payloads == ([b"hello"] if keep else [])


def test_what_is_offered_again_has_no_bare_form_at_all() -> None:
    relay = SessionRelay()
    (anna,) = joined(relay, "anna")
    fan_out = SessionFanOut(relay.room(), anna.session.side, True)
    fan_out.add_data(anna.data(b"hello", RELIABLE | AGAIN), anna.session)
    assert fan_out.payloads == []


def test_labels_and_frames_in_one_room() -> None:
    room = Room("lobby", RoomRules(label=Label.NICK))
    groups = [room.group("way", kind) for kind in (Kind.PLAIN, Kind.SESSION, Kind.TARGET)]
    assert [group.rendering for group in groups] == [
        Rendering.LABELLED,
        Rendering.FRAMED,
        Rendering.BARE,
    ]
    assert [group.labelled for group in groups] == [True, False, False]


def test_only_members_make_a_form_wanted() -> None:
    room = Room("lobby", RoomRules())
    assert not room.has_bare
    room.group("way", Kind.PLAIN)
    member(room, Kind.SESSION)
    assert not room.has_bare
    member(room, Kind.TARGET)
    assert room.has_bare


def test_groups_are_told_apart_by_way_and_form() -> None:
    room = Room("lobby", RoomRules())
    groups: set[Group] = {
        room.group(way, kind) for way in ("one", "two") for kind in (Kind.PLAIN, Kind.SESSION)
    }
    assert len(groups) == 4
