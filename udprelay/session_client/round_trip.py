"""How long an answer takes, and how long to wait for one (RFC 6298)."""

from __future__ import annotations

from math import ldexp

FIRST_TIMEOUT = 0.5
LEAST_TIMEOUT = 0.1
LARGEST_TIMEOUT = 4.0


class RoundTrip:
    """
    Learns from round trips how long the next ones may take.

    :ivar smoothed: seconds; None before the first sample.
    :ivar variation: seconds; None before the first sample.
    """

    def __init__(self) -> None:
        self.smoothed: float | None = None
        self.variation: float | None = None

    def sample(self, seconds: float) -> None:
        """Take into account how long an answer took; to what was sent once only (section 3)."""
        if self.smoothed is None or self.variation is None:
            self.smoothed, self.variation = seconds, seconds / 2
            return
        # Section 2.3; the variation first, from the mean before this sample.
        self.variation += (abs(self.smoothed - seconds) - self.variation) / 4
        self.smoothed += (seconds - self.smoothed) / 8

    @property
    def timeout(self) -> float:
        """Seconds to wait for an answer before doubting that it will come."""
        if self.smoothed is None or self.variation is None:
            return FIRST_TIMEOUT
        return min(max(LEAST_TIMEOUT, self.smoothed + 4 * self.variation), LARGEST_TIMEOUT)

    def after(self, times: int) -> float:
        """Return the seconds to wait for what was sent so many times (section 5.5)."""
        # Beyond 2**6 the largest timeout has been reached whatever the first was.
        return min(ldexp(self.timeout, min(times - 1, 6)), LARGEST_TIMEOUT)
