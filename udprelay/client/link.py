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
from typing import Any

from twisted.internet.abstract import isIPv6Address
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.udp import Port
from twisted.python.failure import Failure

from udprelay.protocol.endpoint import host_port

# More than the largest datagram, so that nothing is cut (Twisted's default is 8,192).
READ_SIZE = 65_536
# A burst from a busy room should find room; the kernel gives what its administrator allows.
RECEIVE_BUFFER = 1 << 20
# Each failed attempt uses up one report about an earlier datagram. More than one is rare.
ATTEMPTS = 3

NO_ROOM = frozenset((EAGAIN, ENOBUFS, ENOMEM))
"""Errors of the kernel that has no room for a datagram now, and will have."""


class _PeerPort(Port):
    def connect(self, host: str, port: int) -> None:
        # Twisted's loses the scope of a link-local address.
        found = getaddrinfo(host, port, type=SOCK_DGRAM, flags=AI_NUMERICHOST)
        self._connectedAddr = (host, port)
        self.socket.connect(found[0][4])

    def doRead(self) -> None:
        # Twisted passes ECONNREFUSED on; any other ICMP error (a firewall's "prohibited")
        # it raises, and the reactor would close the port for it.
        try:
            super().doRead()
        except OSError as error:
            self.protocol.met(error)

    def connectionLost(self, reason: Failure | None = None) -> None:
        # Reactors built on epoll and poll take an ICMP error for the end of the connection,
        # and read no more.
        if reason is None:
            super().connectionLost(reason)
            return
        self.startReading()
        self.protocol.check()


class Link(DatagramProtocol):
    """
    Sends to one peer, and tells what arrives from it and what the network says about it.

    :param received: called with each payload; it may be empty.
    :param troubled: called with each error that the network has reported: something sent
        earlier did not reach the peer.
    """

    noisy = False

    def __init__(
        self, received: Callable[[bytes], None], troubled: Callable[[OSError], None]
    ) -> None:
        self._received = received
        self._troubled = troubled
        self._port: _PeerPort | None = None

    def connect(self, host: str, port: int, reactor: IReactorFDSet) -> None:
        """
        Open the socket.

        :param host: an IP address.
        :raises OSError: if there is no way to it.
        """
        opened = _PeerPort(0, self, "::" if isIPv6Address(host) else "", READ_SIZE, reactor)
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
            opened.getHandle().setsockopt(SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER)

    @property
    def local(self) -> str:
        """The address and port of this end; nothing if the link is closed."""
        if self._port is None:
            return ""
        host = self._port.getHost()
        return host_port(host.host, host.port)

    def send(self, payload: bytes) -> OSError | None:
        """
        Send one datagram; return why it was not sent.

        Linux reports an ICMP error about an earlier datagram on the next call on the socket.
        Such an error is told as trouble, and this datagram is sent all the same.
        """
        error: OSError | None = None
        for _ in range(ATTEMPTS):
            if self._port is None:
                break
            try:
                self._port.getHandle().send(payload)
            except OSError as raised:
                error = raised
                if error.errno in NO_ROOM or error.errno == EMSGSIZE:
                    break
                if error.errno == ECONNREFUSED:
                    self._troubled(error)
            else:
                return None
        return error

    def check(self) -> None:
        """Take note of an ICMP error that has arrived and that no call has met yet."""
        if self._port is not None:
            number = self._port.getHandle().getsockopt(SOL_SOCKET, SO_ERROR)
            if number:
                self._troubled(OSError(number, strerror(number)))

    def met(self, error: OSError) -> None:
        """Reading has met an ICMP error."""
        self._troubled(error)

    def connectionRefused(self) -> None:
        self._troubled(OSError(ECONNREFUSED, strerror(ECONNREFUSED)))

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        # Twisted may read on for a while after the port was closed.
        if self._port is not None:
            self._received(datagram)

    def pause(self) -> None:
        """Leave what arrives in the kernel's buffer, which drops what it can't hold."""
        if self._port is not None:
            self._port.pauseProducing()

    def resume(self) -> None:
        if self._port is not None:
            self._port.resumeProducing()

    def close(self) -> None:
        """Close the socket, at once."""
        port, self._port = self._port, None
        if port is not None:
            # Twisted's stopListening does the same, but in the next turn.
            port.stopReading()
            port.connectionLost()
