"""Round-trip times and the retransmission timeout (RFC 6298)."""

from __future__ import annotations

from math import ldexp

FIRST_TIMEOUT = 0.5
MIN_TIMEOUT = 0.1
MAX_TIMEOUT = 4.0


class RoundTripEstimator:
    """
    Estimates the round-trip time from samples.

    :ivar smoothed: seconds; None before the first sample.
    :ivar variation: seconds; None before the first sample.
    """

    def __init__(self) -> None:
        self.smoothed: float | None = None
        self.variation: float | None = None

    def add_sample(self, seconds: float) -> None:
        """Add the round trip of a datagram that was sent once only (RFC 6298, section 3)."""
        if self.smoothed is None or self.variation is None:
            self.smoothed, self.variation = seconds, seconds / 2
            return
        # Section 2.3: the variation first, from the mean before this sample.
        self.variation += (abs(self.smoothed - seconds) - self.variation) / 4
        self.smoothed += (seconds - self.smoothed) / 8

    @property
    def timeout(self) -> float:
        """The retransmission timeout in seconds, without backoff."""
        if self.smoothed is None or self.variation is None:
            return FIRST_TIMEOUT
        return min(max(MIN_TIMEOUT, self.smoothed + 4 * self.variation), MAX_TIMEOUT)

    def backoff(self, transmissions: int) -> float:
        """Return the timeout after so many transmissions, in seconds (section 5.5)."""
        # 2**6 times the smallest timeout exceeds the largest.
        return min(ldexp(self.timeout, min(transmissions - 1, 6)), MAX_TIMEOUT)
