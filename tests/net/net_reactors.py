"""The reactor with a clock and a resolver that a test controls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IResolutionReceiver,
)
from zope.interface import implementer

from manual_clock import ManualClock


@implementer(IHostResolution)
class Resolution:
    """A look-up that has not been answered yet."""

    def __init__(self, receiver: IResolutionReceiver, host: str, port: int) -> None:
        self.name = host
        self._receiver = receiver
        self._port = port
        receiver.resolutionBegan(self)

    def cancel(self) -> None:
        """Nothing to do."""

    def answer(self, *hosts: str) -> None:
        """Complete the look-up with the addresses of the name."""
        for host in hosts:
            kind = IPv6Address if ":" in host else IPv4Address
            self._receiver.addressResolved(kind("UDP", host, self._port))
        self._receiver.resolutionComplete()


@implementer(IHostnameResolver)
class Resolver:
    """Keeps look-ups until a test answers them."""

    def __init__(self) -> None:
        self.asked: list[Resolution] = []

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,  # noqa: N803
        hostName: str,  # noqa: N803
        portNumber: int = 0,  # noqa: N803
        addressTypes: Sequence[type[IAddress]] | None = None,  # noqa: N803
        transportSemantics: str = "TCP",  # noqa: N803
    ) -> IHostResolution:
        assert transportSemantics == "UDP"
        self.asked.append(Resolution(resolutionReceiver, hostName, portNumber))
        return self.asked[-1]

    def pop(self) -> Resolution:
        """Return the one pending look-up, and forget it."""
        (resolution,) = self.asked
        self.asked = []
        return resolution


class NamedReactor:
    """The real reactor, with a resolver for a test."""

    def __init__(self, names: IHostnameResolver) -> None:
        self.nameResolver = names

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)


class ClockReactor(ManualClock):
    """
    The real reactor for sockets, with a manual clock and a manual resolver.

    :ivar scheduled: number of calls scheduled so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.nameResolver = Resolver()
        self.scheduled = 0

    def callLater(self, *arguments: Any, **options: Any) -> Any:
        self.scheduled += 1
        return super().callLater(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        if name == "__provides__":
            # The interfaces of this object, not the reactor's.
            raise AttributeError(name)
        return getattr(reactor, name)
