"""Ranges of sequence numbers, in NACK, ACK, GONE and MISSED."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any

from udprelay.protocol.wire.header import LARGEST_OWN, U64

Ranges = tuple[tuple[int, int], ...]
"""``(first, count)`` each, ascending, not overlapping."""
ReasonedRanges = tuple[tuple[int, int, int], ...]
"""``(first, count, reason)`` each."""

MOST_RANGES = 64
"""Ranges in one datagram."""
MOST_MISSED = 32
"""Ranges in one MISSED."""
MOST_IN_RANGE = 65_535

RANGE = struct.Struct(">QH")
_REASONED = struct.Struct(">QHB")


class Reason(IntEnum):
    """Why the relay does not send a datagram again."""

    NOT_KEPT = 0
    """No longer in the history."""
    UNRELIABLE = 1
    OWN = 2
    """The member's own."""


def ranges_of(sequences: Iterable[int]) -> Ranges:
    """Return the ranges that have these sequence numbers, and no others."""
    ranges: list[tuple[int, int]] = []
    first = count = 0
    for sequence in sorted(set(sequences)):
        if count and sequence == first + count and count < MOST_IN_RANGE:
            count += 1
            continue
        if count:
            ranges.append((first, count))
        first, count = sequence, 1
    if count:
        ranges.append((first, count))
    return tuple(ranges)


def pack_ranges(ranges: Ranges, least: int = 1) -> bytes:
    """
    Write ranges.

    :param least: how many there have to be.
    :raises ValueError: if there are fewer, more than 64, or they are not as ranges have to be.
    """
    _check(ranges, least, MOST_RANGES, U64)
    return b"".join([RANGE.pack(first, count) for first, count in ranges])


def unpack_ranges(data: bytes, least: int = 1) -> Ranges:
    """
    Read ranges; ``data`` has nothing else.

    :raises ValueError: as :func:`pack_ranges`.
    """
    if len(data) % RANGE.size:
        raise ValueError("half a range")
    ranges = tuple(RANGE.iter_unpack(data))
    _check(ranges, least, MOST_RANGES, U64)
    return ranges


def pack_reasoned(ranges: ReasonedRanges) -> bytes:
    """
    Write ranges with reasons.

    :raises ValueError: as :func:`pack_ranges`, or on a reason that there isn't.
    """
    _check_reasoned(ranges)
    return b"".join([_REASONED.pack(*reasoned) for reasoned in ranges])


def unpack_reasoned(data: bytes) -> ReasonedRanges:
    """
    Read ranges with reasons; ``data`` has nothing else.

    :raises ValueError: as :func:`pack_reasoned`.
    """
    if len(data) % _REASONED.size:
        raise ValueError("half a range")
    ranges = tuple(_REASONED.iter_unpack(data))
    _check_reasoned(ranges)
    return ranges


def missed(value: Any) -> Ranges:
    """
    Check ranges of own sequences, as CBOR has them: at most 32.

    :raises ValueError: if they are not as ranges have to be.
    """
    if type(value) not in (list, tuple) or not all(map(_is_pair, value)):
        raise ValueError("no list of pairs of numbers")
    ranges = tuple((first, count) for first, count in value)
    _check(ranges, 1, MOST_MISSED, LARGEST_OWN)
    return ranges


def _is_pair(value: Any) -> bool:
    return type(value) in (list, tuple) and [*map(type, value)] == [int, int]


def _check_reasoned(ranges: ReasonedRanges) -> None:
    _check([(first, count) for first, count, _ in ranges], 1, MOST_RANGES, U64)
    if any(reason not in (0, 1, 2) for _, _, reason in ranges):
        raise ValueError("a reason that there isn't")


def _check(ranges: Sequence[tuple[int, int]], least: int, most: int, last: int) -> None:
    if not least <= len(ranges) <= most:
        raise ValueError(f"{len(ranges)} ranges")
    following = 1
    for first, count in ranges:
        if first < following or not 0 < count <= MOST_IN_RANGE:
            raise ValueError("ranges that are empty, overlap or don't ascend")
        following = first + count
    if following > last + 1:
        raise ValueError("a range beyond the last sequence number")
