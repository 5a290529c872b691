# ruff: noqa: N803 (Twisted's names)
"""A reactor whose clock and resolver a test moves by hand, and front ends that remember."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IHostnameResolver
from twisted.internet.task import Clock
from zope.interface import implementer

from udprelay.client.client import Client
from udprelay.client.notices import Notice
from udprelay.client.talk import Heard, Talk


@implementer(IHostnameResolver)
class Names:
    """Gives every name the same addresses, or none; answers when told."""

    def __init__(self, *addresses: str, at_once: bool = True) -> None:
        self.addresses = addresses
        self.asked = 0
        self._at_once = at_once
        self._receiver: Any = None

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[Any] | None = None,
        transportSemantics: str = "TCP",
    ) -> Any:
        assert transportSemantics == "UDP"
        self.asked += 1
        self._receiver = resolutionReceiver
        if self._at_once:
            self.answer()

    def answer(self) -> None:
        for host in self.addresses:
            kind = IPv6Address if ":" in host else IPv4Address
            self._receiver.addressResolved(kind("UDP", host, 0))
        self._receiver.resolutionComplete()


class ClockReactor(Clock):
    """The real reactor for sockets and threads; a clock that stands still, and chosen names."""

    def __init__(self, names: Names | None = None) -> None:
        super().__init__()
        self.nameResolver = names or Names()

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)


class Front:
    """A front end that remembers."""

    company = True

    def __init__(self) -> None:
        self.begun = False
        self.shown: list[bytes] = []
        self.notices: list[Notice] = []
        self.drains = 0
        self.closed = 0

    @property
    def events(self) -> list[str]:
        return [notice.event for notice in self.notices]

    def begin(self, client: Client, talk: Talk) -> None:
        self.begun = True

    def show(self, message: Heard) -> None:
        self.shown.append(message.payload)

    def notice(self, notice: Notice) -> None:
        self.notices.append(notice)

    def drained(self) -> None:
        self.drains += 1

    def close(self) -> Deferred[None]:
        self.closed += 1
        return succeed(None)


class Owner:
    """Listens to a conversation, and remembers."""

    def __init__(self) -> None:
        self.begun = False
        self.messages: list[Heard] = []
        self.notices: list[Notice] = []
        self.progress = 0
        self.status: int | None = None

    @property
    def events(self) -> list[str]:
        return [notice.event for notice in self.notices]

    @property
    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.messages]

    def opened(self) -> None:
        self.begun = True

    def heard(self, message: Heard) -> None:
        self.messages.append(message)

    def notice(self, notice: Notice) -> None:
        self.notices.append(notice)

    def progressed(self) -> None:
        self.progress += 1

    def ended(self, status: int) -> None:
        assert self.status is None
        self.status = status
