"""Rooms and groups: members have dense slots, so that transports can prepare addresses."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st
from relay_driver import Inboxes

from udprelay.protocol.wire.members import MemberKind
from udprelay.relay.room import Group, Member, Rendering, Room
from udprelay.relay.rules import Label, RoomRules

TRANSPORT, OTHER = (Inboxes(name, defaultdict(list)) for name in ("one", "other"))


def joined(room: Room, group: Group, source: object) -> Member:
    member = Member(room, group, MemberKind.PLAIN, None, None, source, 0.0)
    group.add(member)
    return member


@given(st.lists(st.one_of(st.none(), st.integers(0, 1000))))
def test_slots_are_dense_after_any_joins_and_leaves(steps: list[int | None]) -> None:
    """A step is a join (None), or a leave of one member."""
    room = Room("lobby", RoomRules())
    group = room.group(TRANSPORT, MemberKind.PLAIN)
    members: list[Member] = []
    for number, step in enumerate(steps):
        if step is None or not members:
            members.append(joined(room, group, number))
        else:
            leaving = members.pop(step % len(members))
            group.remove(leaving)
            assert leaving.slot == -1
        assert [member.slot for member in group.members] == list(range(len(members)))
        assert set(group.members) == set(members)
        assert len(group.members) == len(members)


def test_only_the_last_member_gets_another_slot_when_one_leaves() -> None:
    room = Room("lobby", RoomRules())
    group = room.group(TRANSPORT, MemberKind.PLAIN)
    members = [joined(room, group, number) for number in range(4)]
    group.remove(members[1])
    assert group.members == [members[0], members[3], members[2]]


def test_members_with_one_transport_and_rendering_are_one_group() -> None:
    room = Room("lobby", RoomRules())
    assert room.group(TRANSPORT, MemberKind.PLAIN) is room.group(TRANSPORT, MemberKind.TARGET)
    assert room.group(TRANSPORT, MemberKind.PLAIN) is not room.group(OTHER, MemberKind.PLAIN)


def test_members_that_see_labels_are_a_group_of_their_own() -> None:
    room = Room("lobby", RoomRules(label=Label.NICK))
    plain, target = (
        room.group(TRANSPORT, MemberKind.PLAIN),
        room.group(TRANSPORT, MemberKind.TARGET),
    )
    assert (plain.rendering, target.rendering) == (Rendering.LABELLED, Rendering.BARE)


def test_a_member_without_a_name_is_a_guest_with_a_number() -> None:
    room = Room("lobby", RoomRules())
    group = room.group(TRANSPORT, MemberKind.CONSOLE)
    names = [
        Member(room, group, MemberKind.CONSOLE, n, None, 0, 0.0).name for n in (None, "me", None)
    ]
    assert names == ["guest-1", "me", "guest-3"]
