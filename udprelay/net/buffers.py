"""
Memory for what is read and sent, one for all ports.

A port is done with it before the reactor calls another one. Were there one for each, the
processor's caches would have to hold them all.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from udprelay.core.bursts import Burst, in_bursts
from udprelay.core.endpoint import MAX_PAYLOAD
from udprelay.net import mmsg
from udprelay.net.batch_sizes import BATCH
from udprelay.net.mmsg import Memory, ffi
from udprelay.net.unicast import Unicast

_SLOT = 65_536


class ReadBuffers:
    """
    One ``struct mmsghdr`` for each datagram of a batch, for ``recvmmsg`` to fill in.

    :param name_size: bytes of a socket address of this family.
    :ivar headers: the array.
    """

    def __init__(self, name_size: int) -> None:
        self._name_size = name_size
        self._names = Memory(name_size * BATCH)
        self._first_name = self._names.view[:name_size]
        self._memory = ffi.new("char[]", _SLOT * BATCH)
        self._payloads = ffi.buffer(self._memory)
        self._name_offsets = [name_size * i for i in range(BATCH)]
        self._offsets = [_SLOT * i for i in range(BATCH)]
        self._iov = Memory(16 * BATCH)
        self._headers = Memory(8 * mmsg.WORDS * BATCH)
        first = int(ffi.cast("uintptr_t", self._memory))
        words, halves = self._headers.words, self._headers.halves
        for i in range(BATCH):
            self._iov.words[2 * i] = first + _SLOT * i
            self._iov.words[2 * i + 1] = _SLOT
            words[mmsg.WORDS * i + mmsg.NAME] = self._names.address + name_size * i
            words[mmsg.WORDS * i + mmsg.IOV] = self._iov.address + 16 * i
            words[mmsg.WORDS * i + mmsg.IOV_LENGTH] = 1
            halves[mmsg.HALVES * i + mmsg.NAME_LENGTH] = name_size
        self._lengths = halves[mmsg.LENGTH :: mmsg.HALVES]
        self.headers: Any = self._headers.headers()

    def take(self, count: int) -> tuple[list[Burst], int]:
        """Return the first ``count`` datagrams, but those that are too long; and how many are."""
        buffer, size = self._payloads, self._name_size
        if count == 1 and (length := self._lengths[0]) <= MAX_PAYLOAD:
            return [(self._first_name.tobytes(), [buffer[:length]])], 0
        names = self._names.view[: size * count].tobytes()
        lengths = self._lengths[:count].tolist()
        datagrams = [
            buffer[o : o + length] for o, length in zip(self._offsets, lengths, strict=False)
        ]
        if max(lengths) <= MAX_PAYLOAD and names == (first := names[:size]) * count:
            return [(first, datagrams)], 0
        sources = [names[n : n + size] for n in self._name_offsets[:count]]
        if max(lengths) <= MAX_PAYLOAD:
            return in_bursts(zip(sources, datagrams, strict=True)), 0
        pairs = zip(sources, datagrams, strict=True)
        fit = [(source, datagram) for source, datagram in pairs if len(datagram) <= MAX_PAYLOAD]
        return in_bursts(fit), count - len(fit)


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
