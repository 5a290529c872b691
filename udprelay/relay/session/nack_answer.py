"""What a NACK is answered with, found in a number of steps that is limited."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from udprelay.protocol.wire.header import MAX_U64, Type, header
from udprelay.protocol.wire.ranges import MAX_RANGE_COUNT, MAX_RANGES, REASONED, Ranges, Reason
from udprelay.relay.session.member import SessionMember
from udprelay.relay.session.room_log import log_of

MAX_PARTS = 128
"""Datagrams and ranges in the answer to one NACK. Clients ask for so many numbers at a time."""

_NUMBER = slice(22, 26)
"""Where DATA has the number of its sender."""


class NackAnswer:
    """
    Collects the answer to one NACK, up to :data:`MAX_PARTS`; the client asks again for the rest.

    :ivar datagrams: to be retransmitted.
    :ivar left: parts that may be added.
    """

    def __init__(self, session: SessionMember) -> None:
        self._session = session
        self._log = log_of(session)
        self._number = session.number.to_bytes(4, "big")
        self._own: Ranges | None = None
        self._gone: list[tuple[int, int, Reason]] = []
        self.left = MAX_PARTS
        self.datagrams: list[bytes] = []

    def add_private(self, first: int, last: int) -> None:
        """Add what the private sequence has of a range."""
        private = self._session.private
        if first < private.first:
            self._add_gone(first, min(last, private.first - 1), Reason.NOT_IN_HISTORY)
        self.datagrams += private.stored(first, last)

    def add_room(self, first: int, last: int) -> None:
        """Add what the room sequence has of a range."""
        own = self._own
        if own is None:
            own = self._own = self._session.own_room.since(first)
        # The member's own ranges first: each stands for any number of datagrams.
        index = max(0, bisect_right(own, (first, MAX_U64)) - 1)
        while index < len(own) and own[index][0] <= last and self.left > 0:
            begin, count = own[index]
            index += 1
            end = min(begin + count - 1, last)
            if end < first:
                continue
            if first < begin:
                self._add_others(first, begin - 1)
                first = begin
            self._add_gone(first, end, Reason.OWN)
            first = end + 1
        if first <= last:
            self._add_others(first, last)

    def _add_others(self, first: int, last: int) -> None:
        """Add a range of datagrams of others."""
        number, datagrams = self._number, self.datagrams
        for begin, segments in self._log.history.runs(first, last):
            if first < begin:
                self._add_entries(first, begin - 1)
            if self.left <= 0:
                return
            first = begin + segments.count
            if segments.data[_NUMBER] == number:
                # Its own, but too old for its list of them.
                self._add_gone(begin, first - 1, Reason.OWN)
            elif segments.count == 1:
                datagrams.append(bytes(segments.data))
                self.left -= 1
            else:
                datagrams += segments[: self.left]
                self.left -= segments.count
        if first <= last:
            self._add_entries(first, last)

    def _add_entries(self, first: int, last: int) -> None:
        """Add a range without datagrams in the history, which may have entries."""
        for sequence, entry in self._log.entry_history.stored(first, last):
            if first < sequence:
                self._add_missing(first, sequence - 1)
            if self.left <= 0:
                return
            self.datagrams.append(entry)
            self.left -= 1
            first = sequence + 1
        if first <= last:
            self._add_missing(first, last)

    def _add_missing(self, first: int, last: int) -> None:
        """Add a range of which nothing is stored."""
        # What an old sequence was is not known any more.
        stored_from = max(self._log.history.first, self._log.entry_history.first)
        if first < stored_from:
            self._add_gone(first, min(last, stored_from - 1), Reason.NOT_IN_HISTORY)
            first = stored_from
        if first <= last:
            self._add_gone(first, last, Reason.UNRELIABLE)

    def _add_gone(self, first: int, last: int, reason: Reason) -> None:
        """Add a range, or extend the last one."""
        if self.left <= 0:
            return
        self.left -= 1
        gone = self._gone
        if gone and gone[-1][1] + 1 == first and gone[-1][2] is reason:
            first = gone.pop()[0]
        gone.append((first, last, reason))

    def gone(self, stream: int) -> Iterator[bytes]:
        """
        Yield GONE with all ranges that are not retransmitted.

        :param stream: of the NACK.
        """
        # Packed here and not by the codec, which checks each range.
        start = header(Type.GONE, self._session.id) + bytes((stream,))
        packed = b"".join([_packed(*one) for one in self._gone])
        size = MAX_RANGES * REASONED.size
        for at in range(0, len(packed), size):
            yield start + packed[at : at + size]


def _packed(first: int, last: int, reason: Reason) -> bytes:
    """Return a range as GONE has it; it is split if it is too long."""
    if last - first < MAX_RANGE_COUNT:
        return REASONED.pack(first, last + 1 - first, reason)
    parts = range(first, last + 1, MAX_RANGE_COUNT)
    return b"".join([REASONED.pack(n, min(MAX_RANGE_COUNT, last + 1 - n), reason) for n in parts])
