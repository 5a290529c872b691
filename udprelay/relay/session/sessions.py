"""All sessions of a relay: how they begin and end, and what falls due while they last."""

from __future__ import annotations

import hmac
from math import inf

from udprelay.protocol.wire.ranges import MOST_RANGES
from udprelay.relay.fan_out import FanOut, SessionFanOut
from udprelay.relay.room import NOBODY, Room
from udprelay.relay.session.member import Session
from udprelay.relay.session.quiet import ROOM_STEPS, SESSION_STEPS, Quiet
from udprelay.relay.session.room_log import RoomSessions
from udprelay.relay.state import Shared

ACK_DELAY = 0.05
"""Seconds after which a member is told which room sequences are its own."""
# Later would be too near to the first question of clients that take their own for missing (70 ms).

_ACK_EARLY = 0.01
# So much earlier if a datagram comes in: that costs less than to wake up for it.

ACK_AT_ONCE = MOST_RANGES
"""Ranges of own sequences that are told without delay."""

_SWEEP = 10.0
_MOST_HELD = 16 * 1024 * 1024
_MOST_TAGS = 2048
_COME_BACK = 2.0
_FAREWELLS = {
    "left": ("You have left the room.", 0.0),
    "idle": ("The relay has not heard of you for too long.", _COME_BACK),
    "kicked": ("You have been put out of the room.", 0.0),
    "stopping": ("The relay is stopping.", _COME_BACK),
}


class Sessions:
    """
    What session members have in common.

    :ivar acks: sessions whose ACK is to be sent with this batch.
    :ivar acks_from: the time from which on those are sent with a batch that can wait a little.
    :ivar rooms: which have fallen silent.
    :ivar private: sessions whose private sequence has.
    """

    def __init__(self, shared: Shared) -> None:
        self._key = hmac.digest(shared.secret, b"udprelay sessions", "sha256")
        self._made = 0
        self._roster = shared.roster
        self._output = shared.output
        self._held = 0
        self._stopping = False
        self._tags: dict[str, bytes] = {}
        self._later: dict[Session, None] = {}
        self._later_deadline: float | None = None
        self.acks_from = inf
        self._sweep: float | None = None
        self.acks: dict[Session, None] = {}
        self.rooms: Quiet[Room] = Quiet(ROOM_STEPS)
        self.private: Quiet[Session] = Quiet(SESSION_STEPS)

    @property
    def deadline(self) -> float | None:
        """When :meth:`expire` should be called next, or None."""
        deadlines = (
            self.rooms.deadline,
            self.private.deadline,
            self._later_deadline,
            self._sweep,
        )
        return min((d for d in deadlines if d is not None), default=None)

    def new_id(self) -> bytes:
        """Return 8 bytes that have not been returned before, and that nobody can guess."""
        self._made += 1
        return hmac.digest(self._key, self._made.to_bytes(8, "big"), "sha256")[:8]

    def open(self, room: Room, now: float) -> RoomSessions:
        """Return the session side of a room, a new one if need be."""
        if room.sessions is None:
            tag, before = self.new_id(), self._tags.pop(room.name, None)
            room.sessions = RoomSessions(room, tag, before)
            self._tags[room.name] = tag
            if len(self._tags) > _MOST_TAGS:
                del self._tags[next(iter(self._tags))]
            if self._sweep is None:
                self._sweep = now + _SWEEP
                self._output.deadline_nearer = True
        return room.sessions

    def end(self, session: Session, reason: str, now: float) -> None:
        """Say goodbye to a session and let it leave its room."""
        self._say_goodbye(session, reason)
        self._held -= session.held_bytes
        self.private.forget(session)
        self._roster.leave(session, reason, now)

    def farewell(self) -> None:
        """Say goodbye to everybody once, as the relay stops."""
        if self._stopping:
            return
        self._stopping = True
        for room in self._roster.rooms.values():
            if room.sessions is not None:
                for session in room.sessions.by_identity.values():
                    self._say_goodbye(session, "stopping")

    def _say_goodbye(self, session: Session, reason: str) -> None:
        self._output.tell(session, session.bye(reason, *_FAREWELLS[reason]))

    # What waits for something missing.

    def may_hold(self, size: int) -> bool:
        """Return whether there is memory for so many bytes that wait."""
        return self._held + size <= _MOST_HELD

    def holds(self, change: int) -> None:
        """Note that more, or fewer, bytes wait now."""
        self._held += change

    # What members are told without asking.

    def said(self, fan_out: SessionFanOut, now: float) -> None:
        """Note that what was said in a room with session members has its places there."""
        room, runs = fan_out.room, fan_out.runs
        if self.rooms.spoke(room, now):
            self._output.deadline_nearer = True
        place = fan_out.sessions.newest + 1 - fan_out.said
        for speaker, said, _, _ in runs:
            count = len(said)
            if isinstance(speaker, Session):
                if speaker.own.add(place, count) < ACK_AT_ONCE:
                    self._later[speaker] = None
                else:
                    self.acks[speaker] = None
            place += count
        if self._later:
            self._acknowledge_later(now)

    def _acknowledge_later(self, now: float) -> None:
        if self._later_deadline is None:
            self._later_deadline = now + ACK_DELAY
            self.acks_from = now + ACK_DELAY - _ACK_EARLY
            self._output.deadline_nearer = True

    def acknowledge(self, now: float) -> None:
        """Send the ACKs that go with this batch."""
        if self.acks_from <= now:
            self._later_deadline, self.acks_from = None, inf
            later, self._later = self._later, {}
            for session in later:
                if session.own.pending:
                    self.acks[session] = None
        acks, self.acks = self.acks, {}
        for session in acks:
            if session.slot >= 0:
                self._output.tell(session, session.ack())
                if session.own.pending:
                    # More ranges than one ACK has room for.
                    self._later[session] = None
                    self._acknowledge_later(now)

    def private_sent(self, session: Session, now: float) -> None:
        """Note that something was added to a private sequence."""
        if self.private.spoke(session, now):
            self._output.deadline_nearer = True

    def expire(self, now: float) -> list[FanOut]:
        """Do what has come due; return the heartbeats of rooms."""
        if self._later_deadline is not None and self._later_deadline <= now:
            self.acknowledge(now)
        for session in self.private.due(now):
            self._output.tell(session, session.pong())
        if self._sweep is not None and self._sweep <= now:
            self._sweep_rooms(now)
        return [
            self._heartbeat(room, room.sessions, now)
            for room in self.rooms.due(now)
            if room.sessions is not None and room.sessions.by_identity
        ]

    def _heartbeat(self, room: Room, sessions: RoomSessions, now: float) -> FanOut:
        if sessions.has_entries:
            # They go with it, and who misses both has to notice.
            self.rooms.spoke(room, now)
        fan_out = SessionFanOut(room, sessions)
        fan_out.framed = [*fan_out.framed, sessions.heartbeat()]
        fan_out.framed_senders.append(NOBODY)
        return fan_out

    def _sweep_rooms(self, now: float) -> None:
        """Forget what is too old."""
        self._sweep = None
        for room in self._roster.rooms.values():
            sessions = room.sessions
            if sessions is None:
                continue
            sessions.history.expire(now)
            empty = sessions.empty_since
            if empty is not None and empty + room.rules.history_age <= now:
                room.sessions = None
                self.rooms.forget(room)
            else:
                self._sweep = now + _SWEEP
