"""Test doubles: a reactor with a clock, a failing socket, a front end, and an observer."""

from __future__ import annotations

import socket
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import deferLater

from manual_clock import ManualClock
from name_resolver import NameResolver
from udprelay.client.channel import Channel, IncomingMessage
from udprelay.client.client import Client
from udprelay.client.notices import Notice
from udprelay.client.sockets import DatagramSocket


async def polled() -> None:
    """Let the real reactor poll its sockets, to show that nothing is read."""
    for _ in range(2):
        await deferLater(reactor, 0)


class MutedSocket:
    """Replaces the kernel's socket: datagrams are lost until :meth:`unmute`."""

    def __init__(self, replaced: DatagramSocket) -> None:
        self._replaced = replaced
        self._real = replaced.socket
        replaced.socket = cast(socket.socket, self)

    def send(self, payload: bytes) -> int:
        return len(payload)

    def unmute(self) -> None:
        self._replaced.socket = self._real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class DeafSocket(MutedSocket):
    """Replaces the kernel's socket: what arrives is lost until :meth:`unmute`."""

    def send(self, payload: bytes) -> int:
        return self._real.send(payload)

    def recvfrom(self, size: int) -> Any:
        self._real.recvfrom(size)
        raise BlockingIOError


class NamedReactor:
    """
    The real reactor, with a resolver for a test.

    :ivar socket: the UDP socket that was the last one to start reading.
    """

    def __init__(self, names: NameResolver | None = None) -> None:
        self.nameResolver = names or NameResolver()
        self.socket: Any = None

    def addReader(self, reader: Any) -> None:
        if isinstance(reader, DatagramSocket):
            self.socket = reader
        reactor.addReader(reader)

    def mute(self) -> MutedSocket:
        """Lose what the last socket sends."""
        return MutedSocket(self.socket)

    def __getattr__(self, name: str) -> Any:
        if name == "__provides__":
            # The interfaces of this object, not the reactor's.
            raise AttributeError(name)
        return getattr(reactor, name)


class ClockReactor(ManualClock, NamedReactor):
    """The same with a clock for a test."""

    def __init__(self, names: NameResolver | None = None) -> None:
        ManualClock.__init__(self)
        NamedReactor.__init__(self, names)


class FailingSocket:
    """Replaces the kernel's socket: the first calls fail with some errnos, later ones work."""

    def __init__(self, replaced: DatagramSocket, *errors: int) -> None:
        self._real = replaced.socket
        self._errors = list(errors)
        replaced.socket = cast(socket.socket, self)

    def send(self, payload: bytes) -> int:
        self._fail()
        return self._real.send(payload)

    def recvfrom(self, size: int) -> Any:
        self._fail()
        return self._real.recvfrom(size)

    def _fail(self) -> None:
        if self._errors:
            raise OSError(self._errors.pop(0), "as told")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class RecordingFrontEnd:
    """A front end that records what it is given."""

    shows_presence = True

    def __init__(self) -> None:
        self.begun = False
        self.shown: list[bytes] = []
        self.notices: list[Notice] = []
        self.resumed = 0
        self.closed = 0

    @property
    def events(self) -> list[str]:
        return [notice.id for notice in self.notices]

    def begin(self, client: Client, channel: Channel) -> None:
        self.begun = True

    def show(self, message: IncomingMessage) -> None:
        self.shown.append(message.payload)

    def notice(self, notice: Notice) -> None:
        self.notices.append(notice)

    def resume_input(self) -> None:
        self.resumed += 1

    def flush(self) -> None:
        pass

    def close(self) -> Deferred[None]:
        self.closed += 1
        return succeed(None)


class RecordingObserver:
    """An observer of a channel that records what it is told."""

    def __init__(self) -> None:
        self.is_open = False
        self.messages: list[IncomingMessage] = []
        self.notices: list[Notice] = []
        self.progress = 0
        self.status: int | None = None

    @property
    def events(self) -> list[str]:
        return [notice.id for notice in self.notices]

    @property
    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.messages]

    def opened(self) -> None:
        self.is_open = True

    def received(self, message: IncomingMessage) -> None:
        self.messages.append(message)

    def notice(self, notice: Notice) -> None:
        self.notices.append(notice)

    def progressed(self) -> None:
        self.progress += 1

    def ended(self, status: int) -> None:
        assert self.status is None
        self.status = status
