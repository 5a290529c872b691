"""Items from so far ahead that only the relay itself can make them believed."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")

MOST = 256
MOST_BYTES = 2**20


class Unconfirmed(Generic[T]):
    """Keeps a few of them until the relay has told what the newest number is."""

    def __init__(self) -> None:
        self._items: dict[int, tuple[T, int, bool]] = {}
        self._bytes = 0

    def keep(self, sequence: int, item: T, size: int, at_once: bool) -> None:
        """Keep an item, if there is room; parameters as for :meth:`Incoming.take`."""
        if (
            sequence not in self._items
            and len(self._items) < MOST
            and self._bytes + size <= MOST_BYTES
        ):
            self._items[sequence] = (item, size, at_once)
            self._bytes += size

    def take_up_to(self, last: int) -> list[tuple[int, T, int, bool]]:
        """Return the items up to a number, in order; drop all that is beyond it, as forged."""
        items = [(number, *self._items[number]) for number in sorted(self._items)]
        self._items.clear()
        self._bytes = 0
        return [item for item in items if item[0] <= last]
