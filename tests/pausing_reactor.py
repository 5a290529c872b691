"""The real reactor in a process that is held up."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Any

from twisted.internet import reactor
from zope.interface import implementer

from name_resolver import NameResolver
from udprelay.alarm import open_alarm
from udprelay.clock import IMonotonicTime, MonotonicClock


@implementer(IMonotonicTime)
class PausingReactor:
    """
    The real reactor with a clock that has pauses.

    :ivar paused: seconds of all pauses so far.
    """

    def __init__(self) -> None:
        self.nameResolver = NameResolver()
        self.paused = 0.0
        self._alarm: _ShiftedAlarm | None = None
        clock = MonotonicClock(reactor, self._open_alarm, lambda: monotonic() + self.paused)
        self.seconds = clock.seconds
        self.callLater = clock.callLater
        self.getDelayedCalls = clock.getDelayedCalls

    def pause(self, seconds: float) -> None:
        """Hold the process up: the system's clock goes on."""
        self.paused += seconds
        if self._alarm is not None:
            self._alarm.set(self._alarm.due)

    def _open_alarm(self, _: Any, ring: Callable[[], object]) -> _ShiftedAlarm:
        self._alarm = _ShiftedAlarm(self, ring)
        return self._alarm

    def __getattr__(self, name: str) -> Any:
        if name == "__provides__":
            # The interfaces of this object, not the reactor's.
            raise AttributeError(name)
        return getattr(reactor, name)


class _ShiftedAlarm:
    """An alarm of the kernel, whose clock has no pauses."""

    def __init__(self, pausing: PausingReactor, ring: Callable[[], object]) -> None:
        self.due = inf
        self._pausing = pausing
        self._alarm = open_alarm(reactor, ring)

    def set(self, due: float) -> None:
        self.due = due
        self._alarm.set(due - self._pausing.paused)

    def close(self) -> None:
        self._alarm.close()
