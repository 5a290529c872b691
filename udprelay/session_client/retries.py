"""Datagrams that are sent again until they are answered."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf


class Retries:
    """
    Sends a datagram at once and after each interval but the last.

    :param intervals: seconds, at least one; may be infinitely many.
    :param start: when to send it first.
    :ivar transmissions: how often it was sent.
    :ivar sent_at: when it was sent last.
    :ivar exhausted: whether the last interval has passed.
    :ivar deadline: when to call :meth:`drain_datagrams`.
    """

    def __init__(self, datagram: bytes, intervals: Iterable[float], start: float) -> None:
        self.transmissions = 0
        self.sent_at = start
        self.exhausted = False
        self.deadline = start
        self._datagram = datagram
        self._intervals = iter(intervals)

    def drain_datagrams(self, now: float) -> list[bytes]:
        """Return the datagram if it is to be sent now, or nothing."""
        if now < self.deadline:
            return []
        interval = next(self._intervals, None)
        if interval is None:
            self.exhausted = True
            self.deadline = inf
            return []
        self.transmissions += 1
        self.sent_at = now
        self.deadline = now + interval
        return [self._datagram]


NEVER = Retries(b"", (), inf)
"""Sends nothing."""
