"""HELLO and JOIN: how an address becomes a session member."""

from __future__ import annotations

import hmac

from attrs import evolve

from udprelay.protocol import keys, nick
from udprelay.protocol.wire.joining import Challenge, Hello, Join, Refused, Welcome
from udprelay.relay.drops import DropReason
from udprelay.relay.room import Kind
from udprelay.relay.rules import RoomRules
from udprelay.relay.session.cookie import Cookies
from udprelay.relay.session.departed import Left
from udprelay.relay.session.member import Session
from udprelay.relay.session.private import PrivateMessages
from udprelay.relay.session.recovery import Recovery
from udprelay.relay.session.refusals import Refusal, Refusals
from udprelay.relay.session.room_log import RoomSessions
from udprelay.relay.session.roster_page import page, room_beside
from udprelay.relay.session.salts import Salts
from udprelay.relay.session.sessions import Sessions
from udprelay.relay.session.unverified import Origin, Strangers
from udprelay.relay.state import Shared

LARGEST_PAYLOAD = 1200
"""Bytes of the largest reliable payload."""

_RESUMABLE = 300.0
_MOST_KEEPALIVE = 10.0
_NEVER = Left(1, 1, 1)


class Joining:
    """Answers HELLO, for which nothing is kept, and JOIN, which makes members."""

    def __init__(
        self,
        shared: Shared,
        sessions: Sessions,
        strangers: Strangers,
        private: PrivateMessages,
        recovery: Recovery,
    ) -> None:
        self._shared = shared
        self._output = shared.output
        self._roster = shared.roster
        self._sessions = sessions
        self._strangers = strangers
        self._refusals = Refusals(shared)
        self._private = private
        self._recovery = recovery
        self._cookies = Cookies(shared.secret)
        self._salts = Salts(shared.rules, shared.secret)

    def hello(self, origin: Origin, hello: Hello, now: float) -> None:
        """Answer HELLO."""
        name = origin.listener.name
        cookie = self._cookies.make(name, origin.address, hello.room, now)
        challenge = Challenge(hello.nonce, cookie, self._salts.salt(hello.room))
        if not self._strangers.answer(origin, challenge.encode(), now):
            room = origin.listener.rules.room
            self._output.drop(name, room, DropReason.SESSION_LIMIT, now)

    def join(self, origin: Origin, join: Join, now: float) -> tuple[Session | None, list[bytes]]:
        """
        Answer JOIN.

        :return: the member, and what it has said before that waited for something which will not
            come any more.
        """
        name = origin.listener.name
        if not self._cookies.valid(join.cookie, name, origin.address, join.room, now):
            self._output.drop(name, join.room, DropReason.COOKIE, now)
            return None, []
        identity = keys.identity(join.secret)
        room = self._roster.rooms.get(join.room)
        sessions = room.sessions if room is not None else None
        member = sessions.by_identity.get(identity) if sessions is not None else None
        refusal = self._refusals.refusal(origin, join, identity, member, now)
        if refusal is not None:
            self._refuse(origin, join, refusal, now)
            return None, []
        self._replace_plain(origin, now)
        if member is None:
            member = self._admit(origin, join, identity, now)
            self._welcome(member, join.nonce, member.first, now)
            return member, []
        return member, self._return(member, origin, join, now)

    # Not admitted.

    def _refuse(self, origin: Origin, join: Join, refusal: Refusal, now: float) -> None:
        reason = refusal.reason
        self._output.reject(origin.listener, join.room, origin.address, reason, now)
        if reason is DropReason.PROOF_LIMIT:
            # To know that would help only those who guess.
            return
        retry_after = round(1000 * refusal.retry_after)
        refused = Refused(join.nonce, reason.value, refusal.sentence, retry_after)
        self._strangers.answer(origin, refused.encode(), now)

    # Admitted.

    def _replace_plain(self, origin: Origin, now: float) -> None:
        plain = origin.listener.members.get(origin.source)
        if plain is not None:
            self._roster.leave(plain, "replaced", now)

    def _admit(self, origin: Origin, join: Join, identity: bytes, now: float) -> Session:
        """Make a new member."""
        room = self._roster.open(join.room)
        side = self._sessions.open(room, now)
        before = side.departed.take(identity) or _NEVER
        listener = origin.listener
        session = Session(
            side,
            room,
            room.group(listener, Kind.SESSION),
            nick.normalise(join.nick),
            listener,
            origin.source,
            now,
            self._sessions.new_id(),
            identity,
            join.badge or b"",
            (max(join.own[0], before.reliable), max(join.own[1], before.private)),
            self._shared.rules.limits.repair_rate,
        )
        session.first = self._first(join, side, before, now)
        listener.sessions[session.id] = session
        self._roster.add(session, now)
        if session.first == side.newest:
            # Only its own joining is as new.
            session.first += 1
        self._shared.expiry.watch(session)
        self._output.deadline_nearer = True
        return session

    def _first(self, join: Join, sessions: RoomSessions, before: Left, now: float) -> int:
        """Return the first room sequence that a new member is to have."""
        if join.tag is not None and join.settled is not None:
            if _same(join.tag, sessions.tag):
                if before is not _NEVER:
                    return max(before.first, min(join.settled, sessions.newest) + 1)
            elif _same(join.tag, sessions.tag_before) or now - self._shared.started < _RESUMABLE:
                return 1
        on_join = self._shared.rules.room(join.room).history_on_join
        return sessions.history.sequence_of_last(on_join)

    def _return(self, session: Session, origin: Origin, join: Join, now: float) -> list[bytes]:
        """Take a member back that has been here all the time; return what it may say now."""
        session.last_heard = now
        if (session.listener, session.source) != (origin.listener, origin.source):
            self._roster.move(session, origin.listener, origin.source)
        held = session.held_bytes
        said = session.window.skip_to(join.own[0])
        for message in session.private_window.skip_to(join.own[1]):
            self._private.deliver(session, message, now)
        self._sessions.holds(session.held_bytes - held)
        first, side = session.first, session.side
        if join.settled is not None and _same(join.tag, side.tag):
            first = max(first, min(join.settled, side.newest) + 1)
        self._welcome(session, join.nonce, first, now, again=True)
        return said

    def _welcome(
        self, session: Session, nonce: bytes, first: int, now: float, again: bool = False
    ) -> None:
        """
        Send WELCOME.

        :param again: whether the member has been sent one before: a large one might not have
            passed, so that this one has no members.
        """
        side = session.side
        welcome = Welcome(
            nonce=nonce,
            session_id=session.id,
            number=session.number,
            tag=side.tag,
            newest=side.newest,
            first=first,
            nick=session.name,
            keepalive=_milliseconds(min(_MOST_KEEPALIVE, session.patience / 4)),
            idle=_milliseconds(session.patience),
            largest=LARGEST_PAYLOAD,
            allowance=_allowance(session.room.rules),
            next_own=(session.window.next, session.private_window.next),
            newest_private=session.private.newest,
            members=(),
            more_from=1 if again else None,
        )
        if again:
            self._recovery.send(session, welcome.encode(), now)
            return
        members, more = page(side.records(0), room_beside(len(welcome.encode())))
        answer = evolve(welcome, members=members, more_from=more).encode()
        self._output.tell(session, answer)


def _same(tag: bytes | None, known: bytes | None) -> bool:
    return tag is not None and known is not None and hmac.compare_digest(tag, known)


def _allowance(rules: RoomRules) -> tuple[int, int]:
    # Less than one datagram in a second is not unlimited.
    return (max(1, int(rules.member_rate)) if rules.member_rate else 0, rules.member_bandwidth)


def _milliseconds(seconds: float) -> int:
    return max(1, round(1000 * seconds))
