"""When to repeat the newest sequence after a room or a session has fallen silent."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from attrs import define

from udprelay.relay.deadlines import Deadlines, Ticket

T = TypeVar("T", bound=Hashable)

ROOM_STEPS = (0.1, 0.3, 1.0, 3.0)
"""Seconds of silence in a room after which HEARTBEAT is sent."""

SESSION_STEPS = (0.1, 0.3, 1.0)
"""Seconds after the last private datagram of a session after which PONG is sent."""


@define(eq=False)
class _Silence:
    """A silence, the index of its next step, and its deadline with the ticket for it."""

    since: float
    step: int
    deadline: float
    ticket: Ticket


class HeartbeatSchedule(Generic[T]):
    """
    Finds what has been silent for each of some steps, and removes it after the last step.

    Activity only stores the time. The deadline is corrected when it comes due, and only activity
    after a step replaces it. So constant activity costs nothing here.

    :param steps: seconds since the last activity, ascending.
    """

    def __init__(self, steps: tuple[float, ...]) -> None:
        self._steps = steps
        self._silences: dict[T, _Silence] = {}
        self._deadlines: Deadlines[T] = Deadlines()

    def __len__(self) -> int:
        return len(self._silences)

    @property
    def deadline(self) -> float:
        """When :meth:`due` should be called next, or infinity; it may be too early."""
        return self._deadlines.next

    def activity(self, item: T, now: float) -> bool:
        """Restart the steps of ``item``; return whether :attr:`deadline` may be nearer now."""
        silence = self._silences.get(item)
        if silence is None:
            deadline = now + self._steps[0]
            ticket = self._deadlines.add(deadline, item)
            self._silences[item] = _Silence(now, 0, deadline, ticket)
            return True
        silence.since = now
        if silence.step:
            silence.step = 0
            deadline = now + self._steps[0]
            if deadline < silence.deadline:
                self._deadlines.remove(silence.ticket)
                silence.deadline = deadline
                silence.ticket = self._deadlines.add(deadline, item)
                return True
        return False

    def forget(self, item: T) -> None:
        """Remove ``item``, if it is there."""
        silence = self._silences.pop(item, None)
        if silence is not None:
            self._deadlines.remove(silence.ticket)

    def due(self, now: float, limit: int = 256) -> list[T]:
        """
        Return what has been silent for a step; once, if several steps have passed.

        At most ``limit`` entries are looked at, so that many deadlines at once delay nothing
        else; the others stay due.
        """
        items, steps = [], self._steps
        for item in self._deadlines.due(now, limit):
            silence = self._silences[item]
            before = silence.step
            while silence.step < len(steps) and silence.since + steps[silence.step] <= now:
                silence.step += 1
            if silence.step > before:
                items.append(item)
            if silence.step < len(steps):
                silence.deadline = silence.since + steps[silence.step]
                silence.ticket = self._deadlines.add(silence.deadline, item)
            else:
                del self._silences[item]
        return items
