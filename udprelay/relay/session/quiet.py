"""When to tell the newest sequence again, after a room or a session fell silent."""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heappop, heappush
from typing import Generic, TypeVar

from attrs import define

T = TypeVar("T", bound=Hashable)

ROOM_STEPS = (0.1, 0.3, 1.0, 3.0)
"""Seconds of silence in a room after which there is a HEARTBEAT."""

SESSION_STEPS = (0.1, 0.3, 1.0)
"""Seconds after the last private datagram of a session at which there is a PONG."""


@define(eq=False)
class _Silence:
    """
    Since when something is silent.

    :param step: which step comes next.
    :param deadline: that of the one entry in the heap that counts.
    """

    since: float
    step: int
    deadline: float


class Quiet(Generic[T]):
    """
    Finds what has been silent for each of some steps, and forgets it after the last.

    Speaking only notes the time; the entry in the heap is moved when it comes due, and a second
    one is made only if something speaks that was silent for a step. So what speaks all the time
    costs nothing here.

    :param steps: seconds since it last spoke, ascending.
    """

    def __init__(self, steps: tuple[float, ...]) -> None:
        self._steps = steps
        self._silences: dict[T, _Silence] = {}
        self._heap: list[tuple[float, int, T]] = []
        self._serial = 0

    @property
    def deadline(self) -> float | None:
        """When :meth:`due` should be called next, or None; it may come too early."""
        return self._heap[0][0] if self._heap else None

    def spoke(self, thing: T, now: float) -> bool:
        """Begin the steps of ``thing`` anew; return whether :attr:`deadline` may be nearer now."""
        silence = self._silences.get(thing)
        if silence is None:
            silence = self._silences[thing] = _Silence(now, 0, now + self._steps[0])
            self._push(silence, thing)
            return True
        silence.since = now
        if silence.step:
            silence.step = 0
            deadline = now + self._steps[0]
            if deadline < silence.deadline:
                silence.deadline = deadline
                self._push(silence, thing)
                return True
        return False

    def forget(self, thing: T) -> None:
        """Let ``thing`` be silent for good, if it is not already."""
        self._silences.pop(thing, None)

    def due(self, now: float, most: int = 256) -> list[T]:
        """
        Return what has been silent for a step; once, if several steps have passed.

        At most ``most`` entries are looked at, so that many deadlines at once delay nobody: the
        rest stays due.
        """
        things = []
        for _ in range(most):
            if not self._heap or self._heap[0][0] > now:
                break
            deadline, _, thing = heappop(self._heap)
            silence = self._silences.get(thing)
            if silence is None or silence.deadline != deadline:
                continue
            if self._next_step(silence, now):
                things.append(thing)
            if silence.step < len(self._steps):
                silence.deadline = silence.since + self._steps[silence.step]
                self._push(silence, thing)
            else:
                del self._silences[thing]
        return things

    def _next_step(self, silence: _Silence, now: float) -> bool:
        """Count the steps that have passed; return whether there are any."""
        before = silence.step
        while silence.step < len(self._steps) and silence.since + self._steps[silence.step] <= now:
            silence.step += 1
        return silence.step > before

    def _push(self, silence: _Silence, thing: T) -> None:
        self._serial += 1
        heappush(self._heap, (silence.deadline, self._serial, thing))
