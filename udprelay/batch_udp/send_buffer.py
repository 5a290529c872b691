"""The send buffer of a socket: what waits in it, and a reserve for those who are not to blame."""

from __future__ import annotations

import socket
from array import array
from fcntl import ioctl
from termios import TIOCOUTQ

from udprelay.batch_udp.linux_socket import request_buffers

_MIN_DIVIDED = 128 * 1024
"""Bytes of the kernel's count; half of fewer does not hold the largest datagram in fragments."""


class SendBuffer:
    """
    The send buffer of a socket.

    The kernel charges a datagram to it until the datagram has left the machine: 3 s for a
    neighbour that does not answer, and as long as it waits in the queue of a slow interface. A
    full buffer refuses the datagrams for all destinations. So the socket gets half of what the
    kernel has granted, and the other half (:meth:`open_reserve`) when the first one is full.

    All sizes are in bytes of the kernel's count, twice those of ``SO_SNDBUF`` (``socket(7)``).

    :ivar size: all that the kernel has granted.
    :ivar usual: what the socket has usually.
    :ivar opened: whether it has the reserve.
    """

    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened
        self._queued = array("i", [0])
        self.opened = False
        self.size = self.usual = self._granted()
        if self.size >= _MIN_DIVIDED:
            # Without the privilege that it may have been bound with, it cannot get more again.
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.size // 2)
            self.usual = min(self.size, self._granted()) // 2
        self.close_reserve()

    def _granted(self) -> int:
        return self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)

    def queued(self) -> int:
        """Return the bytes that wait in the buffer."""
        ioctl(self._socket, TIOCOUTQ, self._queued)
        return self._queued[0]

    def open_reserve(self) -> None:
        """Give the socket all of the buffer."""
        self.opened = True
        if self.usual < self.size:
            request_buffers(self._socket, 0, self.size // 2)

    def close_reserve(self) -> None:
        """Give the socket its usual part again."""
        self.opened = False
        if self.usual < self.size:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.usual // 2)
