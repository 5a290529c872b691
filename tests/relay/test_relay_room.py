"""Members keep dense slots, so that a shell may prepare a table of their addresses."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from udprelay.relay.room import Group, Kind, Member, Room
from udprelay.relay.rules import Label, RoomRules


def joined(room: Room, group: Group, source: object) -> Member:
    member = Member(room, group, Kind.PLAIN, None, None, source, 0.0)
    group.add(member)
    return member


@given(st.lists(st.one_of(st.none(), st.integers(0, 1000))))
def test_slots_are_dense_and_right_after_any_joins_and_leaves(steps: list[int | None]) -> None:
    """A step is a join, or the leave of some member."""
    room = Room("lobby", RoomRules())
    group = room.group("way", Kind.PLAIN)
    present: list[Member] = []
    for number, step in enumerate(steps):
        if step is None or not present:
            present.append(joined(room, group, number))
        else:
            leaving = present.pop(step % len(present))
            group.remove(leaving)
            assert leaving.slot == -1
        assert [member.slot for member in group.members] == list(range(len(present)))
        assert set(group.members) == set(present)
        assert len(room) == len(present)


def test_only_the_last_member_moves_when_one_leaves() -> None:
    room = Room("lobby", RoomRules())
    group = room.group("way", Kind.PLAIN)
    members = [joined(room, group, number) for number in range(4)]
    group.remove(members[1])
    assert group.members == [members[0], members[3], members[2]]


def test_members_reached_the_same_way_are_one_group() -> None:
    room = Room("lobby", RoomRules())
    assert room.group("way", Kind.PLAIN) is room.group("way", Kind.TARGET)
    assert room.group("way", Kind.PLAIN) is not room.group("other way", Kind.PLAIN)


def test_with_a_label_those_who_see_it_are_a_group_of_their_own() -> None:
    room = Room("lobby", RoomRules(label=Label.NICK))
    plain, target = room.group("way", Kind.PLAIN), room.group("way", Kind.TARGET)
    assert (plain.labelled, target.labelled) == (True, False)


def test_a_member_without_a_name_is_a_numbered_guest() -> None:
    room = Room("lobby", RoomRules())
    group = room.group("way", Kind.CONSOLE)
    names = [Member(room, group, Kind.CONSOLE, n, None, 0, 0.0).name for n in (None, "me", None)]
    assert names == ["guest-1", "me", "guest-3"]
