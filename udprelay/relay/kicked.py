"""Who was put out of a room not long ago."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

_MOST = 1024


class Kicked:
    """
    Addresses and identities that a room is closed to for a while; a bounded list.

    :param kick_time: seconds.
    """

    def __init__(self, kick_time: float) -> None:
        self._kick_time = kick_time
        self._until: OrderedDict[tuple[str, Hashable], float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._until)

    def add(self, room: str, who: Hashable, now: float) -> None:
        """Close ``room`` to an address or identity; the oldest of too many are forgotten."""
        key = (room, who)
        self._until[key] = now + self._kick_time
        self._until.move_to_end(key)
        if len(self._until) > _MOST:
            self._until.popitem(last=False)

    def seconds_left(self, room: str, who: Hashable, now: float) -> float:
        """Return for how long ``room`` is closed to somebody; 0 if it is not."""
        while self._until and next(iter(self._until.values())) <= now:
            self._until.popitem(last=False)
        return max(0.0, self._until.get((room, who), now) - now)
