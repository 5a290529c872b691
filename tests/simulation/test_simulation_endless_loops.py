"""Loops of relays, echo programs and bridges: each is found, and held to a few datagrams."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from random import Random

import pytest
from virtual_hosts import Echo, Program, VirtualRelay
from virtual_network import Address, Conditions, Network, VirtualTime

from udprelay.relay.rules import Label, ListenerRules, RelayRules, RoomRules

TRUSTED = (ip_network("10.0.0.0/8"),)
PORT = 6000
MAX_HEARD = 20
"""How often one text is heard in two seconds, at most."""


class Loop:
    """
    Relays and programs that return what they are sent.

    :param transit: the minimum and maximum seconds in transit.
    """

    def __init__(
        self, label: Label = Label.NONE, seed: int = 0, transit: tuple[float, float] = (1e-4, 1e-3)
    ) -> None:
        self.time = VirtualTime()
        self.random = Random(seed)
        self.network = Network(self.time, self.random, Conditions(delay=transit))
        self.label = label
        self.relays: list[VirtualRelay] = []

    def relay(self, *addresses: Address, targets: dict[Address, int] | None = None) -> None:
        """Open a relay; each target is sent to by the listener with a number."""
        names = [f"at{number}" for number in range(len(addresses))]
        rules = RelayRules(
            listeners={name: ListenerRules(plain_networks=TRUSTED) for name in names},
            room_defaults=RoomRules(label=self.label),
        )
        at = {target: ("lobby", names[by]) for target, by in (targets or {}).items()}
        by_name = dict(zip(names, addresses, strict=True))
        self.relays.append(VirtualRelay(self.network, self.random, rules, by_name, at))

    def program(self, host: int, relay: Address) -> Program:
        """Let a program join a relay."""
        program = Program(self.network, "p", (f"10.9.9.{host}", 4000), relay)
        program.send(b"")
        return program

    def found(self) -> int:
        """Return how many members the relays have found in a loop."""
        return sum(relay.hub.census.read()["loops"] for relay in self.relays)

    def said(self, text: bytes, relay: Address = ("10.0.0.1", PORT)) -> int:
        """Say a text; return how often another member hears it in two seconds."""
        listener, speaker = self.program(1, relay), self.program(2, relay)
        self.time.run(self.time.now + 0.5)
        speaker.send(text)
        self.time.run(self.time.now + 2)
        return sum(text in payload for payload in listener.received)

    def sent_in(self, seconds: float) -> int:
        """Return how many datagrams there are in so many seconds."""
        before = len(self.network.trace)
        self.time.run(self.time.now + seconds)
        return len(self.network.trace) - before


def at(number: int, host: int = 1) -> Address:
    return (f"10.0.{host - 1}.{number}", PORT)


def two_relays(loop: Loop) -> None:
    """Open relays that are each other's targets, one by IPv4 and one by IPv6."""
    loop.relay(at(1), at(1, 2), targets={at(2): 0})
    loop.relay(at(2), at(2, 2), targets={at(1, 2): 1})


def ring(number: int) -> Callable[[Loop], None]:
    """Return how to open relays, each of which is the next one's target."""

    def start(loop: Loop) -> None:
        for one in range(1, number + 1):
            loop.relay(at(one), targets={at(one % number + 1): 0})

    return start


def mesh(number: int) -> Callable[[Loop], None]:
    """Return how to make relays each other's members with forged empty datagrams."""

    def start(loop: Loop) -> None:
        for one in range(1, number + 1):
            loop.relay(at(one))
        for one in range(1, number + 1):
            loop.network.send(at(one % number + 1), at(one), b"")

    return start


def two_listeners_and_another_relay(loop: Loop) -> None:
    """Open two relays that are each other's members by two pairs of listeners in one room."""
    loop.relay(at(1), at(1, 2))
    loop.relay(at(2), at(2, 2))
    for host in (1, 2):
        loop.network.send(at(1, host), at(2, host), b"")
        loop.network.send(at(2, host), at(1, host), b"")


def echo_programs(number: int) -> Callable[[Loop], None]:
    """Return how to make echo services members with forged datagrams."""

    def start(loop: Loop) -> None:
        loop.relay(at(1))
        for one in range(number):
            echo = ("10.7.7.7", 7 + one)
            Echo(loop.network, echo)
            loop.network.send(echo, at(1), b"")

    return start


def two_bridges(loop: Loop) -> None:
    """Open two relays and two programs that forward between them."""
    loop.relay(at(1))
    loop.relay(at(2))
    for host in (1, 2):
        sides = ((f"10.8.8.{host}", 4000), at(1)), ((f"10.8.8.{host}", 4001), at(2))
        for (address, _), (other, relay) in (sides, sides[::-1]):

            def forward(
                _: Address, payload: bytes, other: Address = other, relay: Address = relay
            ) -> None:
                loop.network.send(other, relay, payload)

            loop.network.attach(address, forward)
        for address, relay in sides:
            loop.network.send(address, relay, b"")


LOOPS = {
    "two relays": two_relays,
    "a ring of three": ring(3),
    "a ring of five": ring(5),
    "three forged members": mesh(3),
    "four forged members": mesh(4),
    "two listeners and another relay": two_listeners_and_another_relay,
    "two echo programs": echo_programs(2),
    "three echo programs": echo_programs(3),
    "two bridges": two_bridges,
}


@pytest.mark.parametrize("label", Label)
@pytest.mark.parametrize("start", LOOPS.values(), ids=LOOPS)
def test_one_text_is_heard_a_few_times(start: Callable[[Loop], None], label: Label) -> None:
    loop = Loop(label)
    start(loop)
    assert 1 <= loop.said(b"once") <= MAX_HEARD
    assert loop.found()
    assert loop.sent_in(20) < 100


@pytest.mark.parametrize("start", LOOPS.values(), ids=LOOPS)
def test_whoever_goes_on_talking_makes_a_trickle(start: Callable[[Loop], None]) -> None:
    loop = Loop(seed=1)
    start(loop)
    loop.said(b"once")
    speaker = loop.program(3, ("10.0.0.1", PORT))
    before = len(loop.network.trace)
    for number in range(300):
        speaker.send(b"%d" % number)
        loop.time.run(loop.time.now + 0.1)
    # Each text goes to all members at least once.
    assert (len(loop.network.trace) - before) / 300 < 60


@pytest.mark.parametrize("payload", [b"21.5", b"%d"], ids=["one value", "many values"])
@pytest.mark.parametrize("name", ["two relays", "a ring of three", "two bridges"])
def test_telemetry_goes_round_a_few_times(name: str, payload: bytes) -> None:
    loop = Loop(seed=2)
    LOOPS[name](loop)
    speaker = loop.program(3, ("10.0.0.1", PORT))
    loop.time.run(loop.time.now + 0.5)
    before = len(loop.network.trace)
    for number in range(2000):
        speaker.send(payload % number if b"%" in payload else payload)
        loop.time.run(loop.time.now + 0.002)
    assert loop.found()
    assert (len(loop.network.trace) - before) / 2000 < 20
    # The last value of a sensor that repeats it goes on, for less and less of the time.
    assert loop.sent_in(20) < 4000
