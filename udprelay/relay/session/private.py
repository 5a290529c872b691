"""What one session member gets alone: private messages and notices."""

from __future__ import annotations

from udprelay.protocol.wire.entries import FailedNotice, MissedNotice
from udprelay.protocol.wire.from_client import Missed, PrivateUp
from udprelay.protocol.wire.from_relay import Notice, Private
from udprelay.protocol.wire.header import RELIABLE
from udprelay.relay.drops import DropReason
from udprelay.relay.session.member import Session
from udprelay.relay.session.sessions import Sessions
from udprelay.relay.state import Shared

_ON_THE_WAY = 1.0
"""Seconds that a datagram takes at most: what a member sends later, it sends knowing of it."""


class PrivateMessages:
    """Passes on PRIVATE, and reports to senders, each in its receiver's private sequence."""

    def __init__(self, shared: Shared, sessions: Sessions) -> None:
        self._output = shared.output
        self._sessions = sessions

    def take(self, session: Session, message: PrivateUp, now: float) -> None:
        """Pass a PRIVATE on, if it is reliable in its sender's order."""
        if not message.flags & RELIABLE:
            self.deliver(session, message, now)
            return
        self._sessions.acks[session] = None
        window = session.private_window
        size, held = len(message.payload), window.held_bytes
        if message.own != window.next and not self._sessions.may_hold(size):
            self._output.drop_from(session, DropReason.EARLY_LIMIT, now)
            return
        ready = window.take(message.own, message)
        self._sessions.holds(window.held_bytes - held)
        if not ready and window.held_bytes == held:
            self._output.drop_from(session, DropReason.REPEATED, now)
        for one in ready:
            self.deliver(session, one, now)

    def deliver(self, session: Session, message: PrivateUp, now: float) -> None:
        """Pass a PRIVATE on to its receiver, or tell the sender that there is none."""
        receiver = session.side.by_identity.get(message.receiver)
        if receiver is not None:
            self.send(receiver, message.flags, session.number, message.own, message.payload, now)
            return
        self._output.drop_from(session, DropReason.ABSENT, now)
        if message.flags & RELIABLE:
            self._notify(session, FailedNotice(message.own, "absent"), now)

    def send(
        self,
        receiver: Session,
        flags: int,
        number: int,
        own: int | None,
        payload: bytes,
        now: float,
    ) -> None:
        """
        Send something to one member, from the member with ``number``.

        :param own: None for one that counts nothing: the private sequence grows as well.
        """

        def datagram(sequence: int) -> bytes:
            return Private(receiver.id, flags, sequence, number, own or sequence, payload).encode()

        if flags & RELIABLE:
            sender = receiver.side.member(number)
            by = (sender.identity, own) if own and isinstance(sender, Session) else None
            self._output.tell(receiver, receiver.private.append(datagram, now, by))
            self._sessions.private_sent(receiver, now)
        else:
            self._output.tell(receiver, datagram(0))

    def missed(self, session: Session, missed: Missed, now: float) -> None:
        """Tell a member what another has missed of it, once, and answer that one."""
        sender, token = session.side.member(missed.number), missed.token
        if isinstance(sender, Session) and token not in session.reports:
            if not sender.missed.take(1, 0, now):
                self._output.drop_from(session, DropReason.REPAIR_LIMIT, now)
                return
            self._notify(sender, MissedNotice(session.number, missed.ranges), now)
        if token is not None:
            self._output.tell(session, session.reported(token))

    def unheard(self, session: Session, now: float) -> None:
        """Tell the senders what a member has hardly got, that is silent, and no member soon."""
        for identity, own in session.private.senders_since(session.last_heard - _ON_THE_WAY):
            sender = session.side.by_identity.get(identity)
            if sender is not None:
                self._notify(sender, FailedNotice(own, "absent"), now)

    def _notify(self, receiver: Session, body: FailedNotice | MissedNotice, now: float) -> None:
        notice = receiver.private.append(lambda n: Notice(receiver.id, n, body).encode(), now)
        self._output.tell(receiver, notice)
        self._sessions.private_sent(receiver, now)
