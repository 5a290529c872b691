"""What session members are sent unasked: ACK, HEARTBEAT, and PONG after private datagrams."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from udprelay.protocol.wire.ranges import MAX_RANGES
from udprelay.relay.output import Output
from udprelay.relay.room import Room
from udprelay.relay.session.heartbeat_schedule import (
    ROOM_STEPS,
    SESSION_STEPS,
    HeartbeatSchedule,
)
from udprelay.relay.session.member import SessionMember
from udprelay.segments import Run

ACK_DELAY = 0.05
"""Seconds after which ACK reports own room sequences. Clients that may have sent the
missing datagrams themselves send their first NACK after 70 ms."""

# Seconds before that in which a batch sends the ACKs too: cheaper than a timer of their own.
_ACK_EARLY = 0.01

ENTRIES_DELAY = 0.05
"""Seconds for which entries wait for more, while members come and go."""

_ENTRIES_AT_ONCE = 4
"""Deliveries of entries in such a time before the others wait."""

ACK_AT_ONCE = MAX_RANGES
"""Ranges of own room sequences that are reported without delay."""


class Schedule:
    """
    When to send ACK, HEARTBEAT, unasked PONG, and entries that have no DATA to go with.

    :ivar acks: sessions whose ACK is sent with this batch.
    :ivar acks_from: when the delayed ACKs may be sent together with a batch; infinity without any.
    :ivar with_entries: rooms with entries that are not delivered yet and do not wait.
    :ivar rooms: when to send HEARTBEAT.
    :ivar sessions: when to send PONG after a session's last private datagram.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._delayed: dict[SessionMember, None] = {}
        self.acks_from = inf
        self.with_entries: dict[Room, None] = {}
        self._waiting: dict[Room, None] = {}
        self._entries_delivered = 0
        self._entries_from = 0.0
        self.acks: dict[SessionMember, None] = {}
        self.rooms: HeartbeatSchedule[Room] = HeartbeatSchedule(ROOM_STEPS)
        self.sessions: HeartbeatSchedule[SessionMember] = HeartbeatSchedule(SESSION_STEPS)

    @property
    def deadline(self) -> float:
        """When something is due, or infinity."""
        entries = self._entries_from if self._waiting else inf
        acks = self.acks_from + _ACK_EARLY
        return min(self.rooms.deadline, self.sessions.deadline, acks, entries)

    def forget(self, session: SessionMember) -> None:
        """Send nothing to a session that leaves."""
        self._delayed.pop(session, None)
        self.acks.pop(session, None)
        self.sessions.forget(session)

    def forget_room(self, room: Room) -> None:
        """Send nothing to a room that is closed."""
        self.with_entries.pop(room, None)
        self._waiting.pop(room, None)
        self.rooms.forget(room)

    def sizes(self) -> dict[str, int]:
        """Return how many rooms and sessions wait for something."""
        acks, entries = len(self.acks) + len(self._delayed), len(self._waiting)
        heartbeats = {"rooms": len(self.rooms), "sessions": len(self.sessions)}
        return {"acks": acks, "entries": entries, **heartbeats}

    def room_sent(self, room: Room, runs: Sequence[Run], first: int, now: float) -> None:
        """
        Note what a room is sent.

        :param runs: the payloads in it.
        :param first: the room sequence of the first payload.
        """
        if self.rooms.activity(room, now):
            self._output.deadline_nearer = True
        for sender, segments, _ in runs:
            count = segments.count
            if isinstance(sender, SessionMember):
                if sender.place == first - 1:
                    # ACK tells it that these are its own.
                    sender.place += count
                if sender.own_room.add(first, count) < ACK_AT_ONCE:
                    self._delayed[sender] = None
                else:
                    self.acks[sender] = None
            first += count
        if self._delayed:
            self._delay_acks(now)

    def private_sent(self, session: SessionMember, now: float) -> None:
        """Note a new datagram in the private sequence of a session."""
        if self.sessions.activity(session, now):
            self._output.deadline_nearer = True

    def _delay_acks(self, now: float) -> None:
        if self.acks_from == inf:
            self.acks_from = now + ACK_DELAY - _ACK_EARLY
            self._output.deadline_nearer = True

    def send_acks(self, now: float) -> None:
        """Send the ACKs that go with this batch, and the delayed ones that are due."""
        if self.acks_from <= now:
            self.acks_from = inf
            delayed, self._delayed = self._delayed, {}
            for session in delayed:
                if session.own_room.pending:
                    self.acks[session] = None
        acks, self.acks = self.acks, {}
        for session in acks:
            self._output.send_to(session, session.ack())
            if session.own_room.pending:
                # More ranges than fit into one ACK.
                self._delayed[session] = None
                self._delay_acks(now)

    def due_entries(self, now: float) -> list[Room]:
        """Return the rooms whose entries are to be delivered now; the others are due later."""
        if now >= self._entries_from:
            self._entries_from, self._entries_delivered = now + ENTRIES_DELAY, 0
            self.with_entries, self._waiting = {**self._waiting, **self.with_entries}, {}
        rooms, self.with_entries = self.with_entries, {}
        if rooms and self._entries_delivered >= _ENTRIES_AT_ONCE:
            self._waiting |= rooms
            self._output.deadline_nearer = True
            return []
        self._entries_delivered += bool(rooms)
        return list(rooms)
