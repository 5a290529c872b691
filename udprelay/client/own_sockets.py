"""Whether an address for a program is that of the bridge itself, or of the relay."""

from __future__ import annotations

from udprelay.machine import is_local, reached_by, reaches
from udprelay.protocol.endpoint import Endpoint


def is_own(program: Endpoint, bound: Endpoint) -> bool:
    """Return whether what is sent to ``program`` gets to a socket that is bound here."""
    return program.port == bound.port and reaches(program.ip, bound.ip)


def is_relay(program: Endpoint, relay: Endpoint) -> bool:
    """
    Return whether what is sent to ``program`` gets to the relay.

    A relay on this machine mostly is at all its addresses.
    """
    if program.port != relay.port:
        return False
    one, other = reached_by(program.ip), reached_by(relay.ip)
    return one == other or (is_local(one) and is_local(other))
