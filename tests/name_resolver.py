"""A resolver whose answers a test chooses."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IResolutionReceiver,
)
from zope.interface import implementer


@implementer(IHostResolution)
class Resolution:
    """A look-up in progress."""

    def __init__(self, host: str) -> None:
        self.name = host

    def cancel(self) -> None:
        """Do nothing: no test cancels a look-up."""


@implementer(IHostnameResolver)
class NameResolver:
    """
    Gives every name the same addresses, or none.

    :param addresses: an IPv6 address may have a numeric scope.
    :param at_once: whether to answer inside each look-up, or when :meth:`answer` is called.
    :ivar look_ups: how many names have been looked up.
    """

    def __init__(self, *addresses: str, at_once: bool = True) -> None:
        self.addresses = addresses
        self.at_once = at_once
        self.look_ups = 0
        self._pending: list[IResolutionReceiver] = []

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,  # noqa: N803
        hostName: str,  # noqa: N803
        portNumber: int = 0,  # noqa: N803
        addressTypes: Sequence[type[IAddress]] | None = None,  # noqa: N803
        transportSemantics: str = "TCP",  # noqa: N803
    ) -> IHostResolution:
        assert transportSemantics == "UDP"
        self.look_ups += 1
        self._pending.append(resolutionReceiver)
        resolution = Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        if self.at_once:
            self.answer()
        return resolution

    def answer(self) -> None:
        """Complete all look-ups in progress."""
        pending, self._pending = self._pending, []
        for receiver in pending:
            for address in self.addresses:
                receiver.addressResolved(_address(address))
            receiver.resolutionComplete()


def _address(text: str) -> IPv4Address | IPv6Address:
    host, _, scope = text.partition("%")
    if ":" in host:
        return IPv6Address("UDP", host, 0, 0, int(scope or 0))
    return IPv4Address("UDP", host, 0)
