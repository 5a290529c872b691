"""Requests for the roster, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

RETRY_INTERVALS = (0.25, 0.5, 1.0)
"""Seconds between transmissions; the last repeats. Who leaves meanwhile stays unknown."""
ROUND_INTERVAL = 2.0
"""Seconds between two rounds for all members, at least."""
_MAX_WANTED = 64


class RosterRequests:
    """
    Requests all members, page by page, after a loss in the room sequence, and single members.

    :ivar first_round: the first round in this room is not complete.
    """

    def __init__(self) -> None:
        self.first_round = False
        self._cursor: int | None = None
        self._min_newest = 0
        self._round_at = inf
        self._round_min_newest = 0
        self._last_round = -inf
        self._wanted: dict[int, None] = {}
        self._open: int | None = None
        self._retry_at = -inf
        self._intervals: Iterator[float] = iter(())

    @property
    def updating(self) -> bool:
        """Whether a round is in progress, or due later."""
        return self._cursor is not None or self._round_at < inf

    @property
    def deadline(self) -> float:
        """When :meth:`next_number` should be called next, if no answer comes before."""
        return self._round_at if self._open is None else self._retry_at

    def reset(self, more_from: int | None, newest: int) -> None:
        """
        Begin with another room.

        :param more_from: the first number that WELCOME does not cover, if any.
        :param newest: the room sequence of the WELCOME.
        """
        self._cursor = more_from
        self.first_round = more_from is not None
        self._min_newest = newest
        self._round_at = inf
        self._last_round = -inf
        self._wanted.clear()
        self._open = None

    def resume(self) -> None:
        """Send the open request again at once."""
        self._retry_at = -inf

    def request_all(self, newest: int, now: float) -> None:
        """Request all members as of this room sequence, or a later one."""
        if self._round_at == inf:
            self._round_at = max(now, self._last_round + ROUND_INTERVAL)
            self._round_min_newest = newest
        else:
            self._round_min_newest = max(self._round_min_newest, newest)

    def request(self, number: int) -> None:
        """Request one member."""
        if len(self._wanted) < _MAX_WANTED and number != self._open:
            self._wanted[number] = None

    def cancel(self, number: int) -> None:
        """Do not request this member any more."""
        self._wanted.pop(number, None)
        if number == self._open and number != self._cursor:
            self._open = None

    def next_number(self, now: float) -> int | None:
        """Return the number for the ROSTER to send now, if any."""
        if self._open is None:
            self._open = self._next(now)
            self._intervals = iter(RETRY_INTERVALS)
        elif now < self._retry_at:
            return None
        self._retry_at = now + next(self._intervals, RETRY_INTERVALS[-1])
        return self._open

    def accept(self, first: int, more_from: int | None, newest: int) -> bool:
        """Return whether a page answers the open request, and is recent enough."""
        if first != self._open or newest < self._min_newest:
            return False
        self._open = None
        self._wanted.pop(first, None)
        if first == self._cursor:
            # A page that leads back would cause an endless round.
            self._cursor = more_from if more_from is not None and more_from > first else None
            self.first_round = self.first_round and self._cursor is not None
        return True

    def _next(self, now: float) -> int | None:
        for number in self._wanted:
            del self._wanted[number]
            return number
        if self._cursor is None and self._round_at <= now:
            self._cursor, self._min_newest = 0, self._round_min_newest
            self._round_at, self._last_round = inf, now
        return self._cursor
