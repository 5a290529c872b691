"""A clock that does not count the time for which the process was held up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from udprelay.clock import CATCH_UP, CHECK_INTERVAL, LATE, MonotonicClock

PAUSE = 600.0


class System:
    """The system's clock and its alarm, in a process that a test runs and holds up."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.due = float("inf")
        self.made: list[str] = []
        self.opened = 0
        self.clock = MonotonicClock(None, self._open, lambda: self.time)
        self._ring: Callable[[], object] = lambda: None

    def _open(self, _: object, ring: Callable[[], object]) -> System:
        self._ring = ring
        self.opened += 1
        return self

    def set(self, due: float) -> None:
        self.due = due

    def close(self) -> None:
        self.due = float("inf")

    def schedule(self, delay: float, name: str) -> None:
        self.clock.callLater(delay, self.made.append, name)

    def pause(self, seconds: float = PAUSE) -> None:
        self.time += seconds

    def ring(self) -> None:
        self.due = float("inf")
        self._ring()

    def run(self, seconds: float) -> None:
        """Let the reactor run: it handles each alarm in time."""
        end = self.time + seconds
        while self.due <= end:
            self.time = max(self.time, self.due)
            self.ring()
        self.time = end


@pytest.fixture
def system() -> System:
    return System()


def test_without_a_pause_all_time_counts(system: System) -> None:
    began = system.clock.seconds()
    system.schedule(10, "after 10 s")
    system.run(9.9)
    assert system.clock.seconds() - began == pytest.approx(9.9)
    assert system.made == []
    system.run(0.2)
    assert system.made == ["after 10 s"]


def test_a_call_that_is_added_may_be_the_first_that_is_due(system: System) -> None:
    system.schedule(0.9, "last")
    system.schedule(0.2, "first")
    system.run(0.3)
    assert system.made == ["first"]


def test_one_alarm_serves_calls_that_follow_each_other(system: System) -> None:
    def again() -> None:
        if len(system.made) < 3:
            system.made.append("again")
            system.clock.callLater(0.1, again).cancel()
            system.clock.callLater(0.1, again).reset(0.2)

    system.clock.callLater(0, again)
    system.run(1.0)
    assert (len(system.made), system.opened) == (3, 1)


@pytest.mark.parametrize("pause", [2.5, 600.0, 1e9])
def test_a_pause_is_not_counted(system: System, pause: float) -> None:
    system.schedule(10, "after 10 s")
    system.run(4.0)
    before = system.clock.seconds()
    system.pause(pause)
    # It may have begun up to the next look at the time.
    assert before <= system.clock.seconds() <= before + CHECK_INTERVAL
    system.run(4.9)
    assert system.made == []
    system.run(CATCH_UP + CHECK_INTERVAL + 0.2)
    assert system.made == ["after 10 s"]


def test_a_pause_that_the_alarm_notices_is_not_counted(system: System) -> None:
    system.schedule(10, "after 10 s")
    system.run(4.0)
    system.pause()
    system.run(4.9)
    assert system.made == []
    system.run(CATCH_UP + CHECK_INTERVAL + 0.2)
    assert system.made == ["after 10 s"]


def test_after_a_pause_the_clock_stands_still_while_sockets_are_read(system: System) -> None:
    system.schedule(0.1, "nearly due")
    system.pause()
    before = system.clock.seconds()
    for _ in range(4):
        assert system.clock.seconds() == before
        system.run(CATCH_UP / 4)
    assert system.made == []
    system.run(0.1)
    assert system.clock.seconds() == pytest.approx(before + 0.1)
    assert system.made == ["nearly due"]


def test_calls_without_a_delay_have_their_turn_all_the_same(system: System) -> None:
    system.schedule(100, "later")
    system.run(0.5)
    system.pause()
    system.clock.seconds()
    system.schedule(0, "at once")
    system.run(0)
    system.run(0)
    assert system.made == ["at once"]


def test_each_of_several_pauses_counts_for_nothing(system: System) -> None:
    system.schedule(10, "after 10 s")
    for _ in range(3):
        system.run(2.0)
        system.pause()
        system.run(CATCH_UP)
    assert system.made == []
    system.run(4.1 + 3 * CHECK_INTERVAL)
    assert system.made == ["after 10 s"]


def test_a_pause_that_follows_at_once_is_not_counted(system: System) -> None:
    system.schedule(10, "after 10 s")
    system.pause()
    before = system.clock.seconds()
    system.pause()
    assert system.clock.seconds() == before


def test_a_pause_while_a_call_is_made_is_not_counted(system: System) -> None:
    system.clock.callLater(1, system.pause)
    system.schedule(10, "after 10 s")
    system.run(9.9)
    assert system.made == []


def test_an_idle_process_has_not_been_held_up(system: System) -> None:
    before = system.clock.seconds()
    system.pause()
    # There was nothing to do, and so no alarm.
    assert system.clock.seconds() == before + PAUSE
    system.clock.callLater(1, system.pause).cancel()
    system.pause()
    assert system.clock.seconds() == before + 2 * PAUSE


def test_a_busy_process_has_not_been_held_up(system: System) -> None:
    system.schedule(10, "after 10 s")
    began = system.clock.seconds()
    for _ in range(40):
        # The sockets are read, but the alarm has no turn.
        system.pause(0.5)
        system.clock.seconds()
    assert system.clock.seconds() == began + 20
    system.run(0)
    assert system.made == ["after 10 s"]


def test_a_late_alarm_lets_the_sockets_be_read_first(system: System) -> None:
    system.schedule(1, "after 1 s")
    system.pause(1 + 2 * LATE)
    system.ring()
    # Set again, so that the reactor polls before.
    assert (system.made, system.due) == ([], system.time)
    system.pause(2 * LATE)
    system.ring()
    assert system.made == ["after 1 s"]


def test_the_clock_never_goes_back(system: System) -> None:
    system.schedule(1e6, "later")
    times = []
    for number in range(200):
        times.append(system.clock.seconds())
        system.run(number % 7 / 10)
        system.pause(number % 5)
    assert times == sorted(times)
