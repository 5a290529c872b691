"""What a relay promises when there are session members, checked from outside the hub."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from udprelay.protocol.wire.ranges import RANGE
from udprelay.relay.challenge import is_challenge
from udprelay.relay.events import Event, MemberJoined, MemberLeft, RelayStopped
from udprelay.relay.fan_out import FanOut
from udprelay.relay.hub import Hub
from udprelay.relay.listener import Listener
from udprelay.relay.room import Kind, Member, Room
from udprelay.relay.session.departed import REMEMBERED
from udprelay.relay.session.private_stream import KEPT
from udprelay.relay.session.receive_window import WINDOW

MOST_TOLD = 512
MOST_IN_QUIET_HEAP = 48
"""Deadlines of a room that are kept although later talk has moved them: 4 s, 0.1 s apart."""

EVERY = 16


class RelayPromises:
    """Watches one hub; a broken promise is an :exc:`AssertionError`."""

    def __init__(self, hub: Hub, listeners: Mapping[str, Listener]) -> None:
        self._hub = hub
        self._listeners = listeners
        self._valid: dict[Any, None] = {}
        self._received: Counter[Any] = Counter()
        self._sent: dict[int, Counter[Any]] = {1: Counter(), 3: Counter()}
        self._joined = 0
        self._left = 0
        self._deliveries = 0
        self._settled = 0

    # Nothing for strangers beyond what they have sent.

    def received(self, source: Any, size: int) -> None:
        """Note that so many bytes came from an address."""
        self._received[source] += size

    def validated(self) -> None:
        """Note the addresses of all members: those have been proved."""
        for listener in self._listeners.values():
            for session in listener.sessions.values():
                self._valid[session.source] = None
            for source in listener.members:
                self._valid[source] = None

    def sent(self, source: Any, payload: bytes) -> None:
        """Check what goes to an address."""
        if source in self._valid:
            return
        # Codes for those who may become plain members have a rule of their own.
        most = 3 if is_challenge(payload) else 1
        sent = self._sent[most]
        sent[source] += len(payload)
        assert sent[source] <= most * self._received[source], (
            f"{source}, no member, sent {self._received[source]} bytes, got {sent[source]}"
        )

    # What is delivered, and told.

    def delivery(self, fan_out: FanOut, member: Member) -> None:
        """Check one delivery."""
        self._deliveries += 1
        assert member.room is fan_out.room, f"{member.name} is not in {fan_out.room.name}"
        assert member.slot >= 0, f"{member.name} has left {fan_out.room.name}"

    def events(self, events: Iterable[Event]) -> None:
        """Add up what the hub says of itself."""
        for event in events:
            self._joined += isinstance(event, MemberJoined)
            self._left += isinstance(event, MemberLeft)

    def stopped(self, events: list[Event]) -> None:
        """Compare the totals with what was seen."""
        stopped = events[-1]
        assert isinstance(stopped, RelayStopped)
        assert stopped.members == self._joined
        assert stopped.deliveries == self._deliveries

    # What is kept.

    def bounds(self) -> None:
        """Check that no table outgrows what it may have; not each time, as that takes long."""
        self._settled += 1
        if not self._settled % EVERY:
            self.check()

    def check(self) -> None:
        """Check that no table outgrows what it may have, and that tables agree."""
        hub, roster = self._hub, self._hub.roster
        assert not hub._session_intake.waiting
        assert not hub._session_intake.moved
        assert not roster.with_entries
        assert roster.member_count == self._joined - self._left <= hub.rules.max_members
        assert len(roster.rooms) <= hub.rules.max_rooms
        sessions = held = 0
        for room in roster.rooms.values():
            members = list(room.members())
            assert len(members) == len(room) > 0
            assert len(room) <= room.rules.max_members + sum(m.listener is None for m in members)
            if room.sessions is not None:
                sessions += len(room.sessions.by_identity)
                held += self._room(room)
        assert hub._sessions._held == held
        assert sessions == sum(len(listener.sessions) for listener in self._listeners.values())
        assert len(hub._expiry._heap) <= 2 * self._joined
        assert len(hub._sessions.rooms._heap) <= MOST_IN_QUIET_HEAP * max(1, len(roster.rooms))
        assert len(hub._sessions.private._silences) <= sessions
        assert len(hub._sessions._later) <= self._joined
        assert not hub._sessions.acks

    def _room(self, room: Room) -> int:
        """Check one room; return the bytes that wait in its members' windows."""
        sessions, rules = room.sessions, room.rules
        assert sessions is not None
        history = sessions.history
        assert len(history) <= rules.history
        assert history.size <= rules.history_size
        assert len(sessions.departed) <= REMEMBERED
        seen = [m for m in room.members() if m.kind is not Kind.TARGET]
        assert list(sessions._members) == sessions._numbers == sorted(m.number for m in seen)
        of_room = [m for m in seen if m.kind is Kind.SESSION]
        assert {id(m) for m in of_room} == {id(m) for m in sessions.by_identity.values()}
        held = 0
        for session in sessions.by_identity.values():
            for window in (session.window, session.private_window):
                assert len(window._early) <= WINDOW
                assert all(own > window.next for own in window._early)
            held += session.held_bytes
            assert len(session.private._datagrams) <= KEPT
            assert len(session.own._told) <= MOST_TOLD * RANGE.size
            assert session.listener is not None
            assert session.listener.sessions[session.id] is session
        return held
