"""Ranges of sequence numbers: any numbers as few ranges, and only ranges in order."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol_wire import ranges, reasoned

from udprelay.protocol.wire.ranges import (
    MOST_IN_RANGE,
    MOST_MISSED,
    MOST_RANGES,
    Ranges,
    ReasonedRanges,
    missed,
    pack_ranges,
    pack_reasoned,
    ranges_of,
    unpack_ranges,
    unpack_reasoned,
)

LAST = 2**64 - 1


def sequences_of(found: Ranges) -> list[int]:
    return [sequence for first, count in found for sequence in range(first, first + count)]


@given(st.lists(st.integers(1, 60)))
def test_ranges_have_the_sequences_and_no_others(sequences: list[int]) -> None:
    assert sequences_of(ranges_of(sequences)) == sorted(set(sequences))


@given(st.lists(st.integers(1, 60)))
def test_there_are_no_more_ranges_than_gaps_make(sequences: list[int]) -> None:
    found = ranges_of(sequences)
    assert all(a + b < c for (a, b), (c, _) in pairwise(found))


def test_no_sequences_are_no_ranges() -> None:
    assert ranges_of([]) == ()


def test_a_count_that_does_not_fit_goes_on_in_another_range() -> None:
    assert ranges_of(range(5, 5 + 70_000)) == ((5, MOST_IN_RANGE), (5 + MOST_IN_RANGE, 4465))


@given(ranges(1, MOST_RANGES))
def test_ranges_are_read_as_they_were_written(found: Ranges) -> None:
    assert unpack_ranges(pack_ranges(found)) == found


@given(reasoned())
def test_reasons_are_read_as_they_were_written(found: ReasonedRanges) -> None:
    assert unpack_reasoned(pack_reasoned(found)) == found


def test_a_range_has_ten_bytes_and_one_more_for_a_reason() -> None:
    assert pack_ranges(((1, 2),)) == bytes.fromhex("0000000000000001 0002")
    assert pack_reasoned(((1, 2, 1),)) == bytes.fromhex("0000000000000001 0002 01")


def test_the_last_sequence_can_be_in_a_range() -> None:
    assert unpack_ranges(pack_ranges(((LAST, 1),))) == ((LAST, 1),)


INVALID = {
    "none": (),
    "too many": tuple((2 * i, 1) for i in range(1, MOST_RANGES + 2)),
    "empty": ((1, 0),),
    "from 0": ((0, 1),),
    "overlapping": ((1, 3), (3, 1)),
    "the same": ((1, 1), (1, 1)),
    "descending": ((5, 1), (1, 1)),
    "beyond the last": ((LAST, 2),),
}
each_invalid = pytest.mark.parametrize("found", INVALID.values(), ids=INVALID.keys())


@each_invalid
def test_what_are_no_ranges_is_not_written(found: Ranges) -> None:
    with pytest.raises(ValueError, match="range"):
        pack_ranges(found)
    with pytest.raises(ValueError, match="range"):
        pack_reasoned(tuple((*one, 0) for one in found))


@each_invalid
def test_what_are_no_ranges_is_not_read(found: Ranges) -> None:
    packed = [first.to_bytes(8, "big") + count.to_bytes(2, "big") for first, count in found]
    with pytest.raises(ValueError, match="range"):
        unpack_ranges(b"".join(packed))
    with pytest.raises(ValueError, match="range"):
        unpack_reasoned(b"".join(one + b"\0" for one in packed))


def test_ranges_may_be_next_to_each_other() -> None:
    assert unpack_ranges(pack_ranges(((1, 3), (4, 1)))) == ((1, 3), (4, 1))


def test_there_may_be_none_where_none_are_needed() -> None:
    assert unpack_ranges(pack_ranges((), least=0), least=0) == ()


@pytest.mark.parametrize("size", [1, 9, 11, 19])
def test_half_a_range_is_not_read(size: int) -> None:
    with pytest.raises(ValueError, match="half a range"):
        unpack_ranges((b"\0" * 7 + b"\1\0\1" + b"\0" * 7 + b"\2\0\1")[:size])
    with pytest.raises(ValueError, match="half a range"):
        unpack_reasoned((b"\0" * 7 + b"\1\0\1\0" + b"\0" * 7 + b"\2\0\1\0")[: size + 1])


@pytest.mark.parametrize("reason", [3, 255])
def test_a_reason_that_there_is_not_is_neither_written_nor_read(reason: int) -> None:
    with pytest.raises(ValueError, match="reason"):
        pack_reasoned(((1, 1, reason),))
    with pytest.raises(ValueError, match="reason"):
        unpack_reasoned(bytes.fromhex("0000000000000001 0001") + bytes((reason,)))


@given(ranges(1, MOST_MISSED, 2**32 - 2))
def test_missed_ranges_are_lists_of_pairs(found: Ranges) -> None:
    assert missed([list(pair) for pair in found]) == missed(found) == found


@pytest.mark.parametrize(
    "value",
    [
        *(list(map(list, found)) for found in INVALID.values()),
        [[i * 2, 1] for i in range(1, MOST_MISSED + 2)],
        [[2**32 - 2, 2]],
        [[1, 65_536]],
        [[1]],
        [[1, 1, 1]],
        [[True, 1]],
        [[1, True]],
        [["1", 1]],
        [1, 1],
        [None],
        ["ab"],
        {"a": 1},
        "ab",
        b"ab",
        None,
        5,
    ],
)
def test_what_are_no_missed_ranges_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"range|pairs"):
        missed(value)
