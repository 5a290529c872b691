"""The endpoints of the relay's own listeners."""

from __future__ import annotations

from ipaddress import ip_address

from udprelay.machine import is_local
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

    def __contains__(self, address: object) -> bool:
        if not isinstance(address, Endpoint):
            return False
        bound = self._bound.get(address.port)
        if bound is None:
            return False
        ip = _LOOPBACK[address.ip.version] if address.ip.is_unspecified else address.ip
        if ip in bound:
            return True
        return any(ip.is_unspecified for ip in bound) and is_local(ip)
