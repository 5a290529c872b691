"""A UDP socket connected to one peer, under any reactor of Twisted's."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from errno import EAGAIN, ECONNREFUSED, EMSGSIZE, ENOBUFS, ENOMEM
from os import strerror
from socket import (
    AI_NUMERICHOST,
    SO_ERROR,
    SO_RCVBUF,
    SOCK_DGRAM,
    SOL_SOCKET,
    getaddrinfo,
)

from twisted.internet.abstract import isIPv6Address
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.udp import Port
from twisted.logger import Logger
from twisted.python.failure import Failure

from udprelay.protocol.endpoint import host_port

SEND_BUFFER_FULL = frozenset((EAGAIN, ENOBUFS, ENOMEM))
"""Errnos after which the same datagram can be sent later."""

# More than the largest datagram, so that none is truncated (Twisted's default is 8,192).
_READ_SIZE = 65_536
# Holds what a busy room sends at once; the kernel gives as much as net.core.rmem_max allows.
_RECEIVE_BUFFER_SIZE = 1 << 20
_MAX_BATCH = 64
"""Datagrams read in one turn of the reactor."""
# Each failed attempt consumes one error about an earlier datagram. More than one is rare.
_MAX_ATTEMPTS = 3

_log = Logger()


class _PeerPort(Port):
    def connect(self, host: str, port: int) -> None:
        # Twisted's loses the scope of a link-local address.
        found = getaddrinfo(host, port, type=SOCK_DGRAM, flags=AI_NUMERICHOST)
        self._connectedAddr = (host, port)
        self.socket.connect(found[0][4])

    def doRead(self) -> None:
        # Twisted's reads 256 KiB in one turn, thousands of small datagrams: timers, keepalives
        # among them, would wait for seconds. It raises most ICMP errors, which closes the port.
        for _ in range(_MAX_BATCH):
            try:
                datagram, _ = self.socket.recvfrom(self.maxPacketSize)
            except BlockingIOError:
                return
            except OSError as error:
                self.protocol.troubled(error)
                return
            try:
                self.protocol.received(datagram)
            except Exception:
                _log.failure("handling a datagram failed")
            if self.disconnected:
                return

    def connectionLost(self, reason: Failure | None = None) -> None:
        # Reactors built on epoll and poll treat an ICMP error as the end of the connection
        # and stop reading.
        if reason is None:
            super().connectionLost(reason)
            return
        self.startReading()
        self.protocol.check()


class PeerSocket(DatagramProtocol):
    """
    Sends datagrams to one peer and receives its datagrams.

    :param received: called with each payload; it may be empty.
    :param troubled: called with each error that the network reports: the peer did not get an
        earlier datagram.
    """

    noisy = False

    def __init__(
        self, received: Callable[[bytes], None], troubled: Callable[[OSError], None]
    ) -> None:
        self.received = received
        self.troubled = troubled
        self._port: _PeerPort | None = None

    def connect(self, host: str, port: int, reactor: IReactorFDSet) -> None:
        """
        Open the socket.

        :param host: an IP address.
        :raises OSError: if there is no route to it.
        """
        opened = _PeerPort(0, self, "::" if isIPv6Address(host) else "", _READ_SIZE, reactor)
        try:
            opened.startListening()
        except CannotListenError as error:
            raise OSError(*error.socketError.args) from error
        self._port = opened
        try:
            opened.connect(host, port)
        except OSError:
            self.close()
            raise
        with suppress(OSError):
            opened.getHandle().setsockopt(SOL_SOCKET, SO_RCVBUF, _RECEIVE_BUFFER_SIZE)

    @property
    def local(self) -> str:
        """The local address as ``host:port``; empty if the socket is closed."""
        if self._port is None:
            return ""
        host = self._port.getHost()
        return host_port(host.host, host.port)

    def send(self, payload: bytes) -> OSError | None:
        """
        Send one datagram; return why it was not sent.

        Linux reports an ICMP error about an earlier datagram on the next call on the socket.
        Such an error is reported as trouble, and this datagram is sent all the same.
        """
        error: OSError | None = None
        for _ in range(_MAX_ATTEMPTS):
            if self._port is None:
                break
            try:
                self._port.getHandle().send(payload)
            except OSError as raised:
                error = raised
                if error.errno in SEND_BUFFER_FULL or error.errno == EMSGSIZE:
                    break
                if error.errno == ECONNREFUSED:
                    self.troubled(error)
            else:
                return None
        return error

    def check(self) -> None:
        """Report an ICMP error that has arrived and that no call has returned yet."""
        if self._port is not None:
            number = self._port.getHandle().getsockopt(SOL_SOCKET, SO_ERROR)
            if number:
                self.troubled(OSError(number, strerror(number)))

    def pause(self) -> None:
        """Stop reading: the kernel's receive buffer fills, then drops datagrams."""
        if self._port is not None:
            self._port.pauseProducing()

    def resume(self) -> None:
        if self._port is not None:
            self._port.resumeProducing()

    def close(self) -> None:
        """Close the socket at once."""
        port, self._port = self._port, None
        if port is not None:
            # Twisted's stopListening does the same, but in the next turn.
            port.stopReading()
            port.connectionLost()
