"""MEMBERS and WELCOME with as much of the roster as fits."""

from __future__ import annotations

from collections.abc import Iterable

from udprelay.protocol.wire import cbor
from udprelay.protocol.wire.fields import write_map
from udprelay.protocol.wire.from_relay import Members
from udprelay.protocol.wire.header import MAX_CONTROL, header
from udprelay.protocol.wire.joining import Welcome
from udprelay.protocol.wire.members import MAX_MEMBERS, MemberRecord, write_record

_MAP, _LIST = 0xA0, 0x80
_LIST_AND_NEXT = 1 + 2 + 5
"""Bytes of the head of 64 records, less that of none, and of the key ``y`` with a ``u32``."""


def with_records(answer: Members | Welcome, records: Iterable[MemberRecord]) -> bytes:
    """
    Return MEMBERS or WELCOME, encoded, with the first of ``records``, as many as fit.

    :param answer: without records and without ``more_from``.
    :param records: valid, in the order of their numbers; read only as far as necessary.
    """
    body = write_map(answer)
    identifier = answer.nonce if isinstance(answer, Welcome) else answer.session_id
    start = header(answer.TYPE, identifier)
    space_left = MAX_CONTROL - len(start) - len(cbor.encode(body)) - _LIST_AND_NEXT
    encoded: list[bytes] = []
    for record in records:
        one = cbor.encode(write_record(record))
        space_left -= len(one)
        if space_left < 0 or len(encoded) == MAX_MEMBERS:
            body["y"] = record.number
            break
        encoded.append(one)
    # Each record is encoded once and not checked again: there may be 64 of them.
    body["w"] = None
    items = [_list(encoded) if key == "w" else cbor.encode(body[key]) for key in sorted(body)]
    keys = map(cbor.encode, sorted(body))
    pairs = b"".join([key + item for key, item in zip(keys, items, strict=True)])
    return start + bytes((_MAP + len(body),)) + pairs


def _list(items: list[bytes]) -> bytes:
    """Return a list of up to 255 encoded items (RFC 8949, 3)."""
    count = len(items)
    head = bytes((_LIST + count,)) if count < 24 else bytes((_LIST + 24, count))
    return head + b"".join(items)
