"""Addresses and ports: canonical, comparable, parsed and formatted."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from attrs import frozen

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

MAX_PAYLOAD = 65_507
"""Bytes in a UDP datagram over IPv4 (RFC 768, RFC 791)."""


@frozen
class Endpoint:
    """
    An IP address and a UDP port.

    :param ip: never an IPv4-mapped IPv6 address; see :func:`canonical`.
    """

    ip: IPAddress
    port: int

    def __str__(self) -> str:
        return host_port(str(self.ip), self.port)


def canonical(ip: IPAddress) -> IPAddress:
    """Return the IPv4 address behind an IPv4-mapped IPv6 one (RFC 4291, 2.5.5.2), or ``ip``."""
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    return ip


def endpoint(host: str, port: int) -> Endpoint:
    """
    Return the endpoint of a numeric address.

    :raises ValueError: if ``host`` is not an IP address.
    """
    return Endpoint(canonical(ip_address(host)), port)


def host_port(host: str, port: int) -> str:
    """Format a host and port: ``192.0.2.1:6000``, ``[2001:db8::1]:6000``."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_host_port(text: str, default_port: int | None = None) -> tuple[str, int]:
    """
    Parse ``HOST:PORT``, ``[IPV6]:PORT`` or, given a default port, a bare host or IPv6 address.

    The host may be a name; it is not looked up.

    :raises ValueError: if ``text`` is invalid.
    """
    host, port_text = _split(text.strip())
    if not host or any(c.isspace() or c in "[]/" for c in host):
        raise ValueError(f"{text!r} has no valid host")
    try:
        # A resolver would raise this in its thread, unnoticed.
        host.encode("idna")
    except UnicodeError:
        raise ValueError(f"{host!r} is not a valid host name") from None
    if port_text is None:
        if default_port is None:
            raise ValueError(f"{text!r} has no port")
        return host, default_port
    if not (port_text.isascii() and port_text.isdigit()) or not 1 <= int(port_text) <= 65535:
        raise ValueError(f"{port_text!r} is not a port (1 to 65535)")
    return host, int(port_text)


def _split(text: str) -> tuple[str, str | None]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r}: write IPv6 addresses in brackets, as in [::1]:6000")
        return host, rest[1:] if rest else None
    if text.count(":") > 1:
        return text, None
    host, colon, port = text.partition(":")
    return host, port if colon else None
