"""Counts by keys that anybody can invent."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from udprelay.relay.tally import Tally

SIZE = 4


def test_counts_of_one_interval_add_up() -> None:
    tally: Tally[str] = Tally(SIZE, 1.0)
    assert [tally.add("a", 3, 10.0), tally.add("b", 1, 10.5), tally.add("a", 2, 10.9)] == [3, 1, 5]


def test_every_interval_begins_with_nothing() -> None:
    tally: Tally[str] = Tally(SIZE, 1.0)
    tally.add("a", 3, 10.0)
    assert tally.add("b", 1, 11.0) == 1
    assert tally.add("a", 1, 11.5) == 1


def test_keys_with_high_counts_are_told() -> None:
    tally: Tally[str] = Tally(SIZE, 1.0)
    for key, number in (("a", 3), ("b", 2), ("c", 4)):
        tally.add(key, number, 10.0)
    assert tally.above(3) == [("a", 3), ("c", 4)]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 20)), max_size=60))
def test_a_key_with_a_large_part_of_everything_stays(added: list[tuple[int, int]]) -> None:
    tally: Tally[int] = Tally(SIZE, 1.0)
    total = 0
    real = dict.fromkeys(range(10), 0)
    for key, number in added:
        total += number
        real[key] += number
        assert tally.add(key, number, 10.0) <= real[key]
        assert len(tally) <= SIZE
    counted = dict(tally.above(1))
    for key, number in real.items():
        # The bound of Misra and Gries.
        assert number - total / (SIZE + 1) <= counted.get(key, 0) <= number
