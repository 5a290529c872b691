"""A datagram that is sent again and again until there is an answer."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf


class Repeats:
    """
    Sends a datagram at once, again after each pause but the last, and is over after that.

    :param datagram: what is sent.
    :param pauses: seconds, at least one; they may have no end.
    :param begin: when it is sent first.
    :ivar times: how often it was sent.
    :ivar sent: when it was sent last.
    :ivar over: the last pause has passed.
    :ivar deadline: when to call :meth:`take`.
    """

    def __init__(self, datagram: bytes, pauses: Iterable[float], begin: float) -> None:
        self.times = 0
        self.sent = begin
        self.over = False
        self.deadline = begin
        self._datagram = datagram
        self._pauses = iter(pauses)

    def take(self, now: float) -> list[bytes]:
        """Return what is to be sent now: the datagram, or nothing."""
        if now < self.deadline:
            return []
        pause = next(self._pauses, None)
        if pause is None:
            self.over = True
            self.deadline = inf
            return []
        self.times += 1
        self.sent = now
        self.deadline = now + pause
        return [self._datagram]
