"""Answers to NACK and ROSTER: retransmissions, and pages of the roster."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import TypeVar

from attrs import evolve

from udprelay.protocol.wire import cbor
from udprelay.protocol.wire.from_client import Nack, RosterRequest
from udprelay.protocol.wire.from_relay import Members
from udprelay.protocol.wire.header import HEADER_SIZE, MAX_CONTROL
from udprelay.protocol.wire.joining import Welcome
from udprelay.protocol.wire.members import MAX_MEMBERS, MemberRecord, write_record
from udprelay.protocol.wire.ranges import RANGE
from udprelay.relay.drops import DropReason
from udprelay.relay.output import Output
from udprelay.relay.session.member import SessionMember
from udprelay.relay.session.nack_answer import NackAnswer
from udprelay.relay.session.repairs import Repairs
from udprelay.relay.session.room_log import log_of

Answer = TypeVar("Answer", Members, Welcome)

ROOM_STREAM = 0

_NACK = HEADER_SIZE + 1
"""Bytes of a NACK without its ranges."""


class Recovery:
    """
    Answers NACK and ROSTER within each member's budget.

    :param rate: bytes per second of a budget.
    """

    def __init__(self, output: Output, rate: int) -> None:
        self._output = output
        self._rate = rate

    def answer_nack(self, session: SessionMember, nack: Nack, now: float) -> None:
        """Retransmit what is missing, or send GONE with the reason, as far as the budget goes."""
        answer, outside = NackAnswer(session), 0
        if nack.stream == ROOM_STREAM:
            first, newest, add = session.first, log_of(session).newest, answer.add_room
        else:
            first, newest, add = 1, session.private.newest, answer.add_private
        for begin, count in nack.ranges:
            low, high = max(begin, first), min(begin + count - 1, newest)
            if low > high:
                outside += 1
            elif answer.left > 0:
                add(low, high)
        if outside:
            self._output.drop_from(session, DropReason.OUTSIDE_SEQUENCE, now, outside)
        self._send_answer(session, nack, answer, now)

    def _send_answer(
        self, session: SessionMember, nack: Nack, answer: NackAnswer, now: float
    ) -> None:
        repairs, heard, private = self._repairs(session), log_of(session).heard, session.private
        repairs.earn(
            heard - session.heard + private.unearned, _NACK + len(nack.ranges) * RANGE.size
        )
        session.heard, private.unearned = heard, 0
        allowed = left = min(repairs.left(self._rate, now), repairs.credit)
        for datagram in chain(answer.datagrams, answer.gone(nack.stream)):
            if len(datagram) > left:
                self._output.drop_from(session, DropReason.REPAIR_LIMIT, now)
                break
            left -= len(datagram)
            self._output.send_to(session, datagram)
        spent = allowed - left
        repairs.spend(spent, self._rate)
        repairs.credit -= spent

    def answer_roster(self, session: SessionMember, request: RosterRequest, now: float) -> None:
        """Send the members from a number on."""
        log = log_of(session)
        answer = Members(session.id, request.number, log.newest, ())
        self.send(session, with_records(answer, log.records(request.number)).encode(), now)

    def send(self, session: SessionMember, datagram: bytes, now: float) -> None:
        """Send an answer to what is no NACK, if the budget allows it."""
        repairs = self._repairs(session)
        if len(datagram) > repairs.left(self._rate, now):
            self._output.drop_from(session, DropReason.REPAIR_LIMIT, now)
            return
        repairs.spend(len(datagram), self._rate)
        self._output.send_to(session, datagram)

    def _repairs(self, session: SessionMember) -> Repairs:
        if session.repairs is None:
            session.repairs = Repairs(self._rate)
        return session.repairs


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
