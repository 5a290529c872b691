"""The sequences of one session member: own, room and private ones."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from udprelay.protocol.wire.header import EARLY_WINDOW
from udprelay.protocol.wire.ranges import MAX_RANGE_COUNT, MAX_RANGES, RANGE, Ranges

T = TypeVar("T")


class ReceiveWindow(Generic[T]):
    """
    Accepts each own sequence once and returns the items in order, when they are asked for.

    :param next: the first own sequence.
    :ivar size: returns the bytes of an item.
    :ivar next: the own sequence expected next; all before it have been received.
    :ivar buffered_bytes: bytes of the stored items.
    """

    __slots__ = ("_early", "buffered_bytes", "next", "size")

    def __init__(self, next: int, size: Callable[[T], int]) -> None:  # noqa: A002
        self.next = next
        self.buffered_bytes = 0
        self.size = size
        # Without a dict of its own while nothing is early: most of 10,000 members are idle.
        self._early: dict[int, T] | None = None

    @property
    def bitmap(self) -> int:
        """The items received early: bit *i* stands for ``next + 1 + i``."""
        if self._early is None:
            return 0
        base = self.next + 1
        return sum(1 << (own - base) for own in self._early if own >= base)

    @property
    def first(self) -> T | None:
        """The item that is next, if it has been stored."""
        return None if self._early is None else self._early.get(self.next)

    def store(self, own: int, item: T) -> bool:
        """Store an item; return False if ``own`` is a duplicate, or outside the window."""
        if not self.next <= own <= self.next + EARLY_WINDOW:
            return False
        if self._early is None:
            self._early = {}
        if own in self._early:
            return False
        self._early[own] = item
        self.buffered_bytes += self.size(item)
        return True

    def pop(self) -> T:
        """Remove and return :attr:`first`, which is not None: it counts as received."""
        early = self._early or {}
        item = early.pop(self.next)
        self.next += 1
        self.buffered_bytes -= self.size(item)
        self._early = early or None
        return item

    def receive_run(self, first: int, count: int) -> bool:
        """
        Receive ``count`` items with consecutive own sequences, if all are in order.

        :return: whether they are next and none is early; if not, nothing is received.
        """
        if first != self.next or self._early is not None:
            return False
        self.next = first + count
        return True

    def skip_to(self, own: int) -> list[T]:
        """
        Wait for nothing before ``own`` any more.

        :return: the items before it that were early.
        """
        early = self._early or {}
        before = [early.pop(one) for one in sorted(early) if one < own]
        self.buffered_bytes -= sum(map(self.size, before))
        self.next = max(self.next, own)
        self._early = early or None
        return before


_MIN_REMEMBERED = 256 * RANGE.size
_MAX_DRAINED = MAX_RANGES * RANGE.size
_COUNT = 2
"""Bytes of the count at the end of a range."""


class OwnRoomSequences:
    """
    Room sequences of one member's datagrams: those not reported yet, and the last reported ones.

    A member that has lost the ACK can ask for the reported ones: at least the last 256 ranges
    are remembered. All ranges are stored in the form of ACK, which is sent often.
    """

    __slots__ = ("_end", "_last", "_reported", "_unreported")

    def __init__(self) -> None:
        self._unreported = bytearray()
        self._reported = bytearray()
        self._end = self._last = 0

    @property
    def pending(self) -> int:
        """Number of ranges not reported yet; 64 fit into an ACK."""
        return len(self._unreported) // RANGE.size

    def add(self, first: int, count: int) -> int:
        """
        Add ``count`` room sequences, at most 65,535, above all earlier ones.

        :return: as :attr:`pending`.
        """
        ranges, together = self._unreported, self._last + count
        if first == self._end and ranges and together <= MAX_RANGE_COUNT:
            ranges[-_COUNT:] = together.to_bytes(_COUNT, "big")
            self._last = together
        else:
            ranges += RANGE.pack(first, count)
            self._last = count
        self._end = first + count
        return len(ranges) // RANGE.size

    def drain(self) -> bytes:
        """Return the ranges not reported yet, as many as fit into one ACK."""
        unreported = self._unreported
        ranges = bytes(unreported[:_MAX_DRAINED])
        del unreported[:_MAX_DRAINED]
        if ranges:
            self._remember(ranges)
        return ranges

    def _remember(self, ranges: bytes) -> None:
        reported = self._reported
        if reported:
            # A member that is the only sender has one range for all its datagrams.
            begin, before = RANGE.unpack_from(reported, len(reported) - RANGE.size)
            first, count = RANGE.unpack_from(ranges)
            if begin + before == first and before + count <= MAX_RANGE_COUNT:
                reported[-_COUNT:] = (before + count).to_bytes(_COUNT, "big")
                ranges = ranges[RANGE.size :]
        reported += ranges
        if len(reported) > 2 * _MIN_REMEMBERED:
            del reported[:-_MIN_REMEMBERED]

    def since(self, first: int) -> Ranges:
        """Return the ranges from the one on that may have the sequence ``first``."""
        size, known = RANGE.size, bytes(self._reported + self._unreported)
        at = bisect_right(
            range(0, len(known), size), first, key=lambda at: RANGE.unpack_from(known, at)[0]
        )
        return tuple(RANGE.iter_unpack(known[max(0, at - 1) * size :]))


Sender = tuple[bytes, int]
"""An identity, and the own sequence of its datagram."""

MAX_DATAGRAMS = 64
"""Datagrams that can be retransmitted."""


class PrivateStream:
    """
    The last private datagrams and notices of one session, by private sequence, from 1 on.

    :ivar newest: the last sequence assigned; 0 at first.
    :ivar unearned: bytes from other members that its credit for repairs does not have yet.
    """

    __slots__ = ("_sent", "newest", "unearned")

    def __init__(self) -> None:
        self.unearned = 0
        # A list and not a deque, which takes 600 bytes while it is empty.
        self._sent: list[tuple[bytes, float, Sender | None]] = []
        self.newest = 0

    def __len__(self) -> int:
        return len(self._sent)

    @property
    def first(self) -> int:
        """The lowest sequence that is stored; ``newest + 1`` if none is."""
        return self.newest + 1 - len(self._sent)

    def append(
        self, make: Callable[[int], bytes], now: float, sender: Sender | None = None
    ) -> bytes:
        """
        Assign the next sequence; store and return the datagram that ``make`` returns for it.

        :param sender: is notified if the datagram does not arrive.
        """
        datagram = make(self.newest + 1)
        self.newest += 1
        self._sent.append((datagram, now, sender))
        del self._sent[:-MAX_DATAGRAMS]
        return datagram

    def remove_before(self, sequence: int) -> list[bytes]:
        """Remove and return the datagrams before a sequence."""
        number = max(0, sequence - self.first)
        removed = [datagram for datagram, _, _ in self._sent[:number]]
        del self._sent[:number]
        return removed

    def first_after(self, time: float) -> int:
        """Return the first sequence that was sent after a time."""
        return self.first + sum(sent <= time for _, sent, _ in self._sent)

    def senders_since(self, time: float) -> list[Sender]:
        """Return the senders of the datagrams since ``time``."""
        return [sender for _, sent, sender in self._sent if sent >= time and sender is not None]

    def stored(self, first: int, last: int) -> Iterator[bytes]:
        """Yield the stored datagrams with the sequences ``first`` to ``last``."""
        begin = max(first - self.first, 0)
        for datagram, _, _ in self._sent[begin : max(last + 1 - self.first, 0)]:
            yield datagram
