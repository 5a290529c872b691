"""Socket options of Linux: the error queue, buffer sizes, filters, the counter of drops."""

from __future__ import annotations

import errno
import socket
import struct
import sys
from array import array
from collections.abc import Sequence
from contextlib import suppress

from udprelay.batch_udp.interfaces import SocketAddress
from udprelay.batch_udp.socket_filter import FilteredSource, encode, program

_MAX_ERRORS = 4096

# Not in the socket module before Python 3.14; from linux/in.h, in6.h, socket.h, errqueue.h.
_IP_RECVERR = 11
_IPV6_RECVERR = 25
_IP_MTU_DISCOVER = 10
_IP_PMTUDISC_DONT = 0
_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27
_SO_SNDBUFFORCE = 32
_SO_RCVBUFFORCE = 33
_SO_MEMINFO = 55
_MEMINFO_DROPS = 8
_EXTENDED_ERROR = struct.Struct("=IBBBBII")
# SO_EE_ORIGIN_ICMP and _ICMP6; a system call returns its own local errors.
_FROM_NETWORK = (2, 3)


def open_error_queue(opened: socket.socket) -> None:
    """Let ICMP errors be queued for :func:`read_errors` (``ip(7)``, ``IP_RECVERR``)."""
    if opened.family == socket.AF_INET6:
        opened.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
    opened.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)


def read_errors(opened: socket.socket) -> list[tuple[SocketAddress, int]]:
    """Empty the error queue; return destinations of datagrams, and the errno for each."""
    errors = []
    for _ in range(_MAX_ERRORS):
        try:
            _, control, _, destination = opened.recvmsg(
                0, 512, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT
            )
        except OSError:
            break
        for _, _, data in control:
            if len(data) >= _EXTENDED_ERROR.size:
                code, origin = _EXTENDED_ERROR.unpack_from(data)[:2]
                if origin in _FROM_NETWORK:
                    errors.append((destination, code))
    return errors


def request_buffers(opened: socket.socket, receive: int, send: int) -> None:
    """Ask for buffers of so many bytes; 0 keeps the system's default."""
    _request_buffer(opened, socket.SO_RCVBUF, _SO_RCVBUFFORCE, receive)
    _request_buffer(opened, socket.SO_SNDBUF, _SO_SNDBUFFORCE, send)


def _request_buffer(opened: socket.socket, option: int, forced: int, size: int) -> None:
    if size == 0:
        return
    try:
        # May exceed net.core.rmem_max and wmem_max; needs CAP_NET_ADMIN.
        opened.setsockopt(socket.SOL_SOCKET, forced, size)
    except OSError:
        with suppress(OSError):
            opened.setsockopt(socket.SOL_SOCKET, option, size)


def allow_fragments(opened: socket.socket) -> None:
    """
    Let routers divide IPv4 datagrams that are too long for the next link.

    By default Linux forbids it (the DF bit), to learn the path's MTU by ICMP. Where ICMP is
    filtered, datagrams of some lengths would be lost for ever. IPv6 routers divide nothing.
    """
    if sys.platform.startswith("linux"):
        # Acts on IPv4 destinations of a dual-stack socket, too.
        opened.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DONT)


def set_dscp(opened: socket.socket, dscp: int) -> None:
    """Mark what is sent, IPv4 and IPv6 (RFC 2474). The two bits of ECN (RFC 3168) stay 0."""
    if dscp:
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)
        if opened.family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)


def granted_buffers(opened: socket.socket) -> tuple[int, int]:
    """Return the bytes of the receive and send buffers that the kernel has granted."""
    # The kernel reports twice the size, for its own bookkeeping (socket(7)).
    return (
        opened.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2,
        opened.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 2,
    )


def kernel_drops(opened: socket.socket) -> int:
    """
    Return how many datagrams the kernel has dropped because the receive buffer was full.

    It is the counter behind ``SO_RXQ_OVFL``, read in one call instead of with each datagram
    (``SO_MEMINFO``, Linux 4.12).
    """
    try:
        info = opened.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 64)
    except OSError:
        return 0
    return int.from_bytes(info[4 * _MEMINFO_DROPS : 4 * _MEMINFO_DROPS + 4], sys.byteorder)


def filter_sources(
    opened: socket.socket, sources: Sequence[FilteredSource], mark_at: int = 0
) -> int:
    """
    Let the kernel drop what comes from these sources, and nothing else any more.

    The memory for filters is limited (``net.core.optmem_max``): if all do not fit, the first half
    is tried, and so on.

    :param mark_at: the offset of marks in the payload.
    :return: 0, or the errno if there is no filter now.
    """
    number = len(sources)
    code = _attach(opened, encode(program(sources, mark_at))) if number else 0
    while code == errno.ENOMEM and number:
        # The memory of the filter before this one counts until it is off.
        detach_filter(opened)
        code = _attach(opened, encode(program(sources[:number], mark_at)))
        number //= 2
    if code or not sources:
        detach_filter(opened)
    return code


def _attach(opened: socket.socket, instructions: bytes) -> int:
    memory = array("B", instructions)
    # struct sock_fprog of linux/filter.h.
    option = struct.pack("HP", len(instructions) // 8, memory.buffer_info()[0])
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, option)
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def detach_filter(opened: socket.socket) -> None:
    """Take the filter off, if there is one: it outlives the process on an inherited socket."""
    with suppress(OSError):
        opened.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


def is_local(host: str, scope: int = 0) -> bool:
    """Return whether a numeric unicast address is one of this machine to send from."""
    family, rest = (socket.AF_INET6, (0, scope)) if ":" in host else (socket.AF_INET, ())
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0, *rest))
            # The kernel binds to broadcast addresses, and with ip_nonlocal_bind to any.
            probe.connect((host, 9, *rest))
        except OSError:
            return False
    return True
