"""The newest datagrams of a room, for members that have lost some."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from itertools import islice
from math import inf
from operator import attrgetter

from attrs import define

from udprelay.relay.sizes import RUN_SIZE
from udprelay.segments import Segments

_first = attrgetter("first")

MAX_RELIABLE = 1230
"""Bytes of the largest DATA that a session member sends reliably."""


@define(eq=False)
class _Run:
    """
    Datagrams that were added together, with consecutive sequences.

    :param share: of each of them in the history.
    :param filled: of the history when they were added.
    """

    first: int
    time: float
    segments: Segments
    share: float
    filled: float


class History:
    """
    The newest reliable datagrams of a room by room sequence, from 1 on, within three limits.

    Unreliable datagrams have a sequence, but are not stored.

    :param max_count: datagrams stored at most.
    :param max_size: bytes stored at most.
    :param max_age: seconds for which a datagram is stored.
    :ivar size: bytes stored.
    :ivar total: bytes of all that was stored so far.
    :ivar newest: the last sequence assigned; 0 at first.
    :ivar first: the sequence from which on all reliable datagrams are still stored.
    :ivar filled: how often what was stored so far would fill the history, by count or by size.
    :ivar length: datagrams of the largest size that it holds; 0 if it stores nothing.
    """

    def __init__(self, max_count: int, max_size: int, max_age: float) -> None:
        self._max_count = max_count
        self._max_size = max_size
        self._max_age = max_age
        self._runs: deque[_Run] = deque()
        self._count = 0
        self.size = self.total = 0
        self.newest = 0
        self.first = 1
        self.filled = 0.0
        stores = max_count > 0 and max_size > 0
        self.length = max(1, min(max_count, max_size // MAX_RELIABLE)) if stores else 0
        self._count_share = 1 / max_count if stores else 0.0
        self._size_share = 1 / max_size if stores else 0.0

    def __len__(self) -> int:
        return self._count

    @property
    def footprint(self) -> int:
        """Bytes of memory that the datagrams take."""
        return self.size + RUN_SIZE * len(self._runs)

    @property
    def oldest(self) -> float:
        """When the oldest datagrams were stored; infinity if there are none."""
        return self._runs[0].time if self._runs else inf

    def drop_oldest(self) -> int:
        """Remove the oldest run; return how many datagrams it had."""
        count = self._count
        self._remove_run()
        return count - self._count

    def extend(self, segments: Segments, now: float) -> None:
        """Assign the next sequences to datagrams, and store them."""
        count, share = segments.count, self.share(segments.size)
        self._runs.append(_Run(self.newest + 1, now, segments, share, self.filled))
        self.newest += count
        self._count += count
        self.filled += count * share
        self.size += len(segments.data)
        self.total += len(segments.data)
        while self._count > self._max_count or self.size > self._max_size:
            self._trim(self._runs[0])
        self.expire(now)

    def runs(self, first: int, last: int) -> Iterator[tuple[int, Segments]]:
        """
        Yield what is stored of the sequences ``first`` to ``last``, by its first sequences.

        What one sender has sent in a row is together. Sequences that are not stored cost nothing,
        so the range may be of any length.
        """
        if last < self.first:
            return
        index = max(0, bisect_right(self._runs, first, key=_first) - 1)
        for run in islice(self._runs, index, None):
            begin, segments = run.first, run.segments
            if begin > last:
                return
            count = segments.count
            if begin >= first and begin + count <= last + 1:
                yield begin, segments
            elif first < begin + count:
                skipped = max(first - begin, 0)
                yield begin + skipped, segments[skipped : last + 1 - begin]

    def stored(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        """Yield the stored datagrams of ``first`` to ``last``, with the sequence of each."""
        for begin, segments in self.runs(first, last):
            yield from enumerate(segments, begin)

    def share(self, size: int) -> float:
        """Return which part of the history a datagram of ``size`` bytes takes."""
        share = size * self._size_share
        return share if share > self._count_share else self._count_share

    def share_after(self, sequence: float) -> float:
        """Return which part of the history the stored datagrams after ``sequence`` make up."""
        index = bisect_right(self._runs, sequence, key=_first) - 1
        if index < 0:
            return self.filled - self._runs[0].filled if self._runs else 0.0
        run = self._runs[index]
        before = min(sequence + 1 - run.first, run.segments.count)
        return self.filled - run.filled - before * run.share

    def sequence_of_last(self, count: int) -> int:
        """Return the sequence from which on at most ``count`` datagrams are stored."""
        sequence = self.newest + 1
        for run in reversed(self._runs):
            if count <= 0:
                break
            begin = max(run.segments.count - count, 0)
            count -= run.segments.count - begin
            sequence = run.first + begin
        return sequence

    def expire(self, now: float) -> None:
        """Remove datagrams that are too old."""
        runs = self._runs
        while runs and runs[0].time + self._max_age <= now:
            self._remove_run()

    def _trim(self, oldest: _Run) -> None:
        """Remove as many of the first datagrams as necessary, or the whole of the oldest run."""
        segments = oldest.segments
        surplus = self.size - self._max_size
        number = max(self._count - self._max_count, -(-surplus // max(1, segments.size)))
        if number >= segments.count:
            self._remove_run()
            return
        rest = segments[number:]
        self._count -= number
        self.size -= len(segments.data) - len(rest.data)
        oldest.first += number
        oldest.filled += number * oldest.share
        oldest.segments = rest
        self.first = oldest.first

    def _remove_run(self) -> None:
        run = self._runs.popleft()
        self._count -= run.segments.count
        self.size -= len(run.segments.data)
        self.first = run.first + run.segments.count
