"""A hub with a clock and everybody's inbox, in place of sockets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from udprelay.protocol.endpoint import Endpoint, endpoint
from udprelay.relay.bursts import in_bursts
from udprelay.relay.events import DatagramsDropped, Event
from udprelay.relay.fan_out import FanOut
from udprelay.relay.hub import Hub, Reply
from udprelay.relay.room import Member
from udprelay.relay.rules import (
    Label,
    ListenerRules,
    PlainPolicy,
    Protocol,
    RelayRules,
    RoomRules,
)
from udprelay.segments import join_if_alike

SECRET = bytes(range(32))
START = 1000.0

# Sources as the tests write them. By default the first three are in plain_networks.
ANNA, BERT, CARL = "10.0.0.1:1000", "10.0.0.2:2000", "[fd00::3]:3000"
STRANGER = "203.0.113.9:9000"

E = TypeVar("E", bound=Event)


def read_endpoint(source: str) -> Endpoint:
    host, _, port = source.rpartition(":")
    return endpoint(host.strip("[]"), int(port))


def open_to_all(**rooms: RoomRules) -> RelayRules:
    """A listener for each room, named like it, that admits everybody."""
    return RelayRules(
        listeners={name: ListenerRules(room=name, plain=PlainPolicy.ANY) for name in rooms},
        rooms=rooms,
    )


def with_policy(plain: PlainPolicy, **options: Any) -> RelayRules:
    return RelayRules(listeners={"main": ListenerRules(plain=plain)}, **options)


def with_room(**options: Any) -> RelayRules:
    return RelayRules(room_defaults=RoomRules(**options))


def plain_only(plain: PlainPolicy = PlainPolicy.CHALLENGE) -> RelayRules:
    """Return rules of a relay to which any bytes are a payload."""
    return RelayRules(listeners={"main": ListenerRules(plain=plain, protocol=Protocol.PLAIN)})


LABELLED = with_room(label=Label.NICK)


class Relay:
    """
    The shell of a hub: delivers what it says, keeps what arrives.

    :ivar inboxes: the payloads delivered to each source; the console's under ``console``.
    :ivar joins: whether what one source sends in a row comes in one buffer, if it has one size.
    """

    def __init__(self, rules: RelayRules | None = None, own: Iterable[str] = ()) -> None:
        self.now = START
        self.joins = False
        self.inboxes: defaultdict[str, list[bytes]] = defaultdict(list)
        own_endpoints = set(map(read_endpoint, own))
        self.hub = Hub(rules or RelayRules(), SECRET, own_endpoints.__contains__, self.now)
        self.listeners = {
            name: self.hub.open_listener(name, read_endpoint) for name in self.hub.rules.listeners
        }

    def receive(self, source: str, *payloads: bytes, listener: str = "main") -> None:
        """Let datagrams come in, one at a time."""
        for payload in payloads or (b"",):
            self.receive_batch((source, payload), listener=listener)

    def receive_batch(self, *batch: tuple[str, bytes], listener: str = "main") -> None:
        bursts = in_bursts(batch)
        if self.joins:
            # As they come where all of a batch have one size.
            bursts = [(source, join_if_alike(said) or said) for source, said in bursts]
        self.deliver(self.hub.receive(self.listeners[listener], bursts, self.now))
        self.settle()

    def settle(self) -> None:
        """Let the hub do all that it has put aside."""
        while fan_outs := self.hub.control(self.now):
            self.deliver(fan_outs)

    def join(self, *sources: str, listener: str = "main") -> None:
        """Let sources become members without saying anything; forget what that caused."""
        for source in sources:
            self.receive(source, listener=listener)
        self.hub.take_events()

    def deliver(self, fan_outs: Iterable[FanOut]) -> None:
        for fan_out in fan_outs:
            for group, count in fan_out.reach:
                payloads, senders = fan_out.for_group(group)
                for payload, sender in zip(payloads, senders, strict=True):
                    for member in group.members[:count]:
                        if member is not sender:
                            self.inboxes[member.source or member.name].append(payload)

    def wait(self, seconds: float) -> None:
        """Let time pass, with the hub called whenever it wants to be."""
        end = self.now + seconds
        while (deadline := self.hub.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.deliver(self.hub.expire(self.now))
            self.settle()
        self.now = end

    def target(self, source: str, room: str = "lobby", listener: str = "main") -> Member:
        return self.hub.add_target(
            room, f"target {source}", self.listeners[listener], source, self.now
        )

    def member(self, source: str, listener: str = "main") -> Member:
        return self.listeners[listener].members[source]

    def members(self, listener: str = "main") -> set[str]:
        return set(self.listeners[listener].members)

    def replies(self) -> list[tuple[str, bytes]]:
        return [(reply.source, reply.payload) for reply in self.hub.take_replies()]

    def events(self, kind: type[E]) -> list[E]:
        """Take all events; return those of one kind."""
        return [event for event in self.hub.take_events() if isinstance(event, kind)]

    def dropped(self) -> Mapping[str, int]:
        """Drops so far by reason."""
        return {reason.value: count for reason, count in self.hub.dropped.items()}


def reports(events: Iterable[Event]) -> list[DatagramsDropped]:
    return [event for event in events if isinstance(event, DatagramsDropped)]


__all__ = [
    "ANNA",
    "BERT",
    "CARL",
    "LABELLED",
    "SECRET",
    "START",
    "STRANGER",
    "Relay",
    "Reply",
    "open_to_all",
    "plain_only",
    "read_endpoint",
    "reports",
    "with_policy",
    "with_room",
]
