"""A relay host: a hub behind virtual sockets that can be killed and restarted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from random import Random

from virtual_deadlines import DeadlineCounter
from virtual_network import Address, Network, Receive, endpoint_of
from virtual_relay_promises import RelayPromises
from virtual_transport import ConsoleTransport, VirtualTransport

from udprelay.protocol.wire.members import MemberKind
from udprelay.relay.driver import HubDriver
from udprelay.relay.hub import Hub
from udprelay.relay.room import Listener, Member
from udprelay.relay.rules import RelayRules
from udprelay.relay.session.member import SessionMember
from udprelay.relay.session.room_log import RoomLog
from udprelay.segments import runs_by_source

BATCH = 64
CONSOLE = "console"


class RelayHost:
    """
    A hub for session members and plain ones, and its owner.

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
        self._driver: HubDriver | None = None
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
        self._listeners = {}
        self.promises = promises = RelayPromises(hub, self._listeners)
        self._driver = driver = HubDriver(hub, self._clock, promises.event, self._set_timer)
        for name, address in self.addresses.items():
            self._listeners[name] = hub.open_listener(name, self._transport(name, address))
            self._listeners[name].transport.start_reading()
        if self._console_room is not None:
            transport = ConsoleTransport(CONSOLE, promises, self._print)
            self.console = hub.add_local(
                self._console_room, CONSOLE, MemberKind.CONSOLE, transport, now
            )
        driver.settle()
        promises.bounds()

    def kill(self, *, silently: bool = False) -> None:
        """End it without BYE; its host answers with ICMP errors, unless ``silently``."""
        if self.hub is None:
            return
        self.hub = self.promises = self.console = self._driver = None
        for listener in self._listeners.values():
            if silently:
                listener.transport.stop_reading()
            else:
                listener.transport.close()

    def stop(self) -> None:
        """End it as an operator does: with BYE and totals."""
        hub, promises, driver = self.hub, self.promises, self._driver
        if hub is None or promises is None or driver is None or not self.awake:
            self.kill()
            return
        now = self.network.time.now
        self._members_at_the_end(hub)
        hub.farewell()
        driver.send_replies()
        hub.close(now)
        driver.send_replies()
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
            self.network.time.after(seconds, self._wake_up, self._run)

    def _wake_up(self, run: int) -> None:
        if run == self._run:
            self._asleep = False
            self._expire(run, self._deadline)

    # Actions of its operator.

    def send_from_console(self, payload: bytes) -> None:
        """Send a payload from the console, if it is up."""
        driver, promises = self._driver, self.promises
        if self.awake and driver and promises and self.console is not None:
            driver.send(self.console, payload)
            promises.bounds()

    def kick(self, number: int) -> None:
        """Kick a session member."""
        driver, promises = self._driver, self.promises
        if driver is None or promises is None or not self.awake:
            return
        members = self.sessions()
        if members:
            now = self.network.time.now
            driver.hub.kick(members[number % len(members)], now)
            driver.settle()
            promises.bounds()

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

    # Its sockets.

    def _transport(self, name: str, own: Address) -> VirtualTransport:
        assert self.promises is not None
        send = partial(self._send, own)
        receive = self._receiver(name)
        return VirtualTransport(name, self.promises, send, self.network, own, receive)

    def _print(self, source: None, payload: bytes) -> None:
        self.console_received.append(payload)

    def _send(self, own: Address, destination: Address, datagram: bytes) -> None:
        if self.tamper is None:
            self.network.send(own, destination, datagram)
            return
        for one in self.tamper(destination, datagram):
            self.network.send(own, destination, one)

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
        driver, promises = self._driver, self.promises
        if driver is None or promises is None or run != self._run or self._asleep:
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
                driver.receive(self._listeners[name], runs_by_source(batch), now)
                promises.bounds()

    # Its timer.

    def _clock(self) -> float:
        return self.network.time.now

    def _set_timer(self, deadline: float | None) -> None:
        # The hub is settled.
        hub, promises, now = self.hub, self.promises, self.network.time.now
        assert hub is not None
        assert promises is not None
        promises.validated()
        for name, room in hub.roster.rooms.items():
            tag = room.log.tag if isinstance(room.log, RoomLog) else b""
            if self._opened.get(name, (b"", 0.0))[0] != tag:
                self._opened[name] = tag, now
        if deadline is not None and deadline != self._deadline:
            self._deadline = deadline
            self.network.time.at(deadline, self._expire, self._run, deadline)

    def _expire(self, run: int, due: float | None) -> None:
        driver, promises = self._driver, self.promises
        if driver is None or promises is None or run != self._run or due != self._deadline:
            return
        if self._asleep:
            return
        now = self.network.time.now
        self._deadline = None
        self.deadlines.count(now)
        driver.expire()
        promises.bounds()

    def _members_at_the_end(self, hub: Hub) -> None:
        for room in hub.roster.rooms.values():
            assert len(room), f"{room.name} is open and empty"
