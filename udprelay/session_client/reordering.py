"""Tables of one incoming sequence: gaps, the reorder buffer, and unconfirmed items."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Generic, TypeVar

from attrs import define

from udprelay.protocol.wire.ranges import MAX_RANGE_COUNT

T = TypeVar("T")

MAX_BUFFERED = 4096
"""Items in a reorder buffer."""
MAX_BUFFERED_BYTES = 8 * 1024 * 1024
MAX_UNCONFIRMED = 256
"""Unconfirmed items."""
MAX_UNCONFIRMED_BYTES = 2**20


@define
class Gap:
    """
    A range of missing sequence numbers.

    :param first: the first missing number.
    :param end: the number after the last missing one.
    :param noticed: the time at which the gap was noticed.
    :param due: the time of the next NACK.
    :param tries: the NACKs sent so far.
    """

    first: int
    end: int
    noticed: float
    due: float
    tries: int = 0

    @property
    def count(self) -> int:
        """How many numbers are missing."""
        return self.end - self.first

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """The gap as pairs of first number and count, as NACK has them."""
        return [
            (first, min(MAX_RANGE_COUNT, self.end - first))
            for first in range(self.first, self.end, MAX_RANGE_COUNT)
        ]

    def part(self, first: int, end: int) -> Gap:
        """Return a part of the gap with the same times and tries."""
        return Gap(first, end, self.noticed, self.due, self.tries)


class Gaps:
    """
    The gaps up to the newest sequence number, in ascending order.

    Costs depend on the number of gaps, not on their lengths.

    :param newest: the newest number so far; nothing up to there is missing.
    :ivar requested: how many of the missing numbers were in a NACK.
    """

    __slots__ = ("_gaps", "newest", "requested")

    def __init__(self, newest: int) -> None:
        self.newest = newest
        self.requested = 0
        self._gaps: list[Gap] = []

    def __len__(self) -> int:
        return len(self._gaps)

    def __iter__(self) -> Iterator[Gap]:
        return iter(self._gaps)

    def __getitem__(self, at: int) -> Gap:
        return self._gaps[at]

    @property
    def settled(self) -> int:
        """The number up to which nothing is missing."""
        return self._gaps[0].first - 1 if self._gaps else self.newest

    def extend(self, newest: int, now: float, due: float) -> None:
        """Advance the newest number; all numbers up to it, ``newest`` included, are missing."""
        last = self._gaps[-1] if self._gaps else None
        if last is not None and last.end > self.newest and not last.tries:
            last.end = newest + 1
        else:
            self._gaps.append(Gap(self.newest + 1, newest + 1, now, due))
        self.newest = newest

    def fill(self, first: int, end: int) -> list[Gap]:
        """Remove the numbers from ``first`` to ``end - 1``; return those that were missing."""
        gaps = self._gaps
        start = bisect_right(gaps, first, key=_first)
        if start and gaps[start - 1].end > first:
            start -= 1
        filled: list[Gap] = []
        rest: list[Gap] = []
        stop = start
        while stop < len(gaps) and gaps[stop].first < end:
            gap = gaps[stop]
            filled.append(gap.part(max(first, gap.first), min(end, gap.end)))
            if gap.first < first:
                rest.append(gap.part(gap.first, first))
            if end < gap.end:
                rest.append(gap.part(end, gap.end))
            stop += 1
        if filled:
            gaps[start:stop] = rest
            self.requested -= sum(gap.count for gap in filled if gap.tries)
        return filled

    def split(self, at: int, count: int) -> None:
        """Split the gap at index ``at`` after at most ``count`` numbers."""
        gap = self._gaps[at]
        if gap.count > count:
            middle = gap.first + count
            self._gaps[at : at + 1] = [gap.part(gap.first, middle), gap.part(middle, gap.end)]


def _first(gap: Gap) -> int:
    return gap.first


class ReorderBuffer(Generic[T]):
    """Items behind a gap, by sequence number."""

    def __init__(self) -> None:
        # A heap; sequence numbers are unique.
        self._items: list[tuple[int, int, T]] = []
        self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self._items)

    @property
    def is_over_limit(self) -> bool:
        """Whether there are too many items or bytes."""
        return len(self._items) > MAX_BUFFERED or self._bytes > MAX_BUFFERED_BYTES

    def add(self, sequence: int, item: T, size: int) -> None:
        """Add an item of ``size`` bytes."""
        heappush(self._items, (sequence, size, item))
        self._bytes += size

    def pop_up_to(self, last: int) -> list[T]:
        """Remove and return the items up to a number, in order."""
        items = []
        while self._items and self._items[0][0] <= last:
            _, size, item = heappop(self._items)
            self._bytes -= size
            items.append(item)
        return items


class Unconfirmed(Generic[T]):
    """Items so far ahead that they may be forged: the relay has to confirm their numbers."""

    def __init__(self) -> None:
        self._items: dict[int, tuple[T, int, bool]] = {}
        self._bytes = 0

    def add(self, sequence: int, item: T, size: int, at_once: bool) -> None:
        """Add an item if there is space; parameters as for :meth:`Incoming.receive`."""
        if (
            sequence not in self._items
            and len(self._items) < MAX_UNCONFIRMED
            and self._bytes + size <= MAX_UNCONFIRMED_BYTES
        ):
            self._items[sequence] = (item, size, at_once)
            self._bytes += size

    def pop_up_to(self, last: int) -> list[tuple[int, T, int, bool]]:
        """Remove all items; return those up to a number, in order. The others are forged."""
        items = [(sequence, *self._items[sequence]) for sequence in sorted(self._items)]
        self._items.clear()
        self._bytes = 0
        return [item for item in items if item[0] <= last]
