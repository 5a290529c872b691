"""UDP sockets on loopback for tests without a running reactor."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic

TIMEOUT = 20.0
"""Seconds after which a test that waits for a datagram has failed."""

LOOPBACK = {"0.0.0.0": "127.0.0.1", "127.0.0.1": "127.0.0.1", "::": "127.0.0.1", "::1": "::1"}
"""The address at which tests reach a socket, by the interface that it is bound to."""

Sent = Sequence[tuple[int, bytes]]
"""Indexes of senders and the payloads that they send, in order."""


def read_until(
    port: socket.socket, do_read: Callable[[], None], complete: Callable[[], bool]
) -> None:
    """Call ``do_read`` whenever the socket is readable, until ``complete``."""
    deadline = monotonic() + TIMEOUT
    while not complete():
        readable = select.select([port], [], [], max(0.0, deadline - monotonic()))[0]
        assert readable, "the port has received less than was sent"
        do_read()


class Members:
    """Sockets that send to one address and receive from it."""

    def __init__(self, interface: str, port: int, count: int) -> None:
        host = LOOPBACK[interface]
        self.address = (host, port)
        self.sockets = [self._open(host) for _ in range(count)]

    @staticmethod
    def _open(host: str) -> socket.socket:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        opened = socket.socket(family, socket.SOCK_DGRAM)
        opened.bind((host, 0))
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        return opened

    def send(self, sender: int, payload: bytes) -> None:
        """Send one datagram from a member."""
        self.sockets[sender].sendto(payload, self.address)

    def receive(self, wanted: Sequence[Sequence[bytes]]) -> list[list[bytes]]:
        """Wait until each member has received as many datagrams as wanted; return all."""
        return [self.receive_from(*each) for each in zip(self.sockets, wanted, strict=True)]

    @staticmethod
    def receive_from(opened: socket.socket, wanted: Sequence[bytes]) -> list[bytes]:
        """Wait until one socket has received as many datagrams as wanted; return all."""
        received: list[bytes] = []
        with suppress(TimeoutError):
            opened.settimeout(TIMEOUT)
            for _ in wanted:
                received.append(opened.recv(65_536))
        with suppress(BlockingIOError):
            opened.setblocking(False)
            while True:
                received.append(opened.recv(65_536))
        return received

    def close(self) -> None:
        """Close all sockets."""
        for opened in self.sockets:
            opened.close()


def without_own(sent: Sent, members: int) -> list[list[bytes]]:
    """Return what each member of a group gets: every payload that is not empty but its own."""
    return [[p for sender, p in sent if sender != member and p] for member in range(members)]
