"""CBOR (RFC 8949), as much of it as control datagrams use."""

from __future__ import annotations

from typing import Any

import cbor2

from udprelay.protocol.wire.header import WireError

MOST_ITEMS = 512
MOST_LEVELS = 4

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_SIMPLE_VALUES = (0xF4, 0xF5, 0xF6)
"""False, true, null."""
_LETTERS = frozenset(b"abcdefghijklmnopqrstuvwxyz")


def encode(body: dict[str, Any]) -> bytes:
    """Encode a map of values that have been checked, deterministically (RFC 8949, 4.2.1)."""
    return cbor2.dumps(body, canonical=True)


def decode(data: bytes) -> dict[str, Any]:
    """
    Decode one map.

    :raises WireError: if it is anything but that, has bytes behind it, or is beyond the bounds:
        levels, items, keys of one or two letters, no tags, no floating-point numbers.
    """
    _Walk(data).over_map()
    try:
        body: dict[str, Any] = cbor2.loads(
            data,
            max_depth=MOST_LEVELS,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
        )
    except cbor2.CBORDecodeError as error:
        raise WireError(f"CBOR: {error}") from error
    return body


class _Walk:
    """
    A walk over the items to the last byte that builds none.

    cbor2 has no bound on items and takes what follows the first one. It would interpret tags:
    regular expressions, decimals of any exponent, references.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._items = 0

    def over_map(self) -> None:
        if self._data[:1] < b"\xa0" or self._data[:1] > b"\xbf":
            raise WireError("CBOR: not a map")
        self._over_item(MOST_LEVELS)
        if self._at != len(self._data):
            raise WireError("CBOR: cut short, or bytes behind the map")

    def _over_item(self, levels: int) -> None:
        kind, argument = self._over_head()
        if kind in (_BYTES, _TEXT):
            self._at += argument
        elif kind in (_ARRAY, _MAP):
            if not levels:
                raise WireError(f"CBOR: more than {MOST_LEVELS} levels")
            for _ in range(argument):
                if kind == _MAP:
                    self._over_key()
                self._over_item(levels - 1)

    def _over_key(self) -> None:
        kind, length = self._over_head()
        start = self._at
        self._at += length
        key = self._data[start : self._at]
        if kind != _TEXT or not 1 <= len(key) <= 2 or not _LETTERS.issuperset(key):
            raise WireError("CBOR: a key that is not one or two letters")

    def _over_head(self) -> tuple[int, int]:
        """Return an item's major type and its argument (RFC 8949, 3)."""
        if self._at >= len(self._data):
            raise WireError("CBOR: cut short")
        self._items += 1
        if self._items > MOST_ITEMS:
            raise WireError(f"CBOR: more than {MOST_ITEMS} items")
        head = self._data[self._at]
        kind, low = head >> 5, head & 0x1F
        if kind == _TAG or (kind == _SIMPLE and head not in _SIMPLE_VALUES):
            raise WireError("CBOR: a tag, a floating-point number or an unknown simple value")
        self._at += 1
        if low < 24:
            return kind, low
        if low > 27:
            raise WireError("CBOR: an item of indefinite length, or of none")
        start = self._at
        self._at += 1 << (low - 24)
        return kind, int.from_bytes(self._data[start : self._at], "big")
