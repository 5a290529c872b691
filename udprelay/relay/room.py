"""Rooms, their members, and the listeners by which members are reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from ipaddress import IPv4Address
from typing import Any, Protocol, Union

from udprelay.protocol.endpoint import Endpoint, IPAddress
from udprelay.protocol.wire.header import SIGNATURE
from udprelay.protocol.wire.members import MemberKind
from udprelay.relay import rules
from udprelay.relay.rules import Label, ListenerRules, RoomRules
from udprelay.segments import Source

TransportKey = Union["Listener", str]
"""Names the transport that reaches members: a :class:`Listener`, or the name of a local one."""


class Rendering(Enum):
    """The form in which members get a payload."""

    BARE = "bare"
    """The payload alone."""
    LABELLED = "labelled"
    """The payload behind the sender's name."""
    FRAMED = "framed"
    """A datagram of the session protocol."""


class Listener:
    """
    A socket as the hub sees it.

    :param read_endpoint: turns a source into its endpoint; called for unverified sources and
        for logs only.
    :param needs_key: whether its room admits only members with a key.
    :ivar members: the plain members that joined here.
    :ivar sessions: the session members that joined here, by session id; of the type that
        ``relay.session`` registers.
    :ivar first_byte: the first byte of session datagrams; -1 if the listener ignores them.
    :ivar targets: the targets that are sent to from here; several may have one address.
    :ivar datagrams: received from members, with ``bytes`` in all.
    :ivar deliveries: sent from here.
    """

    __slots__ = (
        "_networks",
        "bytes",
        "datagrams",
        "deliveries",
        "first_byte",
        "members",
        "name",
        "needs_key",
        "read_endpoint",
        "rules",
        "sessions",
        "targets",
    )

    def __init__(
        self,
        name: str,
        listener_rules: ListenerRules,
        read_endpoint: Callable[[Source], Endpoint],
        needs_key: bool = False,
    ) -> None:
        self.name = name
        self.rules = listener_rules
        self.needs_key = needs_key
        self.read_endpoint = read_endpoint
        plain_only = listener_rules.protocol is rules.Protocol.PLAIN
        self.first_byte = -1 if plain_only else SIGNATURE[0]
        self.members: dict[Source, Member] = {}
        self.sessions: dict[bytes, Any] = {}
        self.targets: dict[Source, list[Member]] = {}
        self.datagrams = 0
        self.bytes = 0
        self.deliveries = 0
        self._networks = tuple(
            (
                isinstance(net.network_address, IPv4Address),
                int(net.network_address),
                int(net.netmask),
            )
            for net in listener_rules.plain_networks
        )

    def counts(self) -> dict[str, int]:
        """Return the counters since it was opened."""
        return {name: getattr(self, name) for name in ("datagrams", "bytes", "deliveries")}

    def trusts(self, ip: IPAddress) -> bool:
        """Return whether ``ip`` is in the listener's ``plain_networks``."""
        ipv4, number = isinstance(ip, IPv4Address), int(ip)
        return any(v4 is ipv4 and number & mask == net for v4, net, mask in self._networks)


def name_of(transport: TransportKey) -> str:
    """Return the name of a transport."""
    return transport if isinstance(transport, str) else transport.name


class Member:
    """
    One endpoint in one room.

    :ivar name: its nick, or ``guest-N``.
    :ivar number: unique among all members of the room while it is open.
    :ivar listener: by which it is reached; None for a local member.
    :ivar source: its address at the listener; None for a local member.
    :ivar last_heard: when its last datagram was received, in the hub's time.
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
        kind: MemberKind,
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
    def idle_timeout(self) -> float:
        """Seconds of silence after which the member leaves."""
        return self.room.rules.idle_timeout

    @property
    def endpoint(self) -> Endpoint | None:
        """The address of the member; None for a local member."""
        return None if self.listener is None else self.listener.read_endpoint(self.source)

    @property
    def address(self) -> str:
        """The address for logs and the console; never shown to other members."""
        return str(self.endpoint or "")

    def unregister(self) -> None:
        """Remove the member from its listener's table."""
        if self.kind is MemberKind.PLAIN and self.listener is not None:
            del self.listener.members[self.source]


class Group:
    """
    The members of a room that one transport reaches and that get the same bytes.

    A new member gets the last slot. The slot of a leaving member goes to the last member, so
    that what the transport has prepared for all others stays valid.

    :ivar changed: slots with another member since the transport last updated; it clears them.
    :ivar prepared: what the transport keeps for its deliveries to this group.
    """

    __slots__ = ("changed", "members", "prepared", "rendering", "transport")

    def __init__(self, transport: TransportKey, rendering: Rendering) -> None:
        self.transport = transport
        self.rendering = rendering
        self.members: list[Member] = []
        self.changed: set[int] = set()
        self.prepared: object = None

    @property
    def labelled(self) -> bool:
        """Whether its members get the sender's name before each payload."""
        return self.rendering is Rendering.LABELLED

    def add(self, member: Member) -> None:
        """Put ``member`` into a new last slot."""
        member.slot = len(self.members)
        self.members.append(member)
        self.changed.add(member.slot)

    def remove(self, member: Member) -> None:
        """Remove ``member``; the last member moves into its slot."""
        last = self.members.pop()
        if last is not member:
            self.members[member.slot] = last
            last.slot = member.slot
            self.changed.add(last.slot)
        member.slot = -1


class MembershipLog(Protocol):
    """Where a room records joins and leaves for its session members."""

    @property
    def has_entries(self) -> bool:
        """Whether there are entries that are not delivered yet."""

    def add_join(self, member: Member, now: float) -> None: ...
    def add_leave(self, member: Member, reason: str, now: float) -> None: ...


class Room:
    """
    A group of members: what one sends, every other member gets.

    :ivar log: None while the room has had no session members for ``history_age``.
    """

    __slots__ = (
        "bytes",
        "datagrams",
        "deliveries",
        "groups",
        "last_number",
        "log",
        "name",
        "rules",
    )

    def __init__(self, name: str, room_rules: RoomRules) -> None:
        self.name = name
        self.rules = room_rules
        self.groups: dict[tuple[TransportKey, Rendering], Group] = {}
        self.log: MembershipLog | None = None
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

    def group(self, transport: TransportKey, kind: MemberKind) -> Group:
        """Return the group for members of ``kind`` that ``transport`` reaches."""
        rendering = Rendering.BARE
        if kind is MemberKind.SESSION:
            rendering = Rendering.FRAMED
        elif kind is MemberKind.PLAIN and self.rules.label is Label.NICK:
            rendering = Rendering.LABELLED
        key = (transport, rendering)
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(transport, rendering)
        return group

    @property
    def has_bare(self) -> bool:
        """Whether any member gets payloads without a frame."""
        for group in self.groups.values():
            if group.members and group.rendering is not Rendering.FRAMED:
                return True
        return False


NOWHERE = Group("", Rendering.BARE)
"""The group of members that have left."""

NOBODY = Member(Room("", RoomRules()), NOWHERE, MemberKind.SESSION, "nobody", None, None, 0.0)
"""The sender of entries, which every session member gets."""
