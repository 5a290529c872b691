"""The endpoints of the relay's own listeners."""

from __future__ import annotations

import socket
from ipaddress import ip_address

from udprelay.protocol.endpoint import Endpoint, IPAddress

_LOOPBACK = {4: ip_address("127.0.0.1"), 6: ip_address("::1")}
"""Where Linux sends what is for an unspecified address, by IP version."""


class OwnAddresses:
    """The bound addresses of all listeners; an unspecified one stands for every local address."""

    def __init__(self) -> None:
        self._bound: dict[int, set[IPAddress]] = {}

    def add(self, bound: Endpoint) -> None:
        """Add the endpoint that a listener is bound to."""
        self._bound.setdefault(bound.port, set()).add(bound.ip)

    def __contains__(self, address: Endpoint) -> bool:
        bound = self._bound.get(address.port)
        if bound is None:
            return False
        ip = _LOOPBACK[address.ip.version] if address.ip.is_unspecified else address.ip
        if ip in bound:
            return True
        return any(ip.is_unspecified for ip in bound) and is_local(ip)


def is_local(ip: IPAddress) -> bool:
    """
    Return whether ``ip`` is an address of this machine.

    The kernel sends to a local address from that same address. Connecting a UDP socket makes it
    choose the source address and sends nothing (``udp(7)``).
    """
    if ip.is_loopback:
        return True
    host, _, scope = str(ip).partition("%")
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    address = (host, 9) if ip.version == 4 else (host, 9, 0, int(scope or 0))
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(address)
        except OSError:
            return False
        return ip_address(probe.getsockname()[0]) == ip_address(host)
