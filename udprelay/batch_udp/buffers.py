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

from udprelay.batch_udp import mmsg
from udprelay.batch_udp.interfaces import MAX_BATCH, MAX_PAYLOAD
from udprelay.batch_udp.layout import Layout
from udprelay.batch_udp.mmsg import Memory, ffi
from udprelay.segments import Segments, SourceRun, runs_by_source

_SLOT = 65_536

_MAX_STRIDE = 2048

_AGGREGATE_SPACE = 24
"""Bytes that the control message with the size of an aggregate takes (``UDP_GRO``)."""

_MIN_SAMPLE = 16
"""Datagrams in a batch that predicts the sizes of the next ones."""

_UNICAST_SLOT = 1280
"""Bytes; longer datagrams for one address are rare and sent alone."""

MAX_UNICAST = 64
"""Datagrams in one call, each for an address of its own."""


class ReadBuffers:
    """
    One ``struct mmsghdr`` for each message of a batch, for ``recvmmsg`` to fill in.

    A message is one datagram, or several of one source that the kernel has put together
    (``UDP_GRO``, ``udp(7)``); a control message then has their size. It comes before the one with
    the local address. Space for both follows the socket address. So without an aggregate, the
    beginning of an entry is a source, and sources of a batch are compared as one buffer.

    Each header points at two pieces of memory. The first has ``stride`` bytes and follows that of
    the previous message; the second, a slot of its own, receives the rest of a longer one.
    So a batch whose datagrams all have ``stride`` bytes is read as one buffer. The stride is the
    most frequent size of the last large batch, or 0.

    :ivar headers: the array.
    :ivar aggregated: whether a message of the last batch may have been several datagrams.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._segments_memory = ffi.new("char[]", _MAX_STRIDE * MAX_BATCH)
        self._segments = ffi.buffer(self._segments_memory)
        self._slot_memory = ffi.new("char[]", _SLOT * MAX_BATCH)
        self._slots = ffi.buffer(self._slot_memory)
        self._iov = Memory(32 * MAX_BATCH)
        self._space = layout.control_space + _AGGREGATE_SPACE
        self._entry_size = size = layout.control_at + self._space
        self._headers = headers = mmsg.Headers(MAX_BATCH, layout.name_size, 2, size)
        first = int(ffi.cast("uintptr_t", self._slot_memory))
        batch = range(MAX_BATCH)
        self._iov.words[2::4] = memoryview(array("Q", [first + _SLOT * i for i in batch]))
        headers.fill(mmsg.IOV, [self._iov.address + 32 * i for i in batch])
        control = headers.names.address + layout.control_at
        headers.fill(mmsg.CONTROL, [control + size * i for i in batch])
        headers.fill(mmsg.CONTROL_LENGTH, [self._space] * MAX_BATCH)
        self._entries = headers.names.view
        self._first_source = self._entries[: layout.source_size]
        self._lengths = headers.halves[mmsg.LENGTH :: mmsg.HALVES]
        self._control_lengths = headers.words[mmsg.CONTROL_LENGTH :: mmsg.WORDS]
        self._full_control = memoryview(array("Q", [self._space]) * MAX_BATCH)
        self.headers = headers.array
        self.aggregated = False
        self._set_stride(0)

    def _set_stride(self, stride: int) -> None:
        first = int(ffi.cast("uintptr_t", self._segments_memory))
        words = self._iov.words
        words[0::4] = memoryview(array("Q", [first + stride * i for i in range(MAX_BATCH)]))
        words[1::4] = memoryview(array("Q", [stride]) * MAX_BATCH)
        words[3::4] = memoryview(array("Q", [_SLOT - stride]) * MAX_BATCH)
        self._stride = stride

    def runs(self, count: int) -> tuple[list[SourceRun], int]:
        """Return the runs in the first ``count`` messages, and how many messages are unusable."""
        controls, usual = self._control_lengths, self._layout.control_space
        if count == 1 and controls[0] == usual and (length := self._lengths[0]) <= MAX_PAYLOAD:
            controls[0], self.aggregated = self._space, False
            data = self._data(0, length) if self._stride else self._slots[:length]
            return [(self._first_source.tobytes(), Segments(data, length))], 0
        lengths, told = self._lengths[:count].tolist(), controls[:count].tolist()
        # The kernel writes the length of what it has to say into the field for the space.
        controls[:count] = self._full_control[:count]
        entries = self._entries[: self._entry_size * count].tobytes()
        self.aggregated = told.count(usual) != count
        if self.aggregated:
            return self._aggregate_runs(entries, lengths, told)
        if self._stride and lengths.count(self._stride) == count:
            return self._uniform_runs(entries, count), 0
        sources = self._sources(entries, count)
        datagrams = [*map(self._data, range(count), lengths)]
        if count >= _MIN_SAMPLE:
            self._predict_stride(lengths)
        pairs = zip(sources, datagrams, strict=True)
        if max(lengths) <= MAX_PAYLOAD:
            return runs_by_source(pairs), 0
        fit = [pair for pair in pairs if len(pair[1]) <= MAX_PAYLOAD]
        return runs_by_source(fit), count - len(fit)

    def _predict_stride(self, lengths: Sequence[int]) -> None:
        stride = lengths[len(lengths) // 2]
        if stride > _MAX_STRIDE or 2 * lengths.count(stride) <= len(lengths):
            stride = 0
        if stride != self._stride:
            self._set_stride(stride)

    def _data(self, index: int, length: int) -> bytes:
        stride = self._stride
        beginning: bytes = self._segments[stride * index : stride * index + min(length, stride)]
        if length <= stride:
            return beginning
        slot = _SLOT * index
        rest: bytes = self._slots[slot : slot + length - stride]
        return beginning + rest if stride else rest

    def _sources(self, entries: bytes, count: int) -> list[bytes]:
        size, source = self._entry_size, self._layout.source_size
        return [entries[at : at + source] for at in range(0, size * count, size)]

    def _uniform_runs(self, entries: bytes, count: int) -> list[SourceRun]:
        """Return the runs of datagrams that all have the size of the stride."""
        size, data = self._stride, self._segments[: self._stride * count]
        if entries == entries[: self._entry_size] * count:
            return [(self._first_source.tobytes(), Segments(data, size))]
        sources = self._sources(entries, count)
        starts = [0, *compress(range(1, count), map(ne, sources, sources[1:])), count]
        return [
            (sources[start], Segments(data[start * size : end * size], size))
            for start, end in pairwise(starts)
        ]

    def _aggregate_runs(
        self, entries: bytes, lengths: Sequence[int], told: Sequence[int]
    ) -> tuple[list[SourceRun], int]:
        """
        Return the runs of messages, each of one or more datagrams.

        :param told: bytes of the control messages of each.
        """
        layout, at, runs = self._layout, 0, []
        for i, (length, control_length) in enumerate(zip(lengths, told, strict=True)):
            control = at + layout.control_at
            local, size = layout.read(entries[control : control + control_length])
            size = length if size is None else size
            if length <= MAX_PAYLOAD and (size or not length):
                source = layout.source(entries[at : at + layout.name_size], local)
                runs.append((source, Segments(self._data(i, length), size)))
            at += self._entry_size
        # What is left of longer control messages would differ from one entry to another.
        self._entries[: len(entries)] = bytes(len(entries))
        if self._stride:
            self._set_stride(0)
        return runs, len(lengths) - len(runs)


class UnicastBuffers:
    """
    One ``struct mmsghdr`` for each of up to :data:`MAX_UNICAST` datagrams, and their payloads.

    :ivar headers: the array, for ``sendmmsg``.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._payloads = Memory(_UNICAST_SLOT * MAX_UNICAST)
        self._iov = Memory(16 * MAX_UNICAST)
        self._memory = memory = mmsg.Headers(MAX_UNICAST, layout.name_size)
        indexes = range(MAX_UNICAST)
        for i in indexes:
            self._iov.words[2 * i] = self._payloads.address + _UNICAST_SLOT * i
        memory.fill(mmsg.IOV, [self._iov.address + 16 * i for i in indexes])
        self._control = Memory(len(layout.control) * MAX_UNICAST)
        self._control.view[:] = layout.control * MAX_UNICAST
        memory.fill(
            mmsg.CONTROL, [self._control.address + len(layout.control) * i for i in indexes]
        )
        memory.fill(mmsg.CONTROL_LENGTH, [layout.control_length] * MAX_UNICAST)
        self.headers = memory.array

    def fill(self, datagrams: Sequence[tuple[bytes, bytes]], start: int) -> int:
        """
        Write headers for datagrams from index ``start`` on.

        :param datagrams: sources and payloads.
        :return: the number of headers; the first datagram that is too long ends them.
        """
        names, payloads, controls = (
            self._memory.names.view,
            self._payloads.view,
            self._control.view,
        )
        lengths, layout = self._iov.words, self._layout
        size, space, count = layout.name_size, len(layout.control), 0
        begin, end = layout.local.start, layout.local.stop
        for source, payload in datagrams[start : start + MAX_UNICAST]:
            length = len(payload)
            if length > _UNICAST_SLOT:
                break
            names[count * size : (count + 1) * size] = source[:size]
            if end:
                local = layout.local_or_any(source)
                controls[count * space + begin : count * space + end] = local
            payloads[count * _UNICAST_SLOT : count * _UNICAST_SLOT + length] = payload
            lengths[2 * count + 1] = length
            count += 1
        return count


class SendBuffers:
    """
    Memory that message headers point at.

    :ivar payload: sent to many recipients.
    :ivar iov: the first entry is shared by all members; the others are pieces for senders.
    :ivar unicast: for datagrams to single addresses.
    """

    def __init__(self, layout: Layout) -> None:
        self.payload = Memory(_SLOT)
        self.iov = Memory(16 * (1 + 2 * mmsg.MAX_SEGMENTS))
        self.iov.words[0] = self.payload.address
        self.unicast = UnicastBuffers(layout)


read_buffers = cache(ReadBuffers)
"""Return the buffers for sockets of a layout."""

send_buffers = cache(SendBuffers)
"""Return the buffers for sockets of a layout."""
