"""A channel of plain datagrams, to a relay or any other UDP peer."""

from __future__ import annotations

from collections import deque
from errno import EMSGSIZE
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall

from udprelay.client.channel import (
    DONE,
    UNREACHABLE,
    ChannelObserver,
    IncomingMessage,
    OutgoingMessage,
    RejectedError,
    too_long,
)
from udprelay.client.notices import Level, Notice, peer_unreachable, reason_of
from udprelay.client.sockets import SEND_BUFFER_FULL, PeerSocket
from udprelay.clock import clock_of
from udprelay.look_up import look_up_name
from udprelay.protocol.endpoint import MAX_PAYLOAD, host_port

# Limits of one turn of the reactor: what arrives is read in between, and the peer's receive
# buffer (208 KiB by default on Linux) does not fill faster than the peer can read.
MAX_BATCH = 64
MAX_BATCH_BYTES = 65_536
BATCH_INTERVAL = 0.001
"""Seconds between two batches."""
RETRY_DELAY = 0.005
"""Seconds until the next attempt after the kernel's send buffer was full."""


class PlainChannel:
    """
    Sends payloads unchanged and in order.

    :param newline: whether ``\\n`` is appended to each message.
    :param keepalive: seconds between empty datagrams; ``None``: none are sent.
    :ivar resolving: whether the peer's name is being looked up, in a thread.
    """

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int,
        observer: ChannelObserver,
        newline: bool = False,
        keepalive: float | None = None,
    ) -> None:
        self.resolving = False
        self.peer = host_port(host, port)
        self._reactor = reactor
        self._clock = clock_of(reactor)
        self._host = host
        self._port = port
        self._observer = observer
        self._newline = newline
        self._interval = keepalive
        self._queue: deque[bytes] = deque()
        self._next_batch: IDelayedCall | None = None
        self._keepalive = LoopingCall(self._transmit, b"")
        # Set by open().
        self._socket: PeerSocket
        self._connected = False
        self._closed = False
        self._peer_unreachable = False
        self._last_unsent = False

    @property
    def busy(self) -> bool:
        return bool(self._queue)

    @property
    def pending(self) -> int:
        return len(self._queue)

    async def open(self) -> None:
        self.resolving = True
        hosts = await look_up_name(self._reactor.nameResolver, self._host)
        self.resolving = False
        if self._closed:
            return
        failure = Notice.of("peer.unresolved", host=self._host)
        for host in hosts:
            try:
                self._socket = PeerSocket(
                    self._reactor, host, self._port, self._received, self._troubled
                )
            except OSError as error:
                failure = evolve(peer_unreachable(self.peer, error), level=Level.ERROR)
            else:
                self._connected = True
                self.peer = host_port(host, self._port)
                self._begin()
                return
        self._observer.notice(failure)
        self._observer.ended(UNREACHABLE)

    def _begin(self) -> None:
        opened = Notice.of("link.opened", peer=self.peer, local=self._socket.local)
        self._observer.notice(opened)
        if self._interval is not None:
            self._keepalive.clock = self._clock
            self._keepalive.start(self._interval)
        self._observer.opened()

    def send(self, message: OutgoingMessage) -> None:
        payload = message.payload
        if message.to is not None:
            raise RejectedError("invalid", "'to' needs a session", len(payload))
        if not payload:
            raise RejectedError("empty", "an empty datagram is no message", 0)
        if self._newline:
            payload += b"\n"
        if len(payload) > MAX_PAYLOAD:
            raise too_long(len(payload), MAX_PAYLOAD)
        self._queue.append(payload)
        if self._next_batch is None:
            self._next_batch = self._clock.callLater(0, self._send_batch)

    def send_now(self, payload: bytes, number: int | None = None) -> str | None:
        if not payload:
            return "empty"
        if len(payload) > MAX_PAYLOAD:
            return "too-large"
        return None if self._socket.send(payload) is None else "unsent"

    def _send_batch(self) -> None:
        self._next_batch = None
        count = size = 0
        while self._queue and count < MAX_BATCH and size < MAX_BATCH_BYTES:
            if not self._transmit(self._queue[0]):
                self._next_batch = self._clock.callLater(RETRY_DELAY, self._send_batch)
                return
            count += 1
            size += len(self._queue.popleft())
        if self._queue:
            self._next_batch = self._clock.callLater(BATCH_INTERVAL, self._send_batch)
        else:
            self._observer.progressed()

    def _transmit(self, payload: bytes) -> bool:
        """Send a datagram; return ``False`` if it has to be sent again later."""
        error = self._socket.send(payload)
        if error is None:
            self._last_unsent = False
            return True
        if error.errno in SEND_BUFFER_FULL:
            return False
        self._last_unsent = error.errno != EMSGSIZE
        if payload:
            unsent = Notice.of(
                "message.unsent", peer=self.peer, bytes=len(payload), **reason_of(error)
            )
            self._observer.notice(unsent)
        return True

    def _troubled(self, error: OSError) -> None:
        if not self._peer_unreachable:
            self._peer_unreachable = True
            self._observer.notice(peer_unreachable(self.peer, error))

    def _received(self, payload: bytes) -> None:
        if self._peer_unreachable:
            self._peer_unreachable = False
            self._observer.notice(Notice.of("peer.reachable", peer=self.peer))
        if payload:
            self._observer.received(IncomingMessage(payload))
        else:
            self._observer.notice(Notice.of("datagram.empty", peer=self.peer))

    def exit_status(self) -> int:
        self._socket.check()
        return UNREACHABLE if self._peer_unreachable or self._last_unsent else DONE

    def pause(self) -> None:
        self._socket.pause()

    def resume(self) -> None:
        self._socket.resume()

    def close(self) -> Deferred[int]:
        status = self.exit_status() if self._connected else DONE
        self._closed = True
        self._queue.clear()
        if self._next_batch is not None:
            self._next_batch.cancel()
            self._next_batch = None
        if self._keepalive.running:
            self._keepalive.stop()
        if self._connected:
            self._socket.close()
        return succeed(status)
