"""Rooms, their members, and what goes to whom."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from enum import Enum
from typing import TYPE_CHECKING

from udprelay.core.endpoint import MAX_PAYLOAD, Endpoint
from udprelay.core.rules import Label, RoomRules

if TYPE_CHECKING:
    from udprelay.core.listener import Listener, Source

Way = Hashable
"""How members are reached: through a listener, or by a local member's own way."""


class Kind(str, Enum):
    """What sort of member it is."""

    PLAIN = "plain"
    TARGET = "target"
    CONSOLE = "console"


class Member:
    """
    One endpoint in one room.

    :ivar source: where its listener reaches it; None for a local member.
    :ivar last_heard: when it last sent anything, in the hub's time.
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

    __slots__ = ("changed", "labelled", "members", "prepared", "way")

    def __init__(self, way: Way, labelled: bool) -> None:
        self.way = way
        self.labelled = labelled
        self.members: list[Member] = []
        self.changed: set[int] = set()
        self.prepared: object = None

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
    """A group of members: what one sends, every other one gets."""

    __slots__ = ("bytes", "datagrams", "deliveries", "groups", "last_number", "name", "rules")

    def __init__(self, name: str, rules: RoomRules) -> None:
        self.name = name
        self.rules = rules
        self.groups: dict[tuple[Way, bool], Group] = {}
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
        labelled = kind is Kind.PLAIN and self.rules.label is Label.NICK
        key = (way, labelled)
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(way, labelled)
        return group


class FanOut:
    """
    A room's deliveries of one batch: every payload to every member but its sender.

    Good until the hub is called again: members are not copied.

    :ivar payloads: in order of arrival.
    :ivar senders: the sender of each payload.
    :ivar reach: the groups to deliver to, each with the number of its first members that were
        in the room when these payloads came in.
    :ivar deliveries: the same groups with the number of deliveries to each.
    """

    __slots__ = ("_labelled", "deliveries", "payloads", "reach", "room", "senders")

    def __init__(self, room: Room) -> None:
        self.room = room
        self.payloads: list[bytes] = []
        self.senders: list[Member] = []
        self.reach: list[tuple[Group, int]] = []
        self.deliveries: list[tuple[Group, int]] = []
        self._labelled: tuple[list[bytes], list[Member]] | None = None

    def seal(self) -> int:
        """
        Note who is in the room now, and how many deliveries that makes.

        :return: how many payloads are too long with a label.
        """
        self.reach = [(g, len(g.members)) for g in self.room.groups.values() if g.members]
        if self.room.rules.label is Label.NICK:
            self._labelled = _labelled(self.payloads, self.senders)
        said = len(self.payloads)
        if len(self.reach) == 1 and self._labelled is None:
            group, count = self.reach[0]
            self.deliveries = [(group, (count - 1) * said)]
            return 0
        for group, count in self.reach:
            payloads, senders = self.for_group(group)
            own = sum(sender.group is group for sender in senders)
            self.deliveries.append((group, count * len(payloads) - own))
        return 0 if self._labelled is None else said - len(self._labelled[0])

    def for_group(self, group: Group) -> tuple[Sequence[bytes], Sequence[Member]]:
        """Return payloads and senders as the members of ``group`` get them."""
        if group.labelled and self._labelled is not None:
            return self._labelled
        return self.payloads, self.senders


def _labelled(
    payloads: Sequence[bytes], senders: Sequence[Member]
) -> tuple[list[bytes], list[Member]]:
    kept = [
        (b"".join((f"{sender.name}: ".encode(), payload)), sender)
        for payload, sender in zip(payloads, senders, strict=True)
    ]
    kept = [(payload, sender) for payload, sender in kept if len(payload) <= MAX_PAYLOAD]
    return [payload for payload, _ in kept], [sender for _, sender in kept]
