"""Reassembly of messages from their pieces."""

from __future__ import annotations

from collections import OrderedDict
from math import inf

from attrs import define

from udprelay.protocol.wire.header import CONTINUED, MORE
from udprelay.session_client.known_member import KnownMember
from udprelay.session_client.pieces import MAX_MESSAGE

MAX_PARTIAL_BYTES = 8 * 1024 * 1024
"""Bytes of all incomplete messages."""
PIECE_TIMEOUT = 60.0
"""Seconds from one piece to the next."""

# Counted for each piece besides its bytes, so that tiny pieces can't grow without bound.
_PIECE_OVERHEAD = 64


@define
class _Partial:
    pieces: list[bytes]
    size: int
    next_own: int
    last: float
    sender: KnownMember | None


class Reassembly:
    """
    Incomplete messages, one for each stream.

    A stream is one own sequence of one sender, under any key; its pieces are added in order.

    :ivar lost: the sender and the stream of each lost message; then, if it timed out or exceeded
        the limit, the own sequence of the last piece received, otherwise 0. The owner removes
        them.
    """

    def __init__(self) -> None:
        self._partial: OrderedDict[bytes, _Partial] = OrderedDict()
        self._bytes = 0
        self.lost: list[tuple[KnownMember | None, bytes, int]] = []

    @property
    def deadline(self) -> float:
        """When :meth:`expire` should be called next."""
        return next((partial.last for partial in self._partial.values()), inf) + PIECE_TIMEOUT

    def add(
        self,
        stream: bytes,
        own: int,
        flags: int,
        payload: bytes,
        now: float,
        sender: KnownMember | None,
    ) -> bytes | None:
        """Add a piece; return the message if it is complete now."""
        partial = self._partial.pop(stream, None)
        if partial is not None:
            self._bytes -= _cost(partial)
            if not flags & CONTINUED or partial.next_own != own:
                self.lost.append((partial.sender, stream, 0))
                partial = None
        if not flags & CONTINUED:
            if not flags & MORE:
                return payload
            partial = _Partial([], 0, own, now, sender)
        if partial is None:
            return None
        partial.pieces.append(payload)
        partial.size += len(payload)
        partial.next_own = own + 1
        partial.last = now
        if partial.size > MAX_MESSAGE:
            self.lost.append((sender, stream, 0))
            return None
        if not flags & MORE:
            return b"".join(partial.pieces)
        self._partial[stream] = partial
        self._bytes += _cost(partial)
        while self._bytes > MAX_PARTIAL_BYTES:
            self._give_up_oldest()
        return None

    def discard(self, stream: bytes) -> bool:
        """Discard the incomplete message of a stream; return whether there was one."""
        partial = self._partial.pop(stream, None)
        if partial is None:
            return False
        self._bytes -= _cost(partial)
        return True

    def expire(self, now: float) -> None:
        """Give up the messages whose last piece is older than :data:`PIECE_TIMEOUT`."""
        while self.deadline <= now:
            self._give_up_oldest()

    def restart_timeouts(self, now: float) -> None:
        """Start all timeouts again, after an outage."""
        for partial in self._partial.values():
            partial.last = now

    def _give_up_oldest(self) -> None:
        stream, partial = self._partial.popitem(last=False)
        self._bytes -= _cost(partial)
        self.lost.append((partial.sender, stream, partial.next_own - 1))


def _cost(partial: _Partial) -> int:
    return partial.size + _PIECE_OVERHEAD * len(partial.pieces)
