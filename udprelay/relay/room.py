"""Rooms, their members, and what goes to whom."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from enum import Enum
from typing import TYPE_CHECKING

from udprelay.protocol.endpoint import Endpoint
from udprelay.relay.rules import Label, RoomRules

if TYPE_CHECKING:
    from udprelay.relay.listener import Listener, Source
    from udprelay.relay.session.room_log import RoomSessions

Way = Hashable
"""How members are reached: through a listener, or by a local member's own way."""


class Kind(str, Enum):
    """What sort of member it is."""

    PLAIN = "plain"
    SESSION = "session"
    TARGET = "target"
    CONSOLE = "console"


class Rendering(Enum):
    """In which form members get what is said."""

    BARE = "bare"
    """The payload alone."""
    LABELLED = "labelled"
    """The payload behind the sender's name."""
    FRAMED = "framed"
    """A datagram of the session protocol."""


class Member:
    """
    One endpoint in one room.

    :ivar name: its nick, if it has one.
    :ivar number: never used for another one while the room is open.
    :ivar source: where its listener reaches it; None for a local member.
    :ivar last_heard: when it last sent anything, in the hub's time.
    :ivar group: :data:`NOWHERE` once it has left.
    :ivar slot: its index in ``group.members``; -1 once it has left.
    """

    __slots__ = (
        "group",
        "kind",
        "last_heard",
        "listener",
        "name",
        "number",
        "room",
        "slot",
        "source",
    )

    def __init__(
        self,
        room: Room,
        group: Group,
        kind: Kind,
        name: str | None,
        listener: Listener | None,
        source: Source,
        now: float,
    ) -> None:
        room.last_number += 1
        self.room = room
        self.group = group
        self.kind = kind
        self.number = room.last_number
        self.name = name or f"guest-{self.number}"
        self.listener = listener
        self.source = source
        self.last_heard = now
        self.slot = -1

    @property
    def patience(self) -> float:
        """Seconds of silence after which it has left."""
        return self.room.rules.idle_timeout

    @property
    def endpoint(self) -> Endpoint | None:
        """Where it is; None for a local member."""
        return None if self.listener is None else self.listener.endpoint(self.source)

    @property
    def address(self) -> str:
        """Its address for logs and the console; never shown to other members."""
        return str(self.endpoint or "")


class Group:
    """
    The members of a room that are reached the same way and get the same bytes.

    Members are appended and a leaving one's place is taken by the last, so that what the way has
    prepared for the others stays where it is.

    :ivar changed: slots whose member is new since the way last looked; it clears them.
    :ivar prepared: what the way keeps for its deliveries to this group.
    """

    __slots__ = ("changed", "members", "prepared", "rendering", "way")

    def __init__(self, way: Way, rendering: Rendering) -> None:
        self.way = way
        self.rendering = rendering
        self.members: list[Member] = []
        self.changed: set[int] = set()
        self.prepared: object = None

    @property
    def labelled(self) -> bool:
        """Whether its members see the sender's name before each text."""
        return self.rendering is Rendering.LABELLED

    def add(self, member: Member) -> None:
        """Put ``member`` in the last slot."""
        member.slot = len(self.members)
        self.members.append(member)
        self.changed.add(member.slot)

    def remove(self, member: Member) -> None:
        """Take ``member`` out; the last member moves into its slot."""
        last = self.members.pop()
        if last is not member:
            self.members[member.slot] = last
            last.slot = member.slot
            self.changed.add(last.slot)
        member.slot = -1


class Room:
    """
    A group of members: what one sends, every other one gets.

    :ivar sessions: what it keeps for its session members; None if it has had none for long.
    """

    __slots__ = (
        "bytes",
        "datagrams",
        "deliveries",
        "groups",
        "last_number",
        "name",
        "rules",
        "sessions",
    )

    def __init__(self, name: str, rules: RoomRules) -> None:
        self.name = name
        self.rules = rules
        self.groups: dict[tuple[Way, Rendering], Group] = {}
        self.sessions: RoomSessions | None = None
        self.last_number = 0
        self.datagrams = 0
        self.bytes = 0
        self.deliveries = 0

    def __len__(self) -> int:
        return sum(len(group.members) for group in self.groups.values())

    def members(self) -> Iterator[Member]:
        """Yield every member, targets and console included."""
        for group in self.groups.values():
            yield from group.members

    def group(self, way: Way, kind: Kind) -> Group:
        """Return the group for members of ``kind`` reached by ``way``, a new one if need be."""
        rendering = Rendering.BARE
        if kind is Kind.SESSION:
            rendering = Rendering.FRAMED
        elif kind is Kind.PLAIN and self.rules.label is Label.NICK:
            rendering = Rendering.LABELLED
        key = (way, rendering)
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(way, rendering)
        return group

    @property
    def has_bare(self) -> bool:
        """Whether anybody in it gets payloads without a frame."""
        for group in self.groups.values():
            if group.members and group.rendering is not Rendering.FRAMED:
                return True
        return False


NOWHERE = Group(None, Rendering.BARE)
"""The group of those that are in none."""

NOBODY = Member(Room("", RoomRules()), NOWHERE, Kind.SESSION, "nobody", None, None, 0.0)
"""The sender of what every session member gets: what has happened in the room."""
