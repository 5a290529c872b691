"""Hosts of the virtual network: a relay with a hub, plain programs, an echo service."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from virtual_network import Address, Network, Receive, endpoint_of
from virtual_promises import Promises
from virtual_transport import ConsoleTransport, VirtualTransport

from udprelay.protocol.text import without_line_break
from udprelay.protocol.wire.members import MemberKind
from udprelay.relay.challenge import is_challenge
from udprelay.relay.driver import HubDriver
from udprelay.relay.events import RelayStopped
from udprelay.relay.hub import Hub
from udprelay.relay.room import Listener, Member
from udprelay.relay.rules import RelayRules
from udprelay.segments import runs_by_source

BATCH = 64
CONSOLE = "console"


class VirtualRelay:
    """
    A hub with virtual sockets, and its owner.

    :param addresses: where each listener is.
    :param targets: fixed receivers of rooms, each through one listener.
    :param failures: fraction of the deliveries that the kernel rejects.
    :ivar console_received: the payloads delivered to the console.
    :ivar stopped: the totals of the last run that has been stopped.
    """

    def __init__(
        self,
        network: Network,
        random: Random,
        rules: RelayRules,
        addresses: Mapping[str, Address],
        targets: Mapping[Address, tuple[str, str]] | None = None,
        console: str | None = None,
        failures: float = 0.0,
    ) -> None:
        self.network = network
        self.addresses = addresses
        self.console_room = console
        self.console_received: list[bytes] = []
        self.stopped: RelayStopped | None = None
        self._random = random
        self._rules = rules
        self._targets = targets or {}
        self._failures = failures
        self._inbox: list[tuple[str, Address, bytes]] = []
        self.start()

    def start(self) -> None:
        """Start without any state."""
        now = self.network.time.now
        self._deadline: float | None = None
        own = {endpoint_of(address) for address in self.addresses.values()}
        self.hub = Hub(self._rules, self._random.randbytes(32), own.__contains__, now)
        self.listeners: dict[str, Listener] = {}
        self.promises = Promises(self.hub, self.listeners)
        self.driver = HubDriver(self.hub, self._clock, self.promises.event, self._set_timer)
        for name, address in self.addresses.items():
            self.listeners[name] = self.hub.open_listener(name, self._transport(name, address))
            self.listeners[name].transport.start_reading()
        self.console: Member | None = None
        if self.console_room is not None:
            transport = ConsoleTransport(CONSOLE, self.promises, self._print, self._fails)
            self.console = self.hub.add_local(
                self.console_room, CONSOLE, MemberKind.CONSOLE, transport, now
            )
        for address, (room, listener) in self._targets.items():
            self.hub.add_target(room, "target", self.listeners[listener], address, now)
        self.driver.settle()
        self.promises.bounds()

    def restart(self) -> None:
        """Stop, and start without any state."""
        self.stop()
        self._inbox.clear()
        self.start()

    def stop(self) -> None:
        """Close the hub, and check its totals."""
        self.hub.close(self.network.time.now)
        events = self.hub.drain_events()
        for event in events:
            self.promises.event(event)
        assert isinstance(events[-1], RelayStopped)
        self.stopped = events[-1]
        self.promises.totals(self.stopped)

    def send_from_console(self, payload: bytes) -> None:
        """Send a payload from the console."""
        assert self.console is not None
        self.promises.arrived(None, self.console.room.name, CONSOLE, payload)
        self.driver.send(self.console, payload)
        self.promises.bounds()

    def kick(self, number: int) -> None:
        """Kick a plain member."""
        members = [m for listener in self.listeners.values() for m in listener.members.values()]
        if members:
            now = self.network.time.now
            self.hub.kick(members[number % len(members)], now)
            self.driver.settle()
            self.promises.bounds()

    # Its sockets.

    def _transport(self, name: str, own: Address) -> VirtualTransport:
        def send(destination: Address, payload: bytes) -> None:
            self.network.send(own, destination, payload)

        receive = self._receiver(name)
        return VirtualTransport(name, self.promises, send, self.network, own, receive, self._fails)

    def _print(self, source: None, payload: bytes) -> None:
        self.console_received.append(payload)

    def _fails(self) -> bool:
        fails = self._random.random() < self._failures
        self.promises.failed += fails
        return fails

    def _receiver(self, name: str) -> Receive:
        def receive(source: Address, payload: bytes) -> None:
            if not self._inbox:
                # With a delay, so that datagrams form batches.
                self.network.time.after(self._random.uniform(0, 0.01), self._turn)
            self._inbox.append((name, source, payload))

        return receive

    def _turn(self) -> None:
        batches: dict[str, list[tuple[Address, bytes]]] = {}
        for name, source, payload in self._inbox:
            batches.setdefault(name, []).append((source, payload))
        self._inbox.clear()
        for name, all_read in batches.items():
            for start in range(0, len(all_read), BATCH):
                self._batch(self.listeners[name], all_read[start : start + BATCH])

    def _batch(self, listener: Listener, batch: list[tuple[Address, bytes]]) -> None:
        promises = self.promises
        members = promises.before(listener)
        for source, payload in batch:
            promises.arrived(listener, listener.rules.room, source, payload)
        self.driver.receive(listener, runs_by_source(batch), self.network.time.now)
        promises.after(listener, batch, members)
        promises.bounds()

    # Its timer.

    def _clock(self) -> float:
        return self.network.time.now

    def _set_timer(self, deadline: float | None) -> None:
        if deadline is not None and deadline != self._deadline:
            self._deadline = deadline
            self.network.time.at(deadline, self._expire, deadline, self.driver)

    def _expire(self, due: float, driver: HubDriver) -> None:
        if driver is self.driver and due == self._deadline:
            self._deadline = None
            driver.expire()
            self.promises.bounds()


class Program:
    """
    A plain UDP program: it sends numbered payloads and sends back codes.

    :ivar sent: its payloads.
    :ivar received: payloads in order of arrival, without the label.
    :ivar codes: the codes that it has sent back.
    """

    def __init__(self, network: Network, name: str, address: Address, relay: Address) -> None:
        self.network = network
        self.name = name
        self.address = address
        self.relay = relay
        self.sent: list[bytes] = []
        self.received: list[bytes] = []
        self.codes: list[bytes] = []
        self.labelled = False
        network.attach(address, self._receive)

    def send(self, payload: bytes) -> None:
        """Send a datagram to the relay."""
        self.network.send(self.address, self.relay, payload)

    def send_next(self, padding: int = 0) -> None:
        """Send the next numbered payload."""
        payload = f"{self.name} {len(self.sent)} {'.' * padding}".encode()
        self.sent.append(payload)
        self.send(payload)

    def _receive(self, source: Address, payload: bytes) -> None:
        assert source == self.relay, f"{self.name} got {payload!r} from {source}, no relay"
        if is_challenge(payload):
            self.codes.append(without_line_break(payload).split()[-1].lower())
            self.send(self.codes[-1])
            return
        if self.labelled:
            payload = payload.partition(b": ")[2]
        self.received.append(payload)


class Echo:
    """An echo service (RFC 862)."""

    def __init__(self, network: Network, address: Address) -> None:
        network.attach(address, lambda source, payload: network.send(address, source, payload))
