"""Host names looked up with Twisted's resolver."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IResolutionReceiver,
)
from zope.interface import implementer


def look_up(resolver: IHostnameResolver, host: str) -> Deferred[list[str]]:
    """
    Look a host up.

    :return: its IP addresses, the preferred one first; empty if the name is unknown. The scope
        of an IPv6 address is a number. Never fires if the resolver fails unexpectedly.
    """
    receiver = _Receiver()
    resolver.resolveHostName(receiver, host, transportSemantics="UDP")
    return receiver.complete


def look_up_name(resolver: IHostnameResolver, host: str) -> Deferred[list[str]]:
    """Like :func:`look_up`, but an IP address is returned at once and unchanged."""
    if isIPAddress(host) or isIPv6Address(host):
        return succeed([host])
    return look_up(resolver, host)


@implementer(IResolutionReceiver)
@define
class _Receiver:
    complete: Deferred[list[str]] = field(factory=Deferred)
    _found: list[str] = field(factory=list)

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:  # noqa: N803
        pass

    def addressResolved(self, address: IAddress) -> None:
        if isinstance(address, IPv6Address) and address.scopeID:
            # The host may have the scope as well, by its name.
            self._found.append(f"{address.host.partition('%')[0]}%{address.scopeID}")
        elif isinstance(address, IPv4Address | IPv6Address):
            self._found.append(address.host)

    def resolutionComplete(self) -> None:
        self.complete.callback(self._found)
