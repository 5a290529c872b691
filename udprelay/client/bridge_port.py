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

SILENCE = 30.0
"""Seconds of silence after which a program's place is free for another one."""

# Datagrams read in one turn of the reactor, so that what the relay sends is read in between.
_BATCH = 64
_READ_SIZE = 65_536
_BUFFER = 1 << 20


@implementer(IReadDescriptor)
class BridgePort:
    """
    One socket, and the program that talks to it.

    The program is whoever sends first, until it has closed its socket or has been silent for
    :data:`SILENCE`: a stray datagram can't take its place.

    :param bound: the address to bind; port 0 is any.
    :param fixed: the program's address. Then it does not matter who sends.
    :param received: called with each datagram from the program, which may be empty.
    :param strange: called for each datagram from somebody else.
    :raises OSError: if the address can't be had.
    :ivar program: where to send to; ``None`` if nobody knows yet.
    """

    def __init__(
        self,
        reactor: Any,
        bound: SocketAddress,
        fixed: SocketAddress | None,
        received: Callable[[bytes], object],
        strange: Callable[[], object],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.program = fixed
        self._fixed = fixed is not None
        self._reactor = reactor
        self._received = received
        self._strange = strange
        self._clock = clock
        self._heard = 0.0
        self._closed = False
        self._socket = socket.socket(_family(bound), socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            self._socket.bind(bound)
        except OSError:
            self._socket.close()
            raise
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            with suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
        self.address: SocketAddress = self._socket.getsockname()
        reactor.addReader(self)

    def __str__(self) -> str:
        return written(self.address)

    def give(self, payload: bytes, program: SocketAddress | None) -> str | None:
        """
        Send to a program; return why it could not be sent.

        :returns: ``no-program``, ``too-large``, or ``unsent``: the kernel did not take it.
        """
        if program is None:
            return "no-program"
        try:
            self._socket.sendto(payload, program)
        except OSError as error:
            return "too-large" if error.errno == EMSGSIZE else "unsent"
        return None

    def close(self) -> None:
        """Close the socket, at once."""
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
        for _ in range(_BATCH):
            try:
                payload, source = self._socket.recvfrom(_READ_SIZE)
            except BlockingIOError:
                return
            except OSError:
                # Some systems tell here that an earlier datagram found nobody.
                continue
            if self._fixed or self._is_program(source):
                self._received(payload)
            else:
                self._strange()
            if self._closed:
                return

    def _is_program(self, source: SocketAddress) -> bool:
        now = self._clock()
        if (
            source == self.program
            or self.program is None
            or now - self._heard > SILENCE
            or _has_gone(self.program)
        ):
            self.program, self._heard = source, now
            return True
        return False


def written(address: SocketAddress) -> str:
    """Return an address as people write it."""
    return host_port(address[0], address[1])


def _family(address: SocketAddress) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


def _has_gone(program: SocketAddress) -> bool:
    """Whether no socket of this machine has this address any more."""
    with closing(socket.socket(_family(program), socket.SOCK_DGRAM)) as probe:
        try:
            # Fails if the program has it still, and if it is an address of another machine.
            probe.bind(program)
        except OSError:
            return False
    return True
