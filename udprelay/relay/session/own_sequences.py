"""Which room sequences are a member's own: it does not get these, so ACK tells it."""

from __future__ import annotations

from bisect import bisect_right

from udprelay.protocol.wire.ranges import MOST_IN_RANGE, MOST_RANGES, RANGE, Ranges

_REMEMBERED = 256 * RANGE.size
_MOST_TOLD = MOST_RANGES * RANGE.size
_COUNT = 2
"""Bytes of the count, which is the last in a range."""


class OwnSequences:
    """
    Room sequences of one member: those that it has yet to be told, and the last ones it was.

    The latter are for a member that has lost the ACK and asks: at least the last 256 ranges. All
    are kept as ACK has them: there is one for every few datagrams.

    :ivar pending: how many sequences the member has yet to be told.
    """

    __slots__ = ("_end", "_last", "_told", "_waiting", "pending")

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._told = bytearray()
        self._end = self._last = 0
        self.pending = 0

    def add(self, first: int, count: int = 1) -> int:
        """
        Note ``count`` room sequences, at most 65,535, above all before.

        :return: how many ranges the member has yet to be told; an ACK has room for 64.
        """
        self.pending += count
        waiting, together = self._waiting, self._last + count
        if first == self._end and waiting and together <= MOST_IN_RANGE:
            waiting[-_COUNT:] = together.to_bytes(_COUNT, "big")
            self._last = together
        else:
            waiting += RANGE.pack(first, count)
            self._last = count
        self._end = first + count
        return len(waiting) // RANGE.size

    def take(self) -> bytes:
        """Return ranges that the member has yet to be told, as many as one ACK has room for."""
        waiting = self._waiting
        ranges = bytes(waiting[:_MOST_TOLD])
        del waiting[:_MOST_TOLD]
        self.pending = sum([count for _, count in RANGE.iter_unpack(waiting)])
        if ranges:
            self._remember(ranges)
        return ranges

    def _remember(self, ranges: bytes) -> None:
        told = self._told
        if told:
            # Who talks alone has one range for all that it says.
            begin, before = RANGE.unpack_from(told, len(told) - RANGE.size)
            first, count = RANGE.unpack_from(ranges)
            if begin + before == first and before + count <= MOST_IN_RANGE:
                told[-_COUNT:] = (before + count).to_bytes(_COUNT, "big")
                ranges = ranges[RANGE.size :]
        told += ranges
        if len(told) > 2 * _REMEMBERED:
            del told[:-_REMEMBERED]

    def between(self, first: int, last: int) -> Ranges:
        """
        Return which of the sequences ``first`` to ``last`` are the member's own.

        Costs as much as there are such ranges, however many sequences are asked for.
        """
        own, size = [], RANGE.size
        known = bytes(self._told + self._waiting)
        at = bisect_right(
            range(0, len(known), size), first, key=lambda at: RANGE.unpack_from(known, at)[0]
        )
        for begin, count in RANGE.iter_unpack(known[max(0, at - 1) * size :]):
            if begin > last:
                break
            low, high = max(begin, first), min(begin + count - 1, last)
            if low <= high:
                own.append((low, high - low + 1))
        return tuple(own)
