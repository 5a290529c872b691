"""Answers to NACK and ROSTER: retransmissions, and pages of the roster."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import TypeVar

from attrs import evolve

from udprelay.protocol.wire import cbor
from udprelay.protocol.wire.from_client import Nack, RosterRequest
from udprelay.protocol.wire.from_relay import Gone, Members
from udprelay.protocol.wire.header import MAX_CONTROL, TYPE_OFFSET, Type
from udprelay.protocol.wire.joining import Welcome
from udprelay.protocol.wire.members import MAX_MEMBERS, MemberRecord, write_record
from udprelay.protocol.wire.ranges import MAX_RANGE_COUNT, MAX_RANGES, Ranges, Reason
from udprelay.relay.drops import DropReason
from udprelay.relay.output import Output
from udprelay.relay.session.history import History
from udprelay.relay.session.member import SessionMember, per_second
from udprelay.relay.session.room_log import log_of

Answer = TypeVar("Answer", Members, Welcome)

ROOM_STREAM = 0

_Part = bytes | tuple[int, int, int]
"""A datagram; or first, count and reason of sequences that are not retransmitted."""

_NUMBER = slice(22, 26)


class Recovery:
    """
    Answers NACK and ROSTER within each member's budget.

    :param rate: bytes per second of a budget.
    """

    def __init__(self, output: Output, rate: float) -> None:
        self._output = output
        self._rate = rate

    def answer_nack(self, session: SessionMember, nack: Nack, now: float) -> None:
        """Retransmit what is missing, or send GONE with the reason."""
        gone: list[tuple[int, int, int]] = []
        for part in self._parts(session, nack, now):
            if isinstance(part, bytes):
                sent = self.send(session, part, now)
            else:
                _append(gone, *part)
                sent = len(gone) <= MAX_RANGES or self._send_gone(session, nack, gone, now)
            if not sent:
                return
        if gone:
            self._send_gone(session, nack, gone, now)

    def answer_roster(self, session: SessionMember, request: RosterRequest, now: float) -> None:
        """Send the members from a number on."""
        log = log_of(session)
        answer = Members(session.id, request.number, log.newest, ())
        self.send(session, with_records(answer, log.records(request.number)).encode(), now)

    def _parts(self, session: SessionMember, nack: Nack, now: float) -> Iterator[_Part]:
        if nack.stream == ROOM_STREAM:
            history = log_of(session).history
            for first, last in self._within(session, nack, session.first, history.newest, now):
                yield from _room_parts(session, history, first, last)
        else:
            private = session.private
            for first, last in self._within(session, nack, 1, private.newest, now):
                yield from _not_own(private.first, first, min(last, private.first - 1))
                yield from private.stored(first, last)

    def _within(
        self, session: SessionMember, nack: Nack, first: int, last: int, now: float
    ) -> Iterator[tuple[int, int]]:
        """Yield the ranges of a NACK within the bounds; count those outside."""
        for begin, count in nack.ranges:
            low, high = max(begin, first), min(begin + count - 1, last)
            if low <= high:
                yield low, high
            else:
                self._output.drop_from(session, DropReason.OUTSIDE_SEQUENCE, now)

    def _send_gone(
        self, session: SessionMember, nack: Nack, gone: list[tuple[int, int, int]], now: float
    ) -> bool:
        """Send the first ranges of ``gone``, and remove them from it."""
        ranges = tuple(gone[:MAX_RANGES])
        del gone[:MAX_RANGES]
        return self.send(session, Gone(session.id, nack.stream, ranges).encode(), now)

    def send(self, session: SessionMember, datagram: bytes, now: float) -> bool:
        """Send an answer if the budget allows it; return whether."""
        session.repairs = session.repairs or per_second(0.0, self._rate)
        if not session.repairs.try_consume(len(datagram), now):
            self._output.drop_from(session, DropReason.REPAIR_LIMIT, now)
            return False
        self._output.send_to(session, datagram)
        return True


def _room_parts(
    session: SessionMember, history: History, first: int, last: int
) -> Iterator[_Part]:
    own, number = session.own_room.between(first, last), session.number.to_bytes(4, "big")
    following = first
    for sequence, datagram in history.stored(first, last):
        if following < sequence:
            yield from _not_stored(own, history.first, following, sequence - 1)
        following = sequence + 1
        if datagram[_NUMBER] == number and datagram[TYPE_OFFSET] == Type.DATA:
            yield sequence, 1, Reason.OWN
        else:
            yield datagram
    if following <= last:
        yield from _not_stored(own, history.first, following, last)


def _not_stored(
    own: Ranges, stored_from: int, first: int, last: int
) -> Iterator[tuple[int, int, int]]:
    """Yield the reasons for ``first`` to ``last``, which are not in the history."""
    for begin, count in own[max(0, bisect_right(own, (first, 0)) - 1) :]:
        if begin > last:
            break
        low, high = max(begin, first), min(begin + count - 1, last)
        if low <= high:
            yield from _not_own(stored_from, first, low - 1)
            yield low, high + 1 - low, Reason.OWN
            first = high + 1
    yield from _not_own(stored_from, first, last)


def _not_own(stored_from: int, first: int, last: int) -> Iterator[tuple[int, int, int]]:
    removed = min(last, stored_from - 1)
    if first <= removed:
        yield first, removed + 1 - first, Reason.NOT_IN_HISTORY
        first = removed + 1
    if first <= last:
        yield first, last + 1 - first, Reason.UNRELIABLE


def _append(gone: list[tuple[int, int, int]], first: int, count: int, reason: int) -> None:
    """Append a range, split if it is too long, or extend the last one."""
    if gone and sum(gone[-1][:2]) == first and gone[-1][2] == reason:
        first, before, _ = gone.pop()
        count += before
    while count > 0:
        gone.append((first, min(count, MAX_RANGE_COUNT), reason))
        first, count = first + MAX_RANGE_COUNT, count - MAX_RANGE_COUNT


# The head of a list of up to 64 records, less that of an empty one; the key ``y`` with an u32.
_LIST_AND_NEXT = 1 + 2 + 5


def with_records(answer: Answer, records: Iterable[MemberRecord]) -> Answer:
    """
    Return MEMBERS or WELCOME with the first of ``records``, as many as fit.

    :param answer: without records and without ``more_from``.
    :param records: in the order of their numbers; read only as far as necessary.
    """
    space_left = MAX_CONTROL - len(answer.encode()) - _LIST_AND_NEXT
    members: list[MemberRecord] = []
    for record in records:
        space_left -= encoded_size(record)
        if space_left < 0 or len(members) == MAX_MEMBERS:
            return evolve(answer, members=tuple(members), more_from=record.number)
        members.append(record)
    return evolve(answer, members=tuple(members))


def encoded_size(record: MemberRecord) -> int:
    """Return the bytes of a record in CBOR."""
    return len(cbor.encode(write_record(record)))
