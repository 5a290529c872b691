"""CBOR (RFC 8949), limited to what control datagrams use."""

from __future__ import annotations

from string import ascii_lowercase
from typing import Any

import cbor2

from udprelay.protocol.wire.header import WireError

MAX_ITEMS = 512
MAX_ITEMS_OF_CLIENT = 128
"""Items in a body of a client: the relay looks at each of them, whoever sends it."""
MAX_LEVELS = 4

# Major types.
_BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(2, 8)
_SIMPLE_VALUES = (0xF4, 0xF5, 0xF6)
"""False, true, null."""
_KEYS = frozenset(
    (first + second).encode() for first in ascii_lowercase for second in ("", *ascii_lowercase)
)


def encode(body: Any) -> bytes:
    """Encode checked values deterministically (RFC 8949, 4.2.1)."""
    return cbor2.dumps(body, canonical=True)


def decode(data: bytes, max_items: int = MAX_ITEMS) -> dict[str, Any]:
    """
    Decode one map.

    :raises WireError: if ``data`` is not exactly one map, has too many items or levels, a key
        that is not one or two letters, a tag, or a floating-point number.
    """
    _check(data, max_items)
    try:
        body: dict[str, Any] = cbor2.loads(
            data,
            max_depth=MAX_LEVELS,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
        )
    except cbor2.CBORDecodeError as error:
        raise WireError(f"CBOR: {error}") from error
    return body


def _check(data: bytes, max_items: int) -> None:
    """
    Check all items and build none.

    cbor2 does not limit the number of items and ignores bytes behind the first one. It would
    interpret tags: regular expressions, decimals of any exponent, references.
    """
    if data[:1] < b"\xa0" or data[:1] > b"\xbf":
        raise WireError("CBOR: not a map")
    offset = items = 0
    # Items to come of the innermost list or map, and of those around it. Keys count.
    left, in_map = 1, False
    outer: list[tuple[int, bool]] = []
    # One loop and no recursion: this is most of what a forged HELLO costs.
    while left or outer:
        if not left:
            left, in_map = outer.pop()
            continue
        items += 1
        if items > max_items:
            raise WireError(f"CBOR: more than {max_items} items")
        is_key = in_map and not left & 1
        left -= 1
        kind, argument, offset = _read_head(data, offset)
        if is_key and (kind != _TEXT or data[offset : offset + argument] not in _KEYS):
            raise WireError("CBOR: a key is not one or two letters")
        if kind in (_BYTES, _TEXT):
            offset += argument
        elif kind in (_ARRAY, _MAP):
            if len(outer) == MAX_LEVELS:
                raise WireError(f"CBOR: more than {MAX_LEVELS} levels")
            outer.append((left, in_map))
            in_map = kind == _MAP
            left = 2 * argument if in_map else argument
    if offset != len(data):
        raise WireError("CBOR: truncated, or bytes behind the map")


def _read_head(data: bytes, offset: int) -> tuple[int, int, int]:
    """Return an item's major type, its argument (RFC 8949, 3) and the offset behind it."""
    if offset >= len(data):
        raise WireError("CBOR: truncated")
    head = data[offset]
    kind, argument = head >> 5, head & 0x1F
    if kind == _TAG or (kind == _SIMPLE and head not in _SIMPLE_VALUES):
        raise WireError("CBOR: a tag, a floating-point number or an unknown simple value")
    if argument < 24:
        return kind, argument, offset + 1
    if argument > 27:
        raise WireError("CBOR: an item without a definite length")
    end = offset + 1 + (1 << (argument - 24))
    return kind, int.from_bytes(data[offset + 1 : end], "big"), end
