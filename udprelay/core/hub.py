"""
The relay itself, without input and output.

Datagrams and the time go in; fan-outs, replies, events and the next deadline come out. Whoever
owns a hub decides what a socket and a clock are::

    fan_outs = hub.receive(listener, batch, now)    # deliver these first
    replies = hub.take_replies()
    events = hub.take_events()
    deadline = hub.next_deadline()                  # then call hub.expire(now)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from attrs import frozen

from udprelay.core import events
from udprelay.core.admission import Admission, Refused
from udprelay.core.drops import DropReason, Drops
from udprelay.core.endpoint import Endpoint
from udprelay.core.expiry import Expiry
from udprelay.core.listener import Listener, Source
from udprelay.core.room import FanOut, Kind, Member, Room, Way
from udprelay.core.roster import Roster
from udprelay.core.rules import PlainPolicy, RelayRules
from udprelay.core.text import shown

_MOST_EXPIRED_AT_ONCE = 256


@frozen
class Reply:
    """One datagram for one address, outside any room's fan-out."""

    listener: Listener
    source: Source
    payload: bytes


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
        self._events: list[events.Event] = []
        # Not the list's own append: the list is replaced by each take_events().
        self.roster = Roster(rules, lambda event: self._events.append(event))
        self._started = now
        self._admission = Admission(rules.limits, secret, is_own)
        self._drops = Drops(rules.limits.drop_window)
        self._expiry = Expiry()
        self._replies: list[Reply] = []
        self._trouble: dict[Member, float] = {}
        self._deadline_nearer = False

    # What comes out.

    def take_events(self) -> list[events.Event]:
        """Return what has happened since the last call."""
        taken, self._events = self._events, []
        return taken

    def take_replies(self) -> list[Reply]:
        """Return the datagrams for single addresses since the last call."""
        taken, self._replies = self._replies, []
        return taken

    @property
    def unsettled(self) -> bool:
        """Whether there are events or replies to take, or the next deadline may be nearer."""
        return bool(self._events or self._replies or self._deadline_nearer)

    def next_deadline(self) -> float | None:
        """Return when :meth:`expire` should be called, or None."""
        self._deadline_nearer = False
        deadlines = (self._expiry.deadline, self._drops.deadline)
        return min((d for d in deadlines if d is not None), default=None)

    @property
    def dropped(self) -> Mapping[DropReason, int]:
        """Drops of this run by reason."""
        return self._drops.totals

    # Datagrams.

    def open_listener(self, name: str, read_endpoint: Callable[[Source], Endpoint]) -> Listener:
        """Add the listener called ``name`` in the rules; its socket is the caller's."""
        rules = self.rules.listeners[name]
        if rules.plain is PlainPolicy.ANY:
            self._events.append(events.ListenerUnprotected(listener=name))
        return Listener(name, rules, read_endpoint)

    def receive(
        self, listener: Listener, batch: Iterable[tuple[Source, bytes]], now: float
    ) -> list[FanOut]:
        """
        Take in the datagrams that a listener has read, in order.

        :return: what to deliver, in order, before the hub is called again.
        """
        members = listener.members
        open_fan_outs: dict[Room, FanOut] = {}
        fan_outs: list[FanOut] = []
        room = None
        for source, payload in batch:
            member = members.get(source)
            if member is None:
                # It may close the fan-out that is open.
                room = None
                member, payload = self._admit(listener, source, payload, now, open_fan_outs)
                if member is None:
                    continue
            member.last_heard = now
            if not payload:
                continue
            if member.room is not room:
                room = member.room
                fan_out = open_fan_outs.get(room)
                if fan_out is None:
                    fan_out = open_fan_outs[room] = FanOut(room)
                    fan_outs.append(fan_out)
                add_payload, add_sender = fan_out.payloads.append, fan_out.senders.append
            add_payload(payload)
            add_sender(member)
        for fan_out in open_fan_outs.values():
            self._seal(fan_out, listener, now)
        return fan_outs

    def say(self, member: Member, payload: bytes, now: float) -> list[FanOut]:
        """Send ``payload`` to the room of a local member, as if it had come in."""
        fan_out = FanOut(member.room)
        fan_out.payloads.append(payload)
        fan_out.senders.append(member)
        self._seal(fan_out, None, now)
        return [fan_out]

    def tell(self, member: Member, payload: bytes) -> None:
        """Send ``payload`` to one member that is reached through a listener."""
        if member.listener is not None:
            self._replies.append(Reply(member.listener, member.source, payload))

    # Members.

    def add_target(
        self, room: str, name: str, listener: Listener, source: Source, now: float
    ) -> Member:
        """Add a fixed address that gets a copy of everything said in ``room``."""
        address = listener.endpoint(source)
        for plain in list(self.roster.plain_members_at(address)):
            self.roster.leave(plain, "replaced")
        self._admission.targets[address] += 1
        target = self.roster.join(room, Kind.TARGET, name, listener, source, listener, now)
        listener.targets.setdefault(source, []).append(target)
        return target

    def remove_target(self, member: Member) -> None:
        """Take a target out of its room; a member that is none stays."""
        listener = member.listener
        if listener is None or member not in listener.targets.get(member.source, ()):
            return
        self._admission.targets -= Counter([listener.endpoint(member.source)])
        listener.targets[member.source].remove(member)
        if not listener.targets[member.source]:
            del listener.targets[member.source]
        self._trouble.pop(member, None)
        self.roster.leave(member, "replaced")

    def add_console(self, room: str, way: Way, now: float) -> Member:
        """Make the owner's terminal a member of ``room``; it is delivered to by ``way``."""
        return self.roster.join(room, Kind.CONSOLE, "console", None, None, way, now)

    def kick(self, member: Member, now: float) -> None:
        """Take a plain member out of its room and refuse its address for ``kick_time``."""
        if member.listener is not None:
            address = member.listener.endpoint(member.source)
            self._admission.kick(member.listener, address, now)
        self.roster.leave(member, "kicked")

    # Time, trouble, the end.

    def expire(self, now: float) -> None:
        """Do what has come due: silent members leave, drops are reported."""
        for member in self._expiry.due(now, _MOST_EXPIRED_AT_ONCE):
            self.roster.leave(member, "idle")
        deadline = self._drops.deadline
        if deadline is not None and deadline <= now:
            self._events += self._drops.report(now)

    def drop(
        self, listener: str, room: str, reason: DropReason, now: float, count: int = 1
    ) -> None:
        """Count what the shell had to drop."""
        self._count_drop(listener, room, reason, now, count)

    def undelivered(self, room: Room, way: Way, reason: DropReason, now: float) -> None:
        """Count a delivery of the last fan-outs that was not made."""
        room.deliveries -= 1
        name = "console"
        if isinstance(way, Listener):
            way.deliveries -= 1
            name = way.name
        self._count_drop(name, room.name, reason, now)

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
        self._count_drop(listener.name, room, reason, now)
        for target in targets:
            if now < self._trouble.get(target, now):
                continue
            self._trouble[target] = now + target.room.rules.target_refresh
            self._events.append(
                events.TargetUnreachable(
                    room=target.room.name,
                    target=target.name,
                    address=target.address,
                    error=error,
                )
            )

    def close(self, now: float) -> None:
        """Report what is left to report, and the totals."""
        self._events += self._drops.report(now)
        for room in list(self.roster.rooms.values()):
            self.roster.close(room, "stopping")
        self._events.append(
            events.RelayStopped(
                uptime=round(now - self._started, 3),
                members=self.roster.joined,
                datagrams=self.roster.datagrams,
                bytes=self.roster.payload_bytes,
                deliveries=self.roster.deliveries,
                dropped={reason.value: n for reason, n in self._drops.totals.items()},
            )
        )

    # Inside.

    def _admit(
        self,
        listener: Listener,
        source: Source,
        payload: bytes,
        now: float,
        open_fan_outs: dict[Room, FanOut],
    ) -> tuple[Member | None, bytes]:
        """Decide on a datagram of an unknown address; return its member and what to relay."""
        address = listener.endpoint(source)
        decision = self._admission.decide(listener, address, payload, now)
        room_name = listener.rules.room
        full = self._full(room_name)
        if isinstance(decision, Refused):
            if decision.reply is None:
                full = None
            elif full is None:
                self._replies.append(Reply(listener, source, decision.reply))
            self._reject(listener, address, full or decision.reason, now)
            return None, b""
        if full is not None:
            self._reject(listener, address, full, now)
            return None, b""
        # Whoever joins now does not get what was said before, also within one batch.
        room = self.roster.rooms.get(room_name)
        fan_out = open_fan_outs.pop(room, None) if room is not None else None
        if fan_out is not None:
            self._seal(fan_out, listener, now)
        member = self.roster.join(room_name, Kind.PLAIN, None, listener, source, listener, now)
        listener.members[source] = member
        self._expiry.watch(member)
        return member, payload if decision.relay else b""

    def _full(self, room_name: str) -> DropReason | None:
        room = self.roster.rooms.get(room_name)
        if room is not None and len(room) >= room.rules.max_members:
            return DropReason.ROOM_FULL
        if self.roster.member_count >= self.rules.max_members:
            return DropReason.RELAY_FULL
        return None

    def _reject(
        self, listener: Listener, address: Endpoint, reason: DropReason, now: float
    ) -> None:
        room = listener.rules.room
        if self._count_drop(listener.name, room, reason, now):
            self._events.append(
                events.MemberRejected(
                    room=room, address=str(address), listener=listener.name, reason=reason.value
                )
            )

    def _count_drop(
        self, listener: str, room: str, reason: DropReason, now: float, count: int = 1
    ) -> bool:
        """Count drops; return whether they are the first of their kind in this window."""
        self._deadline_nearer = True
        return self._drops.count(listener, room, reason, now, count)

    def _seal(self, fan_out: FanOut, listener: Listener | None, now: float) -> None:
        room, payloads = fan_out.room, fan_out.payloads
        size = sum(map(len, payloads))
        too_long = fan_out.seal()
        if too_long:
            name = listener.name if listener is not None else ""
            self._count_drop(name, room.name, DropReason.TOO_LONG, now, too_long)
        for group, number in fan_out.deliveries:
            room.deliveries += number
            if isinstance(group.way, Listener):
                group.way.deliveries += number
        room.datagrams += len(payloads)
        room.bytes += size
        if listener is not None:
            listener.datagrams += len(payloads)
            listener.bytes += size
        if self.rules.log_payloads:
            self._log_payloads(fan_out)

    def _log_payloads(self, fan_out: FanOut) -> None:
        for payload, sender in zip(fan_out.payloads, fan_out.senders, strict=True):
            self._events.append(
                events.DatagramRelayed(
                    room=fan_out.room.name,
                    member=sender.name,
                    address=sender.address,
                    bytes=len(payload),
                    payload=shown(payload),
                )
            )
