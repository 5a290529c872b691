"""The newest datagrams of a room, for members that have lost some."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from itertools import islice
from operator import attrgetter

from attrs import define

from udprelay.segments import Segments

_first = attrgetter("first")


@define(eq=False)
class _Run:
    """Datagrams that were added together, with consecutive sequences."""

    first: int
    time: float
    segments: Segments


class History:
    """
    The newest reliable datagrams of a room by room sequence, from 1 on, within three limits.

    Unreliable datagrams have a sequence, but are not stored.

    :param max_count: datagrams stored at most.
    :param max_size: bytes stored at most.
    :param max_age: seconds for which a datagram is stored.
    :ivar size: bytes stored.
    :ivar newest: the last sequence assigned; 0 at first.
    :ivar first: the sequence from which on all reliable datagrams are still stored.
    """

    def __init__(self, max_count: int, max_size: int, max_age: float) -> None:
        self._max_count = max_count
        self._max_size = max_size
        self._max_age = max_age
        self._runs: deque[_Run] = deque()
        self._count = 0
        self.size = 0
        self.newest = 0
        self.first = 1

    def __len__(self) -> int:
        return self._count

    def extend(self, segments: Segments, now: float) -> None:
        """Assign the next sequences to datagrams, and store them."""
        self._runs.append(_Run(self.newest + 1, now, segments))
        self.newest += segments.count
        self._count += segments.count
        self.size += len(segments.data)
        while self._count > self._max_count or self.size > self._max_size:
            self._trim(self._runs[0])
        self.expire(now)

    def stored(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        """
        Yield the stored datagrams of the sequences ``first`` to ``last``, with the sequence.

        Sequences that are not stored cost nothing, so the range may be of any length.
        """
        index = max(0, bisect_right(self._runs, first, key=_first) - 1)
        for run in islice(self._runs, index, None):
            if run.first > last:
                return
            begin = max(first - run.first, 0)
            end = min(last + 1 - run.first, run.segments.count)
            if begin < end:
                yield from enumerate(run.segments[begin:end], run.first + begin)

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
        oldest.segments = rest
        self.first = oldest.first

    def _remove_run(self) -> None:
        run = self._runs.popleft()
        self._count -= run.segments.count
        self.size -= len(run.segments.data)
        self.first = run.first + run.segments.count
