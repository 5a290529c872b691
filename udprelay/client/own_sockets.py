"""Whether an address for a program is that of the bridge itself, or of the relay."""

from __future__ import annotations

from ipaddress import ip_address

from udprelay.machine import is_local
from udprelay.protocol.endpoint import Endpoint, endpoint

_LOOPBACK = {4: ip_address("127.0.0.1"), 6: ip_address("::1")}
"""Where Linux sends what is for an unspecified address, by IP version."""


def is_own(program: Endpoint, bound: Endpoint) -> bool:
    """Return whether what is sent to ``program`` gets to a socket that is bound here."""
    if program.port != bound.port:
        return False
    ip = _reached(program)
    return ip.ip == bound.ip or (bound.ip.is_unspecified and is_local(ip.ip))


def is_relay(program: Endpoint, relay: Endpoint) -> bool:
    """
    Return whether what is sent to ``program`` gets to the relay.

    A relay on this machine mostly is at all its addresses.
    """
    if program.port != relay.port:
        return False
    one, other = _reached(program).ip, _reached(relay).ip
    return one == other or (is_local(one) and is_local(other))


def _reached(address: Endpoint) -> Endpoint:
    ip = address.ip
    return endpoint(str(_LOOPBACK[ip.version]), address.port) if ip.is_unspecified else address
