"""The local socket of a bridge, for a program that knows nothing of rooms."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing
from errno import EMSGSIZE
from typing import Any

from udprelay.batch_udp.layout import layout_of, usable
from udprelay.client.sockets import (
    READ_SIZE,
    DatagramSocket,
    SocketAddress,
    family_of,
    format_address,
)
from udprelay.clock import clock_of

PROGRAM_TIMEOUT = 30.0
"""Seconds of silence after which another program may take over a socket."""


class BridgeSocket(DatagramSocket):
    """
    A local socket for a program that knows nothing of rooms.

    The program is the first sender, until its socket is closed or it has been silent for
    :data:`PROGRAM_TIMEOUT`. Datagrams from other sources are rejected meanwhile.

    :param local: the address to bind; port 0 is any.
    :param program: the program's address. If it is given, any source may send.
    :param received: called with each payload from the program, which may be empty.
    :param rejected: called for each datagram from another source.
    :raises OSError: if the address can't be bound.
    :ivar address: the local address.
    :ivar program: the address to send to; ``None`` if it is not known yet.
    :ivar asked: the local address that the program has sent to last, in the form of
        :mod:`~udprelay.batch_udp.layout`; empty if the socket has only one.
    """

    def __init__(
        self,
        reactor: Any,
        local: SocketAddress,
        program: SocketAddress | None,
        received: Callable[[bytes], object],
        rejected: Callable[[], object],
    ) -> None:
        self.asked = self._told = b""
        self._layout = layout_of(family_of(local), local[0] in ("0.0.0.0", "::"))
        super().__init__(reactor, local, self._bind, self._handle, lambda _: None)
        self.program = program
        self._any_source = program is not None
        self._program_received = received
        self._rejected = rejected
        self._clock = clock_of(reactor)
        self._last_received = 0.0
        self.enlarge(socket.SO_SNDBUF)
        self.address: SocketAddress = self.socket.getsockname()

    def __str__(self) -> str:
        return format_address(self.address)

    def _bind(self, opened: socket.socket, local: SocketAddress) -> None:
        self._layout.request(opened)
        opened.bind(local)

    def _receive(self) -> tuple[bytes, SocketAddress]:
        if not self._layout.control_length:
            return super()._receive()
        space = self._layout.control_space
        payload, control, _, source = self.socket.recvmsg(READ_SIZE, space)
        kind = self._layout.control_type
        told = [data for level, number, data in control if (level, number) == kind]
        self._told = usable(told[0], self._layout.ipv6) if told else b""
        return payload, source

    def send(
        self, payload: bytes, program: SocketAddress | None, asked: bytes = b""
    ) -> str | None:
        """
        Send a datagram to a program; return why it was not sent.

        :param asked: the local address that the program has sent to: it may hear no other.
        :return: ``no-program``, ``too-large``, or ``unsent``: another error of the kernel.
        """
        if program is None:
            return "no-program"
        try:
            self._send_from(asked, payload, program)
        except OSError as error:
            return "too-large" if error.errno == EMSGSIZE else "unsent"
        return None

    def _send_from(self, asked: bytes, payload: bytes, program: SocketAddress) -> None:
        if asked:
            try:
                self.socket.sendmsg([payload], [(*self._layout.control_type, asked)], 0, program)
            except OSError:
                if self._layout.is_assigned(asked):
                    raise
            else:
                return
        self.socket.sendto(payload, program)

    def _handle(self, payload: bytes, source: SocketAddress) -> None:
        if self._any_source or self._accepts(source):
            if source == self.program:
                self.asked = self._told
            self._program_received(payload)
        else:
            self._rejected()

    def _accepts(self, source: SocketAddress) -> bool:
        """Return whether a source is the program, which it may become now."""
        now = self._clock.seconds()
        if (
            source == self.program
            or self.program is None
            or now - self._last_received > PROGRAM_TIMEOUT
            or _is_closed(self.program)
        ):
            self.program, self._last_received = source, now
            return True
        return False


def _is_closed(program: SocketAddress) -> bool:
    """Return whether no socket of this machine is bound to a program's address any more."""
    with closing(socket.socket(family_of(program), socket.SOCK_DGRAM)) as probe:
        try:
            # Fails if the program's socket is open, or on another machine.
            probe.bind(program)
        except OSError:
            return False
    return True
