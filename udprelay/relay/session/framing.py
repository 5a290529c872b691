"""DATA for session members, made of payloads and of DATA from clients."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from itertools import chain, count
from operator import itemgetter
from typing import TypeAlias

from udprelay.protocol.wire.header import HEADER_SIZE
from udprelay.relay.room import Member
from udprelay.segments import Segments

Run: TypeAlias = tuple[Member, Sequence[bytes], int, int]
"""
What one member has sent in a row: the sender, bodies (own sequence and payload), the flags of
all, and the bytes of each body, 0 if their sizes differ.
"""

_HEAD = struct.Struct(f">{HEADER_SIZE}sQI")
"""Header, room sequence, number of the sender. The body follows as the client has sent it."""
_SEQUENCE, _LAST_OF_SEQUENCE = HEADER_SIZE, HEADER_SIZE + 7
_LAST_OF_NUMBER = HEADER_SIZE + 11
_bodies_of = itemgetter(1)
_LAST_BYTES = bytes(range(0x100))


def frame_one(header: bytes, body: bytes, sender: Member, sequence: int) -> bytes:
    """Return one datagram with its room sequence."""
    return _HEAD.pack(header, sequence, sender.number) + body


def frame_each(headers: Sequence[bytes], runs: Sequence[Run], first: int) -> list[bytes]:
    """
    Return datagrams with their room sequences.

    :param headers: by flags.
    :param first: the first room sequence.
    """
    pack, sequences = _HEAD.pack, count(first)
    return [
        pack(headers[flags], next(sequences), sender.number) + body
        for sender, bodies, flags, _ in runs
        for body in bodies
    ]


def frame_uniform(header: bytes, runs: Sequence[Run], total: int, first: int) -> Segments:
    """
    Return datagrams of one size and with the same flags, with their room sequences.

    All datagrams first get the same head; then each byte that differs is written for all of
    them with one slice assignment. The number of interpreter steps hardly depends on ``total``.

    :param total: number of datagrams in ``runs``.
    """
    size = _HEAD.size + runs[0][3]
    if 4 * len(runs) <= total:
        parts = [_with_one_head(header, first, sender, bodies) for sender, bodies, _, _ in runs]
        data = parts[0] if len(parts) == 1 else bytearray().join(parts)
    else:
        # Short runs: one head for all is cheaper than one for each run.
        all_bodies = chain.from_iterable(map(_bodies_of, runs))
        data = _with_one_head(header, first, runs[0][0], all_bodies)
        _write_numbers(data, size, runs)
    _write_sequences(data, size, first, total)
    return Segments(data, size)


def _with_one_head(
    header: bytes, sequence: int, sender: Member, bodies: Iterable[bytes]
) -> bytearray:
    return bytearray(_HEAD.pack(header, sequence, sender.number)).join((b"", *bodies))


def _write_sequences(data: bytearray, size: int, first: int, total: int) -> None:
    """Write ascending sequences into datagrams of ``size`` bytes that all have the first one."""
    low, high = first & 0xFF, first >> 8 & 0xFF
    over = low + total - 0x100
    if over <= 0:
        data[_LAST_OF_SEQUENCE::size] = _LAST_BYTES[low : low + total]
    elif over <= 0x100 and high < 0xFF:
        data[_LAST_OF_SEQUENCE::size] = _LAST_BYTES[low:] + _LAST_BYTES[:over]
        data[(total - over) * size + _LAST_OF_SEQUENCE - 1 :: size] = bytes((high + 1,)) * over
    else:
        sequences = struct.pack(f">{total}Q", *range(first, first + total))
        for column in range(8):
            data[_SEQUENCE + column :: size] = sequences[column::8]


def _write_numbers(data: bytearray, size: int, runs: Sequence[Run]) -> None:
    """Write the sender's number into each of the datagrams of ``size`` bytes."""
    numbers = [sender.number for sender, _, _, _ in runs]
    width = 1 if max(numbers) <= 0xFF else 4
    columns = b"".join(
        [n.to_bytes(width, "big") * len(run[1]) for n, run in zip(numbers, runs, strict=True)]
    )
    for column in range(width):
        data[_LAST_OF_NUMBER + 1 - width + column :: size] = columns[column::width]
