"""All sessions of a relay: how they begin, change and end."""

from __future__ import annotations

import hmac
from heapq import heapify, heapreplace
from math import inf

from udprelay.protocol.wire.from_relay import Bye, Pong
from udprelay.protocol.wire.members import MemberKind
from udprelay.relay import events
from udprelay.relay.bounded_dict import BoundedDict
from udprelay.relay.fan_out import FanOut
from udprelay.relay.room import Listener, Room
from udprelay.relay.session.cookie import UsedCookies
from udprelay.relay.session.flow_control import FlowControl
from udprelay.relay.session.member import SessionMember
from udprelay.relay.session.private_store import PrivateStore
from udprelay.relay.session.room_log import RoomLog, log_of
from udprelay.relay.session.schedule import Schedule
from udprelay.relay.state import RelayState
from udprelay.segments import Source

_SWEEP_INTERVAL = 10.0
_MAX_TAGS = 2048
_TAG_AGE = 86_400.0
_NO_TAG: tuple[bytes | None, float] = None, 0.0
_NO_TOKEN = bytes(8)
_FAREWELLS = {
    "left": ("You have left the room.", 0),
    "idle": ("Your session has timed out.", 2000),
    "kicked": ("You have been kicked from the room.", 0),
    "stopping": ("The relay is stopping.", 2000),
}
"""By reason: a sentence, and the milliseconds after which to come back; 0 is never."""


class Sessions:
    """
    What session members have in common.

    :ivar schedule: when they are sent ACK, HEARTBEAT and PONG unasked.
    :ivar private_store: their private datagrams.
    :ivar used_cookies: those that have made a member.
    :ivar flow: which of their reliable datagrams may be relayed.
    """

    def __init__(self, state: RelayState) -> None:
        self._key = hmac.digest(state.secret, b"udprelay sessions", "sha256")
        self._ids = 0
        self._roster = state.roster
        self._output = state.output
        self._gate = state.gate
        self._stopping = False
        # Each with the time at which its room was last seen open.
        self._tags: BoundedDict[str, tuple[bytes, float]] = BoundedDict(_MAX_TAGS)
        self._sweep_deadline = inf
        self._quotas = state.quotas
        self.schedule = Schedule(state.output)
        self.used_cookies = UsedCookies()
        self._roster.on_close = [
            *self._roster.on_close,
            self._close_log,
            self.schedule.forget_room,
        ]
        self._memory = state.memory
        self._memory.make_way = self._make_way
        self.private_store = PrivateStore(state.memory)
        census = state.census
        census.add("tables.tags", self._tags.__len__)
        census.add("tables.cookies", self.used_cookies.__len__)
        census.add("tables.logs", lambda: len(self._logs()))
        census.add("tables.departed", lambda: sum(len(log.departed) for log in self._logs()))
        census.add("tables.schedule", self.schedule.sizes)
        census.add("queues.entries", lambda: len(self.schedule.with_entries))
        census.add("history.datagrams", lambda: sum(log.stored_count for log in self._logs()))
        census.add("history.bytes", lambda: sum(log.stored_bytes for log in self._logs()))
        census.add("private.datagrams", self._private_datagrams)
        self.flow = FlowControl(state.output, self.schedule, state.memory, census)

    def _logs(self) -> list[RoomLog]:
        logs = (room.log for room in self._roster.rooms.values())
        return [log for log in logs if isinstance(log, RoomLog)]

    def _private_datagrams(self) -> int:
        return sum(len(s.private) for log in self._logs() for s in log.by_identity.values())

    @property
    def deadline(self) -> float:
        """When :meth:`expire` should be called next, or infinity."""
        return min(self.schedule.deadline, self.flow.deadline, self._sweep_deadline)

    def new_id(self) -> bytes:
        """Return 8 bytes that are unique in this run and unpredictable."""
        self._ids += 1
        return hmac.digest(self._key, self._ids.to_bytes(8, "big"), "sha256")[:8]

    def open_log(self, room: Room, now: float) -> RoomLog:
        """Return the log of a room, a new one if it has none."""
        if isinstance(room.log, RoomLog):
            return room.log
        tag, (before, _) = self.new_id(), self._tags.pop(room.name, _NO_TAG)
        log = room.log = RoomLog(room, tag, before, self.schedule, self._memory)
        self._tags[room.name] = tag, now
        if self._sweep_deadline > now + _SWEEP_INTERVAL:
            self._sweep_deadline = now + _SWEEP_INTERVAL
            self._output.deadline_nearer = True
        return log

    def rename(self, session: SessionMember, nick: str, badge: bytes, now: float) -> None:
        """Give a session member another nick, which must be free."""
        before, session.name, session.badge = session.name, nick, badge
        room = session.room
        log_of(session).add_nick(session, now)
        self._output.emit(events.MemberRenamed(room=room.name, member=nick, before=before))

    def follow(self, session: SessionMember, listener: Listener, source: Source) -> bool:
        """
        Let a session be answered from the local address that its peer has asked now.

        :return: whether ``source`` is of the same peer, whose address is proven.
        """
        peer_of = listener.transport.peer_of
        if session.listener is not listener or peer_of(session.source) != peer_of(source):
            return False
        session.source = source
        session.group.changed.add(session.slot)
        return True

    def move(self, session: SessionMember, listener: Listener, source: Source) -> None:
        """Change the address of a session member."""
        if self.follow(session, listener, source):
            return
        before = session.address
        session.listener.detach(session)
        if session.listener is listener:
            session.source = source
            session.group.changed.add(session.slot)
        else:
            session.unregister()
            listener.sessions[session.id] = session
            session.group.remove(session)
            session.listener, session.source = listener, source
            session.group = session.room.group(listener.transport, MemberKind.SESSION)
            session.group.add(session)
        listener.attach(session)
        self._gate.follow(session)
        self._quotas.move(session)
        self._output.emit(events.MemberMoved(before=before, **session.event_fields()))

    def end(self, session: SessionMember, reason: str, now: float) -> None:
        """Send BYE to a session, and remove it from its room."""
        self._send_bye(session, reason)
        self.flow.count(-session.buffered_bytes)
        self.private_store.forget(session)
        self.flow.forget(session, now)
        self.schedule.forget(session)
        self._roster.leave(session, reason, now)

    def farewell(self) -> None:
        """Send BYE to all sessions, once, as the relay stops."""
        if self._stopping:
            return
        self._stopping = True
        for log in self._logs():
            for session in log.by_identity.values():
                self._send_bye(session, "stopping")

    def _send_bye(self, session: SessionMember, reason: str) -> None:
        if reason == "unreachable":
            # Clients know no such reason.
            reason = "idle"
        sentence, retry_after = _FAREWELLS[reason]
        bye = Bye(session.id, reason, sentence, retry_after).encode()
        self._output.send_to(session, bye)

    def send_pong(self, session: SessionMember, token: bytes = _NO_TOKEN) -> None:
        """
        Send PONG, which has the newest sequences.

        :param token: that of the question; the default is an unasked PONG.
        """
        pong = Pong(session.id, token, log_of(session).newest, session.private.newest)
        self._output.send_to(session, pong.encode())

    # What is due.

    def expire(self, now: float) -> list[FanOut]:
        """Do what has come due; return the heartbeats of rooms."""
        self.schedule.send_acks(now)
        self.flow.expire(now)
        for session in self.schedule.sessions.due(now):
            self.send_pong(session)
        if self._sweep_deadline <= now:
            self._sweep(now)
        heartbeats = []
        for room in self.schedule.rooms.due(now):
            if isinstance(room.log, RoomLog) and room.log.by_identity:
                heartbeats.append(FanOut(room, room.log.heartbeat(now)))
                heartbeats[-1].seal(None, now)
        return heartbeats

    def _sweep(self, now: float) -> None:
        """Remove old datagrams and cookies, logs without sessions, and tags of closed rooms."""
        self.private_store.expire(now)
        self.used_cookies.expire(now)
        for room in self._roster.rooms.values():
            log = room.log
            if not isinstance(log, RoomLog):
                continue
            log.expire(now)
            empty = log.empty_since
            if empty is not None and empty + room.rules.history_age <= now:
                self._close_log(room)
                self.schedule.rooms.forget(room)
        for name, (tag, seen) in list(self._tags.items()):
            open_room = self._roster.rooms.get(name)
            if open_room is not None and open_room.log is not None:
                self._tags[name] = tag, now
            elif seen + _TAG_AGE <= now:
                del self._tags[name]
        if self.used_cookies or self._logs():
            self._sweep_deadline = now + _SWEEP_INTERVAL
        else:
            oldest = min((seen for _, seen in self._tags.values()), default=inf)
            self._sweep_deadline = oldest + _TAG_AGE

    # Memory.

    @staticmethod
    def _close_log(room: Room) -> None:
        """Remove the log of a room, if it has one."""
        if isinstance(room.log, RoomLog):
            room.log.release()
            # They refer to each other.
            room.log = None

    def _make_way(self, size: int) -> int:
        """Remove the oldest datagrams of all histories, so many bytes; return their number."""
        heap = [(log.oldest, number, log) for number, log in enumerate(self._logs())]
        heapify(heap)
        dropped = 0
        while size > 0 and heap and heap[0][0] < inf:
            _, number, log = heap[0]
            count, freed = log.drop_oldest()
            dropped += count
            size -= freed
            heapreplace(heap, (log.oldest, number, log))
        return dropped
