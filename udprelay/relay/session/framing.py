"""DATA as members get it, made of DATA as it came from clients."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from itertools import chain, count
from operator import itemgetter
from typing import TypeAlias

from udprelay.protocol.wire.header import HEADER
from udprelay.relay.room import Member
from udprelay.segments import Joined

Said: TypeAlias = tuple[Member, Sequence[bytes], int, int]
"""
What somebody says in a row: who it is, own sequences and payloads, the flags of all, and
the bytes of each, 0 if they are not alike.
"""

_HEAD = struct.Struct(f">{HEADER}sQI")
"""Header, room sequence, number of the sender. Own sequence and payload stay as they came."""
_PLACE, _LAST_OF_PLACE = HEADER, HEADER + 7
_LAST_OF_NUMBER = HEADER + 11
_said_of = itemgetter(1)
_LAST_BYTES = bytes(range(0x100))


def framed_alone(header: bytes, said: bytes, sender: Member, place: int) -> bytes:
    """Return one datagram with its place in the room sequence."""
    return _HEAD.pack(header, place, sender.number) + said


def framed_each(headers: Sequence[bytes], runs: Sequence[Said], first: int) -> list[bytes]:
    """
    Return datagrams with their places in the room sequence.

    :param headers: by flags.
    :param first: the place of the first one.
    """
    pack, places = _HEAD.pack, count(first)
    return [
        pack(headers[flags], next(places), sender.number) + one
        for sender, said, flags, _ in runs
        for one in said
    ]


def framed_together(header: bytes, runs: Sequence[Said], total: int, first: int) -> Joined:
    """
    Return datagrams of one size and with the same flags, with their places in the room sequence.

    All of a run, or all of them if runs are short, get one head, in which column by column is
    changed what differs: hardly a step of the interpreter is for one datagram.

    :param total: how many there are.
    """
    size = _HEAD.size + runs[0][3]
    if 4 * len(runs) <= total:
        parts = [_under_one_head(header, first, sender, said) for sender, said, _, _ in runs]
        data = parts[0] if len(parts) == 1 else bytearray().join(parts)
    else:
        all_said = chain.from_iterable(map(_said_of, runs))
        data = _under_one_head(header, first, runs[0][0], all_said)
        _write_numbers(data, size, runs)
    _write_places(data, size, first, total)
    return Joined(data, size)


def _under_one_head(header: bytes, place: int, sender: Member, said: Iterable[bytes]) -> bytearray:
    return bytearray(_HEAD.pack(header, place, sender.number)).join((b"", *said))


def _write_places(data: bytearray, size: int, first: int, total: int) -> None:
    """Write ascending places into datagrams of ``size`` bytes that all have the first one."""
    low, high = first & 0xFF, first >> 8 & 0xFF
    over = low + total - 0x100
    if over <= 0:
        data[_LAST_OF_PLACE::size] = _LAST_BYTES[low : low + total]
    elif over <= 0x100 and high < 0xFF:
        data[_LAST_OF_PLACE::size] = _LAST_BYTES[low:] + _LAST_BYTES[:over]
        data[(total - over) * size + _LAST_OF_PLACE - 1 :: size] = bytes((high + 1,)) * over
    else:
        places = struct.pack(f">{total}Q", *range(first, first + total))
        for column in range(8):
            data[_PLACE + column :: size] = places[column::8]


def _write_numbers(data: bytearray, size: int, runs: Sequence[Said]) -> None:
    """Write who has sent each of the datagrams, of ``size`` bytes."""
    numbers = [sender.number for sender, _, _, _ in runs]
    width = 1 if max(numbers) <= 0xFF else 4
    columns = b"".join(
        [n.to_bytes(width, "big") * len(run[1]) for n, run in zip(numbers, runs, strict=True)]
    )
    for column in range(width):
        data[_LAST_OF_NUMBER + 1 - width + column :: size] = columns[column::width]
