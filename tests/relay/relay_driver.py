"""A hub with a clock, and inboxes in place of sockets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from udprelay.protocol.endpoint import Endpoint, endpoint
from udprelay.protocol.wire.members import MemberKind
from udprelay.relay.driver import HubDriver
from udprelay.relay.drops import DropReason
from udprelay.relay.events import DatagramsDropped, Event, RelayStopped
from udprelay.relay.flood_source import FloodSource
from udprelay.relay.hub import Hub
from udprelay.relay.room import Group, Member
from udprelay.relay.rules import (
    Label,
    ListenerRules,
    PlainPolicy,
    Protocol,
    RelayRules,
    RoomRules,
)
from udprelay.segments import Run, runs_by_source

SECRET = bytes(range(32))
START = 1000.0

# Sources as strings; behind a space, the local address that was asked. The first three are
# neighbours, which join without a code.
ANNA, BERT, CARL = "10.0.0.1:1000", "10.0.0.2:2000", "[fd00::3]:3000"
UNTRUSTED = "203.0.113.9:9000"

E = TypeVar("E", bound=Event)


def read_endpoint(source: str) -> Endpoint:
    host, _, port = source.rpartition(":")
    return endpoint(host.strip("[]"), int(port))


def open_to_all(**rooms: RoomRules) -> RelayRules:
    """Return rules with one listener for each room; it has the room's name and admits everyone."""
    return RelayRules(
        listeners={name: ListenerRules(room=name, plain=PlainPolicy.ANY) for name in rooms},
        rooms=rooms,
    )


def with_policy(plain: PlainPolicy, **options: Any) -> RelayRules:
    return RelayRules(listeners={"main": ListenerRules(plain=plain)}, **options)


def with_room(**options: Any) -> RelayRules:
    return RelayRules(room_defaults=RoomRules(**options))


def plain_only(plain: PlainPolicy = PlainPolicy.CHALLENGE) -> RelayRules:
    """Return rules of a relay to which all datagrams are payloads."""
    return RelayRules(listeners={"main": ListenerRules(plain=plain, protocol=Protocol.PLAIN)})


LABELLED = with_room(label=Label.NICK)


class Inboxes:
    """
    A transport without a network.

    :ivar received: the payloads that each source was sent, shared by all transports of a relay.
    :ivar replies: those outside any fan-out.
    :ivar failing: sources to which nothing can be sent.
    :ivar reading: whether it has not been stopped.
    :ivar filtered: the sources whose datagrams it is to drop.
    """

    def __init__(self, name: str, received: defaultdict[Any, list[bytes]]) -> None:
        self.name = name
        self.received = received
        self.replies: list[tuple[Any, bytes]] = []
        self.failing: set[Any] = set()
        self.reading = True
        self.filtered: list[FloodSource] = []

    def deliver(self, runs: Sequence[Run], group: Group, count: int) -> list[DropReason]:
        failed = []
        for sender, segments, _ in runs:
            for payload in segments:
                for member in group.members[:count]:
                    if member is sender:
                        continue
                    group.deliveries += 1
                    if member.source in self.failing:
                        failed.append(DropReason.SEND_FAILED)
                    else:
                        self.received[member.source].append(payload)
        return failed

    def reply(self, datagrams: Sequence[tuple[Any, bytes]]) -> list[DropReason]:
        self.replies += datagrams
        return []

    def endpoint(self, source: str) -> Endpoint:
        return read_endpoint(self.peer_of(source))

    def source_of(self, host: str, port: int) -> None:
        return None

    def peer_of(self, source: str) -> str:
        return source.partition(" ")[0]

    def is_neighbour(self, source: str) -> bool:
        return source.startswith(("10.", "[fd"))

    def own_endpoints(self) -> tuple[()]:
        return ()

    def start_reading(self) -> None:
        self.reading = True

    def stop_reading(self) -> None:
        self.reading = False

    def filter(self, sources: Sequence[FloodSource]) -> None:
        self.filtered = [*sources]

    def statistics(self) -> None:
        return None

    def close(self) -> None:
        self.reading = False


class Relay:
    """
    A hub whose transports have inboxes.

    :ivar inboxes: the payloads delivered to each source; those of the console under ``console``.
    """

    def __init__(self, rules: RelayRules | None = None, own: Iterable[str] = ()) -> None:
        self.now = START
        self.inboxes: defaultdict[str, list[bytes]] = defaultdict(list)
        self._events: list[Event] = []
        own_endpoints = set(map(read_endpoint, own))
        self.run(Hub(rules or RelayRules(), SECRET, own_endpoints.__contains__, self.now))

    def run(self, hub: Hub) -> None:
        """Run a hub, in place of the one before."""
        self.hub = hub
        self.driver = HubDriver(hub, lambda: self.now, self._events.append)
        self.transports = {name: self.new_transport(name) for name in hub.rules.listeners}
        self.listeners = {
            name: self.hub.open_listener(name, transport)
            for name, transport in self.transports.items()
        }

    def new_transport(self, name: str) -> Inboxes:
        """Return another transport with the same inboxes."""
        return Inboxes(name, self.inboxes)

    def receive(self, source: str, *payloads: bytes, listener: str = "main") -> None:
        """Let the hub receive datagrams, each in a batch of its own."""
        for payload in payloads or (b"",):
            self.receive_batch((source, payload), listener=listener)

    def receive_batch(self, *batch: tuple[str, bytes], listener: str = "main") -> None:
        """Let the hub receive one batch."""
        self.driver.receive(self.listeners[listener], runs_by_source(batch), self.now)
        self.settle()

    def settle(self) -> None:
        """Let the hub read its queue, and deliver."""
        self.driver.settle()

    def unsettled(self) -> bool:
        """Return whether the owner has to settle; a call, as mypy trusts properties."""
        return self.hub.unsettled

    def join(self, *sources: str, listener: str = "main") -> None:
        """Let sources become plain members with empty datagrams; discard the events."""
        for source in sources:
            self.receive(source, listener=listener)
        self.drain_events()

    def send(self, member: Member, payload: bytes) -> None:
        """Let a local member send to its room."""
        self.driver.send(member, payload)

    def wait(self, seconds: float) -> None:
        """Let time pass; call the hub at each of its deadlines."""
        end = self.now + seconds
        while (deadline := self.hub.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.expire()
        self.now = end

    def expire(self) -> None:
        """Let the hub do what is due."""
        self.driver.expire()

    def target(self, source: str, room: str = "lobby", listener: str = "main") -> Member:
        """Add a target."""
        return self.hub.add_target(
            room, f"target {source}", self.listeners[listener], source, self.now
        )

    def console(self, room: str = "lobby") -> Member:
        """Add a console, reached by a transport of that name."""
        return self.hub.add_local(
            room, "console", MemberKind.CONSOLE, self.new_transport("console"), self.now
        )

    def member(self, source: str, listener: str = "main") -> Member:
        """Return the plain member at a source."""
        return self.listeners[listener].members[source]

    def members(self, listener: str = "main") -> set[str]:
        """Return the sources of the plain members."""
        return set(self.listeners[listener].members)

    def replies(self) -> list[tuple[str, bytes]]:
        """Drain the replies; return the source and payload of each."""
        self.driver.send_replies()
        drained = []
        for transport in self.transports.values():
            drained += transport.replies
            transport.replies.clear()
        return drained

    def drain_events(self) -> list[Event]:
        """Return the events since the last call."""
        drained = self._events + self.hub.drain_events()
        self._events.clear()
        return drained

    def events(self, kind: type[E]) -> list[E]:
        """Drain the events; return those of one kind."""
        return [event for event in self.drain_events() if isinstance(event, kind)]

    def deadline(self) -> float:
        """Return the next deadline of the hub, which must have one."""
        deadline = self.hub.next_deadline()
        assert deadline is not None
        return deadline

    def dropped(self) -> dict[str, int]:
        """Close the hub; return all drops by reason. Only the last call of a test."""
        self.hub.close(self.now)
        (stopped,) = self.events(RelayStopped)
        return dict(stopped.dropped)


def reports(events: Iterable[Event]) -> list[DatagramsDropped]:
    """Return the reports of drops among some events."""
    return [event for event in events if isinstance(event, DatagramsDropped)]


__all__ = [
    "ANNA",
    "BERT",
    "CARL",
    "LABELLED",
    "SECRET",
    "START",
    "UNTRUSTED",
    "Relay",
    "open_to_all",
    "plain_only",
    "read_endpoint",
    "reports",
    "with_policy",
    "with_room",
]
