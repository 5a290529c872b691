"""Heartbeats are due a few times after the last activity, and never during activity."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from reachable import footprint
from udprelay.relay.session.heartbeat_schedule import ROOM_STEPS, SESSION_STEPS, HeartbeatSchedule

STEPS = (1.0, 3.0, 10.0)


def run_to(schedule: HeartbeatSchedule[str], end: float) -> list[tuple[float, str]]:
    """Call the schedule at its deadlines until ``end``; return what was due, and when."""
    due = []
    while schedule.deadline <= end:
        now = schedule.deadline
        due += [(now, item) for item in schedule.due(now)]
    return due


def test_the_steps_are_those_of_the_specification() -> None:
    assert (ROOM_STEPS, SESSION_STEPS) == ((0.1, 0.3, 1.0, 3.0), (0.1, 0.3, 1.0))


def test_a_new_schedule_has_no_deadline() -> None:
    schedule = HeartbeatSchedule[str](STEPS)
    assert (schedule.deadline, schedule.due(1e9)) == (inf, [])


def test_each_step_is_due_once_after_the_last_activity() -> None:
    schedule = HeartbeatSchedule[str](STEPS)
    schedule.activity("lobby", 100.0)
    assert run_to(schedule, 1e9) == [(101.0, "lobby"), (103.0, "lobby"), (110.0, "lobby")]
    assert schedule.deadline == inf


def test_nothing_is_due_during_activity() -> None:
    schedule = HeartbeatSchedule[str](STEPS)
    due = []
    for tenth in range(1000):
        schedule.activity("lobby", tenth / 10)
        due += run_to(schedule, tenth / 10)
    assert due == []
    assert run_to(schedule, 101.0) == [(99.9 + 1, "lobby")]


def test_activity_between_two_steps_restarts_them() -> None:
    schedule = HeartbeatSchedule[str](STEPS)
    schedule.activity("lobby", 0.0)
    assert run_to(schedule, 4.0) == [(1.0, "lobby"), (3.0, "lobby")]
    schedule.activity("lobby", 4.0)
    assert run_to(schedule, 1e9) == [(5.0, "lobby"), (7.0, "lobby"), (14.0, "lobby")]


def test_activity_just_before_a_step_delays_it() -> None:
    schedule = HeartbeatSchedule[str](STEPS)
    schedule.activity("lobby", 0.0)
    run_to(schedule, 1.0)
    schedule.activity("lobby", 2.5)
    assert run_to(schedule, 4.0) == [(3.5, "lobby")]


def test_each_item_has_its_own_steps() -> None:
    schedule = HeartbeatSchedule[str]((1.0,))
    schedule.activity("lobby", 0.0)
    schedule.activity("kitchen", 0.5)
    assert run_to(schedule, 1e9) == [(1.0, "lobby"), (1.5, "kitchen")]


def test_steps_that_pass_together_are_due_once() -> None:
    schedule = HeartbeatSchedule[str](STEPS)
    schedule.activity("lobby", 0.0)
    assert schedule.due(5.0) == ["lobby"]
    assert schedule.deadline == 10.0


def test_a_forgotten_item_is_not_due() -> None:
    schedule = HeartbeatSchedule[str](STEPS)
    schedule.activity("lobby", 0.0)
    schedule.forget("lobby")
    schedule.forget("never active")
    assert run_to(schedule, 1e9) == []


def test_a_forgotten_item_may_be_active_again() -> None:
    schedule = HeartbeatSchedule[str]((1.0,))
    schedule.activity("lobby", 0.0)
    schedule.forget("lobby")
    schedule.activity("lobby", 0.0)
    assert run_to(schedule, 1e9) == [(1.0, "lobby")]


def test_many_items_are_due_in_portions_of_256() -> None:
    schedule = HeartbeatSchedule[int]((1.0,))
    for room in range(600):
        schedule.activity(room, 0.0)
    portions = []
    while schedule.deadline < inf:
        portions.append(len(schedule.due(1.0)))
    assert portions == [256, 256, 88]


def test_memory_does_not_grow_with_activity() -> None:
    schedule = HeartbeatSchedule[str]((0.1, 0.3, 1.0, 3.0))
    for tenth in range(300):
        schedule.activity("lobby", tenth * 0.15)
        run_to(schedule, tenth * 0.15)
    before = footprint(schedule)
    for tenth in range(300, 3000):
        schedule.activity("lobby", tenth * 0.15)
        run_to(schedule, tenth * 0.15)
    assert footprint(schedule) <= before


def test_nothing_is_left_after_the_last_step() -> None:
    schedule = HeartbeatSchedule[str]((0.1, 0.3, 1.0, 3.0))
    schedule.activity("lobby", 0.0)
    run_to(schedule, 1e9)
    before = footprint(schedule).objects
    for number in range(1000):
        schedule.activity(f"room {number}", 0.0)
    run_to(schedule, 1e9)
    assert footprint(schedule).objects == before


class Naive:
    """The model: it checks every item each time."""

    def __init__(self) -> None:
        self.since: dict[str, float] = {}
        self.looked: dict[str, float] = {}

    def activity(self, item: str, now: float) -> None:
        self.since[item] = self.looked[item] = now

    def forget(self, item: str) -> None:
        self.since.pop(item, None)

    def due(self, now: float) -> set[str]:
        due = {
            item
            for item, since in self.since.items()
            if any(self.looked[item] < since + step <= now for step in STEPS)
        }
        self.looked.update(dict.fromkeys(self.since, now))
        return due


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["activity", "activity", "due", "due", "forget"]),
            st.sampled_from("abc"),
            st.integers(0, 20).map(lambda quarters: quarters / 4),
        ),
        max_size=100,
    )
)
def test_the_schedule_matches_the_model(
    actions: list[tuple[str, str, float]],
) -> None:
    schedule, naive, now = HeartbeatSchedule[str](STEPS), Naive(), 0.0
    for action, item, pause in actions:
        now += pause
        if action == "due":
            expected = naive.due(now)
            assert not expected or schedule.deadline <= now
            due = schedule.due(now)
            assert (len(due), set(due)) == (len(expected), expected)
        else:
            for model in (schedule, naive):
                getattr(model, action)(*([item, now] if action == "activity" else [item]))
