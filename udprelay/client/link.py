"""
The client's socket: one UDP socket connected to one peer.

It needs a reactor that tells an ICMP error from a lost connection: asyncio's or select's.
Twisted's epoll and poll reactors close the port on the first "port unreachable".
"""

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
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError, MessageLengthError
from twisted.internet.interfaces import IPushProducer, IReactorFDSet
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.udp import Port
from zope.interface import implementer

from udprelay.client import notices
from udprelay.client.notices import Notice
from udprelay.core.endpoint import host_port

# More than the largest datagram, so that nothing is cut (Twisted's default is 8,192).
READ_SIZE = 65_536
# A burst from a busy room should find room; the kernel gives what its administrator allows.
RECEIVE_BUFFER = 1 << 20
# Each failed attempt uses up one report about an earlier datagram. More than one is rare.
RETRIES = 2

_NO_ROOM = frozenset((EAGAIN, ENOBUFS, ENOMEM))


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
            self.protocol.troubled(error)


@implementer(IPushProducer)
class Link(DatagramProtocol):
    """
    Sends to the peer, tells what arrives and whether the peer can be reached.

    :param received: called with each payload that is not empty.
    :param notice: called with each change of what is known about the peer.
    """

    noisy = False

    def __init__(
        self, received: Callable[[bytes], None], notice: Callable[[Notice], None]
    ) -> None:
        self._received = received
        self._notice = notice
        self._port: Any = None
        self._closed: Deferred[None] | None = None
        self._peer = ""
        self._troubles = 0
        self._peer_troubled = False
        self._last_unsent = False

    def connect(self, host: str, port: int, reactor: IReactorFDSet) -> None:
        """
        Open the socket.

        :param host: an IP address.
        :raises OSError: if there is no way to it.
        """
        self._peer = host_port(host, port)
        interface = "::" if isIPv6Address(host) else ""
        opened = _PeerPort(0, self, interface, READ_SIZE, reactor)
        try:
            opened.startListening()
        except CannotListenError as error:
            raise OSError(*error.socketError.args) from error
        try:
            opened.connect(host, port)
        except OSError:
            # Now, not in the next turn: nobody waits for a link that was never open.
            opened.connectionLost()
            raise
        self._port = opened
        with suppress(OSError):
            opened.getHandle().setsockopt(SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER)
        local = opened.getHost()
        self._notice(notices.link_opened(self._peer, host_port(local.host, local.port)))

    @property
    def peer(self) -> str:
        return self._peer

    @property
    def unreachable(self) -> bool:
        """Whether the last thing known about the peer is that it can't be reached."""
        return self._peer_troubled or self._last_unsent

    def send(self, payload: bytes) -> bool:
        """
        Send one datagram.

        :returns: ``False`` if the kernel has no room for it now: give it again later. What
            can't be sent at all is told as a notice.
        """
        error = self._try_to_send(payload)
        for _ in range(RETRIES):
            if error is None or error.errno in _NO_ROOM or error.errno == EMSGSIZE:
                break
            error = self._try_to_send(payload)
        if error is None:
            self._last_unsent = False
            return True
        if error.errno in _NO_ROOM:
            return False
        self._last_unsent = error.errno != EMSGSIZE
        if payload:
            self._notice(notices.message_unsent(self._peer, error, len(payload)))
        return True

    def _try_to_send(self, payload: bytes) -> OSError | None:
        # Linux reports an ICMP error about an earlier datagram on the next call on the
        # socket: this datagram has not been sent then.
        troubles = self._troubles
        try:
            self._port.write(payload)
        except MessageLengthError:
            return OSError(EMSGSIZE, strerror(EMSGSIZE))
        except OSError as error:
            return error
        if self._troubles != troubles:
            return _refused()
        return None

    def check(self) -> None:
        """Take note of an ICMP error that has arrived and that no call has met yet."""
        number = self._port.getHandle().getsockopt(SOL_SOCKET, SO_ERROR)
        if number:
            self.troubled(OSError(number, strerror(number)))

    def troubled(self, error: OSError) -> None:
        """The network says that an earlier datagram did not reach the peer."""
        self._troubles += 1
        if not self._peer_troubled:
            self._peer_troubled = True
            self._notice(notices.peer_unreachable(self._peer, error))

    def connectionRefused(self) -> None:
        self.troubled(_refused())

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        if self._closed is not None:
            # Twisted reads on for a while after the port was told to stop.
            return
        if self._peer_troubled:
            self._peer_troubled = False
            self._notice(notices.peer_reachable(self._peer))
        if datagram:
            self._received(datagram)
        else:
            self._notice(notices.datagram_empty(self._peer))

    def pauseProducing(self) -> None:
        """Leave what arrives in the kernel's buffer, which drops what it can't hold."""
        self._port.pauseProducing()

    def resumeProducing(self) -> None:
        if self._closed is None:
            self._port.resumeProducing()

    def stopProducing(self) -> None:
        """What is read can no longer be written. Closing is the owner's to do."""

    def close(self) -> Deferred[None]:
        if self._closed is None:
            self._closed = self._port.stopListening() if self._port else succeed(None)
        return self._closed


def _refused() -> OSError:
    return OSError(ECONNREFUSED, strerror(ECONNREFUSED))
