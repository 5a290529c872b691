"""Messages of senders that the roster does not name yet."""

from __future__ import annotations

from collections import OrderedDict
from math import inf

from attrs import define, field

from udprelay.protocol.wire.sequenced import Data, Private

ROSTER_TIMEOUT = 10.0
"""Seconds that messages wait for the roster to name their sender."""
MAX_BYTES = 2**20
"""Bytes of all these messages."""

# Counted for each datagram besides its payload.
_DATAGRAM_OVERHEAD = 256


@define
class _Waiting:
    until: float
    datagrams: list[Data | Private] = field(factory=list)
    size: int = 0


class UnknownSenders:
    """The messages of unknown senders, by member number."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[int, _Waiting] = OrderedDict()
        self._size = 0

    def __contains__(self, number: int) -> bool:
        return number in self._waiting

    @property
    def numbers(self) -> list[int]:
        """The member numbers of the unknown senders."""
        return list(self._waiting)

    @property
    def deadline(self) -> float:
        """When :meth:`due` should be called next."""
        return next((waiting.until for waiting in self._waiting.values()), inf)

    def add(self, datagram: Data | Private, now: float) -> None:
        """Add a datagram behind the earlier ones of its sender."""
        waiting = self._waiting.setdefault(datagram.number, _Waiting(now + ROSTER_TIMEOUT))
        size = len(datagram.payload) + _DATAGRAM_OVERHEAD
        waiting.datagrams.append(datagram)
        waiting.size += size
        self._size += size

    def first(self, number: int) -> Data | Private:
        """Return the first datagram of a sender."""
        return self._waiting[number].datagrams[0]

    def pop(self, number: int) -> list[Data | Private]:
        """Remove and return the datagrams of a sender, in order."""
        waiting = self._waiting.pop(number)
        self._size -= waiting.size
        return waiting.datagrams

    def due(self, now: float) -> list[int]:
        """Return the senders whose timeout has passed, or that exceed the limit in bytes."""
        due = []
        excess = self._size - MAX_BYTES
        for number, waiting in self._waiting.items():
            if waiting.until > now and excess <= 0:
                break
            excess -= waiting.size
            due.append(number)
        return due

    def postpone(self, seconds: float) -> None:
        """Extend all timeouts: the relay could not answer for so long."""
        for waiting in self._waiting.values():
            waiting.until += seconds

    def clear(self) -> None:
        """Drop all waiting messages."""
        self._waiting.clear()
        self._size = 0
