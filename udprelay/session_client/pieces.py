"""Reliable messages and their pieces, from slicing until after the acknowledgement."""

from __future__ import annotations

from collections import deque
from math import inf

from attrs import define, field

from udprelay.protocol.wire.header import CONTINUED, MORE
from udprelay.protocol.wire.ranges import Ranges

MAX_MESSAGE = 65_536
"""Bytes of a reliable message."""
MAX_ACKNOWLEDGED = 1024
MAX_ACKNOWLEDGED_BYTES = 2**20
ACKNOWLEDGED_LIFETIME = 30.0
"""Seconds in a session for which a piece stays available after its acknowledgement."""
_MAX_INDEXED = 4096
"""Own sequences whose messages are known."""


@define
class Message:
    """
    A reliable message that still has pieces to slice off.

    :param id: the number by which events call it.
    :param payload: all of it.
    :param receiver: the receiver's identity; empty for the room.
    :param waiting_since: when it began to wait for a session.
    :param sliced: how many bytes have been sliced off.
    """

    id: int
    payload: bytes = field(repr=False)
    receiver: bytes
    waiting_since: float
    sliced: int = 0

    def slice_piece(self, max_piece: int) -> tuple[int, bytes]:
        """Slice off at most ``max_piece`` bytes; return their flags and them."""
        payload = self.payload[self.sliced : self.sliced + max_piece]
        flags = CONTINUED if self.sliced else 0
        self.sliced += len(payload)
        return (flags if self.done else flags | MORE), payload

    @property
    def done(self) -> bool:
        """Whether all has been sliced off."""
        return self.sliced == len(self.payload)

    def pieces_left(self, max_piece: int) -> int:
        """Return how many pieces of at most ``max_piece`` bytes are left."""
        return -((self.sliced - len(self.payload)) // max_piece)


@define
class Piece:
    """
    The content of one reliable datagram.

    :param own: its own sequence.
    :param message: its message's number.
    :param flags: CONTINUED and MORE, and RESUBMITTED if the last session may have sent it.
    :param payload: in plain text; each transmission seals it.
    :param receiver: the receiver's identity; empty for the room.
    :param since: when it was sliced, or recovered from the acknowledged ones.
    :ivar sent_at: the time of the last transmission.
    :ivar transmissions: their number in this session.
    :ivar retransmit_at: when the retransmission timeout ends.
    :ivar fails_at: when it fails in this session.
    :ivar acknowledged: whether the relay has it.
    """

    own: int
    message: int
    flags: int
    payload: bytes = field(repr=False)
    receiver: bytes
    since: float
    sent_at: float = 0.0
    transmissions: int = 0
    retransmit_at: float = 0.0
    fails_at: float = inf
    acknowledged: bool = False


class AcknowledgedPieces:
    """
    The latest acknowledged pieces, without gaps in their own sequences.

    A relay that dies may not have forwarded them, so the next session offers them again.
    """

    def __init__(self) -> None:
        self._pieces: deque[tuple[float, Piece]] = deque()
        self._bytes = 0

    def append(self, piece: Piece, now: float) -> None:
        """Append a piece that was acknowledged now."""
        self._pieces.append((now, piece))
        self._bytes += len(piece.payload)
        while len(self._pieces) > MAX_ACKNOWLEDGED or self._bytes > MAX_ACKNOWLEDGED_BYTES:
            self._drop_first()
        self.expire(now - ACKNOWLEDGED_LIFETIME)

    def expire(self, until: float) -> None:
        """Drop the pieces that were acknowledged until that time."""
        while self._pieces and self._pieces[0][0] <= until:
            self._drop_first()

    def drop_to(self, own: int) -> None:
        """Drop the piece with this own sequence and all before it."""
        while self._pieces and self._pieces[0][1].own <= own:
            self._drop_first()

    def pop_from(self, own: int) -> list[Piece]:
        """Remove and return the pieces from this own sequence on, in order."""
        popped: list[Piece] = []
        while self._pieces and self._pieces[-1][1].own >= own:
            piece = self._pieces.pop()[1]
            self._bytes -= len(piece.payload)
            popped.append(piece)
        return popped[::-1]

    def messages(self, index: MessageIndex) -> set[int]:
        """Return the messages of the pieces, without those that have failed since."""
        return {piece.message for _, piece in self._pieces if index.get(piece.own) is not None}

    def clear(self) -> None:
        """Drop all pieces."""
        self._pieces.clear()
        self._bytes = 0

    @property
    def first(self) -> int | None:
        """The first own sequence; None without pieces."""
        return self._pieces[0][1].own if self._pieces else None

    def _drop_first(self) -> None:
        self._bytes -= len(self._pieces.popleft()[1].payload)


class MessageIndex:
    """The messages of the latest own sequences, which are consecutive."""

    def __init__(self) -> None:
        self._messages: dict[int, int] = {}
        self._next = 1

    def add(self, own: int, message: int) -> None:
        """Add the message of the next own sequence."""
        self._messages[own] = message
        self._messages.pop(own - _MAX_INDEXED, None)
        self._next = own + 1

    def get(self, own: int) -> int | None:
        """Return the message of an own sequence; None if it is unknown."""
        return self._messages.get(own)

    def find(self, ranges: Ranges) -> list[int]:
        """Return the messages of all these own sequences, each once, in order."""
        # Another member has chosen the ranges; they may be long.
        oldest = self._next - _MAX_INDEXED
        found = (
            self._messages.get(own)
            for first, count in ranges
            for own in range(max(first, oldest), min(first + count, self._next))
        )
        return list(dict.fromkeys(message for message in found if message is not None))

    def remove(self, message: int) -> None:
        """Remove all own sequences of a message."""
        self._messages = {own: m for own, m in self._messages.items() if m != message}

    def clear(self) -> None:
        """Remove everything."""
        self._messages.clear()
