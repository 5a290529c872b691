"""The last datagrams of a room, for members that have missed some."""

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
    """
    Datagrams with consecutive room sequences that came at the same time.

    :param first: the sequence of the first one.
    :param size: bytes in all of them.
    """

    first: int
    time: float
    size: int
    datagrams: list[bytes]


class History:
    """
    A room's datagrams by room sequence, from 1 on: the newest, within three bounds.

    What is unreliable has a sequence, but is not kept and uses up no bound.

    :param count: datagrams kept at most.
    :param size: bytes kept at most.
    :param age: seconds for which a datagram is kept at most.
    :ivar newest: the last sequence given out; 0 at first.
    :ivar first: the lowest sequence from which on all that was to be kept is still here.
    """

    __slots__ = ("_age", "_count", "_most", "_most_bytes", "_runs", "_size", "first", "newest")

    def __init__(self, count: int, size: int, age: float) -> None:
        self._most = count
        self._most_bytes = size
        self._age = age
        self._runs: deque[_Run] = deque()
        self._count = 0
        self._size = 0
        self.newest = 0
        self.first = 1

    def __len__(self) -> int:
        return self._count

    @property
    def size(self) -> int:
        """Bytes in all datagrams kept."""
        return self._size

    @property
    def deadline(self) -> float | None:
        """When :meth:`expire` should be called next, or None."""
        return self._runs[0].time + self._age if self._runs else None

    def extend(self, datagrams: Sequence[bytes], now: float) -> None:
        """
        Give each datagram the next sequence and keep it.

        :param datagrams: ``b""`` in place of each one that is not to be kept.
        """
        first = self.newest + 1
        self.newest += len(datagrams)
        if all(datagrams):
            self._keep(first, list(datagrams), now)
        else:
            for kept, group in groupby(datagrams, bool):
                run = list(group)
                if kept:
                    self._keep(first, run, now)
                first += len(run)
        self._trim()
        self.expire(now)

    def skip(self, count: int) -> None:
        """Give out ``count`` sequences to datagrams that are not to be kept."""
        self.newest += count

    def get(self, sequence: int) -> bytes | None:
        """Return a datagram; ``b""`` if it was not to be kept, None if it is no longer here."""
        if not self.first <= sequence <= self.newest:
            return None
        return next((datagram for _, datagram in self.kept(sequence, sequence)), b"")

    def kept(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        """
        Yield what is here of the sequences ``first`` to ``last``, each with its sequence.

        Costs nothing for sequences that are not here, so any range may be asked for.
        """
        index = max(0, bisect_right(self._runs, first, key=_first) - 1)
        for run in islice(self._runs, index, None):
            if run.first > last:
                return
            begin = max(first - run.first, 0)
            yield from enumerate(run.datagrams[begin : last + 1 - run.first], run.first + begin)

    def sequence_of_last(self, count: int) -> int:
        """Return where the last ``count`` datagrams begin, fewer if there are not as many."""
        sequence = self.newest + 1
        for run in reversed(self._runs):
            if count <= 0:
                break
            begin = max(len(run.datagrams) - count, 0)
            count -= len(run.datagrams) - begin
            sequence = run.first + begin
        return sequence

    def expire(self, now: float) -> None:
        """Forget what is too old."""
        runs = self._runs
        while runs and runs[0].time + self._age <= now:
            self._forget_run()

    def _keep(self, first: int, datagrams: list[bytes], now: float) -> None:
        if datagrams:
            # Of a list, as sum() is a third slower with an iterator.
            size = sum([*map(len, datagrams)])
            self._runs.append(_Run(first, now, size, datagrams))
            self._count += len(datagrams)
            self._size += size

    def _trim(self) -> None:
        while self._count > self._most or self._size > self._most_bytes:
            oldest = self._runs[0]
            if (
                self._count - len(oldest.datagrams) >= self._most
                or self._size - oldest.size >= self._most_bytes
            ):
                self._forget_run()
            else:
                self._trim_run(oldest)

    def _forget_run(self) -> None:
        run = self._runs.popleft()
        number = len(run.datagrams)
        self._count -= number
        self._size -= run.size
        self.first = run.first + number

    def _trim_run(self, run: _Run) -> None:
        """Forget as many of the first datagrams of ``run`` as is needed."""
        count, size, number = self._count, self._size, 0
        for datagram in run.datagrams:
            if count <= self._most and size <= self._most_bytes:
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
