"""The network interfaces as the kernel tells them."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest

from udprelay import netlink
from udprelay.netlink import InterfaceWatch, public_addresses, read_interfaces

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "AF_NETLINK"), reason="the kernel has no netlink"
)


def test_loopback_is_an_interface_without_neighbours() -> None:
    interfaces = read_interfaces()
    loopback = socket.if_nametoindex("lo")
    assert ip_address("127.0.0.1") in interfaces.by_index[loopback].own
    assert interfaces.by_index[loopback].private == ()
    assert interfaces.has(ip_address("127.0.0.1"))


def test_no_loopback_address_is_public() -> None:
    assert ip_address("127.0.0.1") not in public_addresses(4)


def test_interfaces_are_read_once_while_nothing_changes() -> None:
    watch = InterfaceWatch()
    try:
        assert watch.interfaces() is watch.interfaces()
    finally:
        watch.close()


def test_a_router_of_the_internet_has_too_many_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netlink, "MAX_MESSAGES", 1)
    watch = InterfaceWatch()
    try:
        for _ in range(2):
            with pytest.raises(OSError, match="there are more than 1 routes"):
                watch.interfaces()
    finally:
        watch.close()
    assert public_addresses(4) == []
