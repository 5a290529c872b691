"""A room's deliveries of one batch, where the room may have session members."""

from __future__ import annotations

from collections.abc import Sequence

from udprelay.protocol.wire.header import (
    FLAGS_OFFSET,
    HEADER_SIZE,
    OWN_SIZE,
    RELIABLE,
    RESUBMITTED,
    UP_PAYLOAD_OFFSET,
)
from udprelay.relay.fan_out import FanOut
from udprelay.relay.room import NOBODY, Group, Listener, Member, Rendering, Room
from udprelay.relay.session.framing import Run
from udprelay.relay.session.room_log import RoomLog

_NO_OWN = bytes(OWN_SIZE)


class SessionFanOut(FanOut):
    """
    A fan-out in two renderings: bare payloads, and datagrams for session members.

    Session members also get the entries of the room's log that are not delivered yet.

    :param keep_payloads: whether to keep payloads also if no member gets them bare.
    :ivar runs: the payloads as runs of their senders.
    :ivar count: number of payloads in ``runs``.
    :ivar framed: the datagrams for session members: entries, then payloads.
    :ivar framed_senders: the sender of each; :data:`~udprelay.relay.room.NOBODY` for entries.
    """

    __slots__ = (
        "_bare",
        "_has_entries",
        "_log",
        "_size",
        "count",
        "framed",
        "framed_senders",
        "runs",
    )

    def __init__(self, room: Room, log: RoomLog, keep_payloads: bool = False) -> None:
        super().__init__(room)
        self._log = log
        self._bare = keep_payloads or room.has_bare
        self.runs: list[Run] = []
        self.count = self._size = 0
        self.framed: Sequence[bytes]
        self.framed, self.framed_senders = log.drain_entries()
        self._has_entries = bool(self.framed)

    def add(self, payloads: Sequence[bytes], sender: Member) -> None:
        """Add payloads of a member that is not a session member."""
        super().add(payloads, sender)
        bodies = [_NO_OWN + payload for payload in payloads]
        size = len(bodies[0])
        uniform = size * len(bodies) == sum(map(len, bodies))
        self._add(sender, bodies, RELIABLE, size if uniform else 0)

    def add_data(self, datagram: bytes, sender: Member) -> None:
        """Add a DATA datagram of a session member."""
        flags = datagram[FLAGS_OFFSET]
        self._add(sender, (datagram[HEADER_SIZE:],), flags, len(datagram) - HEADER_SIZE)
        if self._bare and not flags & RESUBMITTED:
            self.payloads.append(datagram[UP_PAYLOAD_OFFSET:])
            self.senders.append(sender)

    def add_run(self, sender: Member, bodies: Sequence[bytes], flags: int, size: int) -> None:
        """
        Add unreliable data of a session member.

        :param bodies: own sequences and payloads.
        :param size: bytes of each body; 0 if their sizes differ.
        """
        self._add(sender, bodies, flags, size)
        if self._bare:
            super().add([body[OWN_SIZE:] for body in bodies], sender)

    def _add(self, sender: Member, bodies: Sequence[bytes], flags: int, size: int) -> None:
        number = len(bodies)
        self.runs.append((sender, bodies, flags, size))
        self.count += number
        self._size += number * (size - OWN_SIZE)
        if not size:
            self._size += sum(map(len, bodies))
        self.framed_senders += [sender] * number

    def add_heartbeat(self) -> None:
        """Add HEARTBEAT as the last datagram."""
        self.framed = [*self.framed, self._log.heartbeat()]
        self.framed_senders.append(NOBODY)

    def seal(self, listener: Listener | None, now: float) -> int:
        """Frame the payloads, fix the receivers, and count the deliveries."""
        count = self.count
        if count:
            framed = self._log.frame(self.runs, count, now)
            self.framed = [*self.framed, *framed] if self.framed else framed
        if count or self._has_entries:
            self._log.note_sent(self.runs, count, now)
        return self._count(listener, count, self._size, uniform=count == len(self.framed))

    def for_group(self, group: Group) -> tuple[Sequence[bytes], Sequence[Member]]:
        """Return payloads and senders in the rendering of ``group``."""
        if group.rendering is Rendering.FRAMED:
            return self.framed, self.framed_senders
        return super().for_group(group)
