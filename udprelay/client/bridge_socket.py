"""A local UDP socket for a program that knows nothing of rooms."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing, suppress
from errno import EMSGSIZE
from time import monotonic
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from udprelay.protocol.endpoint import host_port

SocketAddress = tuple[Any, ...]
"""``(host, port)`` of an IPv4 socket, ``(host, port, flow, scope)`` of an IPv6 one."""

PROGRAM_TIMEOUT = 30.0
"""Seconds of silence after which another program may take over a socket."""

# Datagrams read in one turn of the reactor, so that the relay's are read in between.
_MAX_BATCH = 64
_READ_SIZE = 65_536
_BUFFER_SIZE = 1 << 20


@implementer(IReadDescriptor)
class BridgeSocket:
    """
    A socket, and the program that uses it.

    The program is the first sender, until its socket is closed or it has been silent for
    :data:`PROGRAM_TIMEOUT`. Datagrams from other sources are rejected meanwhile.

    :param local: the address to bind; port 0 is any.
    :param program: the program's address. If it is given, any source may send.
    :param received: called with each payload from the program, which may be empty.
    :param rejected: called for each datagram from another source.
    :raises OSError: if the address can't be bound.
    :ivar address: the local address.
    :ivar program: the address to send to; ``None`` if it is not known yet.
    """

    def __init__(
        self,
        reactor: Any,
        local: SocketAddress,
        program: SocketAddress | None,
        received: Callable[[bytes], object],
        rejected: Callable[[], object],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.program = program
        self._any_source = program is not None
        self._reactor = reactor
        self._received = received
        self._rejected = rejected
        self._clock = clock
        self._last_received = 0.0
        self._closed = False
        self._socket = socket.socket(_family(local), socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            self._socket.bind(local)
        except OSError:
            self._socket.close()
            raise
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            with suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, option, _BUFFER_SIZE)
        self.address: SocketAddress = self._socket.getsockname()
        reactor.addReader(self)

    def __str__(self) -> str:
        return format_address(self.address)

    def send(self, payload: bytes, program: SocketAddress | None) -> str | None:
        """
        Send a datagram to a program; return why it was not sent.

        :return: ``no-program``, ``too-large``, or ``unsent``: another error of the kernel.
        """
        if program is None:
            return "no-program"
        try:
            self._socket.sendto(payload, program)
        except OSError as error:
            return "too-large" if error.errno == EMSGSIZE else "unsent"
        return None

    def close(self) -> None:
        """Close the socket at once."""
        if not self._closed:
            self._closed = True
            self._reactor.removeReader(self)
            self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "bridge"

    def connectionLost(self, reason: Failure) -> None:
        self.close()

    def doRead(self) -> None:
        for _ in range(_MAX_BATCH):
            try:
                payload, source = self._socket.recvfrom(_READ_SIZE)
            except BlockingIOError:
                return
            except OSError:
                # Some systems report here that an earlier datagram was not delivered.
                continue
            if self._any_source or self._accepts(source):
                self._received(payload)
            else:
                self._rejected()
            if self._closed:
                return

    def _accepts(self, source: SocketAddress) -> bool:
        """Return whether a source is the program, which it may become now."""
        now = self._clock()
        if (
            source == self.program
            or self.program is None
            or now - self._last_received > PROGRAM_TIMEOUT
            or _is_closed(self.program)
        ):
            self.program, self._last_received = source, now
            return True
        return False


def format_address(address: SocketAddress) -> str:
    return host_port(address[0], address[1])


def _family(address: SocketAddress) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


def _is_closed(program: SocketAddress) -> bool:
    """Return whether no socket of this machine is bound to a program's address any more."""
    with closing(socket.socket(_family(program), socket.SOCK_DGRAM)) as probe:
        try:
            # Fails if the program's socket is open, or on another machine.
            probe.bind(program)
        except OSError:
            return False
    return True
