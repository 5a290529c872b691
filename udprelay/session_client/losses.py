"""What was lost, and whose it was: each loss told once."""

from __future__ import annotations

from collections.abc import Callable

from udprelay.session_client.events import Event, Lost
from udprelay.session_client.reports import Reports

PATIENCE = 5.0
"""Seconds that a hole waits for the roster to tell whose messages were in it."""


class Losses:
    """
    Puts together holes in the room sequence and gaps in the senders' own sequences.

    Both show the same loss, from its two sides. A hole has a number of datagrams, and not their
    senders; those are told as far as gaps become known, and the rest without a sender.

    :param tell: takes events.
    :ivar lost: datagrams told as lost.
    :ivar reports: what senders are told of it.
    """

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self.lost = 0
        self._tell = tell
        self._open = 0
        self._nameless = 0
        self._until: float | None = None
        self.reports = Reports()

    @property
    def deadline(self) -> float | None:
        """When :meth:`expire` should be called next."""
        return self._until

    def hole(self, count: int, now: float) -> None:
        """Note that so many datagrams of the room are lost, from whomever."""
        self._open += count
        if self._until is None:
            self._until = now + PATIENCE

    def explain(self, count: int) -> None:
        """Note that so many of them were joins, leaves and new nicks."""
        self._open = max(0, self._open - count)

    def gap(self, count: int, nick: str | None) -> int:
        """
        Note that so many reliable datagrams of one sender are lost.

        :return: how many of them were in no hole.
        """
        from_open = min(count, self._open)
        self._open -= from_open
        # They were told already, only without the sender.
        from_nameless = min(count - from_open, self._nameless)
        self._nameless -= from_nameless
        self.tell(count - from_nameless, nick)
        return count - from_open - from_nameless

    def tell(self, count: int, nick: str | None) -> None:
        """Tell of a loss that nothing else will show."""
        if count:
            self.lost += count
            self._tell(Lost(count, nick))

    def close(self) -> None:
        """Tell the rest of all holes: nothing more will become known about them."""
        self._nameless += self._open
        self.tell(self._open, None)
        self._open = 0
        self._until = None

    def forget(self) -> None:
        """Begin with another room sequence: gaps have nothing to do with the holes before."""
        self.close()
        self._nameless = 0

    def expire(self, now: float) -> None:
        """Tell the rest of holes that have waited long enough."""
        if self._until is not None and self._until <= now:
            self.close()
