"""What a member is sent because it asks: repairs, and who is there."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from attrs import evolve

from udprelay.protocol.wire.from_client import Nack
from udprelay.protocol.wire.from_relay import Gone, Members
from udprelay.protocol.wire.header import Type
from udprelay.protocol.wire.ranges import MOST_IN_RANGE, MOST_RANGES, Ranges, Reason
from udprelay.relay.drops import DropReason
from udprelay.relay.output import Output
from udprelay.relay.session.history import History
from udprelay.relay.session.member import Session
from udprelay.relay.session.private_stream import PrivateStream
from udprelay.relay.session.roster_page import page, room_beside

ROOM_STREAM = 0

_Part = bytes | tuple[int, int, int]
"""A datagram, or first, count and reason of those that are not sent."""

_TYPE = 4
_NUMBER = slice(22, 26)


class Recovery:
    """Answers NACK and ROSTER within each member's budget."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def nack(self, session: Session, nack: Nack, now: float) -> None:
        """Send what is missing, or why it is not sent."""
        gone: list[tuple[int, int, int]] = []
        for part in self._parts(session, nack, now):
            if isinstance(part, bytes):
                sent = self.send(session, part, now)
            else:
                _append(gone, *part)
                sent = len(gone) <= MOST_RANGES or self._send_gone(session, nack, gone, now)
            if not sent:
                return
        if gone:
            self._send_gone(session, nack, gone, now)

    def roster(self, session: Session, number: int, now: float) -> None:
        """Send the members from a number on."""
        side = session.side
        answer = Members(session.id, number, side.newest, ())
        members, more = page(side.records(number), room_beside(len(answer.encode())))
        self.send(session, evolve(answer, members=members, more_from=more).encode(), now)

    def _parts(self, session: Session, nack: Nack, now: float) -> Iterator[_Part]:
        if nack.stream == ROOM_STREAM:
            history = session.side.history
            for first, last in self._within(session, nack, session.first, history.newest, now):
                yield from _room_parts(session, history, first, last)
        else:
            newest = session.private.newest
            for first, last in self._within(session, nack, 1, newest, now):
                yield from _private_parts(session.private, first, last)

    def _within(
        self, session: Session, nack: Nack, first: int, last: int, now: float
    ) -> Iterator[tuple[int, int]]:
        """Yield what a member asks for and may have; count what is not within those bounds."""
        for begin, count in nack.ranges:
            low, high = max(begin, first), min(begin + count - 1, last)
            if low <= high:
                yield low, high
            else:
                self._output.drop_from(session, DropReason.OUTSIDE_SEQUENCE, now)

    def _send_gone(
        self, session: Session, nack: Nack, gone: list[tuple[int, int, int]], now: float
    ) -> bool:
        """Send the first ranges of ``gone``, and take them out of it."""
        ranges = tuple(gone[:MOST_RANGES])
        del gone[:MOST_RANGES]
        return self.send(session, Gone(session.id, nack.stream, ranges).encode(), now)

    def send(self, session: Session, datagram: bytes, now: float) -> bool:
        """Send something because it was asked for, if the budget allows; return whether."""
        if not session.repairs.take(1, len(datagram), now):
            self._output.drop_from(session, DropReason.REPAIR_LIMIT, now)
            return False
        self._output.tell(session, datagram)
        return True


def _room_parts(session: Session, history: History, first: int, last: int) -> Iterator[_Part]:
    own, number = session.own.between(first, last), session.number.to_bytes(4, "big")
    following = first
    for sequence, datagram in history.kept(first, last):
        if following < sequence:
            yield from _gap(own, history.first, following, sequence - 1)
        following = sequence + 1
        if datagram[_NUMBER] == number and datagram[_TYPE] == Type.DATA:
            yield sequence, 1, Reason.OWN
        else:
            yield datagram
    if following <= last:
        yield from _gap(own, history.first, following, last)


def _gap(own: Ranges, kept_from: int, first: int, last: int) -> Iterator[tuple[int, int, int]]:
    """Yield why nothing is sent for ``first`` to ``last``, which are not in the history."""
    for begin, count in own[max(0, bisect_right(own, (first, 0)) - 1) :]:
        if begin > last:
            break
        low, high = max(begin, first), min(begin + count - 1, last)
        if low <= high:
            yield from _not_own(kept_from, first, low - 1)
            yield low, high + 1 - low, Reason.OWN
            first = high + 1
    yield from _not_own(kept_from, first, last)


def _not_own(kept_from: int, first: int, last: int) -> Iterator[tuple[int, int, int]]:
    forgotten = min(last, kept_from - 1)
    if first <= forgotten:
        yield first, forgotten + 1 - first, Reason.NOT_KEPT
        first = forgotten + 1
    if first <= last:
        yield first, last + 1 - first, Reason.UNRELIABLE


def _private_parts(stream: PrivateStream, first: int, last: int) -> Iterator[_Part]:
    kept_from = stream.first
    if first < kept_from:
        forgotten = min(last, kept_from - 1)
        yield first, forgotten + 1 - first, Reason.NOT_KEPT
        first = forgotten + 1
    yield from filter(None, map(stream.get, range(first, last + 1)))


def _append(gone: list[tuple[int, int, int]], first: int, count: int, reason: int) -> None:
    """Append a range, as many as it takes, or make the last one longer."""
    if gone and sum(gone[-1][:2]) == first and gone[-1][2] == reason:
        first, before, _ = gone.pop()
        count += before
    while count > 0:
        gone.append((first, min(count, MOST_IN_RANGE), reason))
        first, count = first + MOST_IN_RANGE, count - MOST_IN_RANGE
