"""The pace that a relay allows."""

from __future__ import annotations

_BURST = 0.25
"""Seconds' worth of what is allowed that may go at once."""


class Allowance:
    """
    Token buckets for datagrams and bytes.

    Each datagram may go if anything is left, and leaves a debt if it was not enough: so the
    largest goes through the smallest allowance.
    """

    def __init__(self) -> None:
        self._rates = (0, 0)
        self._left = [0.0, 0.0]
        self._updated = 0.0

    def allow(self, datagrams: int, size: int, now: float) -> None:
        """Allow so many datagrams and bytes a second from now on; 0 is no limit."""
        self._rates = (datagrams, size)
        self._left = [rate * _BURST for rate in self._rates]
        self._updated = now

    def spend(self, size: int, now: float) -> None:
        """Count a datagram that goes now, whether it may or not."""
        self._refill(now)
        # A debt of a second at most: what may not wait must not stop for good what can.
        self._left = [
            max(left - cost, -rate)
            for left, cost, rate in zip(self._left, (1, size), self._rates, strict=True)
        ]

    def ready(self, now: float) -> bool:
        """Return whether a datagram may go."""
        self._refill(now)
        # Not 0: at ``when`` there may be a rounding error less.
        return all(
            left > -1e-6 or not rate for left, rate in zip(self._left, self._rates, strict=True)
        )

    @property
    def when(self) -> float:
        """The time from which on a datagram may go, unless others go before it."""
        waits = [-left / rate for left, rate in zip(self._left, self._rates, strict=True) if rate]
        return self._updated + max([0.0, *waits])

    def _refill(self, now: float) -> None:
        gained = now - self._updated
        self._updated = now
        self._left = [
            min(left + gained * rate, rate * _BURST)
            for left, rate in zip(self._left, self._rates, strict=True)
        ]
