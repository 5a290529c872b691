"""What clients send that is not DATA: read, and taken to whoever answers it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from udprelay.protocol import nick
from udprelay.protocol.wire import FromClient, WireError, decode_from_client
from udprelay.protocol.wire.from_client import (
    Leave,
    Missed,
    Nack,
    NickRequest,
    PathResponse,
    Ping,
    PrivateUp,
    RosterRequest,
)
from udprelay.protocol.wire.from_relay import Nicked, PathChallenge
from udprelay.protocol.wire.header import HEADER, PREFIX, RELIABLE, VERSION, Type
from udprelay.protocol.wire.joining import Hello, Join, Unknown, Versions
from udprelay.relay.drops import DropReason
from udprelay.relay.listener import Listener, Source
from udprelay.relay.session.cookie import path_token, proves_path
from udprelay.relay.session.joining import LARGEST_PAYLOAD, Joining
from udprelay.relay.session.member import Session
from udprelay.relay.session.private import PrivateMessages
from udprelay.relay.session.recovery import Recovery
from udprelay.relay.session.refusals import nick_is_free
from udprelay.relay.session.sessions import Sessions
from udprelay.relay.session.unverified import Origin, Strangers
from udprelay.relay.state import Shared

LEAST_PATH = 22
"""Bytes of the smallest datagram for which an address is asked to prove itself."""

LARGEST_PRIVATE = LARGEST_PAYLOAD - 16
"""Bytes of the largest reliable private payload: the receiver's identity is in front of it."""

_TYPE = 4
_ID = slice(6, HEADER)

Said = tuple[Session, list[bytes]]


class Conversation:
    """Takes one control datagram at a time; what it causes may change who is a member."""

    def __init__(self, shared: Shared, sessions: Sessions, private: PrivateMessages) -> None:
        self._shared = shared
        self._output = shared.output
        self._sessions = sessions
        self._private = private
        self._strangers = Strangers(shared)
        self._recovery = Recovery(shared.output)
        self._joining = Joining(shared, sessions, self._strangers, private, self._recovery)
        self._answers: dict[type, Callable[[Session, Any, float], None]] = {
            PrivateUp: self._private_message,
            Nack: self._recovery.nack,
            Ping: self._ping,
            Leave: self._leave,
            RosterRequest: self._roster,
            NickRequest: self._nick,
            Missed: private.missed,
        }

    def take(self, listener: Listener, source: Source, datagram: bytes, now: float) -> Said | None:
        """
        Take a datagram that has the signature.

        :return: a member and what it has said earlier that can be relayed now, if there is any.
        """
        if not datagram.startswith(PREFIX):
            self._other_version(listener, source, datagram, now)
            return None
        try:
            message = decode_from_client(datagram)
        except WireError:
            self._drop(listener, DropReason.MALFORMED, now)
            return None
        if isinstance(message, (Hello, Join)):
            return self._attempt(listener, source, message, len(datagram), now)
        session = listener.sessions.get(message.session_id)
        if session is None:
            self._unknown(listener, source, message, len(datagram), now)
            return None
        session.last_heard = now
        if isinstance(message, PathResponse):
            self._path_response(session, listener, source, message, now)
            return None
        if session.source != source and len(datagram) >= LEAST_PATH:
            self.challenge_path(session, listener, source, now)
        # No DATA: that of members has been taken in already.
        self._answers[type(message)](session, message, now)
        return None

    def challenge_path(
        self, session: Session, listener: Listener, source: Source, now: float
    ) -> None:
        """Ask a new address of a session, after at least 22 bytes from there, for its token."""
        origin = self._strangers.origin(listener, source, LEAST_PATH, now)
        if origin is not None:
            name = listener.name
            token = path_token(self._shared.secret, session.id, origin.address, name, now)
            self._strangers.answer(origin, PathChallenge(session.id, token).encode(), now)

    # From no member, or not yet.

    def _other_version(
        self, listener: Listener, source: Source, datagram: bytes, now: float
    ) -> None:
        if len(datagram) <= HEADER or datagram[_TYPE] == Type.VERSIONS:
            self._drop(listener, DropReason.MALFORMED, now)
            return
        origin = self._strangers.origin(listener, source, len(datagram), now)
        if origin is not None:
            self._tell_versions(origin, datagram[_ID], now)

    def _attempt(
        self, listener: Listener, source: Source, message: Hello | Join, size: int, now: float
    ) -> Said | None:
        origin = self._strangers.origin(listener, source, size, now)
        if origin is None:
            return None
        if isinstance(message, Hello):
            if VERSION in message.versions:
                self._joining.hello(origin, message, now)
            else:
                self._tell_versions(origin, message.nonce, now)
            return None
        session, said = self._joining.join(origin, message, now)
        return (session, said) if session is not None and said else None

    def _unknown(
        self, listener: Listener, source: Source, message: FromClient, size: int, now: float
    ) -> None:
        origin = self._strangers.origin(listener, source, size, now)
        if origin is not None and not isinstance(message, (Hello, Join)):
            unknown = Unknown(message.session_id).encode()
            self._answer(origin, unknown, DropReason.UNKNOWN_SESSION, now)

    def _tell_versions(self, origin: Origin, identifier: bytes, now: float) -> None:
        versions = Versions(identifier, (VERSION,)).encode()
        self._answer(origin, versions, DropReason.OTHER_VERSION, now)

    def _answer(self, origin: Origin, answer: bytes, reason: DropReason, now: float) -> None:
        if not self._strangers.answer(origin, answer, now):
            reason = DropReason.SESSION_LIMIT
        self._drop(origin.listener, reason, now)

    # From members.

    def _ping(self, session: Session, ping: Ping, now: float) -> None:
        self._output.tell(session, session.pong(ping.token))

    def _leave(self, session: Session, leave: Leave, now: float) -> None:
        self._sessions.end(session, "left", now)

    def _roster(self, session: Session, request: RosterRequest, now: float) -> None:
        self._recovery.roster(session, request.number, now)

    def _private_message(self, session: Session, message: PrivateUp, now: float) -> None:
        size = len(message.payload)
        if message.flags & RELIABLE and size > LARGEST_PRIVATE:
            self._output.drop_from(session, DropReason.MALFORMED, now)
        elif session.allowance is not None and not session.allowance.take(1, size, now):
            self._output.drop_from(session, DropReason.MEMBER_LIMIT, now)
        else:
            self._private.take(session, message, now)

    def _nick(self, session: Session, request: NickRequest, now: float) -> None:
        # A repeated request gets the answer that it had.
        if session.nicked is None or session.nicked[0] != request.request:
            answer = self._rename(session, request, now)
            session.nicked = (request.request, answer.encode())
        self._output.tell(session, session.nicked[1])

    def _rename(self, session: Session, request: NickRequest, now: float) -> Nicked:
        number = request.request
        try:
            wanted = nick.normalise(request.nick)
        except nick.NickError as error:
            return Nicked(session.id, number, None, DropReason.NICK_INVALID.value, str(error))
        if not nick_is_free(session.room, wanted, session):
            sentence = "Somebody else has this nick."
            return Nicked(session.id, number, None, DropReason.NICK_TAKEN.value, sentence)
        badge = request.badge or b""
        if (wanted, badge) != (session.name, session.badge):
            self._shared.roster.rename(session, wanted, badge, now)
        return Nicked(session.id, number, wanted)

    def _path_response(
        self,
        session: Session,
        listener: Listener,
        source: Source,
        response: PathResponse,
        now: float,
    ) -> None:
        origin = self._strangers.origin(listener, source, LEAST_PATH, now)
        if origin is None:
            return
        made_for = self._shared.secret, session.id, origin.address, listener.name
        if not proves_path(response.token, *made_for, now):
            self._drop(listener, DropReason.PATH, now)
        elif session.source != source:
            plain = listener.members.get(source)
            if plain is not None:
                self._shared.roster.leave(plain, "replaced", now)
            self._shared.roster.move(session, listener, source)
            # What went to the old address meanwhile may be lost: it is told what there is.
            self._output.tell(session, session.pong())

    def _drop(self, listener: Listener, reason: DropReason, now: float) -> None:
        self._output.drop(listener.name, listener.rules.room, reason, now)
