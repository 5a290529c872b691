"""UDP sockets, connected to one peer or open for any, under any reactor of Twisted's."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from errno import EAGAIN, ECONNREFUSED, EMSGSIZE, ENOBUFS, ENOMEM
from os import strerror
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from udprelay.batch_udp.linux_socket import allow_fragments
from udprelay.protocol.endpoint import host_port

SocketAddress = tuple[Any, ...]
"""``(host, port)`` of an IPv4 socket, ``(host, port, flow, scope)`` of an IPv6 one."""

SEND_BUFFER_FULL = frozenset((EAGAIN, ENOBUFS, ENOMEM))
"""Errnos after which the same datagram can be sent later."""
READ_SIZE = 65_536
"""More than the largest datagram, so that none is truncated."""

# Holds what a busy room sends at once; the kernel gives as much as net.core.rmem_max allows.
_BUFFER_SIZE = 1 << 20
# Datagrams read in one turn of the reactor: a flood must not delay keepalives.
_MAX_BATCH = 64
# Each failed attempt consumes one error about an earlier datagram. More than one is rare.
_MAX_ATTEMPTS = 3

_log = Logger()


def socket_address(host: str, port: int) -> SocketAddress:
    """:param host: an IP address; that of a link-local one has its scope."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
    return found[0][4]


@implementer(IReadDescriptor)
class DatagramSocket:
    """
    A socket that the reactor reads while it is open.

    Twisted's own port reads 256 KiB in one turn, thousands of small datagrams: timers,
    keepalives among them, would wait for seconds. It loses the scope of a link-local address,
    and most ICMP errors close it.

    :param attach: binds the socket to the address, or connects it.
    :param received: called with each payload, which may be empty, and its source.
    :param troubled: called with each error about an earlier datagram.
    :raises OSError: if it can't be attached.
    """

    def __init__(
        self,
        reactor: Any,
        address: SocketAddress,
        attach: Callable[[socket.socket, SocketAddress], None],
        received: Callable[[bytes, SocketAddress], object],
        troubled: Callable[[OSError], object],
    ) -> None:
        self.socket = socket.socket(family_of(address), socket.SOCK_DGRAM)
        self._reactor = reactor
        self._received = received
        self._troubled = troubled
        self._closed = False
        self.socket.setblocking(False)
        allow_fragments(self.socket)
        try:
            attach(self.socket, address)
        except OSError:
            self.close()
            raise
        self.enlarge(socket.SO_RCVBUF)
        self.resume()

    def pause(self) -> None:
        """Stop reading: the kernel's receive buffer fills, then drops datagrams."""
        if not self._closed:
            self._reactor.removeReader(self)

    def resume(self) -> None:
        if not self._closed:
            self._reactor.addReader(self)

    def check(self) -> None:
        """Report an ICMP error that has arrived and that no call has returned yet."""
        if self._closed:
            return
        number = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self._troubled(OSError(number, strerror(number)))

    def close(self) -> None:
        """Close the socket at once."""
        if not self._closed:
            self.pause()
            self._closed = True
            self.socket.close()

    def fileno(self) -> int:
        return self.socket.fileno()

    def logPrefix(self) -> str:
        return type(self).__name__

    def connectionLost(self, reason: Failure) -> None:
        # Reactors built on epoll and poll treat an ICMP error as the end of the connection
        # and stop reading.
        self.resume()
        self.check()

    def doRead(self) -> None:
        self.read(_MAX_BATCH)

    def read(self, count: int) -> None:
        """Receive at most so many datagrams, also while reading is paused."""
        for _ in range(count):
            try:
                payload, source = self._receive()
            except BlockingIOError:
                return
            except OSError as error:
                self._troubled(error)
                return
            try:
                self._received(payload, source)
            except Exception:
                _log.failure("handling a datagram failed")
            if self._closed:
                return

    def _receive(self) -> tuple[bytes, SocketAddress]:
        return self.socket.recvfrom(READ_SIZE)

    def enlarge(self, buffer: int) -> None:
        """Make a buffer large, ``SO_RCVBUF`` or ``SO_SNDBUF``, as far as the kernel allows it."""
        with suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, buffer, _BUFFER_SIZE)


class PeerSocket(DatagramSocket):
    """
    Sends datagrams to one peer and receives its datagrams.

    :param host: an IP address.
    :param received: called with each payload; it may be empty.
    :param troubled: called with each error that the network reports: the peer did not get an
        earlier datagram.
    :raises OSError: if there is no route to the peer.
    :ivar local: the local address as ``host:port``.
    """

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int,
        received: Callable[[bytes], None],
        troubled: Callable[[OSError], None],
    ) -> None:
        address, connect = socket_address(host, port), socket.socket.connect
        super().__init__(reactor, address, connect, lambda payload, _: received(payload), troubled)
        self.local = format_address(self.socket.getsockname())

    def send(self, payload: bytes) -> OSError | None:
        """
        Send one datagram; return why it was not sent.

        Linux reports an ICMP error about an earlier datagram on the next call on the socket.
        Such an error is reported as trouble, and this datagram is sent all the same.
        """
        error: OSError | None = None
        for _ in range(_MAX_ATTEMPTS):
            if self._closed:
                break
            try:
                self.socket.send(payload)
            except OSError as raised:
                error = raised
                if error.errno in SEND_BUFFER_FULL or error.errno == EMSGSIZE:
                    break
                if error.errno == ECONNREFUSED:
                    self._troubled(error)
            else:
                return None
        return error


def format_address(address: SocketAddress) -> str:
    return host_port(address[0], address[1])


def family_of(address: SocketAddress) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET
