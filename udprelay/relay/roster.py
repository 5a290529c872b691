"""All rooms of a relay and their members: joining, leaving, opening, closing, totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from udprelay.protocol.endpoint import Endpoint
from udprelay.protocol.wire.members import MemberKind
from udprelay.relay import events
from udprelay.relay.census import Census
from udprelay.relay.drops import DropReason
from udprelay.relay.memory import Memory, Pool
from udprelay.relay.room import NOWHERE, Listener, Member, Room
from udprelay.relay.rules import RelayRules
from udprelay.relay.sizes import LOG_SIZE, ROOM_SIZE, SESSION_SIZE
from udprelay.relay.transport import Transport
from udprelay.segments import Source


class Roster:
    """
    The rooms that have members, by name.

    The first member opens a room, the last one that leaves closes it.

    :param emit: is given the events of rooms and members.
    :ivar kinds: current members of all rooms, by kind.
    :ivar on_leave: are called with each member that has left, and the time: nothing else may keep
        it.
    :ivar on_close: are called with each room that is closed, likewise.
    :ivar short_of_places: rooms that may be full, or almost.
    """

    def __init__(
        self,
        rules: RelayRules,
        memory: Memory,
        emit: Callable[[events.Event], None],
        census: Census,
    ) -> None:
        self._rules = rules
        self._memory = memory
        self._emit = emit
        self.on_leave: Sequence[Callable[[Member, float], object]] = ()
        self.on_close: Sequence[Callable[[Room], object]] = ()
        self._closed: Counter[str] = Counter()
        self.rooms: dict[str, Room] = {}
        self.short_of_places: dict[str, None] = {}
        self.kinds = dict.fromkeys(MemberKind, 0)
        self._joins = 0
        self._leaves = dict.fromkeys(("idle", "kicked", "left", "replaced", "unreachable"), 0)
        census.add("rooms", self.rooms.__len__)
        census.add("members", lambda: {kind.value: n for kind, n in self.kinds.items()})
        census.add("joins", lambda: self._joins)
        census.add("leaves", lambda: self._leaves)
        census.add("datagrams", lambda: self.datagrams)
        census.add("bytes", lambda: self.payload_bytes)
        census.add("deliveries", lambda: self.deliveries)

    @property
    def member_count(self) -> int:
        """Current members of all rooms and kinds."""
        return sum(self.kinds.values())

    @property
    def datagrams(self) -> int:
        """Datagrams that members have sent in this run."""
        return self._closed["datagrams"] + sum(room.datagrams for room in self.rooms.values())

    @property
    def payload_bytes(self) -> int:
        """Bytes in their payloads."""
        return self._closed["bytes"] + sum(room.bytes for room in self.rooms.values())

    @property
    def deliveries(self) -> int:
        """Deliveries made in this run."""
        return self._closed["deliveries"] + sum(room.deliveries for room in self.rooms.values())

    def full(
        self, room_name: str, now: float, replaced: Member | None = None
    ) -> DropReason | None:
        """
        Return why a room cannot have another member, or None.

        :param replaced: leaves for it.
        """
        room = self.rooms.get(room_name)
        if room is not None:
            others = len(room) - (replaced is not None and replaced.room is room)
            if others >= room.rules.max_members:
                self.short_of_places[room_name] = None
                return DropReason.ROOM_FULL
        if self.member_count - (replaced is not None) >= self._rules.max_members:
            self.short_of_places[room_name] = None
            return DropReason.RELAY_FULL
        size = SESSION_SIZE + (ROOM_SIZE + LOG_SIZE if room is None or room.log is None else 0)
        return None if self._memory.admits(size, now) else DropReason.RELAY_FULL

    def open(self, room_name: str) -> Room:
        """Return a room; the caller must add a member to a new one at once."""
        room = self.rooms.get(room_name)
        if room is None:
            room = self.rooms[room_name] = Room(room_name, self._rules.room(room_name))
            self._memory.change(Pool.ROOMS, ROOM_SIZE)
            self._emit(events.RoomOpened(room=room_name))
        return room

    def join(
        self,
        room_name: str,
        kind: MemberKind,
        name: str | None,
        listener: Listener | None,
        source: Source,
        transport: Transport,
        now: float,
    ) -> Member:
        """Add a new member to a room, which is opened if necessary."""
        room = self.open(room_name)
        member = Member(room, room.group(transport, kind), kind, name, listener, source, now)
        self.add(member, now)
        return member

    def add(self, member: Member, now: float) -> None:
        """Add a new member to its room."""
        room = member.room
        member.group.add(member)
        room.population += 1
        if member.listener is not None:
            member.listener.attach(member)
        self.kinds[member.kind] += 1
        self._memory.change(Pool.MEMBERS, member.footprint)
        self._joins += 1
        if room.refused:
            self.short_of_places[room.name] = None
        if room.log is not None:
            room.log.add_join(member, now)
        self._emit(events.MemberJoined(kind=member.kind.value, **member.event_fields()))

    def leave(self, member: Member, reason: str, now: float) -> None:
        """Remove a member from its room; an empty room is closed."""
        room = member.room
        member.group.remove(member)
        member.group = NOWHERE
        room.population -= 1
        self.kinds[member.kind] -= 1
        self._memory.change(Pool.MEMBERS, -member.footprint)
        room.refused.pop(member, None)
        self._leaves[reason] += 1
        member.unregister()
        if member.listener is not None:
            member.listener.detach(member)
        if room.log is not None:
            # Clients know no such reason; a client that is there comes back.
            told = "idle" if reason == "unreachable" else reason
            room.log.add_leave(member, told, now)
        self._emit(events.MemberLeft(reason=reason, **member.event_fields()))
        for forget in self.on_leave:
            forget(member, now)
        if not len(room):
            self.close(room, "empty")

    def replace_plain(self, listener: Listener, source: Source, now: float) -> None:
        """Remove the plain member at an address, if there is one: a session member is there."""
        plain = listener.plain_at(source)
        if plain is not None:
            self.leave(plain, "replaced", now)

    def close(self, room: Room, reason: str) -> None:
        """Remove a room; its counters stay in the totals."""
        del self.rooms[room.name]
        counts = room.counts()
        self._closed.update(counts)
        self._memory.change(Pool.ROOMS, -ROOM_SIZE)
        for forget in self.on_close:
            forget(room)
        self._emit(events.RoomClosed(room=room.name, reason=reason, **counts))

    def plain_members_at(self, address: Endpoint) -> Iterator[Member]:
        """Yield the plain members at ``address``, of all listeners."""
        for room in self.rooms.values():
            for member in room.members():
                if member.kind is MemberKind.PLAIN and member.endpoint == address:
                    yield member

    def counts(self, room_name: str) -> dict[str, int]:
        """Return the members and counters of a room; 0 while it is closed."""
        room = self.rooms.get(room_name) or Room(room_name, self._rules.room_defaults)
        return {"members": len(room), **room.counts()}

    def statistics(self) -> list[events.RoomStatistics]:
        """Return the counters of every room."""
        return [
            events.RoomStatistics(room=room.name, members=len(room), **room.counts())
            for room in self.rooms.values()
        ]
