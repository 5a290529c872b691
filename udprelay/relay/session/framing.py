"""DATA for session members, made of what members send."""

from __future__ import annotations

import struct
from typing import Any

from udprelay.protocol.wire.header import HEADER_SIZE, OWN_SIZE
from udprelay.segments import Run, Segments

_HEAD = struct.Struct(f">{HEADER_SIZE}sQI")
"""Header, room sequence, number of the sender. The body follows as a client has sent it."""
_SEQUENCE, _LAST_OF_SEQUENCE = HEADER_SIZE, HEADER_SIZE + 7
_NO_OWN = bytes(OWN_SIZE)
_LAST_BYTES = bytes(range(0x100))


def frame(run: Run, header: bytes, first: int) -> Run:
    """
    Return a run as DATA with ascending room sequences.

    All datagrams first get the same head; then each byte that differs is written for all of them
    with one slice assignment. The number of interpreter steps does not depend on their number.

    :param header: of the datagrams.
    :param first: the first room sequence.
    """
    sender, segments, flags = run
    head = _HEAD.pack(header, first, sender.number)
    replaced = HEADER_SIZE
    if not sender.overhead:
        head, replaced = head + _NO_OWN, 0
    if segments.count == 1:
        one = head + segments.data[replaced:]
        return sender, Segments(one, len(one)), flags
    framed = segments.with_prefix(bytearray(head), replaced)
    _write_sequences(framed.data, framed.size, first, framed.count)
    return sender, framed, flags


def _write_sequences(data: Any, size: int, first: int, total: int) -> None:
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
