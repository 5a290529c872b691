"""Control datagrams: all that clients send but DATA, decoded and dispatched."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, inf
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
from udprelay.protocol.wire.header import (
    HEADER_SIZE,
    ID,
    PREFIX,
    RELIABLE,
    TYPE_OFFSET,
    VERSION,
    Type,
)
from udprelay.protocol.wire.joining import Hello, Join, Unknown, Versions
from udprelay.relay.drops import DropReason
from udprelay.relay.room import Listener
from udprelay.relay.session.cookie import path_token, proves_path
from udprelay.relay.session.joining import MAX_RELIABLE_PAYLOAD, Joining, Release
from udprelay.relay.session.member import LastNick, SessionMember
from udprelay.relay.session.private import PrivateMessages
from udprelay.relay.session.recovery import Recovery
from udprelay.relay.session.refusals import nick_is_free
from udprelay.relay.session.sessions import Sessions
from udprelay.relay.session.unverified import Origin, UnverifiedSources
from udprelay.relay.state import RelayState
from udprelay.segments import Source

MIN_PATH_DATAGRAM = 22
"""Bytes of the smallest datagram from a new address that PATH_CHALLENGE answers."""

NICK_INTERVAL = 5.0
"""Seconds from one nick of a member to the next: each goes to everybody in the room."""

MAX_PRIVATE_PAYLOAD = MAX_RELIABLE_PAYLOAD - 16
"""Bytes of a reliable private payload, which follows the receiver's identity."""


class ControlReader:
    """
    Reads one control datagram at a time; each may add, move or remove members.

    :param release: relays buffered DATA of a session.
    """

    def __init__(
        self, state: RelayState, sessions: Sessions, private: PrivateMessages, release: Release
    ) -> None:
        self._state = state
        self._output = state.output
        self._sessions = sessions
        self._private = private
        self._unverified = UnverifiedSources(state)
        self._recovery = Recovery(state.output, state.rules.limits.repair_rate)
        self._joining = Joining(
            state, sessions, self._unverified, private, self._recovery, release
        )
        self._answers: dict[type, Callable[[SessionMember, Any, float], None]] = {
            PrivateUp: self._private_message,
            Nack: self._recovery.answer_nack,
            Ping: self._ping,
            Leave: lambda session, _, now: sessions.end(session, "left", now),
            RosterRequest: self._recovery.answer_roster,
            NickRequest: self._nick,
            Missed: private.report_missed,
        }

    def read(self, listener: Listener, source: Source, datagram: bytes, now: float) -> None:
        """Read a datagram with the signature."""
        if not datagram.startswith(PREFIX):
            self._other_version(listener, source, datagram, now)
            return
        try:
            message = decode_from_client(datagram)
        except WireError:
            self._drop(listener, DropReason.MALFORMED, now)
            return
        session: SessionMember | None = None
        if not isinstance(message, (Hello, Join)):
            session = listener.sessions.get(message.session_id)
        if session is None:
            self._unverified_message(listener, source, message, len(datagram), now)
            return
        session.last_heard = now
        if isinstance(message, PathResponse):
            self._path_response(session, listener, source, message, now)
            return
        if session.source != source and len(datagram) >= MIN_PATH_DATAGRAM:
            self.challenge_path(session, listener, source, now)
        # DATA of members never gets here.
        self._answers[type(message)](session, message, now)

    def challenge_path(
        self, session: SessionMember, listener: Listener, source: Source, now: float
    ) -> None:
        """Send PATH_CHALLENGE to a new address of a session, which has sent at least 22 bytes."""
        if self._sessions.follow(session, listener, source):
            return
        origin = self._unverified.origin(listener, source, MIN_PATH_DATAGRAM, now)
        if origin is not None:
            name = listener.name
            token = path_token(self._state.secret, session.id, origin.address, name, now)
            self._unverified.answer(origin, PathChallenge(session.id, token).encode(), now)

    # From addresses that are not members.

    def _other_version(
        self, listener: Listener, source: Source, datagram: bytes, now: float
    ) -> None:
        if len(datagram) <= HEADER_SIZE or datagram[TYPE_OFFSET] == Type.VERSIONS:
            self._drop(listener, DropReason.MALFORMED, now)
            return
        origin = self._unverified.origin(listener, source, len(datagram), now)
        if origin is not None:
            self._send_versions(origin, datagram[ID], now)

    def _unverified_message(
        self, listener: Listener, source: Source, message: FromClient, size: int, now: float
    ) -> None:
        origin = self._unverified.origin(listener, source, size, now)
        if origin is None:
            return
        if isinstance(message, Join):
            self._joining.join(origin, message, now)
        elif not isinstance(message, Hello):
            unknown = Unknown(message.session_id).encode()
            self._answer(origin, unknown, DropReason.UNKNOWN_SESSION, now)
        elif VERSION in message.versions:
            self._joining.hello(origin, message, now)
        else:
            self._send_versions(origin, message.nonce, now)

    def _send_versions(self, origin: Origin, identifier: bytes, now: float) -> None:
        versions = Versions(identifier, (VERSION,)).encode()
        self._answer(origin, versions, DropReason.OTHER_VERSION, now)

    def _answer(self, origin: Origin, answer: bytes, reason: DropReason, now: float) -> None:
        if not self._unverified.answer(origin, answer, now):
            reason = DropReason.SESSION_LIMIT
        self._drop(origin.listener, reason, now)

    # From members.

    def _private_message(self, session: SessionMember, message: PrivateUp, now: float) -> None:
        if message.flags & RELIABLE and len(message.payload) > MAX_PRIVATE_PAYLOAD:
            self._output.drop_from(session, DropReason.MALFORMED, now)
        else:
            self._private.receive(session, message, now)

    def _ping(self, session: SessionMember, ping: Ping, now: float) -> None:
        self._sessions.flow.report(session, ping, now)
        if session.reports:
            self._sessions.private_store.settle(session, ping.settled_private or 0)
        self._sessions.send_pong(session, ping.token)

    def _nick(self, session: SessionMember, request: NickRequest, now: float) -> None:
        last = session.nicked
        # A retransmitted NICK gets the same answer.
        if last is None or last.request != request.request:
            since = -inf if last is None else last.since
            if now - since < NICK_INTERVAL:
                answer = self._wait_with_nick(session, request, since + NICK_INTERVAL - now)
                self._output.drop_from(session, DropReason.NICK_LIMIT, now)
            else:
                answer = self._rename(session, request, now)
                since = now if answer.nick is not None else since
            last = session.nicked = LastNick(request.request, answer.encode(), since)
        self._output.send_to(session, last.answer)

    @staticmethod
    def _wait_with_nick(session: SessionMember, request: NickRequest, seconds: float) -> Nicked:
        sentence = f"You can change your nick again in {ceil(seconds)} s."
        reason = DropReason.NICK_LIMIT.value
        return Nicked(session.id, request.request, None, reason, sentence)

    def _rename(self, session: SessionMember, request: NickRequest, now: float) -> Nicked:
        number = request.request
        try:
            wanted = nick.normalise(request.nick)
        except nick.NickError as error:
            return Nicked(session.id, number, None, DropReason.NICK_INVALID.value, str(error))
        if not nick_is_free(session.room, wanted, session):
            sentence = "This nick is in use."
            return Nicked(session.id, number, None, DropReason.NICK_TAKEN.value, sentence)
        badge = request.badge or b""
        if (wanted, badge) != (session.name, session.badge):
            self._sessions.rename(session, wanted, badge, now)
        return Nicked(session.id, number, wanted)

    def _path_response(
        self,
        session: SessionMember,
        listener: Listener,
        source: Source,
        response: PathResponse,
        now: float,
    ) -> None:
        origin = self._unverified.origin(listener, source, MIN_PATH_DATAGRAM, now)
        if origin is None:
            return
        made_for = self._state.secret, session.id, origin.address, listener.name
        if not proves_path(response.token, *made_for, now):
            self._drop(listener, DropReason.PATH, now)
        elif session.source != source:
            self._state.roster.replace_plain(listener, source, now)
            self._sessions.move(session, listener, source)
            # Datagrams to the old address may be lost: PONG has the newest sequences.
            self._sessions.send_pong(session)

    def _drop(self, listener: Listener, reason: DropReason, now: float) -> None:
        self._output.drop(listener.name, listener.rules.room, reason, now)
