"""HELLO and JOIN: how a client becomes a session member."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence

from udprelay.protocol import keys, nick
from udprelay.protocol.wire.joining import Challenge, Hello, Join, Refused, Welcome
from udprelay.protocol.wire.members import MemberKind
from udprelay.relay.drops import DropReason
from udprelay.relay.rules import RoomRules
from udprelay.relay.session.cookie import Cookies, Salts
from udprelay.relay.session.member import SessionMember
from udprelay.relay.session.private import PrivateMessages
from udprelay.relay.session.recovery import Recovery
from udprelay.relay.session.refusals import Refusal, Refusals
from udprelay.relay.session.room_log import DepartedSession, RoomLog, log_of
from udprelay.relay.session.roster_page import with_records
from udprelay.relay.session.sequences import MAX_DATAGRAMS
from udprelay.relay.session.sessions import Sessions
from udprelay.relay.session.unverified import Origin, UnverifiedSources
from udprelay.relay.state import RelayState

MAX_RELIABLE_PAYLOAD = 1200
"""Bytes of a reliable payload."""

_RESUME_TIMEOUT = 300.0
_MAX_KEEPALIVE = 10.0
_NEW = DepartedSession(1, 1, 1)


Release = Callable[[SessionMember, Sequence[bytes]], None]


class Joining:
    """Answers HELLO without keeping any state, and JOIN, which adds members."""

    def __init__(
        self,
        state: RelayState,
        sessions: Sessions,
        unverified: UnverifiedSources,
        private: PrivateMessages,
        recovery: Recovery,
        release: Release,
    ) -> None:
        self._state = state
        self._output = state.output
        self._roster = state.roster
        self._sessions = sessions
        self._unverified = unverified
        self._refusals = Refusals(state)
        self._private = private
        self._recovery = recovery
        self._release = release
        self._cookies = Cookies(state.secret)
        self._salts = Salts(state.rules, state.secret)

    def hello(self, origin: Origin, hello: Hello, now: float) -> None:
        """Answer HELLO."""
        name = origin.listener.name
        cookie = self._cookies.make(name, origin.address, hello.room, hello.nonce, now)
        challenge = Challenge(hello.nonce, cookie, self._salts.salt(hello.room))
        if not self._unverified.answer(origin, challenge.encode(), now):
            room = origin.listener.rules.room
            self._output.drop(name, room, DropReason.SESSION_LIMIT, now)

    def join(self, origin: Origin, join: Join, now: float) -> None:
        """Answer JOIN."""
        name = origin.listener.name
        if not self._cookies.valid(join.cookie, name, origin.address, join.room, now):
            self._output.drop(name, join.room, DropReason.COOKIE, now)
            return
        identity = keys.identity(join.secret)
        room = self._roster.rooms.get(join.room)
        log = room.log if room is not None else None
        member = log.by_identity.get(identity) if isinstance(log, RoomLog) else None
        used = self._sessions.used_cookies
        if not used.admits(join.cookie, identity, member is not None):
            self._output.drop(name, join.room, DropReason.COOKIE, now)
            return
        refusal = self._refusals.refusal(origin, join, identity, member, now)
        if refusal is not None:
            self._refuse(origin, join, refusal, now)
            return
        used.add(join.cookie, identity, now)
        self._roster.replace_plain(origin.listener, origin.source, now)
        if member is not None:
            self._resume(member, origin, join, now)
            return
        member = self._admit(origin, join, identity, now)
        self._welcome(member, join.nonce, member.first, now)

    def _refuse(self, origin: Origin, join: Join, refusal: Refusal, now: float) -> None:
        reason = refusal.reason
        self._output.reject(origin.listener, join.room, origin.address, reason, now)
        retry_after = round(1000 * refusal.retry_after)
        refused = Refused(join.nonce, reason.value, refusal.sentence, retry_after)
        self._unverified.answer(origin, refused.encode(), now)

    def _admit(self, origin: Origin, join: Join, identity: bytes, now: float) -> SessionMember:
        """Add a new member."""
        opens = self._refusals.opens(join.room)
        room = self._roster.open(join.room)
        log = self._sessions.open_log(room, now)
        before = log.recall(identity) or _NEW
        listener = origin.listener
        session = SessionMember(
            room,
            room.group(listener.transport, MemberKind.SESSION),
            nick.normalise(join.nick),
            listener,
            origin.source,
            now,
            self._sessions.new_id(),
            identity,
            join.badge or b"",
            (max(join.own[0], before.reliable), max(join.own[1], before.private)),
            log.flow,
        )
        session.first = self._first(join, log, before, now)
        session.heard, session.repairs = before.heard, before.repairs
        if before is _NEW:
            # What it may ask for of the time before counts as heard.
            earlier = log.stored_bytes if session.first <= log.newest else 0
            session.heard = log.heard - earlier
        listener.sessions[session.id] = session
        self._roster.add(session, now)
        self._state.quotas.admit(session, opens, now)
        if session.first == log.newest:
            # The newest entry is its own join.
            session.first += 1
        if join.reports:
            self._sessions.flow.watch(session, session.first)
        self._state.expiry.watch(session)
        self._output.deadline_nearer = True
        return session

    def _first(self, join: Join, log: RoomLog, before: DepartedSession, now: float) -> int:
        """Return the first room sequence that a new member gets."""
        if join.tag is not None and join.settled is not None:
            if _same(join.tag, log.tag):
                if before is not _NEW:
                    return max(before.first, min(join.settled, log.newest) + 1)
            elif _same(join.tag, log.tag_before) or now - self._state.started < _RESUME_TIMEOUT:
                return 1
        on_join = self._state.rules.room(join.room).history_on_join
        return log.history.sequence_of_last(on_join)

    def _resume(self, session: SessionMember, origin: Origin, join: Join, now: float) -> None:
        """Resume a member that has not left; its client has given up what was missing."""
        session.last_heard = now
        if (session.listener, session.source) != (origin.listener, origin.source):
            self._sessions.move(session, origin.listener, origin.source)
        flow, buffered = self._sessions.flow, session.buffered_bytes
        flow.stop_waiting(session)
        ready = session.window.skip_to(join.own[0])
        private = session.private_window.skip_to(join.own[1])
        flow.count(session.buffered_bytes - buffered)
        for message in private:
            self._private.deliver(session, message, now)
        self._private.release(session, now)
        ready += flow.ready(session, now)
        first, log = session.first, log_of(session)
        if join.settled is not None and _same(join.tag, log.tag):
            first = max(first, min(join.settled, log.newest) + 1)
        if join.reports:
            flow.watch(session, first)
        self._welcome(session, join.nonce, first, now, resumed=True)
        self._release(session, ready)

    def _welcome(
        self, session: SessionMember, nonce: bytes, first: int, now: float, resumed: bool = False
    ) -> None:
        """
        Send WELCOME.

        :param resumed: whether the member has been sent WELCOME before. This one has no roster:
            the path may have dropped the large one.
        """
        log = log_of(session)
        welcome = Welcome(
            nonce=nonce,
            session_id=session.id,
            number=session.number,
            tag=log.tag,
            newest=log.newest,
            first=first,
            nick=session.name,
            keepalive=_milliseconds(min(_MAX_KEEPALIVE, session.idle_timeout / 4)),
            idle=_milliseconds(session.idle_timeout),
            largest=MAX_RELIABLE_PAYLOAD,
            allowance=_allowance(session.room.rules),
            next_own=(session.window.next, session.private_window.next),
            newest_private=session.private.newest,
            members=(),
            more_from=1 if resumed else None,
            history=(log.history.length, MAX_DATAGRAMS),
        )
        if resumed:
            self._recovery.send(session, welcome.encode(), now)
            return
        self._output.send_to(session, with_records(welcome, log.records(0)))


def _same(tag: bytes | None, known: bytes | None) -> bool:
    return tag is not None and known is not None and hmac.compare_digest(tag, known)


def _allowance(rules: RoomRules) -> tuple[int, int]:
    # 0 on the wire is no limit: a rate below 1 must not become 0.
    return (max(1, int(rules.member_rate)) if rules.member_rate else 0, rules.member_bandwidth)


def _milliseconds(seconds: float) -> int:
    return max(1, round(1000 * seconds))
