"""The endpoints of the relay's own listeners."""

from __future__ import annotations

from udprelay.machine import reaches
from udprelay.protocol.endpoint import Endpoint, IPAddress


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
        return any(reaches(address.ip, bound) for bound in self._bound.get(address.port, ()))
