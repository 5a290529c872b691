"""A conversation in plain datagrams, with a relay or any other UDP peer."""

from __future__ import annotations

from errno import EMSGSIZE
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall

from udprelay.client import notices
from udprelay.client.link import NO_ROOM, Link
from udprelay.client.notices import RejectedError, Volume, too_long
from udprelay.client.outbox import Outbox
from udprelay.client.resolve import resolve
from udprelay.client.talk import DONE, UNREACHABLE, Heard, Listening, Said
from udprelay.protocol.endpoint import MAX_PAYLOAD, host_port


class PlainTalk:
    """
    Sends payloads as they are.

    :param newline: whether each message sent ends with ``\\n``.
    :param keepalive: seconds between empty datagrams; ``None``: none are sent.
    :ivar resolving: whether the peer's name is being looked up, in a thread.
    """

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int,
        owner: Listening,
        newline: bool = False,
        keepalive: float | None = None,
    ) -> None:
        self.resolving = False
        self.peer = host_port(host, port)
        self._reactor = reactor
        self._host = host
        self._port = port
        self._owner = owner
        self._newline = newline
        self._interval = keepalive
        self._link = Link(self._received, self._troubled)
        self._outbox = Outbox(reactor, self._transmit, owner.progressed)
        self._keepalive = LoopingCall(self._transmit, b"")
        self._closed = False
        self._peer_troubled = False
        self._last_unsent = False

    @property
    def busy(self) -> bool:
        return bool(self._outbox)

    @property
    def pending(self) -> int:
        return len(self._outbox)

    async def open(self) -> None:
        self.resolving = True
        hosts = await resolve(self._reactor.nameResolver, self._host)
        self.resolving = False
        if self._closed:
            return
        if not hosts:
            self._owner.notice(notices.peer_unresolved(self._host))
        elif self._connect(hosts):
            self._begin()
            return
        self._owner.ended(UNREACHABLE)

    def _connect(self, hosts: list[str]) -> bool:
        for host in hosts:
            try:
                self._link.connect(host, self._port, self._reactor)
            except OSError as error:
                failure = error
            else:
                self.peer = host_port(host, self._port)
                return True
        self._owner.notice(notices.peer_unreachable(self.peer, failure, Volume.ERROR))
        return False

    def _begin(self) -> None:
        self._owner.notice(notices.link_opened(self.peer, self._link.local))
        if self._interval is not None:
            self._keepalive.clock = self._reactor
            self._keepalive.start(self._interval)
        self._owner.opened()

    def say(self, said: Said) -> None:
        payload = said.payload
        if said.to is not None:
            raise RejectedError("invalid", "'to' needs a session", len(payload))
        if not payload:
            raise RejectedError("empty", "an empty datagram is no message", 0)
        if self._newline:
            payload += b"\n"
        if len(payload) > MAX_PAYLOAD:
            raise too_long(len(payload), MAX_PAYLOAD)
        self._outbox.put(payload)

    def throw(self, payload: bytes, number: int | None = None) -> str | None:
        if not payload:
            return "empty"
        if len(payload) > MAX_PAYLOAD:
            return "too-large"
        return None if self._link.send(payload) is None else "unsent"

    def _transmit(self, payload: bytes) -> bool:
        error = self._link.send(payload)
        if error is None:
            self._last_unsent = False
            return True
        if error.errno in NO_ROOM:
            return False
        self._last_unsent = error.errno != EMSGSIZE
        if payload:
            self._owner.notice(notices.message_unsent(self.peer, error, len(payload)))
        return True

    def _troubled(self, error: OSError) -> None:
        if not self._peer_troubled:
            self._peer_troubled = True
            self._owner.notice(notices.peer_unreachable(self.peer, error))

    def _received(self, payload: bytes) -> None:
        if self._peer_troubled:
            self._peer_troubled = False
            self._owner.notice(notices.peer_reachable(self.peer))
        if payload:
            self._owner.heard(Heard(payload))
        else:
            self._owner.notice(notices.datagram_empty(self.peer))

    def outcome(self) -> int:
        self._link.check()
        return UNREACHABLE if self._peer_troubled or self._last_unsent else DONE

    def pause(self) -> None:
        self._link.pause()

    def resume(self) -> None:
        self._link.resume()

    def close(self) -> Deferred[None]:
        self._closed = True
        self._outbox.discard()
        if self._keepalive.running:
            self._keepalive.stop()
        self._link.close()
        return succeed(None)
