"""Relays and echo services that a forged datagram has pointed at each other fall silent."""

from __future__ import annotations

from ipaddress import ip_network
from itertools import product
from random import Random

import pytest
from virtual_hosts import Echo, Program, VirtualRelay
from virtual_network import Address, Conditions, Network, VirtualTime

from udprelay.relay.rules import (
    Label,
    ListenerRules,
    PlainPolicy,
    RelayRules,
    RoomRules,
)

MOST = 6
"""Datagrams on the way between two relays until silence, the forged one among them."""

LONG = 3600.0
TRUSTED = (ip_network("10.0.0.0/8"),)
PRIVATE: list[Address] = [("10.0.0.1", 6000), ("10.0.0.2", 6000)]
PUBLIC: list[Address] = [("203.0.113.1", 6000), ("198.51.100.1", 6000)]
TEXTS = [
    *(b"x" * size for size in range(61)),
    b"udprelay: to join, send this code: 0abcdefg\n",
    b"udprelay: to join, send this code: 0abcdefg",
    b"to join send 0abcdefg\n",
    b"send 0abcdefg\n",
    b"send 0abcdefg",
    b"0ABCDEFG",
    b"0abcdefg",
    b"0abcdefg\n",
    b"guest-1: send 0abcdefg\n",
]


class Quiet:
    """A network that says when it has fallen silent, and how many datagrams later."""

    def __init__(self) -> None:
        self.time = VirtualTime()
        self.relays: list[VirtualRelay] = []
        self.random = Random(0)
        self.network = Network(self.time, self.random, Conditions(delay=(0.01, 0.01)))

    def relay(
        self, address: Address, policy: PlainPolicy, label: Label = Label.NONE, others: int = 0
    ) -> VirtualRelay:
        """Open a relay, with other members present in its room."""
        rules = RelayRules(
            listeners={"main": ListenerRules(plain=policy, plain_networks=TRUSTED)},
            room_defaults=RoomRules(label=label, idle_timeout=2 * LONG),
        )
        relay = VirtualRelay(self.network, self.random, rules, {"main": address})
        for number in range(others):
            host = (f"10.1.{len(self.relays)}.{number}", 4000)
            Program(self.network, "p", host, address).send(b"")
        self.relays.append(relay)
        self.time.run(self.time.now + 1)
        return relay

    def after_forging(self, source: Address, destination: Address, payload: bytes) -> int:
        """Forge one datagram; return how many went between the two until silence."""
        del self.network.trace[:]
        self.network.send(source, destination, payload)
        self.time.run(self.time.now + 10)
        between = self._between(source, destination)
        del self.network.trace[:]
        self.time.run(self.time.now + LONG)
        assert self.network.trace == []
        return between

    def _between(self, one: Address, other: Address) -> int:
        return sum({s, d} == {one, other} for _, s, d, _ in self.network.trace)


@pytest.mark.parametrize("first", PlainPolicy)
@pytest.mark.parametrize("second", PlainPolicy)
def test_two_relays_fall_silent(first, second):
    for addresses, label, others in product((PRIVATE, PUBLIC), Label, (0, 2)):
        one, other = addresses
        quiet = Quiet()
        for policy, address in ((first, one), (second, other)):
            quiet.relay(address, policy, label, others)
        for payload in TEXTS:
            for source, destination in ((other, one), (one, other)):
                count = quiet.after_forging(source, destination, payload)
                assert count <= MOST, (addresses, label, others, payload)


@pytest.mark.parametrize("first", PlainPolicy)
@pytest.mark.parametrize("second", PlainPolicy)
def test_the_first_datagram_ever_is_no_different(first, second):
    # The other test goes on with what the earlier datagrams have left behind.
    for addresses, payload in product((PRIVATE, PUBLIC), TEXTS):
        one, other = addresses
        quiet = Quiet()
        for policy, address in ((first, one), (second, other)):
            quiet.relay(address, policy, others=1)
        assert quiet.after_forging(other, one, payload) <= MOST, (addresses, payload)


@pytest.mark.parametrize("policy", PlainPolicy)
@pytest.mark.parametrize("label", Label)
def test_a_relay_and_an_echo_service_fall_silent(policy, label):
    for addresses, others in product((PRIVATE, PUBLIC), (0, 2)):
        address, echo = addresses[0], (addresses[1][0], 7)
        quiet = Quiet()
        quiet.relay(address, policy, label, others)
        Echo(quiet.network, echo)
        for payload in TEXTS:
            assert quiet.after_forging(echo, address, payload) <= MOST, (addresses, payload)


@pytest.mark.parametrize("payload", TEXTS, ids=repr)
def test_a_public_echo_service_never_proves_its_address(payload):
    address, echo = PUBLIC[0], (PUBLIC[1][0], 7)
    quiet = Quiet()
    relay = quiet.relay(address, PlainPolicy.CHALLENGE)
    Echo(quiet.network, echo)
    for _ in range(3):
        assert quiet.after_forging(echo, address, payload) <= MOST
        assert relay.hub.roster.joined == 0


def test_a_relay_and_its_own_address():
    for policy, address in product(PlainPolicy, (PRIVATE[0], PUBLIC[0])):
        quiet = Quiet()
        relay = quiet.relay(address, policy, others=2)
        joined = relay.hub.roster.joined
        for payload in TEXTS:
            assert quiet.after_forging(address, address, payload) == 1
        assert relay.hub.roster.joined == joined
