"""Rooms, their members, and the listeners by which members are reached."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from enum import Enum
from typing import Any, Protocol, cast

from udprelay.protocol.endpoint import Endpoint, IPAddress
from udprelay.protocol.wire.header import SIGNATURE
from udprelay.protocol.wire.members import MemberKind
from udprelay.relay import rules
from udprelay.relay.allowance import Allowance, prices
from udprelay.relay.deadlines import Ticket
from udprelay.relay.rules import LOCAL, Label, ListenerRules, RoomRules
from udprelay.relay.shares import Budget, Usage
from udprelay.relay.sizes import PLAIN_SIZE
from udprelay.relay.transport import ListenerTransport, Transport
from udprelay.segments import Run, Source


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
    Where datagrams are received, with the rules for them and the members that joined there.

    :param transport: receives and sends them.
    :param needs_key: whether its room admits only members with a key.
    :ivar members: the plain members that joined here, by source.
    :ivar sessions: the session members that joined here, by session id; of the type that
        ``relay.session`` registers.
    :ivar first_byte: the first byte of session datagrams; -1 if the listener ignores them.
    :ivar targets: the targets that are sent to from here; several may have one address.
    :ivar peers: all members that are reached by it, by the peer of their sources.
    :ivar datagrams: received from members, with ``bytes`` in all.
    """

    def __init__(
        self,
        name: str,
        listener_rules: ListenerRules,
        transport: ListenerTransport,
        needs_key: bool = False,
    ) -> None:
        self.name = name
        self.rules = listener_rules
        self.needs_key = needs_key
        self.transport = transport
        plain_only = listener_rules.protocol is rules.Protocol.PLAIN
        self.first_byte = -1 if plain_only else SIGNATURE[0]
        self.members: dict[Source, Member] = {}
        self._peers: dict[Source, Member] = {}
        self.sessions: dict[bytes, Any] = {}
        self.targets: dict[Source, list[Member]] = {}
        self.peers: dict[Hashable, list[Member]] = {}
        self.datagrams = 0
        self.bytes = 0
        networks = listener_rules.plain_networks
        self._trusts_neighbours = rules.trusts_neighbours(listener_rules)
        self._networks = [
            (net.version, int(net.network_address), int(net.netmask))
            for net in networks
            if net != LOCAL
        ]

    def counts(self) -> dict[str, int]:
        """Return the counters since it was opened."""
        return {"datagrams": self.datagrams, "bytes": self.bytes}

    # A peer is one member, whichever of the relay's addresses it writes to.

    def add_plain(self, member: Member) -> None:
        """Add a plain member, at its source."""
        self.members[member.source] = member
        self._peers[self.transport.peer_of(member.source)] = member

    def remove_plain(self, member: Member) -> None:
        """Remove a plain member."""
        del self.members[member.source]
        del self._peers[self.transport.peer_of(member.source)]

    def plain_at(self, source: Source) -> Member | None:
        """Return the plain member of a source's peer."""
        return self._peers.get(self.transport.peer_of(source))

    def follow(self, member: Member, source: Source) -> None:
        """Let a plain member be answered from the local address that its peer has asked now."""
        del self.members[member.source]
        self.members[source] = member
        member.source = source
        member.group.changed.add(member.slot)

    def attach(self, member: Member) -> None:
        """Note where a new member is, or one that has moved."""
        self.peers.setdefault(self.transport.peer_of(member.source), []).append(member)

    def detach(self, member: Member) -> None:
        """Note that a member is about to leave, or to move."""
        peer = self.transport.peer_of(member.source)
        self.peers[peer].remove(member)
        if not self.peers[peer]:
            del self.peers[peer]

    def trusts(self, source: Source, ip: IPAddress) -> bool:
        """Return whether a source, whose address is ``ip``, is in ``plain_networks``."""
        version, number = ip.version, int(ip)
        if any(v == version and number & mask == net for v, net, mask in self._networks):
            return True
        return self._trusts_neighbours and self.transport.is_neighbour(source)


class Member:
    """
    One endpoint in one room.

    :ivar name: its nick, or ``guest-N``.
    :ivar number: unique among all members of the room while it is open.
    :ivar listener: by which it is reached; None for a local member.
    :ivar source: its address at its transport.
    :ivar allowance: what it may send; None before it has sent anything.
    :ivar overhead: bytes before the payload in each datagram that it sends.
    :ivar last_heard: when its last datagram was received, in the hub's time.
    :ivar expiry_ticket: of its idle timeout; None if it has none.
    :ivar group: :data:`NOWHERE` once it has left.
    :ivar slot: its index in ``group.members``; -1 once it has left.
    :cvar footprint: bytes of memory that it takes at most.
    """

    footprint = PLAIN_SIZE
    __slots__ = (
        "allowance",
        "counted_at",
        "expiry_ticket",
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

    overhead = 0

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
        self.counted_at = b""
        self.room = room
        self.group = group
        self.kind = kind
        self.number = room.last_number
        self.name = name or f"guest-{self.number}"
        self.listener = listener
        self.source = source
        self.allowance: Allowance | None = None
        self.last_heard = now
        self.expiry_ticket: Ticket | None = None
        self.slot = -1

    @property
    def idle_timeout(self) -> float:
        """Seconds of silence after which the member leaves."""
        return self.room.rules.idle_timeout

    @property
    def endpoint(self) -> Endpoint | None:
        """The address of the member; None for a local member."""
        listener = self.listener
        return None if listener is None else listener.transport.endpoint(self.source)

    @property
    def transport(self) -> Transport:
        """By which it is reached."""
        return self.group.transport if self.listener is None else self.listener.transport

    @property
    def address(self) -> str:
        """The address for logs and the console; never shown to other members."""
        return str(self.endpoint or "")

    def event_fields(self) -> dict[str, str]:
        """Return what events tell of the member."""
        return {
            "room": self.room.name,
            "member": self.name,
            "address": self.address,
            "listener": "" if self.listener is None else self.listener.name,
        }

    def unregister(self) -> None:
        """Remove the member from its listener's table."""
        if self.kind is MemberKind.PLAIN and self.listener is not None:
            self.listener.remove_plain(self)


class Group:
    """
    The members of a room that one transport reaches and that get the same bytes.

    A new member gets the last slot. The slot of a leaving member goes to the last member, so
    that what the transport has prepared for all others stays valid.

    :ivar deliveries: made to its members; the transport counts.
    :ivar changed: slots with another member since the transport last updated; it clears them.
    :ivar prepared: what the transport keeps for its deliveries to this group.
    """

    __slots__ = ("changed", "deliveries", "members", "prepared", "rendering", "transport")

    def __init__(self, transport: Transport, rendering: Rendering) -> None:
        self.transport = transport
        self.rendering = rendering
        self.members: list[Member] = []
        self.deliveries = 0
        self.changed: set[int] = set()
        self.prepared: object = None

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
    """
    What a room needs for its session members.

    :ivar entries: that are not delivered yet.
    """

    entries: list[Run]

    def frame(self, runs: Sequence[Run], now: float) -> Sequence[Run]:
        """Return entries that are not delivered yet, and runs, as session members get them."""

    def add_join(self, member: Member, now: float) -> None: ...
    def add_leave(self, member: Member, reason: str, now: float) -> None: ...


class Room:
    """
    A group of members: what one sends, every other member gets.

    :ivar population: members, targets and console included.
    :ivar prices: of the allowances of its members.
    :ivar budget: of what may be sent to its members.
    :ivar usage: of that budget, by member number.
    :ivar refused: members that ICMP has refused, and since when.
    :ivar log: None while the room has had no session members for ``history_age``.
    """

    def __init__(self, name: str, room_rules: RoomRules) -> None:
        self.name = name
        self.rules = room_rules
        self.groups: dict[tuple[Transport, Rendering], Group] = {}
        self.population = 0
        self.opened_at = b""
        self.prices = prices(room_rules)
        self.budget = Budget(room_rules.room_output)
        self.usage = Usage()
        self.log: MembershipLog | None = None
        self.refused: dict[Member, float] = {}
        self.last_number = 0
        self.datagrams = 0
        self.bytes = 0

    @property
    def deliveries(self) -> int:
        """Deliveries made to its members, those that have left included."""
        return sum(group.deliveries for group in self.groups.values())

    def counts(self) -> dict[str, int]:
        """Return the counters since it was opened."""
        return {
            "datagrams": self.datagrams,
            "bytes": self.bytes,
            "deliveries": self.deliveries,
        }

    def __len__(self) -> int:
        return self.population

    def members(self) -> Iterator[Member]:
        """Yield every member, targets and console included."""
        for group in self.groups.values():
            yield from group.members

    def group(self, transport: Transport, kind: MemberKind) -> Group:
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


NOWHERE = Group(cast(Any, None), Rendering.BARE)
"""The group of members that have left."""

NOBODY = Member(Room("", RoomRules()), NOWHERE, MemberKind.SESSION, "nobody", None, None, 0.0)
"""The sender of entries, which every session member gets."""
