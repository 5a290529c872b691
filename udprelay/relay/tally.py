"""Counts by key in a table of fixed size, for keys that anybody can invent."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Tally(Generic[K]):
    """
    Counts by key, of one interval after another (the algorithm of Misra and Gries).

    When the table is full, all counts decrease until one is 0. So a key that has more than one
    part in ``size`` of everything stays in the table, and no count is ever too high.

    :param size: keys at most.
    :param interval: seconds after which all counts begin anew.
    """

    def __init__(self, size: int, interval: float) -> None:
        self._size = size
        self._interval = interval
        self._counts: dict[K, int] = {}
        self._since = 0.0

    def __len__(self) -> int:
        return len(self._counts)

    def clear(self) -> None:
        """Forget all counts."""
        self._counts.clear()

    def add(self, key: K, number: int, now: float) -> int:
        """Add to a count; return what it is now."""
        if now - self._since >= self._interval:
            self._counts.clear()
            self._since = now
        counts = self._counts
        if key in counts or len(counts) < self._size:
            counts[key] = count = counts.get(key, 0) + number
            return count
        lowest = min(number, min(counts.values()))
        self._counts = {k: count - lowest for k, count in counts.items() if count > lowest}
        if number > lowest:
            self._counts[key] = number - lowest
        return number - lowest

    def above(self, limit: int) -> list[tuple[K, int]]:
        """Return the keys whose counts are at least ``limit``, with the counts."""
        return [(key, count) for key, count in self._counts.items() if count >= limit]
