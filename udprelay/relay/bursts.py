"""What one source has sent in a row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from udprelay.relay.listener import Source
from udprelay.segments import Joined

Burst: TypeAlias = tuple[Source, list[bytes] | Joined]
"""A source and its datagrams, at least one, in order."""


def in_bursts(datagrams: Iterable[tuple[Source, bytes]]) -> list[Burst]:
    """Return datagrams, each with its source, as bursts."""
    bursts: list[Burst] = []
    last = add = None
    for source, datagram in datagrams:
        if add is not None and source == last:
            add(datagram)
        else:
            burst, last = [datagram], source
            add = burst.append
            bursts.append((source, burst))
    return bursts
