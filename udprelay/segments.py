"""Datagrams of one size in one buffer, and what one source has sent in a row."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, TypeAlias, overload

Source = Any
"""
Where a datagram comes from: the peer, and the local address that it was sent to.

Opaque and hashable, equal for equal addresses of one socket. What is sent to a source goes to its
peer, from its local address.
"""


class Segments:
    """
    One or more datagrams in one buffer.

    :param data: all datagrams, one after the other; it must not change any more.
    :param size: bytes of each datagram but the last, which may be shorter; 0 for one empty
        datagram.
    :ivar count: the number of datagrams.
    """

    __slots__ = ("count", "data", "size")

    def __init__(self, data: bytes | bytearray, size: int) -> None:
        self.data = data
        self.size = size
        self.count = -(-len(data) // size) if size else 1

    def __iter__(self) -> Iterator[bytes]:
        data, size = bytes(self.data), self.size
        # An empty datagram is one datagram.
        starts = range(0, len(data) or 1, size or 1)
        return iter([data[start : start + size] for start in starts])

    @overload
    def __getitem__(self, index: int) -> bytes: ...

    @overload
    def __getitem__(self, index: slice) -> Segments: ...

    def __getitem__(self, index: int | slice) -> bytes | Segments:
        """
        Return one datagram, or those of a range that is not empty.

        :raises IndexError: if the index is out of range.
        :raises ValueError: if the range is empty or has a step other than 1.
        """
        size = self.size
        if isinstance(index, int):
            start = range(self.count)[index] * size
            return bytes(self.data[start : start + size])
        start, end, step = index.indices(self.count)
        if step != 1 or end <= start:
            raise ValueError(f"a step of {step}" if step != 1 else "an empty range")
        if end - start == self.count:
            return self
        data = self.data[start * size : end * size]
        return Segments(data, size if end - start > 1 else len(data))

    def unpack(self, layout: str, width: int) -> tuple[Any, ...]:
        """
        Return the same fields of every datagram, in one sequence.

        :param layout: of the first ``width`` bytes of each, in the format of :mod:`struct`, big
            endian.
        :raises struct.error: if a datagram is shorter.
        """
        last = len(self.data) - self.size * (self.count - 1)
        return _struct(layout, width, self.size, self.count, last, "x").unpack(self.data)

    def with_prefix(self, prefix: bytes | bytearray, replaced: int) -> Segments:
        """Return the datagrams with ``prefix`` instead of their first ``replaced`` bytes."""
        data, size, count = self.data, self.size, self.count
        if count == 1:
            data = prefix + data[replaced:]
            return Segments(data, len(data))
        if not replaced and not prefix:
            return self
        last = len(data) - size * (count - 1)
        bodies = _struct(f"{replaced}x", replaced, size, count, last, "s").unpack(data)
        return Segments(prefix.join((b"", *bodies)), size - replaced + len(prefix))


@lru_cache(maxsize=256)
def _struct(layout: str, width: int, size: int, count: int, last: int, rest: str) -> struct.Struct:
    if last < width:
        raise struct.error(f"{last} bytes for {width}")
    each = f"{layout}{size - width}{rest}" * (count - 1)
    return struct.Struct(f">{each}{layout}{last - width}{rest}")


SourceRun: TypeAlias = tuple[Source, Segments]
"""A source, and datagrams that it has sent in a row."""

Run: TypeAlias = tuple[Any, Segments, int]
"""A sender, datagrams that it has sent in a row, and the flags of all (0 to 31)."""


def runs_by_source(datagrams: Iterable[tuple[Source, bytes]]) -> list[SourceRun]:
    """Return datagrams, each with its source, as few runs in the same order."""
    runs: list[SourceRun] = []
    last: Source = None
    size, parts = 0, [b""]

    def finish() -> None:
        if last is not None:
            runs.append((last, Segments(b"".join(parts), size)))

    for source, datagram in datagrams:
        length = len(datagram)
        # A shorter datagram is the last of its run, an empty one is a run.
        if source == last and 0 < length <= size == len(parts[-1]):
            parts.append(datagram)
        else:
            finish()
            last, size, parts = source, length, [datagram]
    finish()
    return runs
