"""All rooms of a relay and who is in them: joining, leaving, opening, closing, totals."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from udprelay.protocol.endpoint import Endpoint
from udprelay.relay import events
from udprelay.relay.listener import Listener, Source
from udprelay.relay.room import NOWHERE, Kind, Member, Room, Way
from udprelay.relay.rules import RelayRules
from udprelay.relay.session.member import Session


class Roster:
    """
    The rooms that have members, by name.

    A room is opened by its first member and closed behind its last.

    :param say: is given the events of rooms and members.
    :ivar with_entries: rooms whose session members are still to be told what has happened there.
    :ivar member_count: members now, of all rooms and kinds.
    :ivar joined: members that have ever joined.
    """

    def __init__(self, rules: RelayRules, say: Callable[[events.Event], None]) -> None:
        self._rules = rules
        self._say = say
        self._closed = Room("", rules.room_defaults)
        self.rooms: dict[str, Room] = {}
        self.with_entries: dict[Room, None] = {}
        self.member_count = 0
        self.joined = 0

    @property
    def datagrams(self) -> int:
        """Datagrams that members have sent in this run."""
        return self._closed.datagrams + sum(room.datagrams for room in self.rooms.values())

    @property
    def payload_bytes(self) -> int:
        """Bytes in their payloads."""
        return self._closed.bytes + sum(room.bytes for room in self.rooms.values())

    @property
    def deliveries(self) -> int:
        """Deliveries made in this run."""
        return self._closed.deliveries + sum(room.deliveries for room in self.rooms.values())

    def open(self, room_name: str) -> Room:
        """Return a room; a new one has to get a member at once."""
        room = self.rooms.get(room_name)
        if room is None:
            room = self.rooms[room_name] = Room(room_name, self._rules.room(room_name))
            self._say(events.RoomOpened(room=room_name))
        return room

    def join(
        self,
        room_name: str,
        kind: Kind,
        name: str | None,
        listener: Listener | None,
        source: Source,
        way: Way,
        now: float,
    ) -> Member:
        """Make a member of a room, which is opened if need be."""
        room = self.open(room_name)
        member = Member(room, room.group(way, kind), kind, name, listener, source, now)
        self.add(member, now)
        return member

    def add(self, member: Member, now: float) -> None:
        """Let a new member into its room."""
        room, listener = member.room, member.listener
        member.group.add(member)
        self.member_count += 1
        self.joined += 1
        if room.sessions is not None:
            room.sessions.joined(member, now)
            self.with_entries[room] = None
        self._say(
            events.MemberJoined(
                room=room.name,
                member=member.name,
                kind=member.kind.value,
                address=member.address,
                listener=listener.name if listener is not None else "",
            )
        )

    def leave(self, member: Member, reason: str, now: float) -> None:
        """Take a member out of its room, which is closed behind the last one."""
        room, listener = member.room, member.listener
        member.group.remove(member)
        member.group = NOWHERE
        self.member_count -= 1
        if listener is not None:
            if member.kind is Kind.PLAIN:
                del listener.members[member.source]
            elif isinstance(member, Session):
                del listener.sessions[member.id]
        if room.sessions is not None:
            room.sessions.left(member, reason, now)
            self.with_entries[room] = None
        self._say(
            events.MemberLeft(
                room=room.name,
                member=member.name,
                address=member.address,
                listener=listener.name if listener is not None else "",
                reason=reason,
            )
        )
        if not len(room):
            self.close(room, "empty")

    def rename(self, member: Session, nick: str, badge: bytes, now: float) -> None:
        """Give a session member another nick, which has to be free."""
        before, member.name, member.badge = member.name, nick, badge
        room = member.room
        member.side.nicks.claim(nick, member.number)
        member.side.renamed(member, now)
        self.with_entries[room] = None
        self._say(events.MemberRenamed(room=room.name, member=nick, before=before))

    def move(self, member: Session, listener: Listener, source: Source) -> None:
        """Reach a session member at another address from here on."""
        before = member.address
        if member.listener is listener:
            member.source = source
            member.group.changed.add(member.slot)
        else:
            del member.listener.sessions[member.id]
            listener.sessions[member.id] = member
            member.group.remove(member)
            member.listener, member.source = listener, source
            member.group = member.room.group(listener, Kind.SESSION)
            member.group.add(member)
        self._say(
            events.MemberMoved(
                room=member.room.name,
                member=member.name,
                before=before,
                address=member.address,
                listener=listener.name,
            )
        )

    def close(self, room: Room, reason: str) -> None:
        """Forget a room; its counters stay in the totals."""
        del self.rooms[room.name]
        self.with_entries.pop(room, None)
        self._closed.datagrams += room.datagrams
        self._closed.bytes += room.bytes
        self._closed.deliveries += room.deliveries
        self._say(
            events.RoomClosed(
                room=room.name,
                reason=reason,
                datagrams=room.datagrams,
                bytes=room.bytes,
                deliveries=room.deliveries,
            )
        )

    def plain_members_at(self, address: Endpoint) -> Iterator[Member]:
        """Yield the plain members at ``address``, whichever listener they came in by."""
        for room in self.rooms.values():
            for member in room.members():
                if member.kind is Kind.PLAIN and member.endpoint == address:
                    yield member

    def statistics(self) -> list[events.RoomStatistics]:
        """Return the counters of every room."""
        return [
            events.RoomStatistics(
                room=room.name,
                members=len(room),
                datagrams=room.datagrams,
                bytes=room.bytes,
                deliveries=room.deliveries,
            )
            for room in self.rooms.values()
        ]
