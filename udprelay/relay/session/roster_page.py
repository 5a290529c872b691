"""The part of a roster that fits into one datagram."""

from __future__ import annotations

from collections.abc import Iterable

from udprelay.protocol.wire.header import MAX_CONTROL
from udprelay.protocol.wire.members import MAX_MEMBERS, MemberRecord

# The head of a list of up to 64 records, less that of an empty one; the key ``y`` with an u32.
_LIST_AND_NEXT = 1 + 2 + 5


def space_beside(size: int) -> int:
    """
    Return the bytes of records that fit into WELCOME or MEMBERS.

    :param size: bytes of the datagram without records and without ``y``.
    """
    return MAX_CONTROL - size - _LIST_AND_NEXT


def page(
    records: Iterable[MemberRecord], space_left: int
) -> tuple[tuple[MemberRecord, ...], int | None]:
    """
    Return the first of ``records`` that fit into ``space_left`` bytes and into one list.

    :param records: in the order of their numbers; read only as far as necessary.
    :return: the records, and the number of the next one, None at the end.
    """
    fitting: list[MemberRecord] = []
    for record in records:
        space_left -= encoded_size(record)
        if space_left < 0 or len(fitting) == MAX_MEMBERS:
            return tuple(fitting), record.number
        fitting.append(record)
    return tuple(fitting), None


def encoded_size(record: MemberRecord) -> int:
    """Return the bytes of a record in CBOR (RFC 8949, 3)."""
    # The list of six and the kind take one byte each.
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
