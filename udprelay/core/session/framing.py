"""DATA as members get it, made of DATA as it came from clients."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import count
from operator import attrgetter, itemgetter

from udprelay.core.joined import Joined
from udprelay.core.room import Member
from udprelay.core.wire.header import DOWN_DATA, FLAGS_AT, HEADER, UP_DATA

_HEAD = struct.Struct(f">{HEADER}sQI")
"""Header, room sequence, number of the sender. The rest is as it came."""
_PLACE, _NUMBER = HEADER, HEADER + 8
_LAST_OF_PLACE, _LAST_OF_NUMBER = _PLACE + 7, _NUMBER + 3
_LAST_BYTES = bytes(range(0x100))
_FROM_OWN = slice(HEADER, None)
_from_own = itemgetter(_FROM_OWN)
_number_of = attrgetter("number")


def framed_alone(header: bytes, datagram: bytes, sender: Member, place: int) -> bytes:
    """Return one datagram with its place in the room sequence."""
    return _HEAD.pack(header, place, sender.number) + datagram[_FROM_OWN]


def framed_each(
    headers: Sequence[bytes], datagrams: Sequence[bytes], senders: Sequence[Member], first: int
) -> list[bytes]:
    """
    Return datagrams with their places in the room sequence.

    :param headers: by flags.
    :param first: the place of the first one.
    """
    pack, said = _HEAD.pack, zip(datagrams, senders, count(first), strict=False)
    return [
        pack(headers[datagram[FLAGS_AT]], place, sender.number) + datagram[_FROM_OWN]
        for datagram, sender, place in said
    ]


def framed_together(
    header: bytes, datagrams: Sequence[bytes], senders: Sequence[Member], first: int
) -> Joined:
    """
    Return datagrams of one size and with the same flags, with their places in the room sequence.

    Each gets the first one's head, in which column by column is changed what differs: hardly a
    step of the interpreter is for one datagram.
    """
    head = bytearray(_HEAD.pack(header, first, senders[0].number))
    data = head.join((b"", *map(_from_own, datagrams)))
    size, total = len(datagrams[0]) + DOWN_DATA - UP_DATA, len(datagrams)
    low = first & 0xFF
    if low + total <= 0x100:
        data[_LAST_OF_PLACE::size] = _LAST_BYTES[low : low + total]
    else:
        places = struct.pack(f">{total}Q", *range(first, first + total))
        _write_columns(data, _PLACE, size, places, 8)
    if senders.count(senders[0]) != total:
        numbers = [*map(_number_of, senders)]
        if max(numbers) <= 0xFF:
            data[_LAST_OF_NUMBER::size] = bytes(numbers)
        else:
            _write_columns(data, _NUMBER, size, struct.pack(f">{total}I", *numbers), 4)
    return Joined(data, size)


def _write_columns(data: bytearray, at: int, size: int, values: bytes, width: int) -> None:
    """Write numbers of ``width`` bytes into datagrams of ``size`` bytes."""
    for column in range(width):
        data[at + column :: size] = values[column::width]
