"""When to repeat the newest sequence after a room or a session has fallen silent."""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heappop, heappush
from math import inf
from typing import Generic, TypeVar

from attrs import define

T = TypeVar("T", bound=Hashable)

ROOM_STEPS = (0.1, 0.3, 1.0, 3.0)
"""Seconds of silence in a room after which HEARTBEAT is sent."""

SESSION_STEPS = (0.1, 0.3, 1.0)
"""Seconds after the last private datagram of a session after which PONG is sent."""


@define(eq=False)
class _Silence:
    """A silence, the index of its next step, and the deadline of its only valid heap entry."""

    since: float
    step: int
    deadline: float


class HeartbeatSchedule(Generic[T]):
    """
    Finds what has been silent for each of some steps, and removes it after the last step.

    Activity only stores the time. The entry in the heap is corrected when it comes due, and a
    second one is made only for activity after a step. So constant activity costs nothing here.

    :param steps: seconds since the last activity, ascending.
    """

    def __init__(self, steps: tuple[float, ...]) -> None:
        self._steps = steps
        self._silences: dict[T, _Silence] = {}
        self._heap: list[tuple[float, int, T]] = []
        self._serial = 0

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def deadline(self) -> float:
        """When :meth:`due` should be called next, or infinity; it may be too early."""
        return self._heap[0][0] if self._heap else inf

    def activity(self, item: T, now: float) -> bool:
        """Restart the steps of ``item``; return whether :attr:`deadline` may be nearer now."""
        silence = self._silences.get(item)
        if silence is None:
            silence = self._silences[item] = _Silence(now, 0, now + self._steps[0])
            self._push(silence, item)
            return True
        silence.since = now
        if silence.step:
            silence.step = 0
            deadline = now + self._steps[0]
            if deadline < silence.deadline:
                silence.deadline = deadline
                self._push(silence, item)
                return True
        return False

    def forget(self, item: T) -> None:
        """Remove ``item``, if it is there."""
        self._silences.pop(item, None)

    def due(self, now: float, limit: int = 256) -> list[T]:
        """
        Return what has been silent for a step; once, if several steps have passed.

        At most ``limit`` entries are looked at, so that many deadlines at once delay nothing
        else; the others stay due.
        """
        items, steps = [], self._steps
        for _ in range(limit):
            if self.deadline > now:
                break
            deadline, _, item = heappop(self._heap)
            silence = self._silences.get(item)
            if silence is None or silence.deadline != deadline:
                continue
            before = silence.step
            while silence.step < len(steps) and silence.since + steps[silence.step] <= now:
                silence.step += 1
            if silence.step > before:
                items.append(item)
            if silence.step < len(steps):
                silence.deadline = silence.since + steps[silence.step]
                self._push(silence, item)
            else:
                del self._silences[item]
        return items

    def _push(self, silence: _Silence, item: T) -> None:
        self._serial += 1
        heappush(self._heap, (silence.deadline, self._serial, item))
