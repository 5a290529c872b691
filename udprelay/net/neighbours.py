"""Who is near: the machine itself, and its neighbours at the interface of arrival."""

from __future__ import annotations

from collections.abc import Callable

from udprelay import machine
from udprelay.interfaces import Interfaces
from udprelay.netlink import InterfaceWatch
from udprelay.protocol.endpoint import Endpoint


class Neighbours:
    """
    Decides for ``plain_networks = local``.

    Where the interfaces cannot be read, only the machine itself is near.

    :param failed: is called with the reason, once for each.
    """

    def __init__(self, failed: Callable[[str], object]) -> None:
        self._failed = failed
        self._reason = ""
        self._watch: InterfaceWatch | None = None

    def open(self) -> None:
        """Follow the interfaces from now on."""
        try:
            self._watch = InterfaceWatch()
            self._watch.interfaces()
        except (OSError, AttributeError) as error:
            # Systems other than Linux have no AF_NETLINK.
            self._fail(error)

    def is_neighbour(self, endpoint: Endpoint, index: int) -> bool:
        """
        Return whether an endpoint is near.

        :param index: of the interface at which its datagram has arrived; 0 if it is unknown.
        """
        ip = endpoint.ip
        if ip.is_loopback:
            # From elsewhere, the kernel drops it: RFC 1122, 3.2.1.3; RFC 4291, 2.5.3.
            return True
        interfaces = self._interfaces()
        own = machine.is_local(ip) if interfaces is None else interfaces.has(ip)
        # The kernel drops what comes from elsewhere with an IPv4 address of its own, but not with
        # an IPv6 one. And it does not tell which has come from elsewhere (PKTINFO).
        if own and (ip.version == 4 or machine.has_socket(ip, endpoint.port)):
            return True
        return interfaces is not None and interfaces.is_neighbour(ip, index)

    def _interfaces(self) -> Interfaces | None:
        if self._watch is None:
            return None
        try:
            return self._watch.interfaces()
        except OSError as error:
            self._fail(error)
            return None

    def _fail(self, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or str(error)
        if reason != self._reason:
            self._reason = reason
            self._failed(reason)

    def close(self) -> None:
        """Follow the interfaces no more."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None
