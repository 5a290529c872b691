"""Messages whose senders are not known yet."""

from __future__ import annotations

from collections import OrderedDict

from attrs import define, field

from udprelay.protocol.wire.sequenced import Data, Private

PATIENCE = 10.0
MOST_BYTES = 2**20

# What a datagram takes up besides its payload.
_DATAGRAM = 256


@define
class _Waiting:
    until: float
    said: list[Data | Private] = field(factory=list)
    size: int = 0


class Strangers:
    """Keeps what members have said until the roster tells who they are, for 10 s at most."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[int, _Waiting] = OrderedDict()
        self._size = 0

    def __contains__(self, number: int) -> bool:
        return number in self._waiting

    @property
    def numbers(self) -> list[int]:
        """The members that are waited for."""
        return list(self._waiting)

    @property
    def deadline(self) -> float | None:
        """When :meth:`due` should be called next."""
        for waiting in self._waiting.values():
            return waiting.until
        return None

    def keep(self, datagram: Data | Private, now: float) -> None:
        """Keep a datagram behind those that its sender said before."""
        waiting = self._waiting.setdefault(datagram.number, _Waiting(now + PATIENCE))
        size = len(datagram.payload) + _DATAGRAM
        waiting.said.append(datagram)
        waiting.size += size
        self._size += size

    def first(self, number: int) -> Data | Private:
        """Return what a member has said first."""
        return self._waiting[number].said[0]

    def take(self, number: int) -> list[Data | Private]:
        """Return what a member has said, in order; it is no longer kept."""
        waiting = self._waiting.pop(number)
        self._size -= waiting.size
        return waiting.said

    def due(self, now: float) -> list[int]:
        """Return the numbers of those that can't be waited for any longer."""
        due = []
        excess = self._size - MOST_BYTES
        for number, waiting in self._waiting.items():
            if waiting.until > now and excess <= 0:
                break
            excess -= waiting.size
            due.append(number)
        return due

    def postpone(self, seconds: float) -> None:
        """Wait longer: nobody could be asked for so long."""
        for waiting in self._waiting.values():
            waiting.until += seconds

    def clear(self) -> None:
        """Drop all."""
        self._waiting.clear()
        self._size = 0
