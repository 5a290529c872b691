"""A route to a relay: one of its addresses, over a socket that can be replaced."""

from __future__ import annotations

from collections.abc import Callable
from errno import EADDRNOTAVAIL, EINVAL, ENETDOWN, ENETUNREACH, ENODEV
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from udprelay.client.sockets import PeerSocket
from udprelay.clock import clock_of
from udprelay.look_up import look_up_name
from udprelay.protocol.endpoint import host_port

# The socket's own address or its network no longer exists.
_SOCKET_UNUSABLE = frozenset((EINVAL, ENETUNREACH, EADDRNOTAVAIL, ENETDOWN, ENODEV))

GLANCE_INTERVAL = 5.0
"""Seconds between two datagrams that are read while reading is paused. Each one shows that the
relay is there; after six unanswered PINGs in six seconds the session would end."""


class Route:
    """
    Sends datagrams to a relay without retransmitting them.

    A *round* tries each address of the relay's name once.

    :param received: called with each datagram from the relay.
    :param troubled: called when the network reports that a datagram did not reach the relay;
        never from inside :meth:`send`.
    :ivar resolving: whether the name is being looked up, in a thread.
    """

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int,
        received: Callable[[bytes], None],
        troubled: Callable[[OSError], None],
    ) -> None:
        self.resolving = False
        self._reactor = reactor
        self._host = host
        self._port = port
        self._received = received
        self._troubled = troubled
        self._hosts: list[str] = []
        self._current = 0
        self._untried = 0
        self._socket: PeerSocket | None = None
        self._report: IDelayedCall | None = None
        self._glance: IDelayedCall | None = None
        self._paused = False
        self._closed = False

    @property
    def peer(self) -> str:
        """The relay as ``host:port``: its address, or its name until that is looked up."""
        host = self._hosts[self._current] if self._hosts else self._host
        return host_port(host, self._port)

    @property
    def has_alternatives(self) -> bool:
        """Whether the relay's name has several addresses."""
        return len(self._hosts) > 1

    @property
    def has_untried(self) -> bool:
        """Whether an address has not been tried in this round."""
        return self._untried > 0

    async def look_up(self) -> bool:
        """
        Look the name up; return whether it has an address.

        While that fails, the addresses from the last look-up stay in use.
        """
        if self.resolving or self._closed:
            return bool(self._hosts)
        self.resolving = True
        hosts = await look_up_name(self._reactor.nameResolver, self._host)
        self.resolving = False
        if hosts and not self._closed and sorted(hosts) != sorted(self._hosts):
            current = self._hosts[self._current] if self._hosts else None
            self._hosts = hosts
            self._current = hosts.index(current) if current in hosts else 0
            self.start_round()
        return bool(self._hosts)

    def send(self, datagram: bytes) -> None:
        """Send a datagram, over a new socket if the old one has become unusable."""
        if self._socket is None:
            self._open()
        if self._socket is None:
            return
        error = self._socket.send(datagram)
        if error is not None and error.errno in _SOCKET_UNUSABLE:
            self._open()
            if self._socket is not None:
                self._socket.send(datagram)

    def use_next_address(self) -> None:
        """
        Switch to the relay's next address, or the same one if it is the only one; open a socket.

        After the last address, a new round starts and the name is looked up again.
        """
        self._current = (self._current + 1) % max(1, len(self._hosts))
        self._untried -= 1
        if self._untried < 0:
            self.start_round()
            Deferred.fromCoroutine(self.look_up())
        self._open()

    def start_round(self) -> None:
        """Start a round with the current address."""
        self._untried = len(self._hosts) - 1

    def pause(self) -> None:
        """Stop reading, as :meth:`.PeerSocket.pause`, but for a datagram at intervals."""
        if self._paused:
            return
        self._paused = True
        if self._socket is not None:
            self._socket.pause()
        self._glance_later()

    def _glance_later(self) -> None:
        self._glance = clock_of(self._reactor).callLater(GLANCE_INTERVAL, self._read_one)

    def _read_one(self) -> None:
        self._glance_later()
        if self._socket is not None:
            self._socket.read(1)

    def _stop_glancing(self) -> None:
        if self._glance is not None:
            self._glance.cancel()
            self._glance = None

    def resume(self) -> None:
        self._paused = False
        self._stop_glancing()
        if self._socket is not None:
            self._socket.resume()

    def close(self) -> None:
        self._closed = True
        self._stop_glancing()
        if self._report is not None:
            self._report.cancel()
            self._report = None
        self._close_socket()

    def _open(self) -> None:
        """Open a socket to the current address, or to the next one that there is a route to."""
        self._close_socket()
        if self._closed:
            return
        for _ in self._hosts:
            host = self._hosts[self._current]
            try:
                self._socket = PeerSocket(
                    self._reactor, host, self._port, self._received, self._report_later
                )
            except OSError:
                self._current = (self._current + 1) % len(self._hosts)
                continue
            if self._paused:
                self._socket.pause()
            return

    def _close_socket(self) -> None:
        old, self._socket = self._socket, None
        if old is not None:
            old.close()

    def _report_later(self, error: OSError) -> None:
        # In a later turn: the receiver may close the socket, which is inside a call.
        if self._report is None and not self._closed:
            self._report = clock_of(self._reactor).callLater(0, self._report_now, error)

    def _report_now(self, error: OSError) -> None:
        self._report = None
        self._troubled(error)
