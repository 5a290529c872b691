"""
Sources as bytes: the socket address of a peer, and the local address that it has asked.

A socket on every address must know which of them to answer from: a program with a connected
socket hears nothing from another one. The kernel tells with each datagram which local address it
was sent to (``IP_PKTINFO``, ``ip(7)``; ``IPV6_PKTINFO``, RFC 3542, 6.2), and takes the same
control message with a datagram to send. On a dual-stack socket, that of IPv6 serves both families.
"""

from __future__ import annotations

import socket
import struct
import sys
from functools import cache, lru_cache

from udprelay.batch_udp.interfaces import SocketAddress
from udprelay.batch_udp.linux_socket import is_local
from udprelay.batch_udp.mmsg import SOL_UDP, UDP_GRO, segment_size

# Not in the socket module of every Python; from linux/in.h and linux/in6.h.
_IP_PKTINFO = 8
_IPV6_RECVPKTINFO = 49
_IPV6_PKTINFO = 50

_HEADER = struct.Struct("=Qii")
_MAPPED = bytes(10) + b"\xff\xff"
_IPV4 = struct.Struct("=H2s4s8x")
_IPV6 = struct.Struct("=H2sI16sI")


def _padded(size: int) -> int:
    """Return the bytes that a control message takes (``CMSG_SPACE``, ``cmsg(3)``)."""
    return -(-size // 8) * 8


class Layout:
    """
    How the sockets of one kind have sources.

    A source is a raw socket address. If the peer has asked one of several local addresses, padding
    and a control message with that address follow, as they are in the memory of a message header.

    :param family: ``AF_INET`` or ``AF_INET6``.
    :param local_size: bytes of a local address and its interface; 0 if the socket has only one.
    :ivar name_size: bytes of a socket address.
    :ivar source_size: bytes of a source with a local address, or of one without if none has one.
    :ivar control_at: where the control message begins, if there is one.
    :ivar control_length: bytes of the control message with a local address.
    :ivar control_space: the same with padding.
    :ivar control_type: its level and type.
    :ivar control: control messages to send: the local address, which is to be filled in at
        ``local``, and the size of segments.
    :ivar read: reads the control messages of one message (:meth:`_read`).
    :ivar local_or_any: returns the local address to answer a source from (:meth:`_local_or_any`).
    """

    def __init__(self, family: int, local_size: int) -> None:
        self.family = family
        self.ipv6 = family == socket.AF_INET6
        self.name_size = _IPV6.size if self.ipv6 else _IPV4.size
        self.control_at = _padded(self.name_size)
        self.control_length = _HEADER.size + local_size if local_size else 0
        self.control_space = _padded(self.control_length)
        self.source_size = self.control_at + self.control_length if local_size else self.name_size
        self.local = slice(_HEADER.size, self.control_length)
        self.control_type = (
            (socket.IPPROTO_IPV6, _IPV6_PKTINFO) if self.ipv6 else (socket.IPPROTO_IP, _IP_PKTINFO)
        )
        self._local_size = local_size
        self._local_at = self.control_at + _HEADER.size
        self._header = _HEADER.pack(self.control_length, *self.control_type)
        local = self._header.ljust(self.control_space, b"\0") if local_size else b""
        self.control = local + segment_size(0)
        # The same bytes come very often.
        self.read = lru_cache(maxsize=1024)(self._read)
        self.local_or_any = lru_cache(maxsize=1024)(self._local_or_any)

    def request(self, opened: socket.socket) -> None:
        """Let the kernel tell the local address of each datagram."""
        if self._local_size:
            level, kind = self.control_type
            # In IPv6, the option has a number of its own.
            opened.setsockopt(level, _IPV6_RECVPKTINFO if self.ipv6 else kind, 1)

    def name(self, address: SocketAddress) -> bytes:
        """Return an address of the ``socket`` module as bytes: a source without a local one."""
        port = address[1].to_bytes(2, "big")
        if not self.ipv6:
            return _IPV4.pack(socket.AF_INET, port, socket.inet_aton(address[0]))
        ip = socket.inet_pton(socket.AF_INET6, address[0])
        return _IPV6.pack(socket.AF_INET6, port, address[2], ip, address[3])

    def socket_address(self, source: bytes) -> SocketAddress:
        """Return the peer of a source in the form of the ``socket`` module."""
        if not self.ipv6:
            _, port, ip = _IPV4.unpack_from(source)
            return socket.inet_ntop(socket.AF_INET, ip), int.from_bytes(port, "big")
        _, port, flow, ip, scope = _IPV6.unpack_from(source)
        host = socket.inet_ntop(socket.AF_INET6, ip)
        return host, int.from_bytes(port, "big"), flow, scope

    def source(self, name: bytes, local: bytes) -> bytes:
        """Return the source of a peer; ``local`` may be empty."""
        return name.ljust(self.control_at, b"\0") + self._header + local if local else name

    def local_of(self, source: bytes) -> bytes:
        """Return the local address to answer a source from; empty if the kernel is to choose."""
        return usable(source[self._local_at :], self.ipv6)

    def _local_or_any(self, source: bytes) -> bytes:
        """Return the local address to answer from; unspecified if the kernel is to choose."""
        # The IP address begins at the same place in a local address and, 8 bytes later, here.
        return self.local_of(source) or self.any_like(source[8:])

    def interface_of(self, source: bytes) -> int:
        """Return the index of the interface at which a source's datagram came; 0 if unknown."""
        return interface_in(source[self._local_at :], self.ipv6)

    def any_like(self, ip: bytes) -> bytes:
        """Return the unspecified local address of the family of ``ip``."""
        # The kernel takes none but of the peer's family (ip_cmsg_send).
        family = _MAPPED if self.ipv6 and ip.startswith(_MAPPED) else b""
        return family.ljust(self._local_size, b"\0")[: self._local_size]

    def is_assigned(self, local: bytes) -> bool:
        """Return whether the machine has a local address to send from; it has the unspecified."""
        if not local or local == self.any_like(local):
            return True
        if not self.ipv6:
            return is_local(socket.inet_ntop(socket.AF_INET, local[4:8]))
        if local.startswith(_MAPPED):
            return is_local(socket.inet_ntop(socket.AF_INET, local[12:16]))
        scope = int.from_bytes(local[16:], sys.byteorder)
        return is_local(socket.inet_ntop(socket.AF_INET6, local[:16]), scope)

    def _read(self, control: bytes) -> tuple[bytes, int | None]:
        """
        Read the control messages of one message, in any order.

        :return: the local address, empty if there is none; and the bytes of each datagram in an
            aggregate (``UDP_GRO``, ``udp(7)``): None for a single one, 0 if that cannot be told.
        """
        local, size, at = b"", None, 0
        while at < len(control):
            if len(control) - at < _HEADER.size:
                return local, size or 0
            length, level, kind = _HEADER.unpack_from(control, at)
            data = control[at + _HEADER.size : at + length]
            if not _HEADER.size <= length == _HEADER.size + len(data):
                return local, size or 0
            if (level, kind) == (SOL_UDP, UDP_GRO):
                size = int.from_bytes(data, sys.byteorder) if len(data) == 4 else 0
            elif (level, kind) == self.control_type and len(data) == self._local_size:
                local = data
            at += _padded(length)
        return local, size


@cache
def layout_of(family: int, with_local: bool) -> Layout:
    """
    Return the layout of sources of a socket.

    :param with_local: whether the kernel is to tell the local address of each datagram, and the
        interface of arrival.
    """
    if not with_local or not sys.platform.startswith("linux"):
        return Layout(family, 0)
    # struct in6_pktinfo, struct in_pktinfo.
    return Layout(family, 20 if family == socket.AF_INET6 else 12)


def interface_in(received: bytes, ipv6: bool) -> int:
    """Return the index of the interface in a local address as the kernel has told it, or 0."""
    # The last field of struct in6_pktinfo, the first of struct in_pktinfo.
    return int.from_bytes(received[16:20] if ipv6 else received[:4], sys.byteorder)


@lru_cache(maxsize=1024)
def usable(received: bytes, ipv6: bool) -> bytes:
    """
    Return a local address as it can be sent from; empty if the kernel is to choose.

    :param received: as the kernel has told it, with the interface of arrival. It may be one that
        is received at but not sent from.
    """
    if not received:
        return b""
    if not ipv6:
        # Without the interface: the route to the peer may be by another one.
        return bytes(4) + received[4:8] + bytes(4)
    ip, interface = received[:16], received[16:]
    if ip.startswith(_MAPPED):
        # It is the destination in the IPv4 header: a group, or 255.255.255.255.
        return b"" if ip[12] >= 224 else ip + bytes(4)
    if ip[0] == 0xFF:
        return b""
    # A link-local address is one at its interface only.
    return ip + (interface if ip[0] == 0xFE and ip[1] & 0xC0 == 0x80 else bytes(4))
