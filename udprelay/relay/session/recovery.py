"""Answers to NACK and ROSTER: retransmissions, and pages of the roster."""

from __future__ import annotations

from itertools import chain

from udprelay.protocol.wire.from_client import Nack, RosterRequest
from udprelay.protocol.wire.from_relay import Members
from udprelay.protocol.wire.header import HEADER_SIZE
from udprelay.protocol.wire.ranges import RANGE
from udprelay.relay.drops import DropReason
from udprelay.relay.output import Output
from udprelay.relay.session.member import SessionMember
from udprelay.relay.session.nack_answer import NackAnswer
from udprelay.relay.session.repairs import Repairs
from udprelay.relay.session.room_log import log_of
from udprelay.relay.session.roster_page import with_records
from udprelay.relay.session.settlement import EVERYBODY, settled_by_all

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
        """Send the members from a number on, or what all of them have settled."""
        log = log_of(session)
        if request.number == EVERYBODY:
            settled = settled_by_all(session, self._output, now)
            answer = Members(session.id, EVERYBODY, log.newest, (), settled=settled)
            self.send(session, answer.encode(), now)
            return
        answer = Members(session.id, request.number, log.newest, ())
        self.send(session, with_records(answer, log.records(request.number)), now)

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
