"""CBOR (RFC 8949), limited to what control datagrams use."""

from __future__ import annotations

from typing import Any

import cbor2

from udprelay.protocol.wire.header import WireError

MAX_ITEMS = 512
MAX_LEVELS = 4

# Major types.
_BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(2, 8)
_SIMPLE_VALUES = (0xF4, 0xF5, 0xF6)
"""False, true, null."""
_LETTERS = frozenset(b"abcdefghijklmnopqrstuvwxyz")


def encode(body: dict[str, Any] | list[Any]) -> bytes:
    """Encode checked values deterministically (RFC 8949, 4.2.1)."""
    return cbor2.dumps(body, canonical=True)


def decode(data: bytes) -> dict[str, Any]:
    """
    Decode one map.

    :raises WireError: if ``data`` is not exactly one map, has too many items or levels, a key
        that is not one or two letters, a tag, or a floating-point number.
    """
    _Scan(data).scan_map()
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


class _Scan:
    """
    A check of all items that builds none.

    cbor2 does not limit the number of items and ignores bytes behind the first one. It would
    interpret tags: regular expressions, decimals of any exponent, references.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0
        self._items = 0

    def scan_map(self) -> None:
        if self._data[:1] < b"\xa0" or self._data[:1] > b"\xbf":
            raise WireError("CBOR: not a map")
        self._scan_item(MAX_LEVELS)
        if self._offset != len(self._data):
            raise WireError("CBOR: truncated, or bytes behind the map")

    def _scan_item(self, levels: int) -> None:
        kind, argument = self._read_head()
        if kind in (_BYTES, _TEXT):
            self._offset += argument
        elif kind in (_ARRAY, _MAP):
            if not levels:
                raise WireError(f"CBOR: more than {MAX_LEVELS} levels")
            for _ in range(argument):
                if kind == _MAP:
                    self._scan_key()
                self._scan_item(levels - 1)

    def _scan_key(self) -> None:
        kind, length = self._read_head()
        start = self._offset
        self._offset += length
        key = self._data[start : self._offset]
        if kind != _TEXT or not 1 <= len(key) <= 2 or not _LETTERS.issuperset(key):
            raise WireError("CBOR: a key is not one or two letters")

    def _read_head(self) -> tuple[int, int]:
        """Return an item's major type and its argument (RFC 8949, 3)."""
        if self._offset >= len(self._data):
            raise WireError("CBOR: truncated")
        self._items += 1
        if self._items > MAX_ITEMS:
            raise WireError(f"CBOR: more than {MAX_ITEMS} items")
        head = self._data[self._offset]
        kind, low = head >> 5, head & 0x1F
        if kind == _TAG or (kind == _SIMPLE and head not in _SIMPLE_VALUES):
            raise WireError("CBOR: a tag, a floating-point number or an unknown simple value")
        self._offset += 1
        if low < 24:
            return kind, low
        if low > 27:
            raise WireError("CBOR: an item without a definite length")
        start = self._offset
        self._offset += 1 << (low - 24)
        return kind, int.from_bytes(self._data[start : self._offset], "big")
