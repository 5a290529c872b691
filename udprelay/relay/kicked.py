"""The addresses and identities that were kicked recently."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

_MAX_ENTRIES = 1024


class Kicked:
    """
    Addresses and identities that a room refuses for a while; a bounded list.

    :param kick_time: seconds.
    """

    def __init__(self, kick_time: float) -> None:
        self._kick_time = kick_time
        self._until: OrderedDict[tuple[str, Hashable], float] = OrderedDict()

    def add(self, room: str, key: Hashable, now: float) -> None:
        """Refuse an address or identity in ``room``; a full list drops the oldest."""
        self._until[room, key] = now + self._kick_time
        self._until.move_to_end((room, key))
        if len(self._until) > _MAX_ENTRIES:
            self._until.popitem(last=False)

    def seconds_left(self, room: str, key: Hashable, now: float) -> float:
        """Return the seconds for which ``room`` refuses an address or identity, or 0."""
        while self._until and next(iter(self._until.values())) <= now:
            self._until.popitem(last=False)
        return max(0.0, self._until.get((room, key), now) - now)
