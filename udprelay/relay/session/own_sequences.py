"""The room sequences of a member's own datagrams: it does not get these, ACK reports them."""

from __future__ import annotations

from bisect import bisect_right

from udprelay.protocol.wire.ranges import MAX_RANGE_COUNT, MAX_RANGES, RANGE, Ranges

_MIN_REMEMBERED = 256 * RANGE.size
_MAX_DRAINED = MAX_RANGES * RANGE.size
_COUNT = 2
"""Bytes of the count at the end of a range."""


class OwnSequences:
    """
    Room sequences of one member: those not reported yet, and the last ones that were.

    A member that has lost the ACK can ask for the reported ones: at least the last 256 ranges
    are remembered. All ranges are stored in the form of ACK, which is sent often.

    :ivar pending: number of sequences not reported yet.
    """

    __slots__ = ("_end", "_last", "_reported", "_unreported", "pending")

    def __init__(self) -> None:
        self._unreported = bytearray()
        self._reported = bytearray()
        self._end = self._last = 0
        self.pending = 0

    def add(self, first: int, count: int) -> int:
        """
        Add ``count`` room sequences, at most 65,535, above all earlier ones.

        :return: number of ranges not reported yet; 64 fit into an ACK.
        """
        self.pending += count
        ranges, together = self._unreported, self._last + count
        if first == self._end and ranges and together <= MAX_RANGE_COUNT:
            ranges[-_COUNT:] = together.to_bytes(_COUNT, "big")
            self._last = together
        else:
            ranges += RANGE.pack(first, count)
            self._last = count
        self._end = first + count
        return len(ranges) // RANGE.size

    def drain(self) -> bytes:
        """Return the ranges not reported yet, as many as fit into one ACK."""
        unreported = self._unreported
        ranges = bytes(unreported[:_MAX_DRAINED])
        del unreported[:_MAX_DRAINED]
        self.pending = sum([count for _, count in RANGE.iter_unpack(unreported)])
        if ranges:
            self._remember(ranges)
        return ranges

    def _remember(self, ranges: bytes) -> None:
        reported = self._reported
        if reported:
            # A member that is the only sender has one range for all its datagrams.
            begin, before = RANGE.unpack_from(reported, len(reported) - RANGE.size)
            first, count = RANGE.unpack_from(ranges)
            if begin + before == first and before + count <= MAX_RANGE_COUNT:
                reported[-_COUNT:] = (before + count).to_bytes(_COUNT, "big")
                ranges = ranges[RANGE.size :]
        reported += ranges
        if len(reported) > 2 * _MIN_REMEMBERED:
            del reported[:-_MIN_REMEMBERED]

    def between(self, first: int, last: int) -> Ranges:
        """
        Return which of the sequences ``first`` to ``last`` are the member's own.

        The cost depends on the number of such ranges, not on that of the sequences.
        """
        own, size = [], RANGE.size
        known = bytes(self._reported + self._unreported)
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
