"""
Which addresses are near: on this machine, or in a private subnet of the interface of arrival.

Everybody on the Internet can forge a private source address; networks that deliver such a datagram
bring it in by the default route. So an address is near only at an interface with its subnet.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from ipaddress import IPv6Address, ip_network

from attrs import frozen

from udprelay.protocol.endpoint import IPAddress, IPNetwork

_PRIVATE = [
    ip_network(network)
    for network in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "fc00::/7",
        "fe80::/10",
    )
]
"""Private, link-local and unique-local addresses (RFC 1918, 3927, 4193, 4291)."""


def is_private(network: IPNetwork) -> bool:
    """Return whether all addresses of a network are private, link-local or unique-local."""
    return any(
        network.network_address in private and network.prefixlen >= private.prefixlen
        for private in _PRIVATE
    )


def without_scope(ip: IPAddress) -> IPAddress:
    """Return an address without the interface that a link-local one belongs to."""
    return IPv6Address(int(ip)) if isinstance(ip, IPv6Address) and ip.scope_id else ip


@frozen
class Interface:
    """
    A network interface.

    :param own: its addresses.
    :param private: their subnets, as far as they are private.
    """

    own: AbstractSet[IPAddress]
    private: tuple[IPNetwork, ...]


@frozen
class Interfaces:
    """
    The network interfaces of a machine.

    :param by_index: each, by the index that the kernel reports with a datagram.
    :param gateways: routers, of whichever interface: a router may put its own address in place of
        that of anybody (a masquerade, a proxy of published ports).
    """

    by_index: Mapping[int, Interface]
    gateways: AbstractSet[IPAddress] = frozenset()

    def has(self, ip: IPAddress) -> bool:
        """Return whether this machine has an address."""
        bare = without_scope(ip)
        return any(bare in interface.own for interface in self.by_index.values())

    def is_neighbour(self, ip: IPAddress, index: int) -> bool:
        """
        Return whether an address is in a private subnet of an interface, and no gateway.

        :param index: the interface of arrival; 0 if it is unknown.
        """
        interface, bare = self.by_index.get(index), without_scope(ip)
        if interface is None or bare in self.gateways:
            return False
        return any(bare in subnet for subnet in interface.private)

    def public(self, version: int) -> list[IPAddress]:
        """Return the addresses of this machine that others than its neighbours may reach."""
        own = {ip for interface in self.by_index.values() for ip in interface.own}
        return sorted(ip for ip in own if ip.version == version and is_public(ip))


def is_public(ip: IPAddress) -> bool:
    """Return whether others than neighbours may reach an address."""
    return not ip.is_loopback and not ip.is_unspecified and not is_private(ip_network(ip))
