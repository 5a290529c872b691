"""When a client tries to join, and how long nobody has answered."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

NO_ANSWER = 5.0
"""Seconds of trying between two reports that nobody answers."""
SHORTEST_SESSION = 1.0
"""Seconds from one WELCOME to the next HELLO: a relay that forgets is not flooded."""


class Attempts:
    """
    The times of trying and of waiting.

    :param random_bytes: returns so many random bytes.
    :ivar since: when the client began to try.
    :ivar resumes_at: when it stops waiting.
    :ivar report_at: when to report that nobody answers.
    """

    def __init__(self, random_bytes: Callable[[int], bytes], now: float) -> None:
        self.since = now
        self.resumes_at = inf
        self.report_at = inf
        self._random_bytes = random_bytes
        self._joined_at = -inf

    def begin(self, now: float) -> None:
        """Try from now on."""
        self.since = now
        self.report_at = now + NO_ANSWER

    def joined(self, now: float) -> None:
        """Take note of a WELCOME."""
        self._joined_at = now

    def wait(self, milliseconds: int, now: float) -> bool:
        """Wait before the next attempt, as long as the relay wants; return whether to wait."""
        chosen = int.from_bytes(self._random_bytes(2), "big") / 0xFFFF
        # Not everybody that was sent away is to come back at once.
        pause = milliseconds / 1000 * (1 + chosen / 2)
        self.resumes_at = max(now + pause, self._joined_at + SHORTEST_SESSION)
        return self.resumes_at > now

    def unanswered(self, now: float) -> bool:
        """Return whether to report now that nobody answers."""
        if now < self.report_at:
            return False
        self.report_at = now + NO_ANSWER
        return True
