"""The newest sequence is told again some times after the last word, and never while talking."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from udprelay.relay.session.quiet import ROOM_STEPS, SESSION_STEPS, Quiet

STEPS = (1.0, 3.0, 10.0)


def run_to(quiet: Quiet[str], end: float) -> list[tuple[float, str]]:
    """Do what an event loop does until ``end``; return what came due when."""
    told = []
    while quiet.deadline is not None and quiet.deadline <= end:
        now = quiet.deadline
        told += [(now, thing) for thing in quiet.due(now)]
    return told


def test_the_steps_are_those_of_the_specification() -> None:
    assert (ROOM_STEPS, SESSION_STEPS) == ((0.1, 0.3, 1.0, 3.0), (0.1, 0.3, 1.0))


def test_there_is_nothing_to_wait_for_at_first() -> None:
    quiet = Quiet[str](STEPS)
    assert (quiet.deadline, quiet.due(1e9)) == (None, [])


def test_each_step_comes_once_after_it_fell_silent() -> None:
    quiet = Quiet[str](STEPS)
    quiet.spoke("lobby", 100.0)
    assert run_to(quiet, 1e9) == [(101.0, "lobby"), (103.0, "lobby"), (110.0, "lobby")]
    assert quiet.deadline is None


def test_while_something_speaks_nothing_is_told() -> None:
    quiet = Quiet[str](STEPS)
    told = []
    for tenth in range(1000):
        quiet.spoke("lobby", tenth / 10)
        told += run_to(quiet, tenth / 10)
    assert told == []
    assert run_to(quiet, 101.0) == [(99.9 + 1, "lobby")]


def test_speaking_between_two_steps_begins_with_the_first() -> None:
    quiet = Quiet[str](STEPS)
    quiet.spoke("lobby", 0.0)
    assert run_to(quiet, 4.0) == [(1.0, "lobby"), (3.0, "lobby")]
    quiet.spoke("lobby", 4.0)
    assert run_to(quiet, 1e9) == [(5.0, "lobby"), (7.0, "lobby"), (14.0, "lobby")]


def test_speaking_just_before_a_step_puts_it_off() -> None:
    quiet = Quiet[str](STEPS)
    quiet.spoke("lobby", 0.0)
    run_to(quiet, 1.0)
    quiet.spoke("lobby", 2.5)
    assert run_to(quiet, 4.0) == [(3.5, "lobby")]


def test_each_has_its_own_silence() -> None:
    quiet = Quiet[str]((1.0,))
    quiet.spoke("lobby", 0.0)
    quiet.spoke("kitchen", 0.5)
    assert run_to(quiet, 1e9) == [(1.0, "lobby"), (1.5, "kitchen")]


def test_steps_that_have_passed_together_are_told_once() -> None:
    quiet = Quiet[str](STEPS)
    quiet.spoke("lobby", 0.0)
    assert quiet.due(5.0) == ["lobby"]
    assert quiet.deadline == 10.0


def test_what_is_forgotten_is_not_told() -> None:
    quiet = Quiet[str](STEPS)
    quiet.spoke("lobby", 0.0)
    quiet.forget("lobby")
    quiet.forget("never heard")
    assert run_to(quiet, 1e9) == []


def test_what_is_forgotten_may_speak_again() -> None:
    quiet = Quiet[str]((1.0,))
    quiet.spoke("lobby", 0.0)
    quiet.forget("lobby")
    quiet.spoke("lobby", 0.0)
    assert run_to(quiet, 1e9) == [(1.0, "lobby")]


def test_many_at_once_are_told_in_portions() -> None:
    quiet = Quiet[int]((1.0,))
    for room in range(600):
        quiet.spoke(room, 0.0)
    portions = []
    while quiet.deadline is not None:
        portions.append(len(quiet.due(1.0)))
    assert portions == [256, 256, 88]


def test_memory_does_not_grow_with_what_is_said() -> None:
    quiet = Quiet[str]((0.1, 0.3, 1.0, 3.0))
    most = 0
    for tenth in range(3000):
        quiet.spoke("lobby", tenth * 0.15)
        run_to(quiet, tenth * 0.15)
        most = max(most, len(quiet._heap))
    assert most < 30
    run_to(quiet, 1e9)
    assert (quiet._heap, quiet._silences) == ([], {})


class Naive:
    """Looks at everything each time."""

    def __init__(self) -> None:
        self.since: dict[str, float] = {}
        self.looked: dict[str, float] = {}

    def spoke(self, thing: str, now: float) -> None:
        self.since[thing] = self.looked[thing] = now

    def forget(self, thing: str) -> None:
        self.since.pop(thing, None)

    def due(self, now: float) -> set[str]:
        due = {
            thing
            for thing, since in self.since.items()
            if any(self.looked[thing] < since + step <= now for step in STEPS)
        }
        self.looked.update(dict.fromkeys(self.since, now))
        return due


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["spoke", "spoke", "due", "due", "forget"]),
            st.sampled_from("abc"),
            st.integers(0, 20).map(lambda quarters: quarters / 4),
        ),
        max_size=100,
    )
)
def test_it_tells_what_looking_at_everything_would(
    actions: list[tuple[str, str, float]],
) -> None:
    quiet, naive, now = Quiet[str](STEPS), Naive(), 0.0
    for action, thing, pause in actions:
        now += pause
        if action == "due":
            due = naive.due(now)
            assert not due or (quiet.deadline is not None and quiet.deadline <= now)
            told = quiet.due(now)
            assert (len(told), set(told)) == (len(due), due)
        else:
            for model in (quiet, naive):
                getattr(model, action)(*([thing, now] if action == "spoke" else [thing]))
