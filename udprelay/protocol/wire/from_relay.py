"""The datagrams that a relay sends to members, without a sequence number of their own."""

from __future__ import annotations

import struct
from typing import Annotated

from attrs import field, frozen

from udprelay.protocol.wire import fields
from udprelay.protocol.wire.datagram import Control, Datagram, Fixed, OfStream
from udprelay.protocol.wire.fields import Key
from udprelay.protocol.wire.header import HEADER_SIZE, ID, MAX_U32, Type, header, pack
from udprelay.protocol.wire.members import MAX_MEMBERS, MemberRecord, read_members, write_members
from udprelay.protocol.wire.ranges import (
    REASONED,
    Ranges,
    ReasonedRanges,
    pack_ranges,
    unpack_ranges,
)

_ACK = struct.Struct(">IQIQ")
_waited_for = fields.items(fields.u32, 0, MAX_MEMBERS)


@frozen
class Ack(Datagram):
    """
    Acknowledges datagrams of the member.

    :param next: the own sequence of reliable DATA before which the relay has received all.
    :param bitmap: bit *i* tells whether ``next + 1 + i`` was received, too.
    :param next_private: as ``next``, for PRIVATE.
    :param private_bitmap: as ``bitmap``, for PRIVATE.
    :param ranges: up to 64 ranges of room sequences that the member's own messages have.
    """

    TYPE = Type.ACK

    session_id: bytes = field(repr=False)
    next: int
    bitmap: int
    next_private: int
    private_bitmap: int
    ranges: Ranges = ()

    def encode(self) -> bytes:
        _check_next(self.next, self.next_private)
        windows = pack(_ACK, self.next, self.bitmap, self.next_private, self.private_bitmap)
        return header(Type.ACK, self.session_id) + windows + pack_ranges(self.ranges, minimum=0)

    @classmethod
    def decode(cls, datagram: bytes) -> Ack:
        start = HEADER_SIZE + _ACK.size
        if len(datagram) < start:
            raise ValueError("truncated")
        following, bitmap, next_private, private_bitmap = _ACK.unpack_from(datagram, HEADER_SIZE)
        _check_next(following, next_private)
        ranges = unpack_ranges(datagram[start:], minimum=0)
        return cls(datagram[ID], following, bitmap, next_private, private_bitmap, ranges)


@frozen
class Gone(OfStream):
    """
    Sequence numbers that the relay does not retransmit.

    :param stream: 0 for the room sequence, 1 for the private sequence.
    :param ranges: with a :class:`~udprelay.protocol.wire.ranges.Reason` each, 1 to 64.
    """

    TYPE = Type.GONE
    LAYOUT = REASONED

    session_id: bytes = field(repr=False)
    stream: int
    ranges: ReasonedRanges


@frozen
class Heartbeat(Fixed):
    """The newest room sequence, sent after the room fell silent."""

    TYPE = Type.HEARTBEAT
    LAYOUT = struct.Struct(">Q")

    tag: bytes = field(repr=False)
    newest: int


@frozen
class Pong(Fixed):
    """
    The answer to PING.

    :param token: that of the PING; 8 zero bytes without one.
    :param newest: the newest room sequence.
    :param newest_private: the newest private sequence.
    """

    TYPE = Type.PONG
    LAYOUT = struct.Struct(">8sQQ")

    session_id: bytes = field(repr=False)
    token: bytes
    newest: int
    newest_private: int


@frozen
class Members(Control):
    """
    The answer to ROSTER.

    :param first: the member number asked for.
    :param newest: the newest room sequence.
    :param members: in the order of their numbers.
    :param more_from: the member number for the next ROSTER; None if the list is complete.
    :param settled: the room sequence that all members have settled, if that was asked for.
    """

    TYPE = Type.MEMBERS

    session_id: bytes = field(repr=False)
    first: Annotated[int, Key("f", fields.u32)]
    newest: Annotated[int, Key("q", fields.u64)]
    members: Annotated[tuple[MemberRecord, ...], Key("w", read_members, write_members)]
    more_from: Annotated[int | None, Key("y", fields.u32, needed=False)] = None
    settled: Annotated[int | None, Key("s", fields.u64, needed=False)] = None


@frozen
class PathChallenge(Fixed):
    """Asks for this 8-byte token from a new address of the member."""

    TYPE = Type.PATH_CHALLENGE
    LAYOUT = struct.Struct("8s")

    session_id: bytes = field(repr=False)
    token: bytes = field(repr=False)


@frozen
class Bye(Control):
    """
    The session has ended.

    :param code: ``left``, ``idle``, ``kicked`` or ``stopping``.
    :param sentence: for people.
    :param retry_after: milliseconds after which to reconnect; 0 for never.
    """

    TYPE = Type.BYE

    session_id: bytes = field(repr=False)
    code: Annotated[str, Key("c", fields.code)]
    sentence: Annotated[str, Key("m", fields.sentence)]
    retry_after: Annotated[int, Key("a", fields.u32)]


@frozen
class Nicked(Control):
    """
    The answer to NICK: either a nick, or a code and a sentence.

    :param request: the number of the request.
    :param nick: normalised; None if refused.
    :param code: why it was refused.
    """

    TYPE = Type.NICKED

    session_id: bytes = field(repr=False)
    request: Annotated[int, Key("r", fields.u32)]
    nick: Annotated[str | None, Key("n", fields.nick, needed=False)]
    code: Annotated[str | None, Key("c", fields.code, needed=False)] = None
    sentence: Annotated[str | None, Key("m", fields.sentence, needed=False)] = None

    def check(self) -> None:
        granted = self.nick is not None
        if granted == (self.code is not None) or granted == (self.sentence is not None):
            raise ValueError("neither a nick nor a refusal, or both")


def _check_next(*following: int) -> None:
    if not all(0 < sequence <= MAX_U32 for sequence in following):
        raise ValueError("invalid next own sequence")


@frozen
class Waiting(Control):
    """
    Datagrams of the member wait for receivers, or others' datagrams wait for the member.

    :param numbers: the receivers, the member itself among them; none: the wait is over.
    """

    TYPE = Type.WAITING

    session_id: bytes = field(repr=False)
    numbers: Annotated[tuple[int, ...], Key("w", _waited_for)]
