"""How often somebody is woken: whoever is woken again and again at once has a livelock."""

from __future__ import annotations

MOST_AT_ONCE = 8
MOST_IN_A_SECOND = 400


class Pulse:
    """
    Counts how often deadlines come due.

    :param who: has them, for people.
    """

    def __init__(self, who: str) -> None:
        self._who = who
        self._last = -1.0
        self._at_once = 0
        self._second = -1
        self._in_second = 0

    def beat(self, now: float) -> None:
        """Note that a deadline has come due."""
        if now == self._last:
            self._at_once += 1
            assert self._at_once <= MOST_AT_ONCE, f"{self._who} is woken all the time at {now}"
        else:
            self._last, self._at_once = now, 0
        if int(now) == self._second:
            self._in_second += 1
            assert self._in_second <= MOST_IN_A_SECOND, f"{self._who} is woken too often at {now}"
        else:
            self._second, self._in_second = int(now), 0
