"""Host names to addresses."""

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


def resolve(resolver: IHostnameResolver, host: str) -> Deferred[list[str]]:
    """
    Look a host up.

    :returns: its addresses, the one to prefer first; none if the name is unknown.
    """
    if isIPAddress(host) or isIPv6Address(host):
        return succeed([host])
    addresses = _Addresses()
    resolver.resolveHostName(addresses, host, transportSemantics="UDP")
    return addresses.complete


@implementer(IResolutionReceiver)
@define
class _Addresses:
    complete: Deferred[list[str]] = field(factory=Deferred)
    _found: list[str] = field(factory=list)

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:  # noqa: N803
        pass

    def addressResolved(self, address: IAddress) -> None:
        if isinstance(address, IPv6Address) and address.scopeID:
            self._found.append(f"{address.host}%{address.scopeID}")
        elif isinstance(address, IPv4Address | IPv6Address):
            self._found.append(address.host)

    def resolutionComplete(self) -> None:
        self.complete.callback(self._found)
