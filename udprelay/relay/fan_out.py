"""What goes to the members of a room, in each of the forms in which they get it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from udprelay.protocol.endpoint import MAX_PAYLOAD
from udprelay.protocol.wire.header import AGAIN, FLAGS_AT, HEADER, OWN_SIZE, RELIABLE, UP_DATA
from udprelay.relay.listener import Listener
from udprelay.relay.room import Group, Member, Rendering, Room
from udprelay.relay.rules import Label
from udprelay.relay.session.framing import Said

if TYPE_CHECKING:
    from udprelay.relay.session.room_log import RoomSessions

_NO_OWN = bytes(OWN_SIZE)


class FanOut:
    """
    A room's deliveries of one batch: every payload to every member but its sender.

    Good until the hub is called again: members are not copied.

    :ivar payloads: bare, in order of arrival.
    :ivar senders: the sender of each payload.
    :ivar reach: the groups to deliver to, each with the number of its first members that were
        in the room when these payloads came in.
    """

    __slots__ = (
        "_labelled",
        "payloads",
        "reach",
        "room",
        "senders",
    )

    def __init__(self, room: Room) -> None:
        self.room = room
        self.payloads: list[bytes] = []
        self.senders: list[Member] = []
        self.reach: list[tuple[Group, int]] = []
        self._labelled: tuple[list[bytes], list[Member]] | None = None

    def add(self, payloads: Sequence[bytes], sender: Member) -> None:
        """Add what somebody who is no session member says."""
        self.payloads += payloads
        self.senders += [sender] * len(payloads)

    def seal(self, listener: Listener | None, now: float) -> int:
        """
        Note who is in the room now, and count what is delivered.

        :param listener: by which it came in.
        :return: how many payloads are too long with a label.
        """
        payloads = self.payloads
        return self._count(listener, len(payloads), sum(map(len, payloads)), alike=True)

    def _count(self, listener: Listener | None, said: int, size: int, alike: bool) -> int:
        """
        Note who is in the room now, and count.

        :param said: how many payloads there are, with ``size`` bytes in all.
        :param alike: whether nothing else is delivered, and all of it is from members.
        """
        room = self.room
        room.datagrams += said
        room.bytes += size
        if listener is not None:
            listener.datagrams += said
            listener.bytes += size
        self.reach = reach = [(g, len(g.members)) for g in room.groups.values() if g.members]
        if room.rules.label is Label.NICK:
            self._labelled = _labelled(self.payloads, self.senders)
        elif alike and len(reach) == 1:
            group, count = reach[0]
            self._count_deliveries(group, (count - 1) * said)
            return 0
        for group, count in reach:
            payloads, senders = self.for_group(group)
            own = sum(sender.group is group for sender in senders)
            self._count_deliveries(group, count * len(payloads) - own)
        return 0 if self._labelled is None else len(self.payloads) - len(self._labelled[0])

    def _count_deliveries(self, group: Group, number: int) -> None:
        self.room.deliveries += number
        if isinstance(group.way, Listener):
            group.way.deliveries += number

    def for_group(self, group: Group) -> tuple[Sequence[bytes], Sequence[Member]]:
        """Return payloads and senders as the members of ``group`` get them."""
        if group.rendering is Rendering.LABELLED and self._labelled is not None:
            return self._labelled
        return self.payloads, self.senders


class SessionFanOut(FanOut):
    """
    The same in a room that may have session members: they get all that happens, framed.

    :param sessions: of the room.
    :param keep_payloads: whether payloads are wanted also if no member gets them bare.
    :ivar runs: what was said, by senders in turn.
    :ivar said: how many datagrams that is.
    :ivar framed: what session members get: what has happened in the room, then what was said.
    :ivar framed_senders: the sender of each of them, or :data:`~udprelay.relay.room.NOBODY`.
    """

    __slots__ = (
        "_bare",
        "_size",
        "framed",
        "framed_senders",
        "runs",
        "said",
        "sessions",
    )

    def __init__(self, room: Room, sessions: RoomSessions, keep_payloads: bool = False) -> None:
        super().__init__(room)
        self.sessions = sessions
        self._bare = keep_payloads or room.has_bare
        self.runs: list[Said] = []
        self.said = self._size = 0
        self.framed: Sequence[bytes]
        self.framed, self.framed_senders = sessions.take_entries()

    def add(self, payloads: Sequence[bytes], sender: Member) -> None:
        """Add what somebody who is no session member says."""
        super().add(payloads, sender)
        said = [_NO_OWN + payload for payload in payloads]
        size = len(said[0])
        self._add(sender, said, RELIABLE, size if size * len(said) == sum(map(len, said)) else 0)

    def add_data(self, datagram: bytes, sender: Member) -> None:
        """Add what a session member says: a datagram as it came from it."""
        flags = datagram[FLAGS_AT]
        self._add(sender, (datagram[HEADER:],), flags, len(datagram) - HEADER)
        if self._bare and not flags & AGAIN:
            self.payloads.append(datagram[UP_DATA:])
            self.senders.append(sender)

    def add_stream(self, sender: Member, said: Sequence[bytes], flags: int, size: int) -> None:
        """
        Add what a session member says unreliably, as :meth:`add_data` does one by one.

        :param said: own sequences and payloads.
        :param size: bytes of each of these; 0 if they are not alike.
        """
        self._add(sender, said, flags, size)
        if self._bare:
            super().add([one[OWN_SIZE:] for one in said], sender)

    def _add(self, sender: Member, said: Sequence[bytes], flags: int, size: int) -> None:
        number = len(said)
        self.runs.append((sender, said, flags, size))
        self.said += number
        self._size += number * (size - OWN_SIZE)
        if not size:
            self._size += sum(map(len, said))
        self.framed_senders += [sender] * number

    def seal(self, listener: Listener | None, now: float) -> int:
        """Frame what was said; else as in any other room."""
        said = self.said
        if said:
            framed = self.sessions.frame(self.runs, said, now)
            self.framed = [*self.framed, *framed] if self.framed else framed
        return self._count(listener, said, self._size, alike=said == len(self.framed))

    def for_group(self, group: Group) -> tuple[Sequence[bytes], Sequence[Member]]:
        """Return payloads and senders as the members of ``group`` get them."""
        if group.rendering is Rendering.FRAMED:
            return self.framed, self.framed_senders
        return super().for_group(group)


def fan_out_for(room: Room, keep_payloads: bool = False) -> FanOut:
    """Return a new fan-out of the kind that a room needs."""
    if room.sessions is None:
        return FanOut(room)
    return SessionFanOut(room, room.sessions, keep_payloads)


def _labelled(
    payloads: Sequence[bytes], senders: Sequence[Member]
) -> tuple[list[bytes], list[Member]]:
    kept = [
        (b"".join((f"{sender.name}: ".encode(), payload)), sender)
        for payload, sender in zip(payloads, senders, strict=True)
    ]
    kept = [(payload, sender) for payload, sender in kept if len(payload) <= MAX_PAYLOAD]
    return [payload for payload, _ in kept], [sender for _, sender in kept]
