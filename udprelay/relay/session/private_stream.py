"""What only one member gets: its private sequence."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

Sender = tuple[bytes, int]
"""An identity, and the own sequence of what it has sent."""

KEPT = 64
"""Datagrams that can be asked for again."""


class PrivateStream:
    """
    The last private datagrams and notices of one session, by private sequence, from 1 on.

    :ivar newest: the last sequence given out; 0 at first.
    """

    __slots__ = ("_datagrams", "_senders", "newest")

    def __init__(self) -> None:
        self._datagrams: deque[bytes] = deque(maxlen=KEPT)
        self._senders: deque[tuple[float, Sender | None]] = deque(maxlen=KEPT)
        self.newest = 0

    @property
    def first(self) -> int:
        """The lowest sequence that is here; ``newest + 1`` if there is none."""
        return self.newest + 1 - len(self._datagrams)

    def append(
        self, make: Callable[[int], bytes], now: float, sender: Sender | None = None
    ) -> bytes:
        """
        Give out the next sequence; keep and return the datagram that ``make`` makes with it.

        :param sender: who is to be told if it does not arrive.
        """
        datagram = make(self.newest + 1)
        self.newest += 1
        self._datagrams.append(datagram)
        self._senders.append((now, sender))
        return datagram

    def senders_since(self, time: float) -> list[Sender]:
        """Return who has sent something since then, and what."""
        return [sender for sent, sender in self._senders if sent >= time and sender is not None]

    def get(self, sequence: int) -> bytes | None:
        """Return a datagram, or None if it is not here."""
        if not self.first <= sequence <= self.newest:
            return None
        return self._datagrams[sequence - self.first]
