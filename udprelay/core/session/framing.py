"""DATA as members get it, made of DATA as it came from clients."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import chain, count, repeat, starmap
from operator import itemgetter

from udprelay.core.joined import Joined
from udprelay.core.room import Member
from udprelay.core.wire.header import DOWN_DATA, HEADER, UP_DATA

Runs = Sequence[tuple[Member, int]]
"""Senders in turn, each with how many datagrams."""

FLAGS = 5
"""Where the flags of a datagram are."""
_HEAD = struct.Struct(f">{HEADER}sQI")
"""Header, room sequence, number of the sender. The rest is as it came."""
_PLACE, _NUMBER, _OWN = HEADER, HEADER + 8, HEADER + 12
_LOW = bytes(range(0x100))
_FROM_OWN = slice(HEADER, None)
_from_own = itemgetter(_FROM_OWN)


def framed_alone(header: bytes, datagram: bytes, sender: Member, place: int) -> bytes:
    """Return one datagram with its place in the room sequence."""
    return _HEAD.pack(header, place, sender.number) + datagram[_FROM_OWN]


def framed_each(
    headers: Sequence[bytes], datagrams: Sequence[bytes], runs: Runs, first: int
) -> list[bytes]:
    """
    Return datagrams with their places in the room sequence.

    :param headers: by flags.
    :param first: the place of the first one.
    """
    pack, said = _HEAD.pack, zip(datagrams, _numbers(runs), count(first), strict=False)
    return [
        pack(headers[datagram[FLAGS]], place, number) + datagram[_FROM_OWN]
        for datagram, number, place in said
    ]


def framed_together(header: bytes, datagrams: Sequence[bytes], runs: Runs, first: int) -> Joined:
    """
    Return datagrams of one size and with the same flags, with their places in the room sequence.

    Each gets the first one's head, in which column by column is changed what differs: no step
    of the interpreter is for one datagram.
    """
    head = bytearray(_HEAD.pack(header, first, runs[0][0].number))
    data = head.join((b"", *map(_from_own, datagrams)))
    size, number = len(datagrams[0]) + DOWN_DATA - UP_DATA, len(datagrams)
    low = first & 0xFF
    if low + number <= 0x100:
        data[_NUMBER - 1 :: size] = _LOW[low : low + number]
    else:
        places = struct.pack(f">{number}Q", *range(first, first + number))
        _write_columns(data, _PLACE, size, places, 8)
    if len(runs) > 1:
        if max([who.number for who, _ in runs]) <= 0xFF:
            data[_OWN - 1 :: size] = b"".join([bytes((who.number,)) * n for who, n in runs])
        else:
            numbers = struct.pack(f">{number}I", *_numbers(runs))
            _write_columns(data, _NUMBER, size, numbers, 4)
    return Joined(data, size)


def _write_columns(data: bytearray, at: int, size: int, values: bytes, width: int) -> None:
    """Write numbers of ``width`` bytes into datagrams of ``size`` bytes."""
    for column in range(width):
        digits = values[column::width]
        # Of large numbers, most digits are those that the head has.
        if digits.count(data[at + column]) != len(digits):
            data[at + column :: size] = digits


def _numbers(runs: Runs) -> chain[int]:
    """Return the number of each datagram's sender."""
    return chain.from_iterable(starmap(repeat, ((sender.number, n) for sender, n in runs)))
