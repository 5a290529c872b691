"""Items that wait for what is missing before them."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Generic, TypeVar

T = TypeVar("T")

MOST = 4096
MOST_BYTES = 8 * 1024 * 1024


class Held(Generic[T]):
    """Items by number, given out in order."""

    def __init__(self) -> None:
        self._items: dict[int, tuple[T, int]] = {}
        self._order: list[int] = []
        self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self._items)

    @property
    def is_too_much(self) -> bool:
        """Whether some of it has to go."""
        return len(self._items) > MOST or self._bytes > MOST_BYTES

    def keep(self, number: int, item: T, size: int) -> None:
        """Keep an item of so many bytes."""
        self._items[number] = (item, size)
        self._bytes += size
        heappush(self._order, number)

    def take_up_to(self, last: int) -> list[T]:
        """Return the items up to a number, in order; they are no longer kept."""
        items = []
        while self._order and self._order[0] <= last:
            item, size = self._items.pop(heappop(self._order))
            self._bytes -= size
            items.append(item)
        return items
