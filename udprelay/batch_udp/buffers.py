"""
Memory for what is read and sent, one for all ports.

A port is done with it before the reactor calls another one. Were there one for each, the
processor's caches would have to hold them all.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import cache
from itertools import compress, pairwise
from operator import ne
from typing import Any

from udprelay.batch_udp import mmsg
from udprelay.batch_udp.batch_sizes import BATCH
from udprelay.batch_udp.mmsg import Memory, ffi
from udprelay.batch_udp.unicast import Unicast
from udprelay.protocol.endpoint import MAX_PAYLOAD
from udprelay.relay.bursts import Burst, in_bursts
from udprelay.segments import Joined

_SLOT = 65_536

_MOST_PACKED = 2048
"""Bytes of a datagram that is packed."""

_ENOUGH = 16
# A batch of so many tells what the next ones will be like.


class ReadBuffers:
    """
    One ``struct mmsghdr`` for each datagram of a batch, for ``recvmmsg`` to fill in.

    Datagrams mostly come with many of one size. These are packed: their first bytes, as many as
    those of the last large batch had, are read one behind the other, and whatever is longer goes
    on in a slot of its own. So a batch in which nothing is longer or shorter is taken in one
    piece.

    :param name_size: bytes of a socket address of this family.
    :ivar headers: the array.
    """

    def __init__(self, name_size: int) -> None:
        self._name_size = name_size
        self._names = Memory(name_size * BATCH)
        self._first_name = self._names.view[:name_size]
        self._name_offsets = [name_size * i for i in range(BATCH)]
        self._packed_memory = ffi.new("char[]", _MOST_PACKED * BATCH)
        self._packed = ffi.buffer(self._packed_memory)
        self._slot_memory = ffi.new("char[]", _SLOT * BATCH)
        self._slots = ffi.buffer(self._slot_memory)
        self._offsets = [_SLOT * i for i in range(BATCH)]
        self._iov = Memory(32 * BATCH)
        self._headers = Memory(8 * mmsg.WORDS * BATCH)
        first = int(ffi.cast("uintptr_t", self._slot_memory))
        words, halves = self._headers.words, self._headers.halves
        for i in range(BATCH):
            self._iov.words[4 * i + 2] = first + _SLOT * i
            words[mmsg.WORDS * i + mmsg.NAME] = self._names.address + name_size * i
            words[mmsg.WORDS * i + mmsg.IOV] = self._iov.address + 32 * i
            words[mmsg.WORDS * i + mmsg.IOV_LENGTH] = 2
            halves[mmsg.HALVES * i + mmsg.NAME_LENGTH] = name_size
        self._lengths = halves[mmsg.LENGTH :: mmsg.HALVES]
        self.headers: Any = self._headers.headers()
        self._pack(0)

    def _pack(self, size: int) -> None:
        """Pack the first ``size`` bytes of each datagram from now on; 0 is nothing."""
        first = int(ffi.cast("uintptr_t", self._packed_memory))
        words = self._iov.words
        words[0::4] = memoryview(array("Q", [first + size * i for i in range(BATCH)]))
        words[1::4] = memoryview(array("Q", [size]) * BATCH)
        words[3::4] = memoryview(array("Q", [_SLOT - size]) * BATCH)
        self._size = size

    def take(self, count: int) -> tuple[list[Burst], int]:
        """Return the first ``count`` datagrams, but those that are too long; and how many are."""
        if count == 1 and (length := self._lengths[0]) <= MAX_PAYLOAD:
            return [(self._first_name.tobytes(), [self._first_datagram(length)])], 0
        lengths = self._lengths[:count].tolist()
        names = self._names.view[: self._name_size * count].tobytes()
        if self._size and lengths.count(self._size) == count:
            return self._in_joined_bursts(names, count), 0
        datagrams = self._datagrams(lengths)
        if count >= _ENOUGH:
            self._expect(lengths)
        pairs = zip(self._sources(names, count), datagrams, strict=True)
        if max(lengths) <= MAX_PAYLOAD:
            return in_bursts(pairs), 0
        fit = [(source, datagram) for source, datagram in pairs if len(datagram) <= MAX_PAYLOAD]
        return in_bursts(fit), count - len(fit)

    def _expect(self, lengths: Sequence[int]) -> None:
        """Pack as many bytes as most of these have, from now on."""
        usual = lengths[len(lengths) // 2]
        if usual > _MOST_PACKED or 2 * lengths.count(usual) <= len(lengths):
            usual = 0
        if usual != self._size:
            self._pack(usual)

    def _first_datagram(self, length: int) -> bytes:
        size = self._size
        if not size:
            return self._slots[:length]  # type: ignore[no-any-return]
        packed: bytes = self._packed[: min(length, size)]
        return packed + self._slots[: length - size] if length > size else packed

    def _datagrams(self, lengths: Sequence[int]) -> list[bytes]:
        packed, slots, size = self._packed, self._slots, self._size
        if not size:
            return [slots[at : at + n] for at, n in zip(self._offsets, lengths, strict=False)]
        return [
            packed[size * index : size * index + length]
            if length <= size
            else packed[size * index : size * (index + 1)] + slots[at : at + length - size]
            for index, (at, length) in enumerate(zip(self._offsets, lengths, strict=False))
        ]

    def _sources(self, names: bytes, count: int) -> list[bytes]:
        size = self._name_size
        return [names[at : at + size] for at in self._name_offsets[:count]]

    def _in_joined_bursts(self, names: bytes, count: int) -> list[Burst]:
        """Return packed datagrams that all have one size."""
        size, data = self._size, self._packed[: self._size * count]
        first = names[: self._name_size]
        if names == first * count:
            return [(first, Joined(data, size))]
        sources = self._sources(names, count)
        starts = [0, *compress(range(1, count), map(ne, sources, sources[1:])), count]
        return [
            (
                sources[start],
                [data[start * size : end * size]]
                if end - start == 1
                else Joined(data[start * size : end * size], size),
            )
            for start, end in pairwise(starts)
        ]


class SendBuffers:
    """
    What message headers point at.

    :ivar payload: of all that is sent to many.
    :ivar iov: the first is shared by all members; the others are pieces for those who spoke.
    :ivar control: asks for segments.
    :ivar unicast: for datagrams to single addresses.
    """

    def __init__(self, name_size: int) -> None:
        self.payload = Memory(_SLOT)
        self.iov = Memory(16 * (1 + 2 * mmsg.MOST_SEGMENTS))
        self.iov.words[0] = self.payload.address
        self.control = Memory(mmsg.SEGMENT_CONTROL)
        self.unicast = Unicast(name_size)


@cache
def read_buffers(name_size: int) -> ReadBuffers:
    """Return the ones for a size of socket addresses."""
    return ReadBuffers(name_size)


@cache
def send_buffers(name_size: int) -> SendBuffers:
    """Return the ones for a size of socket addresses."""
    return SendBuffers(name_size)
