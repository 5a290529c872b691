"""
The relay itself, without input and output.

Datagrams and the time go in; fan-outs, replies, events and the next deadline come out. Whoever
owns a hub decides what a socket and a clock are::

    deliver(hub.receive(listener, batch, now))      # or hub.expire(now), hub.say(...)
    while True:                                     # then settle, whatever was called
        fan_outs = hub.control(now)
        send(hub.take_replies())
        deliver(fan_outs)
        if not fan_outs:
            break
    publish(hub.take_events())
    deadline = hub.next_deadline()                  # then call hub.expire(now)

A fan-out is good until the hub is called again. So what may change who is a member is only put
aside by :meth:`Hub.receive`, and done by :meth:`Hub.control`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from udprelay.protocol.endpoint import Endpoint
from udprelay.protocol.wire.header import RELIABLE
from udprelay.relay import events
from udprelay.relay.bursts import Burst
from udprelay.relay.drops import DropReason
from udprelay.relay.fan_out import FanOut
from udprelay.relay.fan_outs import FanOuts
from udprelay.relay.intake import Intake
from udprelay.relay.listener import Listener, Source
from udprelay.relay.output import Reply as Reply
from udprelay.relay.room import Kind, Member, Room, Way
from udprelay.relay.rules import PlainPolicy, Protocol, RelayRules
from udprelay.relay.session.control import Conversation
from udprelay.relay.session.intake import SessionIntake
from udprelay.relay.session.member import Session
from udprelay.relay.session.private import PrivateMessages
from udprelay.relay.session.sessions import Sessions
from udprelay.relay.state import Shared

_MOST_EXPIRED_AT_ONCE = 256


class Hub:
    """
    One relay.

    :param rules: what to do; never changes.
    :param secret: 32 random bytes.
    :param is_own: tells whether an endpoint is one of the relay's own listeners.
    :param now: the time, in seconds of a clock that never goes back.
    :ivar roster: its rooms and members.
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
        shared = Shared(rules, secret, is_own, now)
        self.roster = shared.roster
        self._output = shared.output
        self._drops = shared.output.drops
        self._admission = shared.admission
        self._expiry = shared.expiry
        self._sessions = Sessions(shared)
        self._private = PrivateMessages(shared, self._sessions)
        self._fan_outs = FanOuts(shared, self._sessions)
        self._session_intake = SessionIntake(shared, self._sessions, self._fan_outs)
        self._intake = Intake(shared, self._sessions, self._fan_outs, self._session_intake)
        self._conversation = Conversation(shared, self._sessions, self._private)
        self._trouble: dict[Member, float] = {}

    # What comes out.

    def take_events(self) -> list[events.Event]:
        """Return what has happened since the last call."""
        return self._output.take_events()

    def take_replies(self) -> list[Reply]:
        """Return the datagrams for single addresses since the last call."""
        return self._output.take_replies()

    @property
    def unsettled(self) -> bool:
        """Whether there is anything to control or to take, or a nearer deadline."""
        output, intake = self._output, self._session_intake
        return bool(
            output.events
            or output.replies
            or output.deadline_nearer
            or intake.waiting
            or intake.moved
            or self.roster.with_entries
        )

    def next_deadline(self) -> float | None:
        """Return when :meth:`expire` should be called, or None."""
        self._output.deadline_nearer = False
        deadlines = (self._expiry.deadline, self._drops.deadline, self._sessions.deadline)
        return min((d for d in deadlines if d is not None), default=None)

    @property
    def dropped(self) -> Mapping[DropReason, int]:
        """Drops of this run by reason."""
        return self._drops.totals

    # Datagrams.

    def open_listener(self, name: str, read_endpoint: Callable[[Source], Endpoint]) -> Listener:
        """Add the listener called ``name`` in the rules; its socket is the caller's."""
        rules = self.rules.listeners[name]
        if rules.plain is PlainPolicy.ANY and rules.protocol is not Protocol.SESSION:
            self._output.say(events.ListenerUnprotected(listener=name))
        room = self.rules.room(rules.room)
        needs_key = room.access_key is not None and not room.plain_with_key
        return Listener(name, rules, read_endpoint, needs_key)

    def receive(self, listener: Listener, batch: Sequence[Burst], now: float) -> list[FanOut]:
        """
        Take in the datagrams that a listener has read, in order.

        :return: what to deliver, in order, before the hub is called again.
        """
        return self._intake.receive(listener, batch, now)

    def control(self, now: float) -> list[FanOut]:
        """
        Do some of what has been put aside.

        :return: what to deliver, in order, before the hub is called again; if there is nothing,
            all has been done.
        """
        intake, conversation = self._session_intake, self._conversation
        while not self.roster.with_entries and (intake.moved or intake.waiting):
            if intake.moved:
                session, (listener, source) = intake.moved.popitem()
                if session.slot >= 0:
                    conversation.challenge_path(session, listener, source, now)
                continue
            said = conversation.take(*intake.waiting.popleft(), now)
            self._sessions.acknowledge(now)
            if said is not None:
                return [self._fan_outs.again(*said, now), *self._fan_outs.entries(now)]
        return self._fan_outs.entries(now)

    def say(self, member: Member, payload: bytes, now: float) -> list[FanOut]:
        """Send ``payload`` to the room of a local member, as if it had come in."""
        return [self._fan_outs.said(member, payload, now)]

    def tell(
        self, member: Member, payload: bytes, now: float, sender: Member | None = None
    ) -> None:
        """
        Send ``payload`` to one member that is reached through a listener.

        :param sender: who says it; session members see that, others nothing but the payload.
        """
        if isinstance(member, Session):
            number = sender.number if sender is not None else 0
            self._private.send(member, RELIABLE, number, None, payload, now)
        elif member.listener is not None:
            self._output.reply(member.listener, member.source, payload)

    # Members.

    def add_target(
        self, room: str, name: str, listener: Listener, source: Source, now: float
    ) -> Member:
        """Add a fixed address that gets a copy of everything said in ``room``."""
        address = listener.endpoint(source)
        for plain in list(self.roster.plain_members_at(address)):
            self.roster.leave(plain, "replaced", now)
        self._admission.targets[address] += 1
        target = self.roster.join(room, Kind.TARGET, name, listener, source, listener, now)
        listener.targets.setdefault(source, []).append(target)
        return target

    def remove_target(self, member: Member, now: float) -> None:
        """Take a target out of its room; a member that is none stays."""
        listener = member.listener
        if listener is None or member not in listener.targets.get(member.source, ()):
            return
        self._admission.targets -= Counter([listener.endpoint(member.source)])
        listener.targets[member.source].remove(member)
        if not listener.targets[member.source]:
            del listener.targets[member.source]
        self._trouble.pop(member, None)
        self.roster.leave(member, "replaced", now)

    def add_console(self, room: str, way: Way, now: float) -> Member:
        """Make the owner's terminal a member of ``room``; it is delivered to by ``way``."""
        return self.roster.join(room, Kind.CONSOLE, "console", None, None, way, now)

    def kick(self, member: Member, now: float) -> None:
        """
        Take a member out of its room, and close that to it for ``kick_time``.

        A session member is known by its identity, too.
        """
        kicked, room = self._admission.kicked, member.room.name
        if member.listener is not None:
            kicked.add(room, member.listener.endpoint(member.source), now)
        if isinstance(member, Session):
            kicked.add(room, member.identity, now)
            self._private.unheard(member, now)
            self._sessions.end(member, "kicked", now)
        else:
            self.roster.leave(member, "kicked", now)

    # Time, trouble, the end.

    def expire(self, now: float) -> list[FanOut]:
        """
        Do what has come due: silent members leave, rooms have heartbeats, drops are reported.

        :return: what to deliver, in order, before the hub is called again.
        """
        for member in self._expiry.due(now, _MOST_EXPIRED_AT_ONCE):
            if isinstance(member, Session):
                self._private.unheard(member, now)
                self._sessions.end(member, "idle", now)
            else:
                self.roster.leave(member, "idle", now)
        deadline = self._drops.deadline
        if deadline is not None and deadline <= now:
            self._output.events += self._drops.report(now)
        heartbeats = self._sessions.expire(now)
        for heartbeat in heartbeats:
            heartbeat.seal(None, now)
        return [*heartbeats, *self._fan_outs.entries(now)]

    def drop(
        self, listener: str, room: str, reason: DropReason, now: float, count: int = 1
    ) -> None:
        """Count what the shell had to drop."""
        self._output.drop(listener, room, reason, now, count)

    def undelivered(self, room: Room, way: Way, reason: DropReason, now: float) -> None:
        """Count a delivery of the last fan-outs that was not made."""
        room.deliveries -= 1
        name = "console"
        if isinstance(way, Listener):
            way.deliveries -= 1
            name = way.name
        self._output.drop(name, room.name, reason, now)

    def unreachable(
        self, listener: Listener, source: Source, reason: DropReason, error: str, now: float
    ) -> None:
        """
        Count an ICMP error for a datagram sent to ``source``.

        It ends no membership: the error may be over in a moment, or forged.
        """
        targets = listener.targets.get(source, [])
        member = targets[0] if targets else listener.members.get(source)
        room = member.room.name if member is not None else listener.rules.room
        self._output.drop(listener.name, room, reason, now)
        for target in targets:
            if now < self._trouble.get(target, now):
                continue
            self._trouble[target] = now + target.room.rules.target_refresh
            self._output.say(
                events.TargetUnreachable(
                    room=target.room.name,
                    target=target.name,
                    address=target.address,
                    error=error,
                )
            )

    def farewell(self) -> None:
        """Tell all session members that the relay stops; it takes in nothing after that."""
        self._sessions.farewell()

    def close(self, now: float) -> None:
        """
        Say farewell if that is still to be done, report what is left to report, and the totals.

        The hub is called no more; its replies and events are still to be taken.
        """
        self.farewell()
        self._output.events += self._drops.report(now)
        for room in list(self.roster.rooms.values()):
            self.roster.close(room, "stopping")
        self._output.say(
            events.RelayStopped(
                uptime=round(now - self._started, 3),
                members=self.roster.joined,
                datagrams=self.roster.datagrams,
                bytes=self.roster.payload_bytes,
                deliveries=self.roster.deliveries,
                dropped={reason.value: n for reason, n in self._drops.totals.items()},
            )
        )
