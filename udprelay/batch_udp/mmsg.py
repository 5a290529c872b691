"""
The Linux system calls that move many datagrams at once, through cffi without a compiler.

They are ``recvmmsg(2)`` and ``sendmmsg(2)``; with ``UDP_GRO`` and ``UDP_SEGMENT`` (``udp(7)``) one
message carries many datagrams of one size. Memory views over the structures' bytes change one
field of all of them in one operation.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from array import array
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from typing import Any, Protocol, cast

import cffi

SOL_UDP = 17
UDP_SEGMENT = 103
UDP_GRO = 104
MSG_DONTWAIT = 0x40
MAX_SEGMENTS = 64
"""Segments of one message, in every kernel with ``UDP_SEGMENT``."""
MAX_MESSAGES = 1024
"""Messages of one call (``UIO_MAXIOV``)."""

ffi = cffi.FFI()
ffi.cdef(
    """
    struct iovec { void *iov_base; size_t iov_len; };
    struct msghdr {
        void *msg_name; uint32_t msg_namelen;
        struct iovec *msg_iov; size_t msg_iovlen;
        void *msg_control; size_t msg_controllen;
        int msg_flags;
    };
    struct mmsghdr { struct msghdr msg_hdr; unsigned int msg_len; };
    int recvmmsg(int, struct mmsghdr *, unsigned int, int, void *);
    int sendmmsg(int, struct mmsghdr *, unsigned int, int);
    """
)

# Indexes of 8-byte and 4-byte fields within one struct mmsghdr.
WORDS, NAME, IOV, IOV_LENGTH, CONTROL, CONTROL_LENGTH = 8, 0, 2, 3, 4, 5
HALVES, NAME_LENGTH, LENGTH = 16, 2, 14

_SEGMENT_SIZE = struct.Struct("=QiiHxxxxxx")


def segment_size(size: int) -> bytes:
    """Return the control message that asks for datagrams of ``size`` bytes (``cmsg(3)``)."""
    return _SEGMENT_SIZE.pack(18, SOL_UDP, UDP_SEGMENT, size)


class SystemCalls(Protocol):
    """The two system calls: they return -1 and set ``ffi.errno`` on failure."""

    def recvmmsg(self, fd: int, headers: Any, count: int, flags: int, timeout: Any, /) -> int:
        """Read up to ``count`` datagrams; return their number."""

    def sendmmsg(self, fd: int, headers: Any, count: int, flags: int, /) -> int:
        """Send messages up to the first that fails; return the number of those sent."""


class UnavailableError(Exception):
    """The system calls cannot be used here; the text says why."""


@cache
def load() -> SystemCalls:
    """
    Return the calls of the C library after a trial of both.

    :raises UnavailableError: without Linux, 64 bits or the calls, or if they are forbidden.
    """
    if not sys.platform.startswith("linux"):
        raise UnavailableError(f"{sys.platform} has no recvmmsg and sendmmsg")
    if ffi.sizeof("struct mmsghdr") != 8 * WORDS:
        raise UnavailableError("not a 64-bit system")
    try:
        library: Any = ffi.dlopen(None)
        calls = library.recvmmsg, library.sendmmsg
    except (OSError, AttributeError):
        raise UnavailableError("the C library has no recvmmsg and sendmmsg") from None
    header = ffi.new("struct mmsghdr *")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for call, more in zip(calls, ((ffi.NULL,), ()), strict=True):
            result = call(probe.fileno(), header, 0 if not more else 1, MSG_DONTWAIT, *more)
            if result < 0 and ffi.errno not in (errno.EAGAIN, errno.EWOULDBLOCK):
                # ENOSYS of an old kernel, EPERM of a seccomp filter.
                raise UnavailableError(os.strerror(ffi.errno))
    return cast(SystemCalls, library)


def request_aggregates(opened: socket.socket) -> None:
    """Let the kernel put datagrams of one source together, where it can (Linux 5.0)."""
    with suppress(OSError):
        opened.setsockopt(SOL_UDP, UDP_GRO, 1)


def has_segments(opened: socket.socket) -> bool:
    """Return whether the kernel knows ``UDP_SEGMENT`` (Linux 4.18)."""
    try:
        opened.getsockopt(SOL_UDP, UDP_SEGMENT)
    except OSError:
        return False
    return True


class Memory:
    """
    Zeroed memory that the kernel reads or writes, with its address.

    :ivar view: its bytes.
    :ivar words: the same bytes as 8-byte integers.
    :ivar halves: the same bytes as 4-byte integers.
    """

    def __init__(self, size: int) -> None:
        self._memory = ffi.new("uint64_t[]", (size + 7) // 8)
        self.address = int(ffi.cast("uintptr_t", self._memory))
        self.view = memoryview(ffi.buffer(self._memory)).cast("B")
        self.words = self.view.cast("Q")
        self.halves = self.view.cast("I")


class Headers(Memory):
    """
    One ``struct mmsghdr`` for each of ``count`` messages, each with a socket address of its own.

    :param name_size: bytes of a socket address.
    :param pieces: entries of each message's ``struct iovec``.
    :param stride: bytes from one address to the next; more than the address takes leave space.
    :ivar names: the addresses.
    :ivar array: a C pointer to the headers.
    """

    def __init__(self, count: int, name_size: int, pieces: int = 1, stride: int = 0) -> None:
        super().__init__(8 * WORDS * count)
        self.array: Any = ffi.cast("struct mmsghdr *", self._memory)
        stride = stride or name_size
        self.names = Memory(stride * count)
        first = self.names.address
        self.fill(NAME, range(first, first + stride * count, stride))
        self.fill(IOV_LENGTH, [pieces] * count)
        self.halves[NAME_LENGTH::HALVES] = memoryview(array("I", [name_size]) * count)

    def fill(self, field: int, values: Iterable[int]) -> None:
        """Write one field of all headers."""
        self.words[field::WORDS] = memoryview(array("Q", values))
