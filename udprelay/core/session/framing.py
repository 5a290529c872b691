"""DATA as members get it, made of DATA as it came from clients."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import count, islice

from udprelay.core.joined import Joined
from udprelay.core.room import Member
from udprelay.core.wire.header import HEADER

_HEAD = struct.Struct(f">{HEADER}sQI")
"""Header, room sequence, number of the sender. Own sequence and payload stay as they came."""
_PLACE, _NUMBER = HEADER, HEADER + 8
_LAST_OF_PLACE, _LAST_OF_NUMBER = _PLACE + 7, _NUMBER + 3
_LAST_BYTES = bytes(range(0x100))

Runs = Sequence[tuple[Member, int, int]]
"""Senders in turn, each with how many datagrams, and with what flags."""


def framed_alone(header: bytes, said: bytes, sender: Member, place: int) -> bytes:
    """Return one datagram with its place in the room sequence."""
    return _HEAD.pack(header, place, sender.number) + said


def framed_each(
    headers: Sequence[bytes], said: Sequence[bytes], runs: Runs, first: int
) -> list[bytes]:
    """
    Return datagrams with their places in the room sequence.

    :param headers: by flags.
    :param said: own sequences and payloads.
    :param first: the place of the first one.
    """
    pack, places, rest = _HEAD.pack, count(first), iter(said)
    return [
        pack(headers[flags], next(places), sender.number) + one
        for sender, number, flags in runs
        for one in islice(rest, number)
    ]


def framed_together(header: bytes, said: Sequence[bytes], runs: Runs, first: int) -> Joined:
    """
    Return datagrams of one size and with the same flags, with their places in the room sequence.

    Each gets the first one's head, in which column by column is changed what differs: hardly a
    step of the interpreter is for one datagram.
    """
    head = bytearray(_HEAD.pack(header, first, runs[0][0].number))
    data = head.join((b"", *said))
    size, total = _HEAD.size + len(said[0]), len(said)
    low = first & 0xFF
    if low + total <= 0x100:
        data[_LAST_OF_PLACE::size] = _LAST_BYTES[low : low + total]
    else:
        places = struct.pack(f">{total}Q", *range(first, first + total))
        _write_columns(data, _PLACE, size, places, 8)
    if len(runs) > 1:
        _write_numbers(data, size, runs)
    return Joined(data, size)


def _write_numbers(data: bytearray, size: int, runs: Runs) -> None:
    """Write who has sent each of the datagrams, of ``size`` bytes."""
    if max([sender.number for sender, _, _ in runs]) <= 0xFF:
        lasts = [_LAST_BYTES[sender.number : sender.number + 1] * n for sender, n, _ in runs]
        data[_LAST_OF_NUMBER::size] = b"".join(lasts)
    else:
        numbers = [sender.number.to_bytes(4, "big") * n for sender, n, _ in runs]
        _write_columns(data, _NUMBER, size, b"".join(numbers), 4)


def _write_columns(data: bytearray, at: int, size: int, values: bytes, width: int) -> None:
    """Write numbers of ``width`` bytes into datagrams of ``size`` bytes."""
    for column in range(width):
        data[at + column :: size] = values[column::width]
