"""Datagrams of one size, one behind the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload


class Joined(Sequence[bytes]):
    """
    Datagrams of one size in one buffer, as they came in or go out together.

    :param data: all of them; nobody changes it any more.
    :param size: bytes of each.
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
    def __getitem__(self, index: slice) -> Joined: ...

    def __getitem__(self, index: int | slice) -> bytes | Joined:
        """
        Return one datagram, or those of a range.

        :raises IndexError: if there is none.
        :raises ValueError: if the range leaves some out in between.
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
        return Joined(self.data[start * size : end * size], size)


def join_if_alike(datagrams: Sequence[bytes]) -> Joined | None:
    """Return datagrams, at least one, as joined; None if they have not all one size, above 0."""
    lengths = [*map(len, datagrams)]
    size = lengths[0]
    if not size or lengths.count(size) != len(datagrams):
        return None
    return Joined(b"".join(datagrams), size)
