"""
The memory of a relay: one budget in bytes for members, rooms, and all that is kept for them.

What is kept is counted when it changes, per run at most, with the sizes of ``relay.sizes``. What
else the process takes does not grow.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from math import inf

from udprelay.relay.census import Census
from udprelay.relay.events import MemoryFull
from udprelay.relay.output import Output

_PRIVATE_PART, _EARLY_PART = 8, 16
_SHARE = 64
_MAX_SLACK = 1024 * 1024


class Pool(str, Enum):
    """What the memory is used for."""

    MEMBERS = "members"
    ROOMS = "rooms"
    DEPARTED = "departed"
    HISTORIES = "histories"
    PRIVATE = "private"
    EARLY = "early"


class Memory:
    """
    Counts what is kept, and says whether there is space for more.

    If there is none, the oldest datagrams of all histories make way.

    :param budget: bytes in all.
    :param window: seconds over which the datagrams that make way, and who is refused, are summed.
    :ivar used: bytes in all pools.
    :ivar make_way: removes the oldest datagrams of all histories, so many bytes; returns their
        number.
    """

    def __init__(self, budget: int, window: float, output: Output, census: Census) -> None:
        self.used = 0
        self.make_way: Callable[[int], int] = lambda size: 0
        self._budget = budget
        self._window = window
        self._output = output
        self._pools = dict.fromkeys(Pool, 0)
        self._trimmed = self._refused = 0
        self._reported = 0, 0
        self._since = inf
        census.add("memory.used", lambda: self.used)
        census.add("memory", lambda: {pool.value: size for pool, size in self._pools.items()})
        census.add("memory.trimmed", lambda: self._trimmed)
        census.add("memory.refused", lambda: self._refused)

    @property
    def deadline(self) -> float:
        """When :meth:`report` is due, or infinity."""
        return self._since + self._window

    def size(self, pool: Pool) -> int:
        """Return the bytes in a pool."""
        return self._pools[pool]

    def change(self, pool: Pool, size: int) -> None:
        """Count so many bytes more, or less."""
        self.used += size
        self._pools[pool] += size

    def keep(self, pool: Pool, size: int, now: float) -> None:
        """Count bytes more that are kept already; the oldest datagrams make way for them."""
        self.change(pool, size)
        if self.used > self._budget:
            self._make_way(0, now)

    def admits(self, size: int, now: float) -> bool:
        """Return whether there is space for a member or a room of so much; count a refusal."""
        if self._has_space(size, now):
            return True
        self._refused += 1
        self._begin_window(now)
        return False

    def has_share(self, pool: Pool, own: int, size: int, now: float) -> bool:
        """
        Return whether somebody may have ``size`` bytes more in a pool.

        A pool is a part of the budget. Everybody may have a 64th of what is free in it, so nobody
        can use it up.

        :param own: bytes that it has in the pool already.
        """
        part = self._budget // (_PRIVATE_PART if pool is Pool.PRIVATE else _EARLY_PART)
        free = part - self._pools[pool]
        return own + size <= free // _SHARE and self._has_space(size, now)

    def _has_space(self, size: int, now: float) -> bool:
        if self.used + size > self._budget and self._pools[Pool.HISTORIES]:
            self._make_way(size, now)
        return self.used + size <= self._budget

    def _make_way(self, size: int, now: float) -> None:
        # A little more at once, as all histories are looked at.
        slack = min(_MAX_SLACK, self._budget // 64)
        self._trimmed += self.make_way(self.used + size + slack - self._budget)
        self._begin_window(now)

    def _begin_window(self, now: float) -> None:
        self._since = min(self._since, now)
        self._output.deadline_nearer = True

    def report(self) -> list[MemoryFull]:
        """Return an event for the window, if anything has happened in it."""
        trimmed, refused = self._trimmed - self._reported[0], self._refused - self._reported[1]
        self._reported = self._trimmed, self._refused
        self._since = inf
        if not trimmed and not refused:
            return []
        return [
            MemoryFull(
                budget=self._budget,
                used=self.used,
                trimmed=trimmed,
                refused=refused,
                window=self._window,
            )
        ]
