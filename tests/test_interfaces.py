"""Who is near, by a table of network interfaces."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from udprelay.interfaces import Interface, Interfaces, is_private, is_public


def interface(*own: str) -> Interface:
    """Return an interface with addresses like ``192.168.77.5/24``."""
    networks = [ip_network(one, strict=False) for one in own]
    addresses = {ip_address(one.partition("/")[0]) for one in own}
    return Interface(addresses, tuple(filter(is_private, networks)))


LO, LAN, WAN, VPN = 1, 2, 3, 4
TABLE = Interfaces(
    {
        LO: interface("127.0.0.1/8", "::1/128"),
        LAN: interface("192.168.77.5/24", "fd77::5/64", "fe80::5/64", "2001:db8:77::5/64"),
        WAN: interface("198.51.100.5/24", "fe80::5/64", "100.64.0.5/10"),
        VPN: interface("10.8.0.5/9", "192.168.0.1/15"),
    },
    {ip_address("192.168.77.1"), ip_address("fe80::1"), ip_address("198.51.100.1")},
)


@pytest.mark.parametrize(
    ("host", "index"),
    [
        ("192.168.77.9", LAN),
        ("fd77::9", LAN),
        ("fe80::9", LAN),
        ("fe80::9%2", LAN),
        ("fe80::9%3", WAN),
        ("10.8.0.9", VPN),
        ("10.127.255.255", VPN),
    ],
)
def test_private_subnets_of_the_interface_of_arrival_are_near(host: str, index: int) -> None:
    assert TABLE.is_neighbour(ip_address(host), index)


@pytest.mark.parametrize(
    ("host", "index"),
    [
        ("192.168.77.9", WAN),
        ("192.168.77.9", LO),
        ("192.168.78.9", LAN),
        ("10.0.0.9", WAN),
        ("10.8.0.9", LAN),
        ("10.128.0.9", VPN),
        ("fd77::9", WAN),
        ("fd77:0:0:1::9", LAN),
    ],
)
def test_private_addresses_elsewhere_are_not(host: str, index: int) -> None:
    assert not TABLE.is_neighbour(ip_address(host), index)


@pytest.mark.parametrize(
    ("host", "index"),
    [("198.51.100.9", WAN), ("2001:db8:77::9", LAN), ("100.64.0.9", WAN), ("192.168.0.9", VPN)],
)
def test_subnets_with_public_addresses_are_not(host: str, index: int) -> None:
    assert not TABLE.is_neighbour(ip_address(host), index)


@pytest.mark.parametrize(
    ("host", "index"), [("192.168.77.1", LAN), ("fe80::1", LAN), ("fe80::1%3", WAN)]
)
def test_gateways_are_not(host: str, index: int) -> None:
    assert not TABLE.is_neighbour(ip_address(host), index)


@pytest.mark.parametrize("index", [0, 99])
def test_nobody_is_near_an_unknown_interface(index: int) -> None:
    assert not TABLE.is_neighbour(ip_address("192.168.77.9"), index)


@pytest.mark.parametrize("host", ["127.0.0.1", "192.168.77.5", "198.51.100.5", "fe80::5%3"])
def test_the_machine_has_its_addresses_on_every_interface(host: str) -> None:
    assert TABLE.has(ip_address(host))
    assert not TABLE.has(ip_address("192.168.77.9"))


def test_public_addresses_are_those_that_others_may_reach() -> None:
    assert TABLE.public(4) == [ip_address("100.64.0.5"), ip_address("198.51.100.5")]
    assert TABLE.public(6) == [ip_address("2001:db8:77::5")]
    assert not is_public(ip_address("::"))
