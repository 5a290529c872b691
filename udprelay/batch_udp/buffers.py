"""
Memory for reading and sending, shared by all ports of a process.

A port is done with it before the reactor calls another port. Memory for each port would not fit
in the processor's caches (25 busy ports: a third more CPU).
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import cache
from itertools import compress, pairwise
from operator import ne
from typing import Any

from udprelay.batch_udp import mmsg
from udprelay.batch_udp.interfaces import MAX_BATCH, MAX_PAYLOAD
from udprelay.batch_udp.mmsg import Memory, ffi
from udprelay.segments import Segments, SourceRun, runs_by_source

_SLOT = 65_536

_MAX_STRIDE = 2048

_MIN_SAMPLE = 16
"""Datagrams in a batch that predicts the sizes of the next ones."""

_UNICAST_SLOT = 1280
"""Bytes; longer datagrams for one address are rare and sent alone."""

MAX_UNICAST = 64
"""Datagrams in one call, each for an address of its own."""


class ReadBuffers:
    """
    One ``struct mmsghdr`` for each datagram of a batch, for ``recvmmsg`` to fill in.

    Each header points at two pieces of memory. The first has ``stride`` bytes and follows that of
    the previous datagram; the second, a slot of its own, receives the rest of a longer datagram.
    So a batch whose datagrams all have ``stride`` bytes is read as one buffer. The stride is the
    most frequent size of the last large batch, or 0.

    :param name_size: bytes of a socket address of this family.
    :ivar headers: the array.
    """

    def __init__(self, name_size: int) -> None:
        self._name_size = name_size
        self._names = Memory(name_size * MAX_BATCH)
        self._first_name = self._names.view[:name_size]
        self._name_offsets = [name_size * i for i in range(MAX_BATCH)]
        self._segments_memory = ffi.new("char[]", _MAX_STRIDE * MAX_BATCH)
        self._segments = ffi.buffer(self._segments_memory)
        self._slot_memory = ffi.new("char[]", _SLOT * MAX_BATCH)
        self._slots = ffi.buffer(self._slot_memory)
        self._offsets = [_SLOT * i for i in range(MAX_BATCH)]
        self._iov = Memory(32 * MAX_BATCH)
        self._headers = Memory(8 * mmsg.WORDS * MAX_BATCH)
        first = int(ffi.cast("uintptr_t", self._slot_memory))
        words, halves = self._headers.words, self._headers.halves
        for i in range(MAX_BATCH):
            self._iov.words[4 * i + 2] = first + _SLOT * i
            words[mmsg.WORDS * i + mmsg.NAME] = self._names.address + name_size * i
            words[mmsg.WORDS * i + mmsg.IOV] = self._iov.address + 32 * i
            words[mmsg.WORDS * i + mmsg.IOV_LENGTH] = 2
            halves[mmsg.HALVES * i + mmsg.NAME_LENGTH] = name_size
        self._lengths = halves[mmsg.LENGTH :: mmsg.HALVES]
        self.headers: Any = self._headers.headers()
        self._set_stride(0)

    def _set_stride(self, stride: int) -> None:
        first = int(ffi.cast("uintptr_t", self._segments_memory))
        words = self._iov.words
        words[0::4] = memoryview(array("Q", [first + stride * i for i in range(MAX_BATCH)]))
        words[1::4] = memoryview(array("Q", [stride]) * MAX_BATCH)
        words[3::4] = memoryview(array("Q", [_SLOT - stride]) * MAX_BATCH)
        self._stride = stride

    def runs(self, count: int) -> tuple[list[SourceRun], int]:
        """Return the first ``count`` datagrams that are not too long, and how many are."""
        if count == 1 and (length := self._lengths[0]) <= MAX_PAYLOAD:
            return [(self._first_name.tobytes(), [self._first_datagram(length)])], 0
        lengths = self._lengths[:count].tolist()
        names = self._names.view[: self._name_size * count].tobytes()
        if self._stride and lengths.count(self._stride) == count:
            return self._segment_runs(names, count), 0
        datagrams = self._datagrams(lengths)
        if count >= _MIN_SAMPLE:
            self._predict_stride(lengths)
        pairs = zip(self._sources(names, count), datagrams, strict=True)
        if max(lengths) <= MAX_PAYLOAD:
            return runs_by_source(pairs), 0
        fit = [(source, datagram) for source, datagram in pairs if len(datagram) <= MAX_PAYLOAD]
        return runs_by_source(fit), count - len(fit)

    def _predict_stride(self, lengths: Sequence[int]) -> None:
        stride = lengths[len(lengths) // 2]
        if stride > _MAX_STRIDE or 2 * lengths.count(stride) <= len(lengths):
            stride = 0
        if stride != self._stride:
            self._set_stride(stride)

    def _first_datagram(self, length: int) -> bytes:
        stride = self._stride
        if not stride:
            return self._slots[:length]  # type: ignore[no-any-return]
        beginning: bytes = self._segments[: min(length, stride)]
        return beginning + self._slots[: length - stride] if length > stride else beginning

    def _datagrams(self, lengths: Sequence[int]) -> list[bytes]:
        segments, slots, stride = self._segments, self._slots, self._stride
        if not stride:
            return [slots[at : at + n] for at, n in zip(self._offsets, lengths, strict=False)]
        return [
            segments[stride * index : stride * index + length]
            if length <= stride
            else segments[stride * index : stride * (index + 1)] + slots[at : at + length - stride]
            for index, (at, length) in enumerate(zip(self._offsets, lengths, strict=False))
        ]

    def _sources(self, names: bytes, count: int) -> list[bytes]:
        size = self._name_size
        return [names[at : at + size] for at in self._name_offsets[:count]]

    def _segment_runs(self, names: bytes, count: int) -> list[SourceRun]:
        """Return datagrams that all have the size of the stride."""
        size, data = self._stride, self._segments[: self._stride * count]
        first = names[: self._name_size]
        if names == first * count:
            return [(first, Segments(data, size))]
        sources = self._sources(names, count)
        starts = [0, *compress(range(1, count), map(ne, sources, sources[1:])), count]
        return [
            (
                sources[start],
                [data[start * size : end * size]]
                if end - start == 1
                else Segments(data[start * size : end * size], size),
            )
            for start, end in pairwise(starts)
        ]


class UnicastBuffers:
    """
    One ``struct mmsghdr`` for each of up to :data:`MAX_UNICAST` datagrams, and their payloads.

    :param name_size: bytes of a socket address of this family.
    :ivar headers: the array, for ``sendmmsg``.
    """

    __slots__ = ("_iov", "_memory", "_name_size", "_names", "_payloads", "headers")

    def __init__(self, name_size: int) -> None:
        self._name_size = name_size
        self._names = Memory(name_size * MAX_UNICAST)
        self._payloads = Memory(_UNICAST_SLOT * MAX_UNICAST)
        self._iov = Memory(16 * MAX_UNICAST)
        self._memory = Memory(8 * mmsg.WORDS * MAX_UNICAST)
        words, halves = self._memory.words, self._memory.halves
        for i in range(MAX_UNICAST):
            self._iov.words[2 * i] = self._payloads.address + _UNICAST_SLOT * i
            words[mmsg.WORDS * i + mmsg.NAME] = self._names.address + name_size * i
            words[mmsg.WORDS * i + mmsg.IOV] = self._iov.address + 16 * i
            words[mmsg.WORDS * i + mmsg.IOV_LENGTH] = 1
            halves[mmsg.HALVES * i + mmsg.NAME_LENGTH] = name_size
        self.headers: Any = self._memory.headers()

    def fill(self, datagrams: Sequence[tuple[bytes, bytes]], start: int) -> int:
        """
        Write headers for datagrams from index ``start`` on.

        :param datagrams: raw socket addresses and payloads.
        :return: the number of headers; the first datagram that is too long ends them.
        """
        names, payloads, lengths = self._names.view, self._payloads.view, self._iov.words
        size, count = self._name_size, 0
        for name, payload in datagrams[start : start + MAX_UNICAST]:
            length = len(payload)
            if length > _UNICAST_SLOT:
                break
            names[count * size : (count + 1) * size] = name
            payloads[count * _UNICAST_SLOT : count * _UNICAST_SLOT + length] = payload
            lengths[2 * count + 1] = length
            count += 1
        return count


class SendBuffers:
    """
    Memory that message headers point at.

    :ivar payload: sent to many recipients.
    :ivar iov: the first entry is shared by all members; the others are pieces for senders.
    :ivar control: the request for segments.
    :ivar unicast: for datagrams to single addresses.
    """

    def __init__(self, name_size: int) -> None:
        self.payload = Memory(_SLOT)
        self.iov = Memory(16 * (1 + 2 * mmsg.MAX_SEGMENTS))
        self.iov.words[0] = self.payload.address
        self.control = Memory(mmsg.SEGMENT_CONTROL)
        self.unicast = UnicastBuffers(name_size)


@cache
def read_buffers(name_size: int) -> ReadBuffers:
    """Return the buffers for socket addresses of that size."""
    return ReadBuffers(name_size)


@cache
def send_buffers(name_size: int) -> SendBuffers:
    """Return the buffers for socket addresses of that size."""
    return SendBuffers(name_size)
