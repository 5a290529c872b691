"""Forged datagrams cause no endless exchange between relays and echo services."""

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

MAX_DATAGRAMS = 6
"""Datagrams between two hosts until silence, including the forged one."""

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


class SilentNetwork:
    """A network that counts the datagrams after a forged one until silence."""

    def __init__(self) -> None:
        self.time = VirtualTime()
        self.relays: list[VirtualRelay] = []
        self.random = Random(0)
        self.network = Network(self.time, self.random, Conditions(delay=(0.01, 0.01)))

    def relay(
        self, address: Address, policy: PlainPolicy, label: Label = Label.NONE, others: int = 0
    ) -> VirtualRelay:
        """Open a relay with other members in its room."""
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
        """Send one forged datagram; return how many the two hosts exchange until silence."""
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
def test_two_relays_fall_silent(first: PlainPolicy, second: PlainPolicy) -> None:
    for addresses, label, others in product((PRIVATE, PUBLIC), Label, (0, 2)):
        one, other = addresses
        silent = SilentNetwork()
        for policy, address in ((first, one), (second, other)):
            silent.relay(address, policy, label, others)
        for payload in TEXTS:
            for source, destination in ((other, one), (one, other)):
                count = silent.after_forging(source, destination, payload)
                assert count <= MAX_DATAGRAMS, (addresses, label, others, payload)


@pytest.mark.parametrize("first", PlainPolicy)
@pytest.mark.parametrize("second", PlainPolicy)
def test_two_new_relays_fall_silent(first: PlainPolicy, second: PlainPolicy) -> None:
    # In the other test, earlier datagrams have left members behind.
    for addresses, payload in product((PRIVATE, PUBLIC), TEXTS):
        one, other = addresses
        silent = SilentNetwork()
        for policy, address in ((first, one), (second, other)):
            silent.relay(address, policy, others=1)
        assert silent.after_forging(other, one, payload) <= MAX_DATAGRAMS, (addresses, payload)


@pytest.mark.parametrize("policy", PlainPolicy)
@pytest.mark.parametrize("label", Label)
def test_a_relay_and_an_echo_service_fall_silent(policy: PlainPolicy, label: Label) -> None:
    for addresses, others in product((PRIVATE, PUBLIC), (0, 2)):
        address, echo = addresses[0], (addresses[1][0], 7)
        silent = SilentNetwork()
        silent.relay(address, policy, label, others)
        Echo(silent.network, echo)
        for payload in TEXTS:
            assert silent.after_forging(echo, address, payload) <= MAX_DATAGRAMS, (
                addresses,
                payload,
            )


@pytest.mark.parametrize("payload", TEXTS, ids=repr)
def test_a_public_echo_service_is_never_admitted(payload: bytes) -> None:
    address, echo = PUBLIC[0], (PUBLIC[1][0], 7)
    silent = SilentNetwork()
    relay = silent.relay(address, PlainPolicy.CHALLENGE)
    Echo(silent.network, echo)
    for _ in range(3):
        assert silent.after_forging(echo, address, payload) <= MAX_DATAGRAMS
        assert relay.hub.census.read()["joins"] == 0


def test_a_relay_ignores_datagrams_from_its_own_address() -> None:
    for policy, address in product(PlainPolicy, (PRIVATE[0], PUBLIC[0])):
        silent = SilentNetwork()
        relay = silent.relay(address, policy, others=2)
        joined = relay.hub.census.read()["joins"]
        for payload in TEXTS:
            assert silent.after_forging(address, address, payload) == 1
        assert relay.hub.census.read()["joins"] == joined
