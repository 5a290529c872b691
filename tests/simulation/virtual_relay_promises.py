"""The promises of a relay to session members, checked from outside the hub."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from udprelay.protocol.wire.header import EARLY_WINDOW, ID
from udprelay.protocol.wire.members import MemberKind
from udprelay.relay.challenge import is_challenge
from udprelay.relay.events import Event, MemberJoined, MemberLeft, RelayStopped
from udprelay.relay.hub import Hub
from udprelay.relay.room import NOBODY, Group, Listener, Member, Rendering, Room
from udprelay.relay.session.member import SessionMember
from udprelay.relay.session.room_log import RoomLog
from udprelay.relay.session.sequences import MAX_DATAGRAMS
from udprelay.relay.session.waits import Wait

MAX_BUFFERED = 16 * 1024 * 1024
"""Bytes of early datagrams of all members."""

CHECK_INTERVAL = 16
"""Calls of :meth:`RelayPromises.bounds` for one check, which takes long."""


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

    # No unverified source gets more than it has sent.

    def received(self, source: Any, size: int) -> None:
        """Note that the relay has received bytes from an address."""
        self._received[source] += size

    def validated(self) -> None:
        """Note the addresses of all members: they are verified."""
        for listener in self._listeners.values():
            for session in listener.sessions.values():
                self._valid[session.source] = None
            for source in listener.members:
                self._valid[source] = None

    def reply(self, source: Any, payload: bytes) -> None:
        """Check a datagram to an address."""
        if source not in self._valid:
            self.validated()
        if source in self._valid:
            return
        # Challenges for plain members may be larger.
        factor = 3 if is_challenge(payload) else 1
        sent = self._sent[factor]
        sent[source] += len(payload)
        assert sent[source] <= factor * self._received[source], (
            f"{source}, unverified, sent {self._received[source]} bytes, got {sent[source]}"
        )

    # Deliveries and events.

    def delivery(self, group: Group, payload: bytes, sender: Member, member: Member) -> None:
        """Check one delivery."""
        self._deliveries += 1
        room = member.room
        assert member.slot >= 0, f"{member.name} has left {room.name}"
        assert group in room.groups.values(), f"{member.name} is not in this group"
        if sender is not NOBODY:
            assert sender.room is room, f"{member.name} is not in {sender.room.name}"
        if group.rendering is Rendering.FRAMED:
            assert isinstance(room.log, RoomLog)
            assert payload[ID] == room.log.tag, f"{member.name} is not in the room of {payload!r}"
        if member.listener is not None:
            self.reply(member.source, payload)

    def event(self, event: Event) -> None:
        """Count the joins and leaves."""
        self._joined += isinstance(event, MemberJoined)
        self._left += isinstance(event, MemberLeft)

    def stopped(self, events: list[Event]) -> None:
        """Compare the totals with the counts."""
        stopped = events[-1]
        assert isinstance(stopped, RelayStopped)
        assert stopped.members == self._joined
        assert stopped.deliveries == self._deliveries

    # Tables.

    def bounds(self) -> None:
        """Run :meth:`check`, but not each time."""
        self._settled += 1
        if not self._settled % CHECK_INTERVAL:
            self.check()

    def check(self) -> None:
        """Check that tables agree and are within their bounds."""
        hub, roster = self._hub, self._hub.roster
        assert not hub.unsettled
        census = hub.census.read()
        assert not any(n for name, n in census.items() if name.startswith("queues."))
        assert census["joins"] == self._joined
        assert roster.member_count == self._joined - self._left <= hub.rules.max_members
        assert census["rooms"] <= hub.rules.max_rooms
        sessions = buffered = 0
        for room in roster.rooms.values():
            members = list(room.members())
            assert len(members) == len(room) > 0
            assert len(room) <= room.rules.max_members + sum(m.listener is None for m in members)
            if isinstance(room.log, RoomLog):
                sessions += len(room.log.by_identity)
                buffered += self._check_log(room, room.log)
        assert census["early.bytes"] == buffered <= MAX_BUFFERED
        assert census["members.session"] == sessions
        assert sessions == sum(len(listener.sessions) for listener in self._listeners.values())

    def _check_log(self, room: Room, log: RoomLog) -> int:
        """Check one room; return the bytes that its members have buffered."""
        history, rules = log.history, room.rules
        stored = [datagram for _, datagram in history.stored(1, history.newest)]
        assert len(stored) <= rules.history
        assert sum(map(len, stored)) <= rules.history_size
        visible = [m for m in room.members() if m.kind is not MemberKind.TARGET]
        numbers = sorted(member.number for member in visible)
        assert [record.number for record in log.records(0)] == numbers
        of_room = [m for m in visible if m.kind is MemberKind.SESSION]
        assert {id(m) for m in of_room} == {id(m) for m in log.by_identity.values()}
        for session in log.by_identity.values():
            for window in (session.window, session.private_window):
                assert window.bitmap < 1 << EARLY_WINDOW
                waits = window.first is not None
                assert (window.bitmap > 0 or waits) == (window.buffered_bytes > 0)
                assert not waits or any(session in wait.senders for wait in _waits(log))
            stream = session.private
            assert len([*stream.stored(1, stream.newest)]) <= MAX_DATAGRAMS
            assert session.listener.sessions[session.id] is session
        return sum(session.buffered_bytes for session in log.by_identity.values())


def _waits(log: RoomLog) -> list[Wait[SessionMember]]:
    """Return the waits in a room for a receiver."""
    private = [session.private_wait for session in log.by_identity.values()]
    return [wait for wait in (log.flow, *private) if wait is not None and wait.receivers]
