"""A virtual network: virtual time, and datagrams with losses, duplicates and delays."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from heapq import heappop, heappush
from random import Random
from typing import Any

from attrs import frozen

from udprelay.protocol.endpoint import Endpoint, endpoint

Address = tuple[str, int]
Receive = Callable[[Address, bytes], None]


@cache
def endpoint_of(address: Address) -> Endpoint:
    """Return the endpoint of an address of this network."""
    return endpoint(*address)


class VirtualTime:
    """A clock that jumps from one call that is due to the next."""

    def __init__(self) -> None:
        self.now = 0.0
        self._serial = 0
        self._due: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []

    def at(self, when: float, call: Callable[..., object], *arguments: Any) -> None:
        """Schedule a call; calls at the same time keep their order."""
        self._serial += 1
        heappush(self._due, (max(when, self.now), self._serial, call, arguments))

    def after(self, delay: float, call: Callable[..., object], *arguments: Any) -> None:
        """Schedule a call in some seconds."""
        self.at(self.now + delay, call, *arguments)

    def run(self, until: float) -> None:
        """Make all calls that are due until a time."""
        due = self._due
        while due and due[0][0] <= until:
            self.now, _, call, arguments = heappop(due)
            call(*arguments)
        self.now = until


@frozen
class Conditions:
    """
    The conditions of a network; fractions are of all datagrams.

    :param loss: the fraction that is lost.
    :param duplication: the fraction that arrives twice.
    :param delay: the minimum and maximum seconds in transit.
    :param reordering: datagrams between the same addresses may arrive out of order.
    :param late: the fraction that takes up to ``max_lateness`` seconds more.
    :param late_duplicates: the fraction that arrives again up to ``max_lateness`` seconds later.
    :param max_lateness: seconds.
    """

    loss: float = 0.0
    duplication: float = 0.0
    delay: tuple[float, float] = (0.001, 0.1)
    reordering: bool = False
    late: float = 0.0
    late_duplicates: float = 0.0
    max_lateness: float = 0.0


class Network:
    """
    Carries datagrams between addresses, through NATs, unless a host is blocked.

    :ivar conditions: may be replaced at any time.
    :ivar trace: all datagrams sent, as time, source, destination and payload.
    :ivar busy_until: when the last datagram in transit arrives.
    :ivar max_transit: the maximum seconds in transit so far.
    """

    def __init__(self, time: VirtualTime, random: Random, conditions: Conditions) -> None:
        self.time = time
        self.conditions = conditions
        self.trace: list[tuple[float, Address, Address, bytes]] = []
        self.busy_until = 0.0
        self.max_transit = 0.0
        self._random = random
        self._hosts: dict[Address, Receive] = {}
        self._icmp_receivers: dict[Address, Callable[[], None]] = {}
        self._outside: dict[Address, Address] = {}
        self._inside: dict[Address, Address] = {}
        self._blocked_outgoing: dict[str, None] = {}
        self._blocked_incoming: dict[str, None] = {}
        self._latest: dict[tuple[Address, Address], float] = {}

    def attach(
        self,
        address: Address,
        receive: Receive,
        receive_icmp_error: Callable[[], None] | None = None,
    ) -> None:
        """Open a socket at an address."""
        self._hosts[address] = receive
        if receive_icmp_error is not None:
            self._icmp_receivers[address] = receive_icmp_error

    def detach(self, address: Address) -> None:
        """Close the socket at an address."""
        del self._hosts[address]
        self._icmp_receivers.pop(address, None)

    def translate(self, inside: Address, outside: Address) -> None:
        """Map an address behind a NAT to another one outside; its last mapping ends."""
        self._inside.pop(self._outside.get(inside, inside), None)
        self._outside[inside] = outside
        self._inside[outside] = inside

    def seen_as(self, inside: Address) -> Address:
        """Return the address outside."""
        return self._outside.get(inside, inside)

    def block_outgoing(self, host: str) -> None:
        """Drop the datagrams from a host."""
        self._blocked_outgoing[host] = None

    def block_incoming(self, host: str) -> None:
        """Drop the datagrams to a host."""
        self._blocked_incoming[host] = None

    def block(self, host: str) -> None:
        """Drop the datagrams from and to a host."""
        self.block_outgoing(host)
        self.block_incoming(host)

    def unblock(self) -> None:
        """Drop no more datagrams of any host."""
        self._blocked_outgoing.clear()
        self._blocked_incoming.clear()

    def send(self, source: Address, destination: Address, payload: bytes) -> None:
        """Send a datagram; ``source`` may be forged."""
        source = self.seen_as(source)
        self.trace.append((self.time.now, source, destination, payload))
        conditions, random = self.conditions, self._random
        copies = 1 + (random.random() < conditions.duplication)
        for _ in range(copies):
            if random.random() < conditions.loss:
                continue
            arrival = self.time.now + random.uniform(*conditions.delay)
            if conditions.late and random.random() < conditions.late:
                arrival += random.uniform(0, conditions.max_lateness)
            if not conditions.reordering:
                path = (source, destination)
                arrival = self._latest[path] = max(arrival, self._latest.get(path, 0.0))
            self._carry(arrival, source, destination, payload)
        if conditions.late_duplicates and random.random() < conditions.late_duplicates:
            arrival = self.time.now + random.uniform(0, conditions.max_lateness)
            self._carry(arrival, source, destination, payload)

    def _carry(
        self, arrival: float, source: Address, destination: Address, payload: bytes
    ) -> None:
        self.busy_until = max(self.busy_until, arrival)
        self.max_transit = max(self.max_transit, arrival - self.time.now)
        self.time.at(arrival, self._arrive, source, destination, payload)

    def _arrive(self, source: Address, destination: Address, payload: bytes) -> None:
        if source[0] in self._blocked_outgoing or destination[0] in self._blocked_incoming:
            return
        inside = self._inside.get(destination, destination)
        if inside in self._outside and self._outside[inside] != destination:
            return
        receive = self._hosts.get(inside)
        if receive is not None:
            receive(source, payload)
        elif self._icmp_receivers:
            receive_icmp_error = self._icmp_receivers.get(self._inside.get(source, source))
            if receive_icmp_error is not None:
                receive_icmp_error()
