"""Datagrams of one size in one buffer, and datagrams that one source has sent in a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias, overload

Source = Any
"""The address of a datagram: opaque, hashable, equal for equal addresses of one socket."""


class Segments(Sequence[bytes]):
    """
    Datagrams of one size in one buffer.

    :param data: all datagrams, one after the other; it must not change any more.
    :param size: bytes of each datagram.
    """

    __slots__ = ("data", "size")

    def __init__(self, data: bytes | bytearray, size: int) -> None:
        self.data = data
        self.size = size

    def __len__(self) -> int:
        return len(self.data) // self.size

    def __iter__(self) -> Iterator[bytes]:
        data, size = bytes(self.data), self.size
        return iter([data[start : start + size] for start in range(0, len(data), size)])

    @overload
    def __getitem__(self, index: int) -> bytes: ...

    @overload
    def __getitem__(self, index: slice) -> Segments: ...

    def __getitem__(self, index: int | slice) -> bytes | Segments:
        """
        Return one datagram, or those of a range.

        :raises IndexError: if the index is out of range.
        :raises ValueError: if the range has a step other than 1.
        """
        size = self.size
        if isinstance(index, int):
            start = range(len(self))[index] * size
            return bytes(self.data[start : start + size])
        start, end, step = index.indices(len(self))
        if step != 1:
            raise ValueError(f"a step of {step}")
        if end - start == len(self):
            return self
        return Segments(self.data[start * size : end * size], size)


def segments_of(datagrams: Sequence[bytes]) -> Segments | None:
    """Return datagrams, at least one, as segments; None unless all have one size above 0."""
    lengths = [*map(len, datagrams)]
    size = lengths[0]
    if not size or lengths.count(size) != len(datagrams):
        return None
    return Segments(b"".join(datagrams), size)


SourceRun: TypeAlias = tuple[Source, list[bytes] | Segments]
"""A source and the datagrams, at least one, that it has sent in a row."""


def runs_by_source(datagrams: Iterable[tuple[Source, bytes]]) -> list[SourceRun]:
    """Return datagrams, each with its source, as runs in the same order."""
    runs: list[SourceRun] = []
    last = add = None
    for source, datagram in datagrams:
        if add is not None and source == last:
            add(datagram)
        else:
            run, last = [datagram], source
            add = run.append
            runs.append((source, run))
    return runs
