"""Senders whose datagrams wait, and the receivers that they wait for."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Generic, TypeVar

T = TypeVar("T")

WAIT_PERIOD = 60.0
"""Seconds in which the limits below hold, wherever they begin."""
MAX_WAIT = 10.0
"""Seconds of waiting for one receiver."""
MAX_ROOM_WAIT = 20.0
"""Seconds of waiting in one room, for any receivers."""


class WaitTime:
    """
    Counts the seconds of waiting in the last :data:`WAIT_PERIOD`; several waits may overlap.

    :param limit: seconds in a period.
    """

    __slots__ = ("_limit", "_running", "_since", "_waited")

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._running = 0
        self._since = 0.0
        # Seconds by the full second in which they ended, so there are at most 61 entries.
        self._waited: list[tuple[int, float]] = []

    def left(self, now: float) -> float:
        """Return the seconds that may still be waited."""
        waited = self._waited
        while waited and waited[0][0] + WAIT_PERIOD <= now:
            del waited[0]
        running = now - self._since if self._running else 0.0
        return self._limit - running - sum(seconds for _, seconds in waited)

    def start(self, now: float) -> None:
        """Begin to wait."""
        if not self._running:
            self._since = now
        self._running += 1

    def stop(self, now: float) -> None:
        """End what :meth:`start` has begun."""
        self._running -= 1
        if self._running:
            return
        second, seconds = ceil(now), now - self._since
        if self._waited and self._waited[-1][0] == second:
            seconds += self._waited.pop()[1]
        self._waited.append((second, seconds))


class Wait(Generic[T]):
    """
    A wait for the receiver of private datagrams, or of a room.

    :param time: for which the room waits, for any receivers.
    :ivar receivers: who is waited for; none if nothing waits.
    :ivar senders: whose datagrams wait.
    :ivar since: when the wait began.
    :ivar ticks: how often it was looked at since.
    """

    def __init__(self, time: WaitTime) -> None:
        self.time = time
        self.receivers: dict[T, None] = {}
        self.senders: dict[T, None] = {}
        self.since = 0.0
        self.ticks = 0


class RoomFlow(Wait[T]):
    """
    How much may be sent to a room before it waits. The unit is the whole history.

    :ivar accepted: all datagrams accepted so far.
    :ivar limit: ``accepted`` must be looked at beyond this.
    :ivar asked: when the members were last asked for a member that leaves.
    :ivar settled: the room sequence that all had settled then.

    :param share: returns the part of the history that a datagram of so many bytes takes.
    """

    def __init__(self, share: Callable[[int], float]) -> None:
        super().__init__(WaitTime(MAX_ROOM_WAIT))
        self.share = share
        self.accepted = 0.0
        self.limit = float("inf")
        self.asked = float("-inf")
        self.settled = 0
