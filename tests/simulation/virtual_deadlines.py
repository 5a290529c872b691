"""The rate of deadlines: a host that is called again and again has a livelock."""

from __future__ import annotations

MAX_AT_ONCE = 8
"""Deadlines after the first one at the same time."""
MAX_IN_A_SECOND = 400


class DeadlineCounter:
    """
    Counts the deadlines of a host.

    :param name: the host in messages.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._last = -1.0
        self._at_once = 0
        self._second = -1
        self._in_second = 0

    def count(self, now: float) -> None:
        """Count a deadline that is due now."""
        if now == self._last:
            self._at_once += 1
            assert self._at_once <= MAX_AT_ONCE, f"{self._name} has endless deadlines at {now}"
        else:
            self._last, self._at_once = now, 0
        if int(now) == self._second:
            self._in_second += 1
            assert self._in_second <= MAX_IN_A_SECOND, (
                f"{self._name} has too many deadlines at {now}"
            )
        else:
            self._second, self._in_second = int(now), 0
