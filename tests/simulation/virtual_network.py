"""A network that exists only in a seed: virtual time, and datagrams that go wrong on their way."""

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
    """Return the endpoint that an address of this network stands for."""
    return endpoint(*address)


class VirtualTime:
    """A clock that jumps from one thing to do to the next."""

    def __init__(self) -> None:
        self.now = 0.0
        self._serial = 0
        self._due: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []

    def at(self, when: float, call: Callable[..., None], *arguments: Any) -> None:
        """Do ``call`` at a time; what is due at the same time is done in the order of asking."""
        self._serial += 1
        heappush(self._due, (max(when, self.now), self._serial, call, arguments))

    def after(self, delay: float, call: Callable[..., None], *arguments: Any) -> None:
        """Do ``call`` some seconds from now."""
        self.at(self.now + delay, call, *arguments)

    def run(self, until: float) -> None:
        """Do all that is due until a time."""
        due = self._due
        while due and due[0][0] <= until:
            self.now, _, call, arguments = heappop(due)
            call(*arguments)
        self.now = until


@frozen
class Conditions:
    """
    How bad a network is.

    :param loss: of 1, how many datagrams are lost.
    :param duplication: of 1, how many arrive twice.
    :param delay: the least and the most seconds on the way.
    :param reordering: whether a datagram may overtake an earlier one between the same two.
    :param late: of 1, how many take up to ``latest`` seconds more.
    :param echoes: of 1, how many arrive a second time up to ``latest`` seconds later.
    :param latest: seconds.
    """

    loss: float = 0.0
    duplication: float = 0.0
    delay: tuple[float, float] = (0.001, 0.1)
    reordering: bool = False
    late: float = 0.0
    echoes: float = 0.0
    latest: float = 0.0


class Network:
    """
    Carries datagrams between addresses, through address translation, unless cut.

    :ivar conditions: may be replaced at any time.
    :ivar trace: every datagram sent: time, source, destination, payload.
    :ivar busy_until: when the last of those that are under way arrives.
    :ivar slowest: the most seconds that one was under way.
    """

    def __init__(self, time: VirtualTime, random: Random, conditions: Conditions) -> None:
        self.time = time
        self.conditions = conditions
        self.trace: list[tuple[float, Address, Address, bytes]] = []
        self.busy_until = 0.0
        self.slowest = 0.0
        self._random = random
        self._hosts: dict[Address, Receive] = {}
        self._refused: dict[Address, Callable[[], None]] = {}
        self._outside: dict[Address, Address] = {}
        self._inside: dict[Address, Address] = {}
        self._mute: dict[str, None] = {}
        self._deaf: dict[str, None] = {}
        self._latest: dict[tuple[Address, Address], float] = {}

    def attach(
        self, address: Address, receive: Receive, refused: Callable[[], None] | None = None
    ) -> None:
        """Open a socket at an address; ``refused`` is called for ICMP errors."""
        self._hosts[address] = receive
        if refused is not None:
            self._refused[address] = refused

    def detach(self, address: Address) -> None:
        """Close the socket at an address."""
        del self._hosts[address]
        self._refused.pop(address, None)

    def translate(self, inside: Address, outside: Address) -> None:
        """Give a host behind a NAT an address outside; the one it had before is dead."""
        self._inside.pop(self._outside.get(inside, inside), None)
        self._outside[inside] = outside
        self._inside[outside] = inside

    def seen_as(self, inside: Address) -> Address:
        """Return the address that others see a host at."""
        return self._outside.get(inside, inside)

    def mute(self, host: str) -> None:
        """Let nothing through from a host."""
        self._mute[host] = None

    def deafen(self, host: str) -> None:
        """Let nothing through to a host."""
        self._deaf[host] = None

    def cut_off(self, host: str) -> None:
        """Let nothing through to a host or from it."""
        self.mute(host)
        self.deafen(host)

    def heal(self) -> None:
        """Let everything through again."""
        self._mute.clear()
        self._deaf.clear()

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
                arrival += random.uniform(0, conditions.latest)
            if not conditions.reordering:
                way = (source, destination)
                arrival = self._latest[way] = max(arrival, self._latest.get(way, 0.0))
            self._carry(arrival, source, destination, payload)
        if conditions.echoes and random.random() < conditions.echoes:
            arrival = self.time.now + random.uniform(0, conditions.latest)
            self._carry(arrival, source, destination, payload)

    def _carry(
        self, arrival: float, source: Address, destination: Address, payload: bytes
    ) -> None:
        self.busy_until = max(self.busy_until, arrival)
        self.slowest = max(self.slowest, arrival - self.time.now)
        self.time.at(arrival, self._arrive, source, destination, payload)

    def _arrive(self, source: Address, destination: Address, payload: bytes) -> None:
        if source[0] in self._mute or destination[0] in self._deaf:
            return
        inside = self._inside.get(destination, destination)
        if inside in self._outside and self._outside[inside] != destination:
            return
        receive = self._hosts.get(inside)
        if receive is not None:
            receive(source, payload)
        elif self._refused:
            refused = self._refused.get(self._inside.get(source, source))
            if refused is not None:
                refused()
