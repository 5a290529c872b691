"""Where a bridge is, and where its program is."""

from __future__ import annotations

from ipaddress import ip_address
from socket import AI_NUMERICHOST, SOCK_DGRAM, getaddrinfo
from typing import Any

from udprelay.client.bridge_port import SocketAddress
from udprelay.client.option_values import Address
from udprelay.client.resolve import resolve
from udprelay.protocol.endpoint import host_port


class BridgeAddressError(Exception):
    """
    An address that can't be used.

    :param address: as ``host:port``.
    :param reason: the name of an error.
    :param cause: the same for people.
    """

    def __init__(self, address: Address, reason: str, cause: str) -> None:
        super().__init__(cause)
        self.address = host_port(*address)
        self.reason = reason


async def look_up(
    resolver: Any, local: Address, program: Address | None
) -> tuple[SocketAddress, SocketAddress | None]:
    """
    Return the addresses of the bridge and of its program, both of the same IP version.

    Of names that have both, the IPv4 address: what programs mean by ``localhost``.

    :raises BridgeAddressError: if there are none.
    """
    locals_ = await _found(resolver, local)
    if program is None:
        return locals_[0], None
    programs = await _found(resolver, program)
    for bound in locals_:
        for other in programs:
            if len(bound) == len(other):
                return bound, other
    raise BridgeAddressError(program, "EAFNOSUPPORT", f"{local[0]} has another IP version")


def is_exposed(bound: SocketAddress) -> bool:
    """Whether other machines may be able to send there."""
    return not ip_address(bound[0].partition("%")[0]).is_loopback


async def _found(resolver: Any, address: Address) -> list[SocketAddress]:
    host, port = address
    hosts = await resolve(resolver, host)
    if not hosts:
        raise BridgeAddressError(address, "ENOENT", "the name is unknown")
    found = [
        getaddrinfo(numeric, port, type=SOCK_DGRAM, flags=AI_NUMERICHOST)[0][4]
        for numeric in hosts
    ]
    return sorted(found, key=len)
