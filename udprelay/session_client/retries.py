"""Timers of requests that are retried, and of attempts to join."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf

NO_ANSWER_INTERVAL = 5.0
"""Seconds of unanswered attempts between two reports."""
MIN_JOIN_INTERVAL = 1.0
"""Seconds from one WELCOME to the next HELLO, so that a relay that forgets is not flooded."""


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


class JoinBackoff:
    """
    When to try to join, and for how long the relay has not answered.

    :param random_bytes: returns so many random bytes.
    :ivar trying_since: when the first unanswered attempt began.
    :ivar retry_at: when the next attempt begins.
    :ivar report_at: when to report that the relay does not answer.
    """

    def __init__(self, random_bytes: Callable[[int], bytes], now: float) -> None:
        self.trying_since = now
        self.retry_at = inf
        self.report_at = inf
        self._random_bytes = random_bytes
        self._joined_at = -inf

    def start(self, now: float) -> None:
        """Begin an attempt."""
        self.trying_since = now
        self.report_at = now + NO_ANSWER_INTERVAL

    def record_join(self, now: float) -> None:
        """Record a WELCOME."""
        self._joined_at = now

    def delay(self, milliseconds: int, now: float) -> bool:
        """Set :attr:`retry_at`, after the relay's delay; return whether it is in the future."""
        # Jitter, so that not all clients that were sent away come back at once.
        jitter = int.from_bytes(self._random_bytes(2), "big") / 0xFFFF
        delay = milliseconds / 1000 * (1 + jitter / 2)
        self.retry_at = max(now + delay, self._joined_at + MIN_JOIN_INTERVAL)
        return self.retry_at > now

    def pop_report(self, now: float) -> bool:
        """Return whether to report now that the relay does not answer."""
        if now < self.report_at:
            return False
        self.report_at = now + NO_ANSWER_INTERVAL
        return True
