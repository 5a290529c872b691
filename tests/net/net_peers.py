"""Peers and a relay on real sockets."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.task import Clock, deferLater
from zope.interface import implementer

from udprelay.clock import clock_of
from udprelay.net.relay import Relay
from udprelay.relay import events
from udprelay.relay.event_stream import EventStream
from udprelay.relay.rules import ListenerRules, PlainPolicy, RelayRules

SECRET = bytes(range(32))
TIMEOUT = 20.0
"""Seconds after which a test that waits for an event has failed."""

EventType = TypeVar("EventType", bound=events.Event)


class Waiting:
    """Lets a test wait until a condition holds; each change must call ``changed``."""

    def __init__(self) -> None:
        self._waiters: list[tuple[Callable[[], bool], Deferred[None]]] = []

    def changed(self) -> None:
        """Wake the waiters whose condition holds now."""
        ready = [waiter for waiter in self._waiters if waiter[0]()]
        self._waiters = [waiter for waiter in self._waiters if waiter not in ready]
        for _, fired in ready:
            fired.callback(None)

    async def until(self, condition: Callable[[], bool], what: Callable[[], str]) -> None:
        """Wait for ``condition``; after :data:`TIMEOUT`, fail and report the state."""
        if condition():
            return
        fired: Deferred[None] = Deferred()
        self._waiters.append((condition, fired))
        try:
            await fired.addTimeout(TIMEOUT, clock_of(reactor))
        except Exception:
            raise AssertionError(f"timed out; the state is {what()}") from None
        # Not inside the call that has made the condition true.
        await deferLater(reactor, 0)


@implementer(IReadDescriptor)
class Peer:
    """A UDP socket on a loopback address that keeps what it receives."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.setblocking(False)
        self.socket.bind(address)
        self.host, self.port = self.socket.getsockname()[:2]
        self.sources: set[Any] = set()
        self._received: deque[bytes] = deque()
        self._waiting = Waiting()
        reactor.addReader(self)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def send(self, payload: bytes, to: RunningRelay, listener: str = "main") -> None:
        """Send one datagram to a listener, over this peer's own family."""
        self.socket.sendto(payload, (self.host, to.port(listener)))

    async def join(self, relay: RunningRelay, listener: str = "main") -> Peer:
        """Send an empty datagram and wait until the relay has it as a member."""
        joined = len(relay.of(events.MemberJoined))
        self.send(b"", relay, listener)
        await relay.seen(events.MemberJoined, joined + 1)
        return self

    async def receive(self, count: int = 1) -> list[bytes]:
        """Return the next ``count`` payloads."""
        await self._waiting.until(
            lambda: len(self._received) >= count,
            lambda: f"{len(self._received)} of {count} datagrams",
        )
        return [self._received.popleft() for _ in range(count)]

    def fileno(self) -> int:
        return self.socket.fileno()

    def doRead(self) -> None:
        while True:
            try:
                payload, source = self.socket.recvfrom(70_000)
            except BlockingIOError:
                break
            self._received.append(payload)
            self.sources.add(source)
        self._waiting.changed()

    def connectionLost(self, reason: object) -> None:
        raise AssertionError(reason)

    def logPrefix(self) -> str:
        return "peer"

    def close(self) -> None:
        """Close the socket."""
        if self.fileno() >= 0:
            reactor.removeReader(self)
            self.socket.close()


class RunningRelay:
    """
    A relay over real sockets with all the events that it has published.

    :ivar failed: the consumers of events that have raised an exception, once for each.
    """

    def __init__(self, rules: RelayRules, using: Any = reactor, **options: Any) -> None:
        self.events: list[events.Event] = []
        self._waiting = Waiting()
        self.failed: list[str] = []
        self.stream = EventStream(self.failed.append)
        self._queue = self.stream.open("test", self._read)
        self.relay = Relay(rules, using, SECRET, self.stream.publish, **options)

    def _read(self) -> None:
        self.events += self._queue.drain()
        self._waiting.changed()

    def open(self) -> RunningRelay:
        """Bind the listeners."""
        self.relay.open()
        return self

    def port(self, listener: str = "main") -> int:
        """Return the port that a listener is bound to."""
        return next(e.port for e in self.of(events.ListenerOpened) if e.listener == listener)

    def of(self, kind: type[EventType]) -> list[EventType]:
        """Return all events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    async def seen(self, kind: type[EventType], count: int = 1) -> list[EventType]:
        """Wait for the ``count``-th event of one kind; return all of them."""
        await self._waiting.until(lambda: len(self.of(kind)) >= count, lambda: repr(self.events))
        return self.of(kind)

    async def dropped(self) -> dict[str, int]:
        """Close the relay; return all drops by reason."""
        closed = self.relay.close()
        if isinstance(self.relay.reactor, Clock):
            self.relay.reactor.advance(0)
        await closed
        self.relay.hub.close(self.relay.now())
        stopped = self.relay.hub.drain_events()[-1]
        assert isinstance(stopped, events.RelayStopped)
        return dict(stopped.dropped)


class MakePeer(Protocol):
    """What the fixture ``make_peer`` returns."""

    def __call__(self, host: str = "127.0.0.1", port: int = 0, /) -> Peer: ...


class OpenRelay(Protocol):
    """What the fixture ``open_relay`` returns."""

    def __call__(
        self, rules: RelayRules | None = None, using: Any = reactor, statistics: float = 0.0
    ) -> RunningRelay: ...


def loopback(interface: str = "::", **options: Any) -> ListenerRules:
    """Return the rules of a listener on a free port that admits every source."""
    return ListenerRules(
        **{"interface": interface, "port": 0, "plain": PlainPolicy.ANY, **options}
    )


def one_listener(interface: str = "::", **options: Any) -> RelayRules:
    """Return the rules of a relay with one listener, ``main``."""
    return RelayRules(listeners={"main": loopback(interface, **options)})


def link_local() -> str | None:
    """Return a link-local address of this machine with its scope."""
    try:
        with open("/proc/net/if_inet6") as table:
            rows = [line.split() for line in table]
    except OSError:
        return None
    for digits, _, _, scope, flags, name in rows:
        if scope == "20" and not int(flags, 16) & 0x40:
            parts = [digits[i : i + 4] for i in range(0, 32, 4)]
            return f"{':'.join(parts)}%{name}"
    return None
