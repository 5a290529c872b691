"""Ranges of sequence numbers: valid ones are encoded and decoded, invalid ones refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from protocol_wire import ranges, reasoned

from udprelay.protocol.wire.ranges import (
    MAX_MISSED_RANGES,
    MAX_RANGES,
    REASONED,
    Ranges,
    ReasonedRanges,
    pack_ranges,
    read_missed,
    unpack_ranges,
)

LAST = 2**64 - 1


@given(ranges(1, MAX_RANGES))
def test_ranges_are_decoded_as_they_were_encoded(found: Ranges) -> None:
    assert unpack_ranges(pack_ranges(found)) == found


@given(reasoned())
def test_reasons_are_decoded_as_they_were_encoded(found: ReasonedRanges) -> None:
    assert unpack_ranges(pack_ranges(found, REASONED), REASONED) == found


def test_a_range_has_10_bytes_and_1_more_for_a_reason() -> None:
    assert pack_ranges(((1, 2),)) == bytes.fromhex("0000000000000001 0002")
    assert pack_ranges(((1, 2, 1),), REASONED) == bytes.fromhex("0000000000000001 0002 01")


def test_the_last_sequence_can_be_in_a_range() -> None:
    assert unpack_ranges(pack_ranges(((LAST, 1),))) == ((LAST, 1),)


INVALID = {
    "none": (),
    "too many": tuple((2 * i, 1) for i in range(1, MAX_RANGES + 2)),
    "empty": ((1, 0),),
    "from 0": ((0, 1),),
    "overlapping": ((1, 3), (3, 1)),
    "the same": ((1, 1), (1, 1)),
    "descending": ((5, 1), (1, 1)),
    "beyond the last": ((LAST, 2),),
}
each_invalid = pytest.mark.parametrize("found", INVALID.values(), ids=INVALID.keys())


@each_invalid
def test_invalid_ranges_are_not_encoded(found: Ranges) -> None:
    with pytest.raises(ValueError, match="range"):
        pack_ranges(found)
    with pytest.raises(ValueError, match="range"):
        pack_ranges(tuple((*one, 0) for one in found), REASONED)


@each_invalid
def test_invalid_ranges_are_not_decoded(found: Ranges) -> None:
    packed = [first.to_bytes(8, "big") + count.to_bytes(2, "big") for first, count in found]
    with pytest.raises(ValueError, match="range"):
        unpack_ranges(b"".join(packed))
    with pytest.raises(ValueError, match="range"):
        unpack_ranges(b"".join(one + b"\0" for one in packed), REASONED)


def test_ranges_may_be_adjacent() -> None:
    assert unpack_ranges(pack_ranges(((1, 3), (4, 1)))) == ((1, 3), (4, 1))


def test_no_ranges_are_valid_with_a_minimum_of_0() -> None:
    assert unpack_ranges(pack_ranges((), minimum=0), minimum=0) == ()


@pytest.mark.parametrize("size", [1, 9, 11, 19])
def test_a_truncated_range_is_not_decoded(size: int) -> None:
    with pytest.raises(ValueError, match="truncated range"):
        unpack_ranges((b"\0" * 7 + b"\1\0\1" + b"\0" * 7 + b"\2\0\1")[:size])
    with pytest.raises(ValueError, match="truncated range"):
        unpack_ranges((b"\0" * 7 + b"\1\0\1\0" + b"\0" * 7 + b"\2\0\1\0")[: size + 1], REASONED)


@pytest.mark.parametrize("reason", [3, 255])
def test_an_unknown_reason_is_refused(reason: int) -> None:
    with pytest.raises(ValueError, match="reason"):
        pack_ranges(((1, 1, reason),), REASONED)
    with pytest.raises(ValueError, match="reason"):
        unpack_ranges(bytes.fromhex("0000000000000001 0001") + bytes((reason,)), REASONED)


@given(ranges(1, MAX_MISSED_RANGES, 2**32 - 2))
def test_missed_ranges_are_lists_of_pairs(found: Ranges) -> None:
    assert read_missed([list(pair) for pair in found]) == read_missed(found) == found


@pytest.mark.parametrize(
    "value",
    [
        *(list(map(list, found)) for found in INVALID.values()),
        [[i * 2, 1] for i in range(1, MAX_MISSED_RANGES + 2)],
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
def test_invalid_missed_ranges_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"range|pairs"):
        read_missed(value)
