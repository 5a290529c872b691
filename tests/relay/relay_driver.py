"""A hub with a clock, and inboxes in place of sockets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, TypeVar

from udprelay.protocol.endpoint import Endpoint, endpoint
from udprelay.protocol.wire.members import MemberKind
from udprelay.relay.events import DatagramsDropped, Event, RelayStopped
from udprelay.relay.fan_out import FanOut
from udprelay.relay.hub import Hub
from udprelay.relay.output import Reply
from udprelay.relay.room import Member
from udprelay.relay.rules import (
    Label,
    ListenerRules,
    PlainPolicy,
    Protocol,
    RelayRules,
    RoomRules,
)
from udprelay.segments import runs_by_source, segments_of

SECRET = bytes(range(32))
START = 1000.0

# Sources as strings. With the default plain_networks, the first three are trusted.
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


class Relay:
    """
    The owner of a hub: it delivers fan-outs to inboxes.

    :ivar inboxes: the payloads delivered to each source; those of the console under ``console``.
    :ivar segmented: whether a run of datagrams of one size is passed as :class:`Segments`.
    """

    def __init__(self, rules: RelayRules | None = None, own: Iterable[str] = ()) -> None:
        self.now = START
        self.segmented = False
        self.inboxes: defaultdict[str, list[bytes]] = defaultdict(list)
        own_endpoints = set(map(read_endpoint, own))
        self.hub = Hub(rules or RelayRules(), SECRET, own_endpoints.__contains__, self.now)
        self.listeners = {
            name: self.hub.open_listener(name, read_endpoint) for name in self.hub.rules.listeners
        }

    def receive(self, source: str, *payloads: bytes, listener: str = "main") -> None:
        """Let the hub receive datagrams, each in a batch of its own."""
        for payload in payloads or (b"",):
            self.receive_batch((source, payload), listener=listener)

    def receive_batch(self, *batch: tuple[str, bytes], listener: str = "main") -> None:
        """Let the hub receive one batch."""
        runs = runs_by_source(batch)
        if self.segmented:
            runs = [(source, segments_of(datagrams) or datagrams) for source, datagrams in runs]
        self.deliver(self.hub.receive(self.listeners[listener], runs, self.now))
        self.settle()

    def settle(self) -> None:
        """Let the hub read its queue, and deliver."""
        while fan_outs := self.hub.control(self.now):
            self.deliver(fan_outs)

    def unsettled(self) -> bool:
        """Return whether the owner has to settle; a call, as mypy trusts properties."""
        return self.hub.unsettled

    def join(self, *sources: str, listener: str = "main") -> None:
        """Let sources become plain members with empty datagrams; discard the events."""
        for source in sources:
            self.receive(source, listener=listener)
        self.hub.drain_events()

    def deliver(self, fan_outs: Iterable[FanOut]) -> None:
        """Add the payloads of fan-outs to the inboxes of their receivers."""
        for fan_out in fan_outs:
            for group, count in fan_out.groups:
                payloads, senders = fan_out.for_group(group)
                for payload, sender in zip(payloads, senders, strict=True):
                    for member in group.members[:count]:
                        if member is not sender:
                            self.inboxes[member.source or member.name].append(payload)

    def wait(self, seconds: float) -> None:
        """Let time pass; call the hub at each of its deadlines."""
        end = self.now + seconds
        while (deadline := self.hub.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.deliver(self.hub.expire(self.now))
            self.settle()
        self.now = end

    def target(self, source: str, room: str = "lobby", listener: str = "main") -> Member:
        """Add a target."""
        return self.hub.add_target(
            room, f"target {source}", self.listeners[listener], source, self.now
        )

    def console(self, room: str = "lobby") -> Member:
        """Add a console, reached by a transport of that name."""
        return self.hub.add_local(room, "console", MemberKind.CONSOLE, "console", self.now)

    def member(self, source: str, listener: str = "main") -> Member:
        """Return the plain member at a source."""
        return self.listeners[listener].members[source]

    def members(self, listener: str = "main") -> set[str]:
        """Return the sources of the plain members."""
        return set(self.listeners[listener].members)

    def replies(self) -> list[tuple[str, bytes]]:
        """Drain the replies; return the source and payload of each."""
        return [(reply.source, reply.payload) for reply in self.hub.drain_replies()]

    def events(self, kind: type[E]) -> list[E]:
        """Drain the events; return those of one kind."""
        return [event for event in self.hub.drain_events() if isinstance(event, kind)]

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
    "Reply",
    "open_to_all",
    "plain_only",
    "read_endpoint",
    "reports",
    "with_policy",
    "with_room",
]
