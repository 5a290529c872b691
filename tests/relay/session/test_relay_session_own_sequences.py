"""A member is told which room sequences are its own, and told again if it asks."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from udprelay.protocol.wire.ranges import Ranges, unpack_ranges
from udprelay.relay.session.own_sequences import OwnSequences


def own(*sequences: int) -> OwnSequences:
    filled = OwnSequences()
    for sequence in sequences:
        filled.add(sequence)
    return filled


def told(filled: OwnSequences) -> Ranges:
    """Return what the next ACK tells."""
    return unpack_ranges(filled.take(), 0)


def expanded(ranges: Ranges) -> list[int]:
    return [sequence for first, count in ranges for sequence in range(first, first + count)]


ascending = st.lists(st.integers(1, 3), max_size=300).map(lambda steps: list(accumulate(steps)))


def test_nobody_has_sequences_at_first() -> None:
    assert (own().pending, own().take(), own().between(0, 2**64)) == (0, b"", ())


def test_each_is_told_once() -> None:
    filled = own(5, 6, 7, 9)
    assert filled.pending == 4
    assert told(filled) == ((5, 3), (9, 1))
    assert (filled.pending, told(filled)) == (0, ())


def test_many_in_a_row_are_noted_at_once() -> None:
    filled = own(4)
    assert [filled.add(5, 3), filled.add(9, 2)] == [1, 2]
    assert filled.pending == 6
    assert told(filled) == ((4, 4), (9, 2))


def test_a_range_has_no_more_than_it_can_say() -> None:
    filled = own()
    filled.add(1, 65_000)
    filled.add(65_001, 1000)
    assert told(filled) == ((1, 65_000), (65_001, 1000))
    assert filled.between(1, 70_000) == ((1, 65_000), (65_001, 1000))


def test_noting_goes_on_after_telling() -> None:
    filled = own(1)
    filled.take()
    filled.add(2)
    assert told(filled) == ((2, 1),)


def test_what_one_ack_has_no_room_for_is_told_by_the_next() -> None:
    filled = own(*range(2, 202, 2))
    assert told(filled) == tuple((sequence, 1) for sequence in range(2, 130, 2))
    assert filled.pending == 36
    assert told(filled) == tuple((sequence, 1) for sequence in range(130, 202, 2))


@given(ascending, st.integers(0, 5))
def test_all_are_told_in_order(sequences: list[int], every: int) -> None:
    filled, all_told = own(), []
    for sequence in sequences:
        filled.add(sequence)
        if every and sequence % every == 0:
            all_told += expanded(told(filled))
    while filled.pending:
        all_told += expanded(told(filled))
    assert all_told == sequences


@given(ascending, st.integers(0, 300), st.integers(0, 600), st.integers(0, 600))
def test_those_asked_for_are_found_told_or_not(
    sequences: list[int], untold: int, first: int, last: int
) -> None:
    filled = own()
    for position, sequence in enumerate(sequences):
        filled.add(sequence)
        if position + untold < len(sequences):
            filled.take()
    asked = [sequence for sequence in sequences if first <= sequence <= last]
    assert expanded(filled.between(first, last)) == asked


def test_asking_for_everything_costs_no_more_than_what_is_there() -> None:
    assert own(7, 8).between(0, 2**64 - 1) == ((7, 2),)


def test_who_talks_alone_is_remembered_whole() -> None:
    filled = own()
    for sequence in range(1, 100_001):
        filled.add(sequence)
        filled.take()
    assert filled.between(1, 2**64) == ((1, 65_535), (65_536, 34_465))


def test_no_more_than_the_last_are_remembered() -> None:
    filled = own()
    for sequence in range(0, 4000, 2):
        filled.add(sequence)
        filled.take()
    remembered = filled.between(0, 4000)
    assert 256 <= len(remembered) <= 512
    assert remembered[-1] == (3998, 1)
