"""What has passed a bridge, and what has not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from udprelay.client import bridge_notices
from udprelay.client.notices import Notice

AGAIN = 10.0
"""Seconds until the same is told again."""
TRAFFIC = 60.0
"""Seconds between two notices of how much has passed."""


class BridgeCounts:
    """
    Counts datagrams, and tells now and then: each reason to drop some at once, then no oftener
    than every :data:`AGAIN`.

    :ivar to_room: datagrams sent to the relay.
    :ivar to_program: datagrams sent to the program.
    """

    def __init__(self, clock: IReactorTime, tell: Callable[[Notice], None]) -> None:
        self.to_room = 0
        self.to_program = 0
        self._clock = clock
        self._tell = tell
        self._dropped: Counter[str] = Counter()
        self._told: Counter[str] = Counter()
        self._last = (0, 0, 0)
        self._waiting: dict[str, IDelayedCall] = {}
        self._next_traffic = clock.callLater(TRAFFIC, self._tell_traffic)

    def drop(self, reason: str, count: int = 1) -> None:
        """Count what could not pass; ``reason`` is one of ``bridge_notices.REASONS``."""
        self._dropped[reason] += count
        if reason not in self._waiting:
            self._tell_dropped(reason)

    def close(self) -> None:
        """Tell how much has passed in all."""
        self._next_traffic.cancel()
        for waiting in self._waiting.values():
            waiting.cancel()
        for reason in tuple(self._waiting):
            self._tell_dropped(reason, last=True)
        self._tell_traffic(last=True)

    def _tell_dropped(self, reason: str, last: bool = False) -> None:
        self._waiting.pop(reason, None)
        count = self._dropped[reason] - self._told[reason]
        if count:
            self._told[reason] += count
            if not last:
                self._waiting[reason] = self._clock.callLater(AGAIN, self._tell_dropped, reason)
            self._tell(bridge_notices.dropped(reason, count))

    def _tell_traffic(self, last: bool = False) -> None:
        counts = (self.to_room, self.to_program, sum(self._dropped.values()))
        if counts != self._last:
            self._last = counts
            self._tell(bridge_notices.traffic(*counts))
        if not last:
            self._next_traffic = self._clock.callLater(TRAFFIC, self._tell_traffic)
