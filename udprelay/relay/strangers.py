"""
How many datagrams of sources that are not members are looked at.

Each of them costs as much as many payloads of a member, and its source can be forged. So what is
looked at in a second is limited, for all sources together: a flood of strangers costs members
nothing, and new members join more slowly meanwhile. Kinds have limits of their own: a JOIN proves
its address, so HELLO datagrams from forged sources do not keep it out.
"""

from __future__ import annotations

from udprelay.protocol.wire.header import ID, SIGNATURE, TYPE_OFFSET, Type
from udprelay.relay.room import Listener
from udprelay.segments import Segments, Source

BURST = 4.0
"""Seconds for which nobody has to have come until as many are looked at at once."""

_PLAIN, _SESSION, _JOIN = range(3)
_ROUNDING = 1e-6


def is_known(listener: Listener, source: Source, segments: Segments) -> bool:
    """Return whether a member is at a source, or the first datagram is that of a session."""
    data = segments.data
    if listener.transport.peer_of(source) in listener.peers:
        return True
    return data.startswith(SIGNATURE) and data[ID] in listener.sessions


class Strangers:
    """
    Limits of one relay, by kind of datagram.

    :param rate: datagrams of each kind in a second; 0 is no limit.
    """

    def __init__(self, rate: float) -> None:
        self._price = 1.0 / rate if rate else 0.0
        # Until when each kind is paid for.
        self._paid = [-BURST, -BURST, -BURST]

    def accept(self, segments: Segments, now: float) -> int:
        """Return how many datagrams of a stranger are looked at, by the kind of the first."""
        data, kind = segments.data, _PLAIN
        if data.startswith(SIGNATURE):
            kind = _JOIN if data[TYPE_OFFSET : TYPE_OFFSET + 1] == _JOIN_BYTE else _SESSION
        paid = max(self._paid[kind], now - BURST)
        accepted = segments.count
        if self._price:
            accepted = min(accepted, int((now - paid) / self._price + _ROUNDING))
        self._paid[kind] = paid + accepted * self._price
        return accepted


_JOIN_BYTE = bytes((Type.JOIN,))
