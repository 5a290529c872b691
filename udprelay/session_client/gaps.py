"""Ranges of sequence numbers that have not come, and when they are asked for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from attrs import define

from udprelay.protocol.wire.ranges import MOST_IN_RANGE


@define
class Gap:
    """
    Sequence numbers in a row that are missing.

    :param first: the first of them.
    :param end: the one behind the last.
    :param noticed: since when they are missing.
    :param due: when to ask for them, again or for the first time.
    :param tries: how often they have been asked for.
    """

    first: int
    end: int
    noticed: float
    due: float
    tries: int = 0

    @property
    def count(self) -> int:
        """How many are missing."""
        return self.end - self.first

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """First numbers and counts, as many as it takes."""
        return [
            (first, min(MOST_IN_RANGE, self.end - first))
            for first in range(self.first, self.end, MOST_IN_RANGE)
        ]

    def part(self, first: int, end: int) -> Gap:
        """Return a part of it, noticed and asked for as the whole."""
        return Gap(first, end, self.noticed, self.due, self.tries)


class Gaps:
    """
    What is missing up to the newest sequence number, in ascending order.

    Costs are by gaps, however many numbers they span.

    :param newest: the newest number so far; nothing up to there is missing.
    :ivar asked: how many of the missing numbers have been asked for.
    """

    __slots__ = ("_gaps", "asked", "newest")

    def __init__(self, newest: int) -> None:
        self.newest = newest
        self.asked = 0
        self._gaps: list[Gap] = []

    def __len__(self) -> int:
        return len(self._gaps)

    def __iter__(self) -> Iterator[Gap]:
        return iter(self._gaps)

    @property
    def settled(self) -> int:
        """The number up to which nothing is missing."""
        return self._gaps[0].first - 1 if self._gaps else self.newest

    def notice(self, newest: int, now: float, due: float) -> None:
        """Move the newest number on; all that are passed over are missing, ``newest`` too."""
        last = self._gaps[-1] if self._gaps else None
        if last is not None and last.end > self.newest and not last.tries:
            last.end = newest + 1
        else:
            self._gaps.append(Gap(self.newest + 1, newest + 1, now, due))
        self.newest = newest

    def fill(self, first: int, end: int) -> list[Gap]:
        """Take out the numbers from ``first`` to before ``end``; return which were missing."""
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
            self.asked -= sum(gap.count for gap in filled if gap.tries)
        return filled

    def split(self, at: int, most: int) -> None:
        """Cut the gap with index ``at``, so that it has at most ``most`` numbers."""
        gap = self._gaps[at]
        if gap.count > most:
            middle = gap.first + most
            self._gaps[at : at + 1] = [gap.part(gap.first, middle), gap.part(middle, gap.end)]

    def __getitem__(self, at: int) -> Gap:
        return self._gaps[at]


def _first(gap: Gap) -> int:
    return gap.first
