"""
The clock of all durations: timers that do not depend on the time of day.

Twisted's reactors measure delays with the time of day. If that is set back by an hour, each
pending call is an hour late. So nothing here calls ``callLater`` of a reactor: :func:`clock_of`
returns an :class:`~twisted.internet.interfaces.IReactorTime` for the same purpose.

Nor does this clock count the time for which the process was held up (``SIGSTOP``, the snapshot of
a virtual machine). What others have sent meanwhile waits in the sockets. It is read before a
timeout ends, as all timeouts have as much left as before.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable
from functools import lru_cache
from math import inf
from operator import attrgetter
from time import monotonic
from typing import Any, cast

from twisted.internet.base import DelayedCall
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from udprelay.alarm import Alarm, open_alarm

CHECK_INTERVAL = 1.0
"""Seconds from one look at the time to the next, while a call is pending."""
MIN_PAUSE = 1.0
"""Seconds by which a look at the time is late if the process was held up, and not only busy."""
CATCH_UP = 0.25
"""Seconds after a pause for which the clock stands still, and the sockets are read."""
LATE = 0.02
"""Seconds by which an alarm is late if the sockets are to be read before its calls are made."""
# Seconds that make up for the precision of sums, so that no alarm is early.
_ROUNDING = 1e-6
# Seconds before an alarm at which the clock stands still in a pause: its call is not due yet.
_MARGIN = 2e-6


class IMonotonicTime(IReactorTime):
    """Marks a reactor, or a test's clock, whose own time is monotonic."""


def clock_of(reactor: Any) -> IReactorTime:
    """
    Return the monotonic clock of a reactor.

    :return: the reactor itself if it is an ``IMonotonicTime``.
    """
    clock = reactor if IMonotonicTime.providedBy(reactor) else _clock_of(reactor)
    return cast(IReactorTime, clock)


@lru_cache(maxsize=8)
def _clock_of(reactor: Any) -> MonotonicClock:
    return MonotonicClock(reactor)


@implementer(IMonotonicTime)
class MonotonicClock:
    """
    Delayed calls at times of the monotonic clock, which nobody can set, without pauses.

    :param alarm: opens what wakes the reactor. It is open while a call is pending.
    :param monotonic: returns the system's time in seconds.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        alarm: Callable[[Any, Callable[[], object]], Alarm] = open_alarm,
        monotonic: Callable[[], float] = monotonic,
    ) -> None:
        self._open_alarm = lambda: alarm(reactor, self._ring)
        self._monotonic = monotonic
        self._alarm: Alarm | None = None
        # When the next look at the time is due, in the system's time; infinity: never.
        self._alarm_due = inf
        self._alarm_set = False
        # How far this clock is behind the system's time.
        self._behind = 0.0
        # Where it stands still after a pause, and until when in the system's time.
        self._still = -inf
        self._still_until = -inf
        # The last look while the alarm was overdue, and until when there is nothing to look at.
        self._looked = -inf
        self._certain_until = inf
        self._reads_first = False
        # In the order of their times.
        self._calls: list[DelayedCall] = []
        self._running = False

    def seconds(self) -> float:
        """Return the time, without that for which the process was held up."""
        system = self._monotonic()
        return system - self._behind if system <= self._certain_until else self._look(system)

    def _look(self, system: float) -> float:
        # An idle process, without pending calls, has no alarm and has not been held up.
        seen = max(self._alarm_due - _MARGIN, self._looked)
        if system > seen + MIN_PAUSE:
            self._still = max(self._still, seen - self._behind)
            self._still_until = system + CATCH_UP
            self._behind = self._still_until - self._still
        self._looked = system
        return max(self._still, system - self._behind)

    def callLater(
        self,
        delay: float,
        callable: Callable[..., object],  # noqa: A002
        *args: object,
        **kw: object,
    ) -> DelayedCall:
        """Call a function after so many seconds; in a later turn of the reactor, if it is 0."""
        due = self.seconds() + delay
        call = DelayedCall(due, callable, args, kw, self._cancelled, self._moved, self.seconds)
        insort(self._calls, call)
        self._set_alarm()
        return call

    def getDelayedCalls(self) -> list[DelayedCall]:
        """Return the pending calls."""
        return list(self._calls)

    def _cancelled(self, call: DelayedCall) -> None:
        self._calls.remove(call)
        self._set_alarm()

    def _moved(self, call: DelayedCall) -> None:
        self._calls.remove(call)
        insort(self._calls, call)
        self._set_alarm()

    def _ring(self) -> None:
        system = self._monotonic()
        late, now = system > self._alarm_due + LATE, self.seconds()
        self._alarm_set = False
        # The reactor may read this alarm before the sockets, in which waits what came in time.
        self._reads_first = late and not self._reads_first
        if self._reads_first:
            self._set_alarm()
        else:
            self._run(now)

    def _run(self, now: float) -> None:
        """Make the calls that are due; those that they add have their turn later."""
        self._running = True
        # Not those that they add, though the clock may stand still.
        for _ in range(bisect_right(self._calls, now, key=attrgetter("time"))):
            if not self._calls or self._calls[0].time > now:
                break
            call = self._calls.pop(0)
            if call.delayed_time > 0:
                call.activate_delay()
                insort(self._calls, call)
                continue
            call.called = 1
            try:
                call.func(*call.args, **call.kw)
            except BaseException:
                # As the reactor does: the fault of one call is not that of the others.
                self._log.failure("a delayed call failed")
        self._running = False
        self._set_alarm()

    def _set_alarm(self) -> None:
        if self._running:
            return
        if not self._calls:
            if self._alarm is not None:
                self._alarm.close()
                self._alarm = None
            self._expect(inf, False)
            return
        first, system, now = self._calls[0].time, self._monotonic(), self.seconds()
        # During a catch-up too, calls without a delay have their turn at once.
        due = first + self._behind + _ROUNDING if first > now else system
        if not self._alarm_set:
            due = min(due, system + CHECK_INTERVAL)
        elif due >= self._alarm_due:
            # Too early is corrected then: cheaper than to set it for each call that is cancelled.
            return
        if self._alarm is None:
            self._alarm = self._open_alarm()
        self._expect(due, True)
        self._alarm.set(due)

    def _expect(self, due: float, alarm_set: bool) -> None:
        self._alarm_due, self._alarm_set = due, alarm_set
        self._certain_until = due - _MARGIN if self._monotonic() >= self._still_until else -inf
