"""
The relay without input and output.

Datagrams and the time go in; fan-outs, replies, events and the next deadline come out.
:class:`~udprelay.relay.driver.HubDriver` does with them what the owner of a hub has to.

A fan-out is valid until the hub is called again. So :meth:`Hub.receive` queues the datagrams that
may remove members, and :meth:`Hub.control` reads them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import inf

from udprelay.protocol.endpoint import Endpoint
from udprelay.protocol.wire.header import RELIABLE
from udprelay.protocol.wire.members import MemberKind
from udprelay.relay import events
from udprelay.relay.drops import DropReason
from udprelay.relay.fan_out import FanOut, FanOutBatch
from udprelay.relay.intake import Intake
from udprelay.relay.room import Group, Listener, Member, Room
from udprelay.relay.rules import PlainPolicy, Protocol, RelayRules
from udprelay.relay.session.control import ControlReader
from udprelay.relay.session.intake import SessionIntake
from udprelay.relay.session.member import SessionMember
from udprelay.relay.session.private import PrivateMessages
from udprelay.relay.session.sessions import Sessions
from udprelay.relay.state import RelayState
from udprelay.relay.transport import ListenerTransport, Transport
from udprelay.relay.vacancies import Vacancies
from udprelay.segments import Segments, Source

_MAX_EXPIRED_AT_ONCE = 256


class Hub:
    """
    One relay.

    :param rules: the configuration; constant.
    :param secret: 32 random bytes.
    :param is_own: tells whether an endpoint is one of the relay's own listeners.
    :param now: the time, in seconds of a monotonic clock.
    :ivar roster: its rooms and members.
    :ivar gate: what members may send.
    :ivar receive: receives what a listener has read
        (:meth:`~udprelay.relay.intake.Intake.receive`); returns what to deliver, in order,
        before the hub is called again.
    :ivar drain_events: returns the events since the last call.
    :ivar drain_replies: returns the datagrams for single addresses since the last call.
    :ivar drain_filters: returns listeners, and the sources whose datagrams each is to drop from
        now on (:meth:`~udprelay.relay.floods.Floods.drain`).
    :ivar drop: counts datagrams that the owner had to drop.
    :ivar farewell: sends BYE to all session members; the hub receives nothing after that.
    :ivar census: its counters, and the sizes of its tables.
    :ivar named_rooms: the rooms that the configuration names, open or not.
    """

    def __init__(
        self,
        rules: RelayRules,
        secret: bytes,
        is_own: Callable[[Endpoint], bool],
        now: float,
    ) -> None:
        self.rules = rules
        self._started = now
        state = RelayState(rules, secret, is_own, now)
        self.roster = state.roster
        self.gate = state.gate
        self.census = state.census
        self.named_rooms = state.named_rooms
        self._output = state.output
        self.drain_events = state.output.drain_events
        self.drain_replies = state.output.drain_replies
        self.drop = state.output.drop
        self._drops = state.output.drops
        self._admission = state.admission
        self._expiry = state.expiry
        self._loops = state.loops
        self._floods = state.floods
        self.drain_filters = state.floods.drain
        self._memory = state.memory
        self._sessions = Sessions(state)
        self.farewell = self._sessions.farewell
        self._private = PrivateMessages(state, self._sessions)
        self._fan_outs = FanOutBatch(state.output, state.loops, rules.log_payloads)
        self._session_intake = SessionIntake(state, self._sessions, self._fan_outs)
        intake = Intake(state, self._sessions.schedule, self._fan_outs, self._session_intake)
        self.receive = intake.receive
        release = self._session_intake.release
        self._control_reader = ControlReader(state, self._sessions, self._private, release)
        self._vacancies = Vacancies(self.roster, rules.max_members, self._leave, self.census)
        self._reported_until: dict[Member, float] = {}
        self.census.add("tables.unreachable", self._reported_until.__len__)

    @property
    def unsettled(self) -> bool:
        """Whether datagrams are queued, output is to be drained, or the deadline may be nearer."""
        output, intake = self._output, self._session_intake
        return bool(
            output.events
            or output.replies
            or output.deadline_nearer
            or intake.control_queue
            or intake.moved
            or self.gate.excess.to_tell
            or self._sessions.schedule.with_entries
            or self._fan_outs.collected
            or self.roster.short_of_places
            or self._floods.changed
        )

    def next_deadline(self) -> float | None:
        """Return when :meth:`expire` should be called, or None."""
        self._output.deadline_nearer = False
        due = min(
            self._expiry.deadline,
            self._drops.deadline,
            self._sessions.deadline,
            self._vacancies.deadline,
            self._loops.deadline,
            self._floods.deadline,
            self._memory.deadline,
        )
        return due if due < inf else None

    # Datagrams.

    def open_listener(self, name: str, transport: ListenerTransport) -> Listener:
        """Add the listener ``name`` of the rules; the caller has opened its transport."""
        rules = self.rules.listeners[name]
        if rules.plain is PlainPolicy.ANY and rules.protocol is not Protocol.SESSION:
            self._output.emit(events.ListenerUnprotected(listener=name))
        room = self.rules.room(rules.room)
        needs_key = room.access_key is not None and not room.plain_with_key
        listener = Listener(name, rules, transport, needs_key)
        self.census.add(f"listeners.{name}", listener.counts)
        return listener

    def control(self, now: float) -> list[FanOut]:
        """
        Read queued control datagrams, until there is something to deliver.

        :return: what to deliver, in order, before the hub is called again: their entries, and
            DATA that has waited for them.
        """
        intake, reader, fan_outs = self._session_intake, self._control_reader, self._fan_outs
        self._make_places(now)
        while intake.moved:
            session, (listener, source) = intake.moved.popitem()
            if session.slot >= 0:
                reader.challenge_path(session, listener, source, now)
        # DATA that is released, and what a batch that failed has left, is delivered before
        # anything that may remove members is read.
        while intake.control_queue and not fan_outs.collected:
            reader.read(*intake.control_queue.popleft(), now)
        # For those that have just been refused, when they try again.
        self._make_places(now)
        sessions = self._sessions
        if self.gate.excess.to_tell:
            self._private.report_limits(now)
        if sessions.flow.ended:
            sessions.flow.release(intake.release_waiting, self._private.release, now)
        schedule = sessions.schedule
        schedule.send_acks(now)
        return fan_outs.finish(None, now, schedule.due_entries(now))

    def _make_places(self, now: float) -> None:
        if self.roster.short_of_places and not self._fan_outs.collected:
            self._vacancies.make(now)

    def send(self, member: Member, payload: bytes, now: float) -> list[FanOut]:
        """Send ``payload`` from a local member to its room."""
        self._fan_outs.add(member, Segments(payload, len(payload)))
        return self._fan_outs.finish(None, now)

    def send_to(
        self, member: Member, payload: bytes, now: float, sender: Member | None = None
    ) -> None:
        """
        Send ``payload`` to one member alone.

        :param sender: is shown to session members; others get the payload alone.
        """
        if isinstance(member, SessionMember):
            number = sender.number if sender is not None else 0
            self._private.send(member, RELIABLE, number, None, payload, now)
        else:
            self._output.send_to(member, payload)

    # Members.

    def add_target(
        self, room: str, name: str, listener: Listener, source: Source, now: float
    ) -> Member:
        """Add a fixed address that gets a copy of every payload in ``room``."""
        address = listener.transport.endpoint(source)
        for plain in list(self.roster.plain_members_at(address)):
            self.roster.leave(plain, "replaced", now)
        self._admission.targets[address] += 1
        kind, transport = MemberKind.TARGET, listener.transport
        target = self.roster.join(room, kind, name, listener, source, transport, now)
        listener.targets.setdefault(source, []).append(target)
        return target

    def remove_target(self, member: Member, now: float) -> None:
        """Remove a target from its room; a member that is no target stays."""
        listener = member.listener
        if listener is None or member not in listener.targets.get(member.source, ()):
            return
        self._admission.targets -= Counter([listener.transport.endpoint(member.source)])
        listener.targets[member.source].remove(member)
        if not listener.targets[member.source]:
            del listener.targets[member.source]
        self._reported_until.pop(member, None)
        self.roster.leave(member, "replaced", now)

    def add_local(
        self, room: str, name: str, kind: MemberKind, transport: Transport, now: float
    ) -> Member:
        """Add a member without an address, which ``transport`` reaches."""
        return self.roster.join(room, kind, name, None, name, transport, now)

    def kick(self, member: Member, now: float) -> None:
        """
        Remove a member from its room, and refuse its address, if any, for ``kick_time``.

        The identity of a session member is refused too.
        """
        kicked, room, address = self._admission.kicked, member.room.name, member.endpoint
        if address is not None:
            kicked.add(room, address, now)
        if isinstance(member, SessionMember):
            kicked.add(room, member.identity, now)
        self._leave(member, "kicked", now)

    def _leave(self, member: Member, reason: str, now: float) -> None:
        if isinstance(member, SessionMember):
            self._private.report_undelivered(member, now)
            self._sessions.end(member, reason, now)
        else:
            self.roster.leave(member, reason, now)

    # Deadlines, failures, the end.

    def expire(self, now: float) -> list[FanOut]:
        """
        Do what is due: remove silent members, send heartbeats, report drops.

        :return: what to deliver, in order, before the hub is called again.
        """
        for member in self._expiry.due(now, _MAX_EXPIRED_AT_ONCE):
            self._leave(member, "idle", now)
        if self._vacancies.deadline <= now:
            self._vacancies.expire(now)
        if self._drops.deadline <= now:
            self._output.events += self._drops.report(now)
        self._floods.expire(now)
        if self._memory.deadline <= now:
            self._output.events += self._memory.report()
        held = self._loops.expire(now)
        if held:
            self._fan_outs.add_late(held, now)
        due = self._sessions.schedule.due_entries(now)
        return [*self._sessions.expire(now), *self._fan_outs.finish(None, now, due)]

    def undelivered(
        self, room: Room, group: Group, reason: DropReason, now: float, count: int = 1
    ) -> None:
        """Count deliveries of the last fan-outs that have failed."""
        group.deliveries -= count
        self._output.drop(group.transport.name, room.name, reason, now, count)

    def unanswered(self, transport: Transport, reason: DropReason, now: float) -> None:
        """Count a reply that has failed."""
        rules = self.rules.listeners.get(transport.name)
        room = rules.room if rules is not None else ""
        self._output.drop(transport.name, room, reason, now)

    def unreachable(
        self, listener: Listener, source: Source, reason: DropReason, error: str, now: float
    ) -> bool:
        """
        Count an ICMP error for a datagram sent to ``source``.

        It removes no member: the error may be temporary, or forged.

        :return: whether any member is there.
        """
        members = listener.peers.get(listener.transport.peer_of(source), ())
        room = members[0].room.name if members else listener.rules.room
        self._output.drop(listener.name, room, reason, now)
        if reason is DropReason.UNREACHABLE:
            for member in members:
                self._vacancies.refuse(member, now)
        for target in members:
            if target.kind is not MemberKind.TARGET or now < self._reported_until.get(target, now):
                continue
            self._reported_until[target] = now + target.room.rules.target_refresh
            self._output.emit(
                events.TargetUnreachable(
                    room=target.room.name,
                    target=target.name,
                    address=target.address,
                    error=error,
                )
            )
        return bool(members)

    def reachable(self, listener: Listener, peer: Source) -> list[Member]:
        """Note that members were unreachable for a while; return those at a peer."""
        members = listener.peers.get(peer, [])
        for member in members:
            self._vacancies.recover(member)
        return members

    def close(self, now: float) -> None:
        """
        Send BYE unless it has been sent, report the last drops, close rooms, emit the totals.

        After that, only replies and events are drained.
        """
        self.farewell()
        self._loops.close(now)
        self._floods.close()
        self._output.events += [*self._drops.report(now), *self._memory.report()]
        for room in list(self.roster.rooms.values()):
            self.roster.close(room, "stopping")
        census = self.census.read()
        self._output.emit(
            events.RelayStopped(
                uptime=round(now - self._started, 3),
                members=census["joins"],
                datagrams=census["datagrams"],
                bytes=census["bytes"],
                deliveries=census["deliveries"],
                dropped={reason: n for reason, n in self._drops.by_reason().items() if n},
            )
        )
