"""The newest datagrams of a room, for members that have lost some."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from operator import attrgetter

from attrs import define

_first = attrgetter("first")


@define(eq=False)
class _Run:
    """Datagrams of ``size`` bytes in all that were added together, with consecutive sequences."""

    first: int
    time: float
    size: int
    datagrams: list[bytes]


class History:
    """
    The newest reliable datagrams of a room by room sequence, from 1 on, within three limits.

    Unreliable datagrams have a sequence, but are not stored.

    :param max_count: datagrams stored at most.
    :param max_size: bytes stored at most.
    :param max_age: seconds for which a datagram is stored.
    :ivar newest: the last sequence assigned; 0 at first.
    :ivar first: the sequence from which on all reliable datagrams are still stored.
    """

    __slots__ = (
        "_count",
        "_max_age",
        "_max_count",
        "_max_size",
        "_runs",
        "_size",
        "first",
        "newest",
    )

    def __init__(self, max_count: int, max_size: int, max_age: float) -> None:
        self._max_count = max_count
        self._max_size = max_size
        self._max_age = max_age
        self._runs: deque[_Run] = deque()
        self._count = 0
        self._size = 0
        self.newest = 0
        self.first = 1

    def __len__(self) -> int:
        return self._count

    @property
    def size(self) -> int:
        """Bytes stored."""
        return self._size

    def extend(self, datagrams: Sequence[bytes], now: float) -> None:
        """
        Assign the next sequences to datagrams, and store them.

        :param datagrams: ``b""`` in place of each unreliable one.
        """
        first = self.newest + 1
        self.newest += len(datagrams)
        if all(datagrams):
            self._store(first, list(datagrams), now)
        else:
            for reliable, group in groupby(datagrams, bool):
                run = list(group)
                if reliable:
                    self._store(first, run, now)
                first += len(run)
        self._trim()
        self.expire(now)

    def skip(self, count: int) -> None:
        """Assign ``count`` sequences to unreliable datagrams."""
        self.newest += count

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
            yield from enumerate(run.datagrams[begin : last + 1 - run.first], run.first + begin)

    def sequence_of_last(self, count: int) -> int:
        """Return the sequence from which on at most ``count`` datagrams are stored."""
        sequence = self.newest + 1
        for run in reversed(self._runs):
            if count <= 0:
                break
            begin = max(len(run.datagrams) - count, 0)
            count -= len(run.datagrams) - begin
            sequence = run.first + begin
        return sequence

    def expire(self, now: float) -> None:
        """Remove datagrams that are too old."""
        runs = self._runs
        while runs and runs[0].time + self._max_age <= now:
            self._remove_run()

    def _store(self, first: int, datagrams: list[bytes], now: float) -> None:
        if datagrams:
            # sum() is a third slower with an iterator.
            size = sum([*map(len, datagrams)])
            self._runs.append(_Run(first, now, size, datagrams))
            self._count += len(datagrams)
            self._size += size

    def _trim(self) -> None:
        while self._count > self._max_count or self._size > self._max_size:
            oldest = self._runs[0]
            if (
                self._count - len(oldest.datagrams) >= self._max_count
                or self._size - oldest.size >= self._max_size
            ):
                self._remove_run()
            else:
                self._trim_run(oldest)

    def _remove_run(self) -> None:
        run = self._runs.popleft()
        number = len(run.datagrams)
        self._count -= number
        self._size -= run.size
        self.first = run.first + number

    def _trim_run(self, run: _Run) -> None:
        """Remove as many of the first datagrams of ``run`` as necessary."""
        count, size, number = self._count, self._size, 0
        for datagram in run.datagrams:
            if count <= self._max_count and size <= self._max_size:
                break
            count -= 1
            size -= len(datagram)
            number += 1
        del run.datagrams[:number]
        run.first += number
        run.size -= self._size - size
        self._count, self._size = count, size
        self.first = run.first
        if not run.datagrams:
            self._runs.popleft()
