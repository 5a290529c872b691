"""
The Linux system calls that move many datagrams at once, through cffi without a compiler.

``recvmmsg(2)``, ``sendmmsg(2)``; ``UDP_SEGMENT`` (``udp(7)``) lets one message carry many
datagrams of one size. The structures are written and read through memory views over their bytes,
so that whole columns of them change in one operation.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from functools import cache
from typing import Any

import cffi

SOL_UDP = 17
UDP_SEGMENT = 103
MSG_DONTWAIT = 0x40
MOST_SEGMENTS = 64
"""Segments that every kernel with ``UDP_SEGMENT`` takes in one message."""
MOST_MESSAGES = 1024
"""Messages that one call takes (``UIO_MAXIOV``)."""

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
SEGMENT_CONTROL = _SEGMENT_SIZE.size


def segment_size(size: int) -> bytes:
    """Return the control message that asks for datagrams of ``size`` bytes (``cmsg(3)``)."""
    return _SEGMENT_SIZE.pack(18, SOL_UDP, UDP_SEGMENT, size)


class UnavailableError(Exception):
    """The system calls can't be used here; the text says why."""


@cache
def load() -> Any:
    """
    Return the C library, once both calls have been tried on a socket of their own.

    :raises UnavailableError: without Linux, 64 bits or the calls, or where they are forbidden.
    """
    if not sys.platform.startswith("linux"):
        raise UnavailableError(f"{sys.platform} has no recvmmsg and sendmmsg")
    if ffi.sizeof("struct mmsghdr") != 8 * WORDS:
        raise UnavailableError("this is no 64-bit system")
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
    return library


def has_segments(descriptor: socket.socket) -> bool:
    """Return whether the kernel knows ``UDP_SEGMENT`` (Linux 4.18)."""
    try:
        descriptor.getsockopt(SOL_UDP, UDP_SEGMENT)
    except OSError:
        return False
    return True


class Memory:
    """
    Zeroed memory that the kernel reads or writes, with its address.

    :ivar view: its bytes.
    :ivar words: the same as 8-byte numbers.
    :ivar halves: the same as 4-byte numbers.
    """

    __slots__ = ("_memory", "address", "halves", "view", "words")

    def __init__(self, size: int) -> None:
        self._memory = ffi.new("uint64_t[]", (size + 7) // 8)
        self.address = int(ffi.cast("uintptr_t", self._memory))
        self.view = memoryview(ffi.buffer(self._memory)).cast("B")
        self.words = self.view.cast("Q")
        self.halves = self.view.cast("I")

    def headers(self) -> Any:
        """Return a C pointer to the memory as ``struct mmsghdr``."""
        return ffi.cast("struct mmsghdr *", self._memory)
