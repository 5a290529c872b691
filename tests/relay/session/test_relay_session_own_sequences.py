"""The room sequences of a member's own datagrams: ACK reports them."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from udprelay.protocol.wire.ranges import Ranges, unpack_ranges
from udprelay.relay.session.sequences import OwnRoomSequences


def own(*sequences: int) -> OwnRoomSequences:
    filled = OwnRoomSequences()
    for sequence in sequences:
        filled.add(sequence, 1)
    return filled


def reported(filled: OwnRoomSequences) -> Ranges:
    """Return the ranges in the next ACK."""
    return unpack_ranges(filled.drain(), minimum=0)


def between(filled: OwnRoomSequences, first: int, last: int) -> Ranges:
    """Return the known ranges of the sequences ``first`` to ``last``."""
    clipped = [(max(n, first), min(n + count - 1, last)) for n, count in filled.since(first)]
    return tuple((low, high + 1 - low) for low, high in clipped if low <= high)


def expanded(ranges: Ranges) -> list[int]:
    return [sequence for first, count in ranges for sequence in range(first, first + count)]


ascending = st.lists(st.integers(1, 3), max_size=300).map(lambda steps: list(accumulate(steps)))


def test_there_are_no_sequences_at_first() -> None:
    assert (own().pending, own().drain(), between(own(), 0, 2**64)) == (0, b"", ())


def test_each_sequence_is_reported_once() -> None:
    filled = own(5, 6, 7, 9)
    assert filled.pending == 2
    assert reported(filled) == ((5, 3), (9, 1))
    assert (filled.pending, reported(filled)) == (0, ())


def test_several_consecutive_sequences_are_added_at_once() -> None:
    filled = own(4)
    assert [filled.add(5, 3), filled.add(9, 2)] == [1, 2]
    assert filled.pending == 2
    assert reported(filled) == ((4, 4), (9, 2))


def test_a_range_is_not_longer_than_its_count_allows() -> None:
    filled = own()
    filled.add(1, 65_000)
    filled.add(65_001, 1000)
    assert reported(filled) == ((1, 65_000), (65_001, 1000))
    assert between(filled, 1, 70_000) == ((1, 65_000), (65_001, 1000))


def test_a_sequence_after_a_report_begins_a_new_range() -> None:
    filled = own(1)
    filled.drain()
    filled.add(2, 1)
    assert reported(filled) == ((2, 1),)


def test_ranges_beyond_one_ack_are_reported_in_the_next() -> None:
    filled = own(*range(2, 202, 2))
    assert reported(filled) == tuple((sequence, 1) for sequence in range(2, 130, 2))
    assert filled.pending == 36
    assert reported(filled) == tuple((sequence, 1) for sequence in range(130, 202, 2))


@given(ascending, st.integers(0, 5))
def test_all_sequences_are_reported_in_order(sequences: list[int], every: int) -> None:
    filled, all_reported = own(), []
    for sequence in sequences:
        filled.add(sequence, 1)
        if every and sequence % every == 0:
            all_reported += expanded(reported(filled))
    while filled.pending:
        all_reported += expanded(reported(filled))
    assert all_reported == sequences


@given(ascending, st.integers(0, 300), st.integers(0, 600), st.integers(0, 600))
def test_sequences_are_found_before_and_after_their_report(
    sequences: list[int], unreported: int, first: int, last: int
) -> None:
    filled = own()
    for position, sequence in enumerate(sequences):
        filled.add(sequence, 1)
        if position + unreported < len(sequences):
            filled.drain()
    asked = [sequence for sequence in sequences if first <= sequence <= last]
    assert expanded(between(filled, first, last)) == asked


def test_the_widest_question_returns_the_known_ranges() -> None:
    assert between(own(7, 8), 0, 2**64 - 1) == ((7, 2),)


def test_the_only_sender_has_one_range_for_many_reports() -> None:
    filled = own()
    for sequence in range(1, 100_001):
        filled.add(sequence, 1)
        filled.drain()
    assert between(filled, 1, 2**64) == ((1, 65_535), (65_536, 34_465))


def test_256_to_512_reported_ranges_are_remembered() -> None:
    filled = own()
    for sequence in range(0, 4000, 2):
        filled.add(sequence, 1)
        filled.drain()
    remembered = between(filled, 0, 4000)
    assert 256 <= len(remembered) <= 512
    assert remembered[-1] == (3998, 1)
