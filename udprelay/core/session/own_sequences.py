"""Which room sequences are a member's own: it does not get these, so ACK tells it."""

from __future__ import annotations

from bisect import bisect_right

from udprelay.core.wire.ranges import MOST_IN_RANGE, MOST_RANGES, Ranges

_REMEMBERED = 256


class OwnSequences:
    """
    Room sequences of one member: those that it has yet to be told, and the last ones it was.

    The latter are for a member that has lost the ACK and asks: at least the last 256 ranges.

    :ivar pending: how many sequences the member has yet to be told.
    """

    __slots__ = ("_told", "_waiting", "pending")

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int]] = []
        self._told: list[tuple[int, int]] = []
        self.pending = 0

    def add(self, first: int, count: int = 1) -> int:
        """
        Note ``count`` room sequences, at most 65,535, above all before.

        :return: how many ranges the member has yet to be told; an ACK has room for 64.
        """
        self.pending += count
        waiting = self._waiting
        if waiting:
            begin, before = waiting[-1]
            if begin + before == first and before + count <= MOST_IN_RANGE:
                waiting[-1] = begin, before + count
                return len(waiting)
        waiting.append((first, count))
        return len(waiting)

    def take(self) -> Ranges:
        """Return what the member has yet to be told, as much as one ACK has room for."""
        waiting, told = self._waiting, self._told
        if not waiting:
            return ()
        ranges = tuple(waiting[:MOST_RANGES])
        del waiting[:MOST_RANGES]
        self.pending = sum([count for _, count in waiting])
        first, count = ranges[0]
        if told and sum(told[-1]) == first:
            begin, before = told.pop()
            first, count = begin, before + count
        told.append((first, count))
        told += ranges[1:]
        if len(told) > 2 * _REMEMBERED:
            del told[:-_REMEMBERED]
        return ranges

    def between(self, first: int, last: int) -> Ranges:
        """
        Return which of the sequences ``first`` to ``last`` are the member's own.

        Costs as much as there are such ranges, however many sequences are asked for. Counts may
        be above 65,535.
        """
        own = []
        known = [*self._told, *self._waiting]
        for begin, count in known[max(0, bisect_right(known, (first, 0)) - 1) :]:
            if begin > last:
                break
            low, high = max(begin, first), min(begin + count - 1, last)
            if low <= high:
                own.append((low, high - low + 1))
        return tuple(own)
