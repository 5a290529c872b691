"""Ranges of sequence numbers, in NACK, ACK, GONE and MISSED."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

from udprelay.protocol.wire.header import MAX_OWN, MAX_U64

Ranges = tuple[tuple[int, int], ...]
"""``(first, count)`` each, ascending, not overlapping."""
ReasonedRanges = tuple[tuple[int, int, int], ...]
"""``(first, count, reason)`` each."""

MAX_RANGES = 64
"""Ranges in one NACK, ACK or GONE."""
MAX_MISSED_RANGES = 32
"""Ranges in one MISSED."""
MAX_RANGE_COUNT = 65_535
"""Sequence numbers in one range."""

RANGE = struct.Struct(">QH")
REASONED = struct.Struct(">QHB")
"""A range with a reason."""


class Reason(IntEnum):
    """Why the relay does not retransmit a datagram."""

    NOT_IN_HISTORY = 0
    """No longer in the history."""
    UNRELIABLE = 1
    OWN = 2
    """The member's own."""


def pack_ranges(
    ranges: Ranges | ReasonedRanges, layout: struct.Struct = RANGE, minimum: int = 1
) -> bytes:
    """
    Encode ranges.

    :param layout: of one range: :data:`RANGE` or :data:`REASONED`.
    :param minimum: the smallest valid number of ranges.
    :raises ValueError: if there are fewer, more than 64, or they or a reason are invalid.
    """
    _check(ranges, minimum, MAX_RANGES, MAX_U64)
    return b"".join([layout.pack(*one) for one in ranges])


def unpack_ranges(data: bytes, layout: struct.Struct = RANGE, minimum: int = 1) -> tuple[Any, ...]:
    """
    Decode ranges, to the end of ``data``.

    :raises ValueError: as :func:`pack_ranges`, or if the last range is truncated.
    """
    if len(data) % layout.size:
        raise ValueError("truncated range")
    ranges = tuple(layout.iter_unpack(data))
    _check(ranges, minimum, MAX_RANGES, MAX_U64)
    return ranges


def read_missed(value: Any) -> Ranges:
    """Read 1 to 32 ranges of own sequences from CBOR."""
    if type(value) not in (list, tuple) or not all(map(_is_pair, value)):
        raise ValueError("not a list of pairs of numbers")
    ranges = tuple((first, count) for first, count in value)
    _check(ranges, 1, MAX_MISSED_RANGES, MAX_OWN)
    return ranges


def _is_pair(value: Any) -> bool:
    return type(value) in (list, tuple) and [*map(type, value)] == [int, int]


def _check(ranges: Sequence[tuple[int, ...]], minimum: int, maximum: int, last: int) -> None:
    if not minimum <= len(ranges) <= maximum:
        raise ValueError(f"{len(ranges)} ranges")
    following = 1
    for first, count, *_ in ranges:
        if first < following or not 0 < count <= MAX_RANGE_COUNT:
            raise ValueError("a range is empty, overlaps or does not ascend")
        following = first + count
    if following > last + 1:
        raise ValueError("a range goes beyond the last sequence number")
    if ranges and len(ranges[0]) == 3 and any(one[2] not in (0, 1, 2) for one in ranges):
        raise ValueError("unknown reason")
