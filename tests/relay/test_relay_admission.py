"""Admission of plain members: the policies of a listener, and addresses that none admits."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from relay_driver import ANNA, UNTRUSTED, Relay, plain_only, with_policy

from udprelay.protocol.endpoint import MAX_PAYLOAD, Endpoint, IPAddress, IPNetwork, canonical
from udprelay.relay.rules import ListenerRules, PlainPolicy, RelayRules

TRUSTED = (
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
)
TRUSTED_SOURCES = [
    "127.0.0.1:1",
    "10.255.255.255:1",
    "172.16.0.1:1",
    "172.31.255.255:1",
    "192.168.1.1:1",
    "169.254.1.1:1",
    "[::1]:1",
    "[fc00::1]:1",
    "[fdff::1]:1",
    "[fe80::1]:1",
    "[fe80::1%2]:1",
    "[::ffff:10.0.0.1]:1",
]
UNTRUSTED_SOURCES = [
    "11.0.0.0:1",
    "172.15.255.255:1",
    "172.32.0.1:1",
    "192.169.0.1:1",
    "203.0.113.1:1",
    "[2001:db8::1]:1",
    "[fec0::1]:1",
    "[::2]:1",
    "[::ffff:203.0.113.1]:1",
    "[64:ff9b::10.0.0.1]:1",
]
INVALID_SOURCES = [
    "10.0.0.1:0",
    "[fd00::1]:0",
    "0.0.0.0:1",
    "0.1.2.3:1",
    "255.255.255.255:1",
    "224.0.0.1:1",
    "239.255.255.255:1",
    "[::]:1",
    "[ff02::1]:1",
    "[::ffff:0.0.0.0]:1",
    "[::ffff:224.0.0.1]:1",
    "[::ffff:255.255.255.255]:1",
]
LONG = b"long enough for any challenge"


@pytest.mark.parametrize("plain", [PlainPolicy.CHALLENGE, PlainPolicy.NETWORKS, PlainPolicy.ANY])
def test_addresses_in_plain_networks_join_at_once(plain: PlainPolicy) -> None:
    listener = ListenerRules(plain=plain, plain_networks=tuple(map(ip_network, TRUSTED)))
    relay = Relay(RelayRules(listeners={"main": listener}))
    for source in TRUSTED_SOURCES:
        relay.receive(source, b"hello")
    assert relay.members() == set(TRUSTED_SOURCES)
    assert relay.replies() == []


@pytest.mark.parametrize("plain", [PlainPolicy.CHALLENGE, PlainPolicy.NETWORKS])
def test_by_default_neighbours_join_at_once_and_no_others(plain: PlainPolicy) -> None:
    relay = Relay(with_policy(plain))
    for source in (ANNA, "192.168.77.9:1", UNTRUSTED):
        relay.receive(source, LONG)
    assert relay.members() == {ANNA}


def test_local_can_stand_beside_networks() -> None:
    rules = ListenerRules(plain_networks=(ip_network("203.0.113.0/24"), "local"))
    relay = Relay(RelayRules(listeners={"main": rules}))
    for source in (ANNA, "192.168.77.9:1", UNTRUSTED):
        relay.receive(source, LONG)
    assert relay.members() == {ANNA, UNTRUSTED}


def test_networks_in_its_place_trust_no_neighbour() -> None:
    rules = ListenerRules(plain_networks=(ip_network("203.0.113.0/24"),))
    relay = Relay(RelayRules(listeners={"main": rules}))
    relay.receive(ANNA, LONG)
    assert relay.members() == set()


def test_challenge_is_the_default() -> None:
    assert ListenerRules().plain is PlainPolicy.CHALLENGE


def test_the_policy_challenge_challenges_untrusted_addresses() -> None:
    relay = Relay(with_policy(PlainPolicy.CHALLENGE))
    for source in UNTRUSTED_SOURCES:
        relay.receive(source, LONG)
    assert [source for source, _ in relay.replies()] == UNTRUSTED_SOURCES
    assert relay.members() == set()
    assert relay.dropped() == {"challenged": len(UNTRUSTED_SOURCES)}


def test_the_policy_networks_ignores_untrusted_addresses() -> None:
    relay = Relay(with_policy(PlainPolicy.NETWORKS))
    for source in UNTRUSTED_SOURCES:
        relay.receive(source, LONG)
    assert relay.replies() == []
    assert relay.members() == set()
    assert relay.dropped() == {"outside-networks": len(UNTRUSTED_SOURCES)}


def test_the_policy_any_admits_all_addresses() -> None:
    relay = Relay(with_policy(PlainPolicy.ANY))
    for source in UNTRUSTED_SOURCES:
        relay.receive(source, LONG)
    assert relay.members() == set(UNTRUSTED_SOURCES)
    assert relay.replies() == []


def test_the_policy_off_admits_no_address() -> None:
    relay = Relay(with_policy(PlainPolicy.OFF))
    for source in [*TRUSTED_SOURCES, *UNTRUSTED_SOURCES, *INVALID_SOURCES]:
        relay.receive(source, LONG)
    assert relay.members() == set()
    assert relay.replies() == []
    assert set(relay.dropped()) == {"plain-off"}


@pytest.mark.parametrize("plain", [PlainPolicy.CHALLENGE, PlainPolicy.NETWORKS, PlainPolicy.ANY])
def test_an_invalid_source_is_neither_admitted_nor_answered(
    plain: PlainPolicy,
) -> None:
    relay = Relay(with_policy(plain))
    for source in INVALID_SOURCES:
        relay.receive(source, LONG)
    assert relay.members() == set()
    assert relay.replies() == []
    assert relay.dropped() == {"invalid-source": len(INVALID_SOURCES)}


@pytest.mark.parametrize("plain", [PlainPolicy.CHALLENGE, PlainPolicy.NETWORKS, PlainPolicy.ANY])
def test_the_addresses_of_the_relay_are_neither_admitted_nor_answered(plain: PlainPolicy) -> None:
    own = ["127.0.0.1:6000", "[2001:db8::6]:6000"]
    relay = Relay(with_policy(plain), own)
    for source in [*own, "[::ffff:127.0.0.1]:6000"]:
        relay.receive(source, LONG)
    assert relay.members() == set()
    assert relay.replies() == []
    assert relay.dropped() == {"own-address": 3}


def test_the_configuration_sets_the_trusted_networks() -> None:
    networks = (ip_network("203.0.113.0/24"), ip_network("2001:db8::/32"))
    listener = ListenerRules(plain=PlainPolicy.NETWORKS, plain_networks=networks)
    relay = Relay(RelayRules(listeners={"main": listener}))
    for source in [*TRUSTED_SOURCES, *UNTRUSTED_SOURCES]:
        relay.receive(source, LONG)
    assert relay.members() == {"203.0.113.1:1", "[::ffff:203.0.113.1]:1", "[2001:db8::1]:1"}


def test_without_plain_networks_all_addresses_are_challenged() -> None:
    relay = Relay(RelayRules(listeners={"main": ListenerRules(plain_networks=())}))
    for source in TRUSTED_SOURCES:
        relay.receive(source, LONG)
    assert relay.members() == set()
    # One address is there twice, in IPv4 and in IPv4-mapped form.
    assert len(relay.replies()) == len(TRUSTED_SOURCES)


def test_a_member_is_not_challenged_again() -> None:
    relay = Relay()
    relay.join(ANNA)
    relay.receive(ANNA, b"x")
    assert relay.dropped() == {}


networks = st.one_of(
    st.ip_addresses(v=4).flatmap(
        lambda ip: st.integers(0, 32).map(lambda n: ip_network(f"{ip}/{n}", strict=False))
    ),
    st.ip_addresses(v=6).flatmap(
        lambda ip: st.integers(0, 128).map(lambda n: ip_network(f"{ip}/{n}", strict=False))
    ),
)


@given(st.lists(networks, max_size=4), st.ip_addresses())
def test_networks_contain_the_same_addresses_as_in_the_standard_library(
    plain_networks: list[IPNetwork], ip: IPAddress
) -> None:
    rules = ListenerRules(plain_networks=tuple(plain_networks))
    relay = Relay(RelayRules(listeners={"main": rules}))
    # The relay converts IPv4-mapped addresses first.
    ip = canonical(ip)
    assert relay.listeners["main"].trusts(UNTRUSTED, ip) == any(
        ip in net for net in plain_networks
    )


RESULTS = {
    "invalid-source",
    "own-address",
    "from-target",
    "plain-off",
    "outside-networks",
    "challenged",
    "challenge-echo",
    "challenge-limit",
    "challenge-too-short",
}


@given(
    st.sampled_from(PlainPolicy),
    st.lists(
        st.tuples(
            st.builds(Endpoint, st.ip_addresses().map(canonical), st.integers(0, 65535)),
            st.one_of(st.binary(max_size=60), st.just(b"x" * MAX_PAYLOAD)),
        )
    ),
)
def test_every_datagram_has_one_of_the_documented_results(
    plain: PlainPolicy, datagrams: list[tuple[Endpoint, bytes]]
) -> None:
    relay = Relay(plain_only(plain), [UNTRUSTED])
    relay.target("192.0.2.7:2055")
    for source, payload in datagrams:
        relay.receive(str(source), payload)
        for to, reply in relay.replies():
            assert to == str(source)
            assert len(reply) < 3 * len(payload)
    assert set(relay.dropped()) <= RESULTS
