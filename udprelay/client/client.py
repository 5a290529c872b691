"""One run of the client: what joins the link to the terminal or pipe."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import (
    IDelayedCall,
    IHostnameResolver,
    IReactorFDSet,
    IReactorTime,
)
from twisted.internet.task import LoopingCall

from udprelay.client import notices
from udprelay.client.link import Link
from udprelay.client.notices import Notice, RejectedError, Volume, too_long
from udprelay.client.options import Options
from udprelay.client.outbox import Outbox
from udprelay.client.resolve import resolve
from udprelay.core.endpoint import MAX_PAYLOAD, host_port

DONE = 0
FAILED = 1
UNREACHABLE = 2


class FrontEnd(Protocol):
    """Where messages come from and go to: the terminal or the pipe."""

    def begin(self, client: Client, link: Link) -> None:
        """Start reading: what is said can be sent now."""
        ...

    def show(self, payload: bytes) -> None: ...

    def notice(self, notice: Notice) -> None: ...

    def drained(self) -> None:
        """All that was said so far has been sent."""
        ...

    def close(self) -> Deferred[None]:
        """Stop reading, and fire when all that was shown has been written."""
        ...


class Client:
    """
    Connects, counts, waits, and leaves with an exit status.

    :ivar finished: fires with the exit status, once.
    :ivar resolving: whether the peer's name is being looked up, in a thread.
    """

    def __init__(self, options: Options, clock: IReactorTime, front: FrontEnd) -> None:
        self.finished: Deferred[int] = Deferred()
        self.resolving = False
        self._options = options
        self._clock = clock
        self._front = front
        self._link = Link(self._received, self.notice)
        self._outbox = Outbox(clock, self._transmit, self._drained)
        self._keepalive: LoopingCall | None = None
        self._count = 0
        self._wait: float | None = None
        self._ended = False
        self._waiting: IDelayedCall | None = None
        self._leaving = False

    async def start(self, resolver: IHostnameResolver, reactor: IReactorFDSet) -> None:
        """Find the peer, open the link, and let the front end begin."""
        options = self._options
        self.resolving = True
        hosts = await resolve(resolver, options.host)
        self.resolving = False
        if self._leaving:
            return
        if not hosts:
            self.notice(notices.peer_unresolved(options.host))
        elif self._connect(hosts, reactor):
            self._begin()
            return
        self.leave(UNREACHABLE)

    def say(self, payload: bytes) -> None:
        """
        Send a message as soon as may be.

        :raises RejectedError: if it can't be a datagram.
        """
        if not payload:
            raise RejectedError("empty", "an empty datagram is no message", 0)
        if self._options.newline:
            payload += b"\n"
        if len(payload) > MAX_PAYLOAD:
            raise too_long(len(payload), MAX_PAYLOAD)
        self._outbox.put(payload)

    @property
    def busy(self) -> bool:
        """Whether something said is still to be sent."""
        return bool(self._outbox)

    def input_ended(self, wait: float | None) -> None:
        """
        Nothing more will be said: leave when all is sent.

        :param wait: seconds to stay after that; ``None``: whoever talked has left, and
            knows already whether the peer was there.
        """
        self._ended = True
        self._wait = wait
        if not self._outbox:
            self._drained()

    def notice(self, notice: Notice) -> None:
        if notice.volume is Volume.DETAIL and not self._options.verbose:
            return
        if notice.volume is Volume.NORMAL and self._options.quiet:
            return
        self._front.notice(notice)

    def leave(self, status: int) -> None:
        """Close everything, then fire :attr:`finished`."""
        if self._leaving:
            return
        self._leaving = True
        self._outbox.discard()
        if self._keepalive is not None:
            self._keepalive.stop()
        if self._waiting is not None and self._waiting.active():
            self._waiting.cancel()
        closed = gatherResults([self._link.close(), self._front.close()], consumeErrors=True)
        closed.addCallback(lambda _: status).chainDeferred(self.finished)

    def _connect(self, hosts: list[str], reactor: IReactorFDSet) -> bool:
        for host in hosts:
            try:
                self._link.connect(host, self._options.port, reactor)
            except OSError as error:
                failure = error
                self._link = Link(self._received, self.notice)
            else:
                return True
        peer = host_port(self._options.host, self._options.port)
        self.notice(notices.peer_unreachable(peer, failure, Volume.ERROR))
        return False

    def _begin(self) -> None:
        if self._options.keepalive is not None:
            self._keepalive = LoopingCall(self._link.send, b"")
            self._keepalive.clock = self._clock
            self._keepalive.start(self._options.keepalive)
        self._front.begin(self, self._link)

    def _transmit(self, payload: bytes) -> bool:
        return self._link.send(payload)

    def _drained(self) -> None:
        self._front.drained()
        if not self._ended or self._waiting is not None or self._leaving:
            return
        if self._wait is None:
            self.leave(DONE)
        else:
            self._waiting = self._clock.callLater(self._wait, self._waited)

    def _waited(self) -> None:
        self._link.check()
        self.leave(UNREACHABLE if self._link.unreachable else DONE)

    def _received(self, payload: bytes) -> None:
        if self._leaving:
            return
        self._front.show(payload)
        self._count += 1
        if self._count == self._options.count:
            self.leave(DONE)
