"""Whose datagrams a transport is to drop before they are read."""

from __future__ import annotations

from attrs import frozen

from udprelay.protocol.endpoint import IPAddress, host_port


@frozen
class FloodSource:
    """
    Whose datagrams the kernel is to drop.

    :param ip: the address.
    :param port: None for all ports of an IPv4 address, and of an IPv6 /64 (RFC 4291, 2.5.4).
    :param session_id: that the datagrams have; empty for all.
    """

    ip: IPAddress
    port: int | None
    session_id: bytes = b""

    def __str__(self) -> str:
        if self.port is not None:
            return host_port(str(self.ip), self.port)
        return str(self.ip) if self.ip.version == 4 else f"{self.ip}/64"
