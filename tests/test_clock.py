"""Delayed calls that do not depend on the time of day, under every reactor."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from zope.interface.verify import verifyObject

from manual_clock import ManualClock
from time_of_day import HOUR, MINUTE, SetTimeOfDay
from udprelay import alarm
from udprelay.alarm import DescriptorAlarm, ThreadAlarm, open_alarm
from udprelay.clock import MonotonicClock, clock_of

CHILD = Path(__file__).with_name("clock_child.py")


@pytest.fixture(params=[DescriptorAlarm, ThreadAlarm])
def clock(request: pytest.FixtureRequest) -> MonotonicClock:
    return MonotonicClock(reactor, request.param)


def fires(clock: Any, delay: float) -> Deferred[None]:
    """Return a Deferred that a call of the clock fires."""
    fired: Deferred[None] = Deferred()
    clock.callLater(delay, fired.callback, None)
    return fired


@pytest_twisted.ensureDeferred
async def test_calls_come_in_the_order_of_their_times(clock: MonotonicClock) -> None:
    made: list[str] = []
    third, first, second = (
        clock.callLater(hours * HOUR, made.append, f"after {hours} h") for hours in (3, 1, 2)
    )
    assert clock.getDelayedCalls() == [first, second, third]
    assert made == []
    for call in (first, second, third):
        call.reset(0)
    await fires(clock, 0)
    assert made == ["after 1 h", "after 2 h", "after 3 h"]
    assert clock.getDelayedCalls() == []


@pytest_twisted.ensureDeferred
async def test_no_call_is_early(clock: MonotonicClock) -> None:
    before = clock.seconds()
    await fires(clock, 0.02)
    assert clock.seconds() >= before + 0.02


@pytest_twisted.ensureDeferred
async def test_a_call_that_is_added_by_a_call_is_made_too(clock: MonotonicClock) -> None:
    fired: Deferred[None] = Deferred()
    clock.callLater(0, lambda: clock.callLater(0, fired.callback, None))
    await fired


@pytest_twisted.ensureDeferred
async def test_cancelled_calls_are_not_made(clock: MonotonicClock) -> None:
    made: list[str] = []
    first = clock.callLater(0, made.append, "first")
    clock.callLater(0, lambda: second.cancel())
    second = clock.callLater(0, made.append, "second")
    first.cancel()
    await fires(clock, 0)
    assert made == []
    with pytest.raises(AlreadyCancelled):
        first.cancel()


@pytest_twisted.ensureDeferred
async def test_calls_move_nearer_and_farther(clock: MonotonicClock) -> None:
    made: list[str] = []
    farther = clock.callLater(0, made.append, "farther")
    nearer = clock.callLater(HOUR, made.append, "nearer")
    other = clock.callLater(0, made.append, "other")
    nearer.reset(0)
    farther.reset(HOUR)
    other.delay(0.001)
    await fires(clock, 0.001)
    assert made == ["nearer", "other"]
    assert farther.active()
    farther.reset(0)
    await fires(clock, 0)
    assert made[2:] == ["farther"]
    with pytest.raises(AlreadyCalled):
        nearer.reset(0)


@pytest_twisted.ensureDeferred
async def test_a_call_that_fails_is_logged_and_the_others_are_made(
    clock: MonotonicClock, logged_errors: list[str]
) -> None:
    clock.callLater(0, lambda: 1 / 0)
    await fires(clock, 0)
    (logged,) = logged_errors
    assert "ZeroDivisionError" in logged
    logged_errors.clear()


@pytest_twisted.ensureDeferred
async def test_it_is_a_clock_for_twisted(clock: MonotonicClock) -> None:
    verifyObject(IReactorTime, clock)
    done: Deferred[None] = Deferred()
    counted: list[int] = []
    loop = LoopingCall(lambda: counted.append(1) if len(counted) < 3 else done.callback(None))
    loop.clock = clock
    loop.start(0.001)
    await done
    loop.stop()
    with pytest.raises(TimedOut):
        await Deferred().addTimeout(0.01, clock)


@pytest_twisted.ensureDeferred
async def test_the_time_of_day_changes_nothing(
    clock: MonotonicClock, set_time_of_day: SetTimeOfDay, jump: float
) -> None:
    pending = clock.callLater(MINUTE, lambda: None)
    before = fires(clock, 0.01)
    set_time_of_day(jump)
    await before
    await fires(clock, 0.01)
    # A forward jump does not make it due.
    assert pending.active()
    pending.cancel()


def test_a_descriptor_is_open_only_while_a_call_is_pending() -> None:
    clock = MonotonicClock(reactor, DescriptorAlarm)
    calls = [clock.callLater(HOUR, lambda: None) for _ in range(2)]
    (reader,) = [one for one in reactor.getReaders() if isinstance(one, DescriptorAlarm)]
    assert reader.fileno() >= 0
    for call in calls:
        call.cancel()
    assert reader not in reactor.getReaders()
    assert reader.fileno() == -1


@pytest_twisted.ensureDeferred
async def test_without_timers_of_the_kernel_a_thread_sleeps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(alarm, "DescriptorAlarm", refuse)
    fired: Deferred[None] = Deferred()
    opened = open_alarm(reactor, lambda: fired.callback(None))
    assert isinstance(opened, ThreadAlarm)
    opened.set(0.0)
    await fired
    opened.close()


def test_the_kernel_reports_that_a_descriptor_is_closed() -> None:
    opened = DescriptorAlarm(reactor, lambda: None)
    opened.close()
    # By the owner and by the reactor when it stops; calls of services that stop may follow.
    opened.close()
    opened.set(1.0)
    assert opened not in reactor.getReaders()


def test_each_reactor_has_one_clock() -> None:
    assert clock_of(reactor) is clock_of(reactor)
    own = ManualClock()
    assert clock_of(own) is own


@pytest.mark.parametrize("name", ["epoll", "poll", "select", "asyncio"])
def test_each_reactor_is_woken_in_time(name: str) -> None:
    command = [sys.executable, str(CHILD), name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert (done.stdout, done.stderr, done.returncode) == ("back forward\n", "", 0)
