"""Which listeners would want the same port of the same address."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

from udprelay.relay.rules import ListenerRules


def overlaps(listeners: Mapping[str, ListenerRules]) -> Iterator[tuple[str, str, str]]:
    """Yield each pair of listeners that cannot both be bound, and why."""
    for (a, first), (b, second) in combinations(listeners.items(), 2):
        if first.port and first.port == second.port and _share(first.interface, second.interface):
            interfaces = " and ".join(sorted({first.interface, second.interface}))
            yield a, b, f"both want port {first.port} of {interfaces}"


def _share(first: str, second: str) -> bool:
    """Return whether two interface addresses cover a common one; ``::`` covers IPv4 too."""
    if first == second or "::" in (first, second):
        return True
    return "0.0.0.0" in (first, second) and ":" not in first and ":" not in second
