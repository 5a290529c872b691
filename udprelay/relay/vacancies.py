"""Space in full rooms: members that ICMP has refused and that are silent leave first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from math import inf

from udprelay.protocol.wire.members import MemberKind
from udprelay.relay.census import Census
from udprelay.relay.room import Member, Room
from udprelay.relay.roster import Roster

REFUSED_FOR = 1.0
"""Seconds for which a plain member is refused and silent before it may have to leave."""

_MAX_HEADROOM = 64
"""Places that are made at once: as many as one batch may need."""


class Vacancies:
    """
    Keeps places free in rooms that are almost full, as long as somebody in them is refused.

    A member joins in the middle of a batch, when nobody may leave. So the places are made before.

    :param leave: removes a member for a reason.
    :ivar deadline: when :meth:`expire` should be called, or infinity.
    """

    def __init__(
        self,
        roster: Roster,
        max_members: int,
        leave: Callable[[Member, str, float], None],
        census: Census,
    ) -> None:
        self._roster = roster
        self._max_members = max_members
        self._leave = leave
        self.deadline = inf
        rooms = roster.rooms
        census.add("tables.refused", lambda: sum(len(room.refused) for room in rooms.values()))

    def refuse(self, member: Member, now: float) -> None:
        """Note an ICMP error for a member. It can be forged: who speaks later is not silent."""
        since = member.room.refused.get(member)
        if member.kind is not MemberKind.TARGET and (since is None or member.last_heard > since):
            member.room.refused.pop(member, None)
            member.room.refused[member] = now
            self.deadline = min(self.deadline, now + REFUSED_FOR)

    def recover(self, member: Member) -> None:
        """Note that a member can be reached again."""
        member.room.refused.pop(member, None)

    def expire(self, now: float) -> None:
        """Make places in rooms that have become full before somebody was refused."""
        self.deadline = inf
        rooms = self._roster.rooms
        refusing = {name: None for name, room in rooms.items() if room.refused}
        self._roster.short_of_places.update(refusing)
        self.make(now)
        places = self._max_members
        crowded = self._roster.member_count > places - headroom(places)
        for name in refusing:
            room = rooms.get(name)
            if room is not None and room.refused:
                places = room.rules.max_members
                crowded |= len(room) > places - headroom(places)
        if crowded and refusing:
            # Some of them may be silent long enough then.
            self.deadline = now + REFUSED_FOR

    def make(self, now: float) -> None:
        """Make places where they are wanted; no fan-out may be under way."""
        roster = self._roster
        wanted, roster.short_of_places = roster.short_of_places, {}
        for name in wanted:
            room = roster.rooms.get(name)
            if room is not None:
                places = room.rules.max_members
                self._vacate((room,), len(room) + headroom(places) - places, now)
        taken = roster.member_count + headroom(self._max_members)
        self._vacate(roster.rooms.values(), taken - self._max_members, now)

    def _vacate(self, rooms: Iterable[Room], number: int, now: float) -> None:
        if number > 0:
            silent = (member for room in rooms for member in _silent(room, now))
            for member in list(islice(silent, number)):
                self._leave(member, "unreachable", now)


def headroom(places: int) -> int:
    """Return how many of so many places are kept free."""
    return max(1, min(_MAX_HEADROOM, places // 16))


def _silent(room: Room, now: float) -> Iterator[Member]:
    """Yield who has been refused and silent long enough, the longest first."""
    for member, since in room.refused.items():
        # A session is silent between two PINGs.
        patience = member.idle_timeout / 2 if member.kind is MemberKind.SESSION else REFUSED_FOR
        if now - max(since, member.last_heard) >= patience and member.last_heard <= since:
            yield member
