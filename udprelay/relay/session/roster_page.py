"""As much of the roster as one datagram takes."""

from __future__ import annotations

from collections.abc import Iterable

from udprelay.protocol.wire.header import LARGEST_CONTROL
from udprelay.protocol.wire.members import MOST_MEMBERS, MemberRecord

# The head of a list of up to 64 records, less that of an empty one; the key ``y`` with an u32.
_MORE_FOR_RECORDS = 1 + 2 + 5


def room_beside(size: int) -> int:
    """
    Return how many bytes of records WELCOME or MEMBERS has room for.

    :param size: bytes in the datagram without any records and without ``y``.
    """
    return LARGEST_CONTROL - size - _MORE_FOR_RECORDS


def page(
    records: Iterable[MemberRecord], room_for: int
) -> tuple[tuple[MemberRecord, ...], int | None]:
    """
    Return the first of ``records`` that fit into ``room_for`` bytes and into one list.

    :param records: in the order of their numbers; no more is read than needed.
    :return: the records, and the number of the next one, None if that was all.
    """
    taken: list[MemberRecord] = []
    for record in records:
        room_for -= encoded_size(record)
        if room_for < 0 or len(taken) == MOST_MEMBERS:
            return tuple(taken), record.number
        taken.append(record)
    return tuple(taken), None


def encoded_size(record: MemberRecord) -> int:
    """Return the bytes of a record in CBOR (RFC 8949, 3)."""
    # The list of six and the kind have one byte each.
    return (
        2
        + _head(record.number)
        + _string(len(record.nick.encode()))
        + _string(len(record.identity))
        + _head(record.own)
        + _string(len(record.badge))
    )


def _string(length: int) -> int:
    return _head(length) + length


def _head(argument: int) -> int:
    """Return the bytes of an item's head with this argument (RFC 8949, 3)."""
    if argument < 24:
        return 1
    if argument < 0x100:
        return 2
    return 3 if argument < 0x10000 else 5
