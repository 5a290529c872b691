"""The newest entries of a room, for members that have lost some."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from itertools import islice
from math import inf
from operator import itemgetter

from udprelay.relay.sizes import ENTRY_SIZE

_sequence = itemgetter(0)

MAX_SIZE = 256 * 1024
"""Bytes of the entries of one room."""


class EntryHistory:
    """
    The newest entries of a room by room sequence, within three limits.

    Apart from the datagrams of members: who joins, leaves and renames itself all the time pushes
    no message out of the history.

    :param max_count: entries stored at most.
    :param max_size: bytes stored at most.
    :param max_age: seconds for which an entry is stored.
    :ivar size: bytes stored.
    :ivar total: bytes of all entries so far.
    :ivar first: the room sequence from which on all entries are still stored.
    """

    def __init__(self, max_count: int, max_size: int, max_age: float) -> None:
        self._max_count = max_count
        self._max_size = min(max_size, MAX_SIZE)
        self._max_age = max_age
        self._entries: deque[tuple[int, float, bytes]] = deque()
        self.size = 0
        self.total = 0
        self.first = 1

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def footprint(self) -> int:
        """Bytes of memory that the entries take."""
        return self.size + ENTRY_SIZE * len(self._entries)

    @property
    def oldest(self) -> float:
        """When the oldest entry was stored; infinity if there is none."""
        return self._entries[0][1] if self._entries else inf

    def drop_oldest(self) -> int:
        """Remove the oldest entry; return how many that are."""
        self._remove_oldest()
        return 1

    def append(self, sequence: int, entry: bytes, now: float) -> None:
        """Store the entry with a room sequence above all earlier ones."""
        self._entries.append((sequence, now, entry))
        self.size += len(entry)
        self.total += len(entry)
        while len(self._entries) > self._max_count or self.size > self._max_size:
            self._remove_oldest()
        self.expire(now)

    def stored(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        """Yield the stored entries of the sequences ``first`` to ``last``, with the sequence."""
        entries = self._entries
        if not entries or first > entries[-1][0] or last < entries[0][0]:
            return
        index = bisect_left(entries, first, key=_sequence)
        for sequence, _, entry in islice(entries, index, None):
            if sequence > last:
                return
            yield sequence, entry

    def expire(self, now: float) -> None:
        """Remove entries that are too old."""
        while self._entries and self._entries[0][1] + self._max_age <= now:
            self._remove_oldest()

    def _remove_oldest(self) -> None:
        sequence, _, entry = self._entries.popleft()
        self.size -= len(entry)
        self.first = sequence + 1
