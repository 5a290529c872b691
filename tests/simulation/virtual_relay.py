"""A relay host: a hub behind virtual sockets that can be killed and restarted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from random import Random

from virtual_deadlines import DeadlineCounter
from virtual_network import Address, Network, Receive, endpoint_of
from virtual_relay_promises import RelayPromises

from udprelay.protocol.wire.members import MemberKind
from udprelay.relay.fan_out import FanOut
from udprelay.relay.hub import Hub
from udprelay.relay.room import Listener, Member, name_of
from udprelay.relay.rules import RelayRules
from udprelay.relay.session.member import SessionMember
from udprelay.relay.session.room_log import RoomLog
from udprelay.segments import runs_by_source

BATCH = 64
CONSOLE = "console"


class RelayHost:
    """
    A hub for session members and plain ones, driven as :class:`udprelay.net.relay.Relay` does.

    :param addresses: where each listener is.
    :param console: the room that the relay's own console is in, if there is one.
    :param slowness: maximum seconds between the arrival of a datagram and its reading.
    :ivar hub: None while it is down.
    :ivar console_received: the payloads delivered to the console.
    :ivar tamper: makes the relay dishonest: returns the datagrams to send instead of one.
    """

    def __init__(
        self,
        network: Network,
        random: Random,
        rules: RelayRules,
        addresses: Mapping[str, Address],
        console: str | None = None,
        slowness: float = 0.002,
    ) -> None:
        self.network = network
        self.addresses = addresses
        self.hub: Hub | None = None
        self._opened: dict[str, tuple[bytes, float]] = {}
        self.promises: RelayPromises | None = None
        self.console: Member | None = None
        self.console_received: list[bytes] = []
        self.deadlines = DeadlineCounter("the relay")
        self.tamper: Callable[[Address, bytes], list[bytes]] | None = None
        self._random = random
        self._rules = rules
        self._console_room = console
        self._slowness = slowness
        self._inbox: list[tuple[str, Address, bytes]] = []
        self._listeners: dict[str, Listener] = {}
        self._deadline: float | None = None
        self._run = 0
        self._asleep = False
        self.start()

    @property
    def awake(self) -> bool:
        """Whether it runs and is not asleep."""
        return self.hub is not None and not self._asleep

    # Runs.

    def start(self) -> None:
        """Start without any state, if it is down."""
        if self.hub is not None:
            return
        self._run += 1
        self._asleep = False
        self._deadline = None
        self._inbox.clear()
        now = self.network.time.now
        own = {endpoint_of(address) for address in self.addresses.values()}
        self.hub = hub = Hub(self._rules, self._random.randbytes(32), own.__contains__, now)
        self._listeners = {
            name: hub.open_listener(name, endpoint_of) for name in self._rules.listeners
        }
        self.promises = RelayPromises(hub, self._listeners)
        if self._console_room is not None:
            self.console = hub.add_local(
                self._console_room, CONSOLE, MemberKind.CONSOLE, CONSOLE, now
            )
        for name, address in self.addresses.items():
            self.network.attach(address, self._receiver(name))
        self._settle(hub, self.promises)

    def kill(self, *, silently: bool = False) -> None:
        """End it without BYE; its host answers with ICMP errors, unless ``silently``."""
        if self.hub is None:
            return
        self.hub = self.promises = self.console = None
        for address in self.addresses.values():
            if silently:
                self.network.attach(address, _discard)
            else:
                self.network.detach(address)

    def stop(self) -> None:
        """End it as an operator does: with BYE and totals."""
        hub, promises = self.hub, self.promises
        if hub is None or promises is None or not self.awake:
            self.kill()
            return
        now = self.network.time.now
        self._members_at_the_end(hub)
        hub.farewell()
        self._send_replies(hub, promises)
        hub.close(now)
        self._send_replies(hub, promises)
        promises.stopped(hub.drain_events())
        self.kill()

    def restart(
        self, pause: float = 0.0, *, farewell: bool = False, silently: bool = False
    ) -> None:
        """End it, and start it after ``pause`` seconds."""
        if farewell:
            self.stop()
        else:
            self.kill(silently=silently)
        self.network.time.after(pause, self.start)

    def sleep(self, seconds: float) -> None:
        """Do nothing for some seconds; datagrams that arrive meanwhile are lost."""
        if self.hub is not None and not self._asleep:
            self._asleep = True
            self.network.time.after(seconds, self._wake, self._run)

    def _wake(self, run: int) -> None:
        if run == self._run:
            self._asleep = False
            self._expire(run, self._deadline)

    # Actions of its operator.

    def send_from_console(self, payload: bytes) -> None:
        """Send a payload from the console, if it is up."""
        hub, promises = self.hub, self.promises
        if self.awake and hub is not None and promises is not None and self.console is not None:
            self._deliver(hub, promises, hub.send(self.console, payload, self.network.time.now))
            self._settle(hub, promises)

    def kick(self, number: int) -> None:
        """Kick a session member."""
        hub, promises = self.hub, self.promises
        if hub is None or promises is None or not self.awake:
            return
        members = self.sessions()
        if members:
            hub.kick(members[number % len(members)], self.network.time.now)
            self._settle(hub, promises)

    def sessions(self) -> list[SessionMember]:
        """Return all session members."""
        return [
            session
            for room in (self.hub.roster.rooms.values() if self.hub else ())
            if isinstance(room.log, RoomLog)
            for session in room.log.by_identity.values()
        ]

    def opened(self, room: str) -> float:
        """Return when the log of a room was opened: its history begins then."""
        return self._opened.get(room, (b"", 0.0))[1]

    def roster(self, room: str) -> dict[int, tuple[str, str]]:
        """Return nick and kind of each member in the roster, by number."""
        found = self.hub.roster.rooms.get(room) if self.hub else None
        if found is None or not isinstance(found.log, RoomLog):
            return {}
        return {r.number: (r.nick, r.kind.value) for r in found.log.records(0)}

    # Its loop.

    def _receiver(self, name: str) -> Receive:
        def receive(source: Address, payload: bytes) -> None:
            if self._asleep:
                return
            if not self._inbox:
                # With a delay, so that datagrams form batches.
                delay = self._random.uniform(0, self._slowness)
                self.network.time.after(delay, self._turn, self._run)
            self._inbox.append((name, source, payload))

        return receive

    def _turn(self, run: int) -> None:
        hub, promises = self.hub, self.promises
        if hub is None or promises is None or run != self._run or self._asleep:
            self._inbox.clear()
            return
        now = self.network.time.now
        batches: dict[str, list[tuple[Address, bytes]]] = {}
        for name, source, payload in self._inbox:
            batches.setdefault(name, []).append((source, payload))
            promises.received(source, len(payload))
        self._inbox.clear()
        for name, all_read in batches.items():
            for start in range(0, len(all_read), BATCH):
                batch = all_read[start : start + BATCH]
                fan_outs = hub.receive(self._listeners[name], runs_by_source(batch), now)
                promises.validated()
                self._deliver(hub, promises, fan_outs)
                self._settle(hub, promises)

    def _deliver(self, hub: Hub, promises: RelayPromises, fan_outs: Iterable[FanOut]) -> None:
        for fan_out in fan_outs:
            for group, count in fan_out.groups:
                payloads, senders = fan_out.for_group(group)
                for payload, sender in zip(payloads, senders, strict=True):
                    for member in group.members[:count]:
                        if member is sender:
                            continue
                        promises.delivery(fan_out, member)
                        if group.transport == CONSOLE:
                            self.console_received.append(payload)
                        else:
                            assert isinstance(group.transport, Listener)
                            own = self.addresses[group.transport.name]
                            self._send(promises, own, member.source, payload)

    def _send_replies(self, hub: Hub, promises: RelayPromises) -> None:
        for reply in hub.drain_replies():
            own = self.addresses[name_of(reply.transport)]
            self._send(promises, own, reply.source, reply.payload)

    def _send(
        self, promises: RelayPromises, own: Address, destination: Address, datagram: bytes
    ) -> None:
        promises.sent(destination, datagram)
        if self.tamper is None:
            self.network.send(own, destination, datagram)
            return
        for one in self.tamper(destination, datagram):
            self.network.send(own, destination, one)

    def _settle(self, hub: Hub, promises: RelayPromises) -> None:
        now = self.network.time.now
        while True:
            fan_outs = hub.control(now)
            promises.validated()
            self._send_replies(hub, promises)
            self._deliver(hub, promises, fan_outs)
            if not fan_outs:
                break
        promises.events(hub.drain_events())
        for name, room in hub.roster.rooms.items():
            tag = room.log.tag if isinstance(room.log, RoomLog) else b""
            if self._opened.get(name, (b"", 0.0))[0] != tag:
                self._opened[name] = tag, now
        deadline = hub.next_deadline()
        promises.bounds()
        if deadline is not None and (self._deadline is None or deadline < self._deadline):
            self._deadline = deadline
            self.network.time.at(deadline, self._expire, self._run, deadline)

    def _expire(self, run: int, due: float | None) -> None:
        hub, promises = self.hub, self.promises
        if hub is None or promises is None or run != self._run or due != self._deadline:
            return
        self._deadline = None
        if self._asleep:
            return
        now = self.network.time.now
        deadline = hub.next_deadline()
        if deadline is not None and deadline <= now:
            self.deadlines.count(now)
            self._deliver(hub, promises, hub.expire(now))
        self._settle(hub, promises)

    def _members_at_the_end(self, hub: Hub) -> None:
        for room in hub.roster.rooms.values():
            assert len(room), f"{room.name} is open and empty"


def _discard(source: Address, payload: bytes) -> None:
    """Discard a datagram to a host that is down."""
