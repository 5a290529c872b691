"""The way to a relay: one of its addresses, over a socket that can be replaced."""

from __future__ import annotations

from collections.abc import Callable
from errno import EADDRNOTAVAIL, EINVAL, ENETDOWN, ENETUNREACH, ENODEV
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from udprelay.client.link import Link
from udprelay.client.resolve import resolve
from udprelay.protocol.endpoint import host_port

# The address that the socket is bound to, or the network that it was on, has gone.
_STRANDED = frozenset((EINVAL, ENETUNREACH, EADDRNOTAVAIL, ENETDOWN, ENODEV))


class Route:
    """
    Sends datagrams to a relay, each on the best effort: what gets lost is not this one's worry.

    :param received: called with each datagram from the relay.
    :param troubled: called when the network reports that something did not reach it; never
        while :meth:`send` runs.
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
        self._link: Link | None = None
        self._telling: IDelayedCall | None = None
        self._paused = False
        self._closed = False

    @property
    def peer(self) -> str:
        """The relay as ``host:port``: its address, or its name while that is not known."""
        host = self._hosts[self._current] if self._hosts else self._host
        return host_port(host, self._port)

    @property
    def alternatives(self) -> bool:
        """Whether the relay's name has several addresses."""
        return len(self._hosts) > 1

    @property
    def untried(self) -> bool:
        """Whether there is an address that :meth:`move_on` has not come to in this round."""
        return self._untried > 0

    async def find(self) -> bool:
        """Look the name up; return whether it has an address."""
        await self._look_up()
        return bool(self._hosts)

    def send(self, datagram: bytes) -> None:
        """Send, over a new socket if the old one leads nowhere any more."""
        if self._link is None:
            self._open()
        if self._link is None:
            return
        error = self._link.send(datagram)
        if error is not None and error.errno in _STRANDED:
            self._open()
            if self._link is not None:
                self._link.send(datagram)

    def move_on(self) -> None:
        """
        Take the relay's next address, and a new socket.

        After the last one, the name is looked up again for the next round.
        """
        self._current = (self._current + 1) % max(1, len(self._hosts))
        self._untried -= 1
        if self._untried < 0:
            self._untried = len(self._hosts) - 1
            Deferred.fromCoroutine(self._look_up())
        self._open()

    def start_round(self) -> None:
        """Count the current address as the first one tried."""
        self._untried = len(self._hosts) - 1

    def pause(self) -> None:
        """Leave what arrives in the kernel's buffer."""
        self._paused = True
        if self._link is not None:
            self._link.pause()

    def resume(self) -> None:
        self._paused = False
        if self._link is not None:
            self._link.resume()

    def close(self) -> None:
        self._closed = True
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        self._shut()

    async def _look_up(self) -> None:
        if self.resolving or self._closed:
            return
        self.resolving = True
        hosts = await resolve(self._reactor.nameResolver, self._host)
        self.resolving = False
        # An address may be known from before while names can't be looked up.
        if self._closed or not hosts or sorted(hosts) == sorted(self._hosts):
            return
        kept = self._hosts[self._current] if self._hosts else None
        self._hosts = hosts
        self._current = hosts.index(kept) if kept in hosts else 0
        self.start_round()

    def _open(self) -> None:
        """Make a socket for the current address, or for the next one that there is a way to."""
        self._shut()
        if self._closed:
            return
        for _ in self._hosts:
            link = Link(self._received, self._met)
            try:
                link.connect(self._hosts[self._current], self._port, self._reactor)
            except OSError:
                self._current = (self._current + 1) % len(self._hosts)
                continue
            self._link = link
            if self._paused:
                link.pause()
            return

    def _shut(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _met(self, error: OSError) -> None:
        # A later turn: whoever hears it may close the link, which is in the middle of something.
        if self._telling is None and not self._closed:
            self._telling = self._reactor.callLater(0, self._tell, error)

    def _tell(self, error: OSError) -> None:
        self._telling = None
        self._troubled(error)
