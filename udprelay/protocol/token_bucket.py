"""A limit on datagrams and bytes per second."""

from __future__ import annotations

_ROUNDING_ERROR = 1e-6
"""Tokens that may be lacking at :attr:`TokenBucket.available_at`."""


class TokenBucket:
    """
    Two token buckets in one: one call checks datagrams and bytes.

    Each call refills them. A datagram that needs more tokens than a full bucket holds passes a
    full bucket and leaves a debt. So low limits do not reject large datagrams for ever.

    :param rates: datagrams and bytes gained per second.
    :param bursts: datagrams and bytes in the full buckets, which they are at first; 0 is no limit.
    :param now: the time of the first refill, in seconds by the clock of all other calls.
    """

    __slots__ = (
        "_bandwidth",
        "_bytes",
        "_datagrams",
        "_max_bytes",
        "_max_datagrams",
        "_rate",
        "_updated",
    )

    def __init__(
        self, rates: tuple[float, float], bursts: tuple[float, float], now: float = 0.0
    ) -> None:
        self._rate, self._bandwidth = rates
        self._max_datagrams, self._max_bytes = bursts
        self._datagrams, self._bytes = bursts
        self._updated = now

    def try_consume(self, size: int, now: float) -> bool:
        """
        Consume the tokens of a datagram with ``size`` bytes.

        :return: whether there were enough; otherwise none is consumed.
        """
        return bool(self.consume_up_to(1, size, now))

    def consume_up_to(self, datagrams: int, size: int, now: float) -> int:
        """
        Consume the tokens of as many of some datagrams of one size as there are tokens for.

        :param size: bytes of all ``datagrams``.
        :return: the number of datagrams that pass, as by :meth:`try_consume` for each.
        """
        if now > self._updated:
            self._refill(now)
        each = size / datagrams
        passing = min(
            datagrams,
            _fit(self._datagrams, 1, self._max_datagrams, datagrams),
            _fit(self._bytes, each, self._max_bytes, datagrams),
        )
        if self._max_datagrams:
            self._datagrams -= passing
        if self._max_bytes:
            self._bytes -= passing * each
        return passing

    def has_token(self, now: float) -> bool:
        """Return whether an empty datagram would pass; consume nothing."""
        if now > self._updated:
            self._refill(now)
        return self._datagrams >= min(1, self._max_datagrams)

    def consume(self, size: int, now: float) -> None:
        """
        Consume the tokens of a datagram with ``size`` bytes, if necessary by a debt.

        The debt is limited to the tokens of one second.
        """
        if now > self._updated:
            self._refill(now)
        if self._max_datagrams:
            self._datagrams = max(self._datagrams - 1, -self._rate)
        if self._max_bytes:
            self._bytes = max(self._bytes - size, -self._bandwidth)

    def in_debt(self, now: float) -> bool:
        """Return whether a bucket is below zero."""
        if now > self._updated:
            self._refill(now)
        return min(self._datagrams, self._bytes) <= -_ROUNDING_ERROR

    @property
    def available_at(self) -> float:
        """The time at which the debt is paid; not in the future without one."""
        waits = [0.0]
        if self._rate:
            waits.append(-self._datagrams / self._rate)
        if self._bandwidth:
            waits.append(-self._bytes / self._bandwidth)
        return self._updated + max(waits)

    @property
    def state(self) -> tuple[float, float]:
        """The datagrams left and the time of the last refill: all, where bytes are not limited."""
        return self._datagrams, self._updated

    @state.setter
    def state(self, state: tuple[float, float]) -> None:
        self._datagrams, self._updated = state

    def _refill(self, now: float) -> None:
        elapsed = now - self._updated
        self._updated = now
        self._datagrams = min(self._max_datagrams, self._datagrams + elapsed * self._rate)
        self._bytes = min(self._max_bytes, self._bytes + elapsed * self._bandwidth)


def _fit(tokens: float, each: float, full: float, wanted: int) -> int:
    """Return how many times ``each`` can be consumed; a full bucket lets one pass in any case."""
    if not full or not each:
        return wanted
    if tokens < each:
        return int(tokens >= full)
    return int(tokens / each)
