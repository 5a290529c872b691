"""
The clock of all durations: timers that do not depend on the time of day.

Twisted's reactors measure delays with the time of day. If that is set back by an hour, each
pending call is an hour late. So nothing here calls ``callLater`` of a reactor: :func:`clock_of`
returns an :class:`~twisted.internet.interfaces.IReactorTime` for the same purpose.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from functools import lru_cache
from math import inf
from time import monotonic
from typing import Any, cast

from twisted.internet.base import DelayedCall
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from udprelay.alarm import Alarm, open_alarm


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
    Delayed calls at times of the monotonic clock, which nobody can set.

    :param alarm: opens what wakes the reactor. It is open while a call is pending.
    """

    seconds = staticmethod(monotonic)
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        alarm: Callable[[Any, Callable[[], object]], Alarm] = open_alarm,
    ) -> None:
        self._open_alarm = lambda: alarm(reactor, self._run)
        self._alarm: Alarm | None = None
        self._alarm_due = inf
        # In the order of their times.
        self._calls: list[DelayedCall] = []
        self._running = False

    def callLater(
        self,
        delay: float,
        callable: Callable[..., object],  # noqa: A002
        *args: object,
        **kw: object,
    ) -> DelayedCall:
        """Call a function after so many seconds; in a later turn of the reactor, if it is 0."""
        due = monotonic() + delay
        call = DelayedCall(due, callable, args, kw, self._cancelled, self._moved, monotonic)
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

    def _run(self) -> None:
        """Make the calls that are due; those that they add have their turn later."""
        self._alarm_due = inf
        self._running = True
        now = monotonic()
        while self._calls and self._calls[0].time <= now:
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
            self._alarm_due = inf
            return
        due = self._calls[0].time
        # Too early is corrected then: cheaper than to set it for each call that is cancelled.
        if due < self._alarm_due:
            if self._alarm is None:
                self._alarm = self._open_alarm()
            self._alarm_due = due
            self._alarm.set(due)
