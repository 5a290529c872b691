"""Which addresses are the relay's own."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest

from udprelay.machine import is_local
from udprelay.net.own_addresses import OwnAddresses
from udprelay.protocol.endpoint import Endpoint, endpoint


def own(*bound: tuple[str, int]) -> OwnAddresses:
    addresses = OwnAddresses()
    for host, port in bound:
        addresses.add(endpoint(host, port))
    return addresses


def test_without_listeners_nothing_is_own() -> None:
    assert endpoint("127.0.0.1", 6000) not in own()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "192.0.2.200"])
def test_a_specific_address_is_own_on_its_port_alone(host: str) -> None:
    addresses = own((host, 6000))
    assert endpoint(host, 6000) in addresses
    assert endpoint(host, 6001) not in addresses
    assert endpoint("127.0.0.2", 6000) not in addresses


def test_an_ipv4_address_is_own_also_in_ipv6_notation() -> None:
    assert endpoint("::ffff:127.0.0.1", 6000) in own(("127.0.0.1", 6000))


@pytest.mark.parametrize("interface", ["::", "0.0.0.0"])
@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_on_every_interface_every_local_address_is_own(interface: str, host: str) -> None:
    addresses = own((interface, 6000))
    assert endpoint(host, 6000) in addresses
    assert endpoint(host, 6001) not in addresses


@pytest.mark.parametrize("interface", ["::", "0.0.0.0"])
@pytest.mark.parametrize("host", ["198.51.100.7", "2001:db8::7", "224.0.0.1", "255.255.255.255"])
def test_on_every_interface_no_other_address_is_own(interface: str, host: str) -> None:
    assert endpoint(host, 6000) not in own((interface, 6000))


@pytest.mark.parametrize(
    ("interface", "unspecified"), [("127.0.0.1", "0.0.0.0"), ("::1", "::"), ("::", "0.0.0.0")]
)
def test_an_unspecified_address_is_the_loopback_address(interface: str, unspecified: str) -> None:
    # The kernel sends there what is for an unspecified address.
    assert endpoint(unspecified, 6000) in own((interface, 6000))
    assert endpoint(f"::ffff:{unspecified}" if "." in unspecified else unspecified, 6000) in own(
        (interface, 6000)
    )
    assert endpoint(unspecified, 6000) not in own(("127.0.0.2", 6000))


def test_several_listeners_on_one_port() -> None:
    addresses = own(("127.0.0.1", 6000), ("::1", 6000), ("127.0.0.2", 7000))
    assert endpoint("127.0.0.1", 6000) in addresses
    assert endpoint("::1", 6000) in addresses
    assert endpoint("127.0.0.2", 6000) not in addresses


def test_the_addresses_of_this_machine_are_local() -> None:
    # No datagram is sent: connecting only makes the kernel choose an address of ours.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.7", 9))
        except OSError:
            pytest.skip("no network but loopback here")
        host = probe.getsockname()[0]
    assert is_local(ip_address(host))
    assert Endpoint(ip_address(host), 6000) in own(("::", 6000))
