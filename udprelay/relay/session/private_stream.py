"""The private sequence of one session: datagrams that only this member gets."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

Sender = tuple[bytes, int]
"""An identity, and the own sequence of its datagram."""

MAX_DATAGRAMS = 64
"""Datagrams that can be retransmitted."""


class PrivateStream:
    """
    The last private datagrams and notices of one session, by private sequence, from 1 on.

    :ivar newest: the last sequence assigned; 0 at first.
    """

    __slots__ = ("_datagrams", "_senders", "newest")

    def __init__(self) -> None:
        self._datagrams: deque[bytes] = deque(maxlen=MAX_DATAGRAMS)
        self._senders: deque[tuple[float, Sender | None]] = deque(maxlen=MAX_DATAGRAMS)
        self.newest = 0

    @property
    def first(self) -> int:
        """The lowest sequence that is stored; ``newest + 1`` if none is."""
        return self.newest + 1 - len(self._datagrams)

    def append(
        self, make: Callable[[int], bytes], now: float, sender: Sender | None = None
    ) -> bytes:
        """
        Assign the next sequence; store and return the datagram that ``make`` returns for it.

        :param sender: is notified if the datagram does not arrive.
        """
        datagram = make(self.newest + 1)
        self.newest += 1
        self._datagrams.append(datagram)
        self._senders.append((now, sender))
        return datagram

    def senders_since(self, time: float) -> list[Sender]:
        """Return the senders of the datagrams since ``time``."""
        return [sender for sent, sender in self._senders if sent >= time and sender is not None]

    def stored(self, first: int, last: int) -> Iterator[bytes]:
        """Yield the stored datagrams with the sequences ``first`` to ``last``."""
        for sequence in range(max(first, self.first), min(last, self.newest) + 1):
            yield self._datagrams[sequence - self.first]
