"""Items by deadline, which can be removed before it."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from math import inf
from typing import Any, Generic, TypeAlias, TypeVar

T = TypeVar("T")

Ticket: TypeAlias = list[Any]
"""An entry: deadline, serial number, and the item, or None once it has been removed."""


class Deadlines(Generic[T]):
    """
    A heap of deadlines that keeps no item alive which is removed.

    The entries of removed items stay in the heap, without the items, until they come due or are
    more than the others.
    """

    def __init__(self) -> None:
        self._heap: list[Ticket] = []
        self._removed = 0
        self._serial = 0

    def __len__(self) -> int:
        return len(self._heap) - self._removed

    @property
    def next(self) -> float:
        """The next deadline, or infinity; it may be that of a removed item."""
        deadline: float = self._heap[0][0] if self._heap else inf
        return deadline

    def add(self, deadline: float, item: T) -> Ticket:
        """Add an item; return its ticket."""
        self._serial += 1
        ticket: Ticket = [deadline, self._serial, item]
        heappush(self._heap, ticket)
        return ticket

    def remove(self, ticket: Ticket) -> None:
        """Remove an item, if it is there."""
        if ticket[2] is None:
            return
        ticket[2] = None
        self._removed += 1
        if self._removed > len(self):
            # Each removal pays for one entry.
            self._heap = [entry for entry in self._heap if entry[2] is not None]
            self._removed = 0
            heapify(self._heap)

    def due(self, now: float, limit: int) -> Iterator[T]:
        """
        Remove and yield the items whose deadline has come; items may be added meanwhile.

        At most ``limit`` entries are looked at; the others stay due.
        """
        for _ in range(limit):
            if self.next > now:
                return
            ticket = heappop(self._heap)
            item, ticket[2] = ticket[2], None
            if item is None:
                self._removed -= 1
            else:
                yield item
