"""Private messages and notices: what one session member gets alone."""

from __future__ import annotations

from udprelay.protocol.wire.entries import FailedNotice, LimitedNotice, MissedNotice, NoticeBody
from udprelay.protocol.wire.from_client import Missed, PrivateUp
from udprelay.protocol.wire.header import MAX_U32, RELIABLE
from udprelay.protocol.wire.sequenced import Notice, Private
from udprelay.relay.drops import DropReason
from udprelay.relay.session.member import SessionMember, per_second
from udprelay.relay.session.room_log import log_of
from udprelay.relay.session.sessions import Sessions
from udprelay.relay.state import RelayState

_MAX_REPORTS = 64
_MISSED_RATE = 10.0
_MAX_TRANSIT = 1.0
"""Seconds: a datagram of a client shows that all sent to it so long before has arrived."""


class PrivateMessages:
    """Forwards PRIVATE and notifies senders, each in the receiver's private sequence."""

    def __init__(self, state: RelayState, sessions: Sessions) -> None:
        self._output = state.output
        self._excess = state.gate.excess
        self._sessions = sessions

    def receive(self, session: SessionMember, message: PrivateUp, now: float) -> None:
        """Forward a PRIVATE; a reliable one in its sender's order."""
        if not message.flags & RELIABLE:
            self.deliver(session, message, now)
            return
        window = session.private_window
        self._sessions.flow.store(session, window, message.own, message, now)
        self.release(session, now)

    def release(self, session: SessionMember, now: float) -> None:
        """Forward the reliable PRIVATE of a session that are in order and need not wait."""
        for message in self._sessions.flow.ready_private(session, now):
            self.deliver(session, message, now)

    def deliver(self, session: SessionMember, message: PrivateUp, now: float) -> None:
        """Forward a PRIVATE to its receiver, or notify the sender that the receiver is absent."""
        receiver = log_of(session).by_identity.get(message.receiver)
        if receiver is not None:
            self.send(receiver, message.flags, session.number, message.own, message.payload, now)
            return
        self._output.drop_from(session, DropReason.ABSENT, now)
        if message.flags & RELIABLE:
            self._notify(session, FailedNotice(message.own, "absent"), now)

    def send(
        self,
        receiver: SessionMember,
        flags: int,
        number: int,
        own: int | None,
        payload: bytes,
        now: float,
    ) -> None:
        """
        Send a payload to one member, from the member with ``number``.

        :param own: None for a sender without own sequences: the private sequence is used.
        """

        def datagram(sequence: int) -> bytes:
            return Private(receiver.id, flags, sequence, number, own or sequence, payload).encode()

        if flags & RELIABLE:
            store = self._sessions.private_store
            sender = log_of(receiver).member(number)
            by = (sender.identity, own) if own and isinstance(sender, SessionMember) else None
            sent = store.append(receiver, datagram, now, by)
            if number != receiver.number:
                receiver.private.unearned += len(sent)
            self._output.send_to(receiver, sent)
            self._sessions.schedule.private_sent(receiver, now)
        else:
            self._output.send_to(receiver, datagram(0))

    def report_missed(self, session: SessionMember, missed: Missed, now: float) -> None:
        """Notify a sender once of what ``session`` has not received, and answer the report."""
        token = missed.token
        sender = log_of(session).member(missed.number)
        if isinstance(sender, SessionMember) and token not in session.missed_tokens:
            sender.missed = sender.missed or per_second(_MISSED_RATE, 0.0)
            if not sender.missed.try_consume(0, now):
                self._output.drop_from(session, DropReason.REPAIR_LIMIT, now)
                return
            self._notify(sender, MissedNotice(session.number, missed.ranges), now)
        if token is not None:
            # A duplicate of the report has no effect.
            session.missed_tokens = (*session.missed_tokens, token)[-_MAX_REPORTS:]
            self._sessions.send_pong(session, token)

    def report_undelivered(self, session: SessionMember, now: float) -> None:
        """Notify the senders of what a member about to be removed has probably not received."""
        log = log_of(session)
        for identity, own in session.private.senders_since(session.last_heard - _MAX_TRANSIT):
            sender = log.by_identity.get(identity)
            if sender is not None:
                self._notify(sender, FailedNotice(own, "absent"), now)

    def report_limits(self, now: float) -> None:
        """Tell session members that they have met a limit."""
        for member, reason, count in self._excess.tell(now):
            if isinstance(member, SessionMember):
                self._notify(member, LimitedNotice(reason.value, min(count, MAX_U32)), now)

    def _notify(self, receiver: SessionMember, body: NoticeBody, now: float) -> None:
        store = self._sessions.private_store
        notice = store.append(receiver, lambda n: Notice(receiver.id, n, body).encode(), now)
        self._output.send_to(receiver, notice)
        self._sessions.schedule.private_sent(receiver, now)
