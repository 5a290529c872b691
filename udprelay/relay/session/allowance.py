"""How much one member may do in a second."""

from __future__ import annotations


class Allowance:
    """
    Two token buckets that hold what is allowed for one second.

    What is larger than a bucket passes when the bucket is full, and is paid for afterwards, so
    that small rates do not shut out large datagrams.

    :param rate: datagrams a second; 0 is no limit.
    :param bandwidth: bytes a second; 0 is no limit.
    """

    __slots__ = ("_bandwidth", "_bytes", "_datagrams", "_rate", "_updated")

    def __init__(self, rate: float, bandwidth: float) -> None:
        self._rate = rate
        self._bandwidth = bandwidth
        self._datagrams = rate
        self._bytes = bandwidth
        self._updated: float | None = None

    def take(self, datagrams: int, size: int, now: float) -> bool:
        """
        Take ``datagrams`` with ``size`` bytes in all.

        :return: whether that is allowed; if not, nothing is taken.
        """
        elapsed = 0.0 if self._updated is None else now - self._updated
        if elapsed > 0 or self._updated is None:
            self._updated = now
            self._datagrams = min(self._rate, self._datagrams + elapsed * self._rate)
            self._bytes = min(self._bandwidth, self._bytes + elapsed * self._bandwidth)
        # An unlimited bucket is always full, as it has no room.
        if self._datagrams < datagrams and self._datagrams < self._rate:
            return False
        if self._bytes < size and self._bytes < self._bandwidth:
            return False
        if self._rate:
            self._datagrams -= datagrams
        if self._bandwidth:
            self._bytes -= size
        return True
