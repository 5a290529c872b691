"""The reactor with a clock and a resolver that a test moves by hand."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IHostnameResolver, IHostResolution, IResolutionReceiver
from twisted.internet.task import Clock
from zope.interface import implementer


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
        """Say which addresses the name has."""
        for host in hosts:
            kind = IPv6Address if ":" in host else IPv4Address
            self._receiver.addressResolved(kind("UDP", host, self._port))
        self._receiver.resolutionComplete()


@implementer(IHostnameResolver)
class Resolver:
    """Keeps what is looked up until a test answers."""

    def __init__(self) -> None:
        self.asked: list[Resolution] = []

    def resolveHostName(
        self, receiver: IResolutionReceiver, host: str, port: int, types: Any, semantics: str
    ) -> IHostResolution:
        assert semantics == "UDP"
        self.asked.append(Resolution(receiver, host, port))
        return self.asked[-1]

    def take(self) -> Resolution:
        """Return the one look-up under way."""
        (resolution,) = self.asked
        self.asked = []
        return resolution


class ClockReactor(Clock):
    """
    The real reactor for sockets; a clock that stands still, and a resolver, for all else.

    :ivar scheduled: how often anything was scheduled.
    """

    def __init__(self) -> None:
        super().__init__()
        self.nameResolver = Resolver()
        self.scheduled = 0

    def callLater(self, *arguments: Any, **options: Any) -> Any:
        self.scheduled += 1
        return super().callLater(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)
