"""A channel in rooms, and what it reports."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from client_fakes import NamedReactor, RecordingObserver
from client_relay import until
from twisted.internet.defer import Deferred

from udprelay.client.channel import OutgoingMessage
from udprelay.client.notices import Notice
from udprelay.client.room_channel import RoomChannel
from udprelay.session_client.settings import Settings


class ChannelRun:
    """A channel and its observer."""

    def __init__(
        self,
        port: int,
        using: Any = None,
        host: str = "127.0.0.1",
        timeout: float | None = 60.0,
        **options: Any,
    ) -> None:
        self.observer = RecordingObserver()
        self.reactor = NamedReactor() if using is None else using
        passphrase = options.pop("passphrase", None)
        keyed = passphrase is not None
        chosen = Settings(**{"room": "lobby", "nick": "ada", "keyed": keyed, **options})
        self.channel = RoomChannel(
            self.reactor, host, port, self.observer, chosen, passphrase, timeout
        )

    def open(self) -> None:
        Deferred.fromCoroutine(self.channel.open())

    async def fail(self) -> tuple[int | None, str, str]:
        """Open it; return the exit status, and the text and the reason of the last notice."""
        self.open()
        await until(lambda: self.observer.status is not None)
        await self.channel.close()
        notice = self.observer.notices[-1]
        reason = notice.fields["reason"]
        assert isinstance(reason, str)
        return self.observer.status, notice.text, reason

    def send(self, payload: bytes, **options: Any) -> None:
        self.channel.send(OutgoingMessage(payload, **options))

    def notices(self, event: str) -> list[Notice]:
        return [notice for notice in self.observer.notices if notice.id == event]

    async def notice(self, event: str, count: int = 1) -> Notice:
        """Wait for the ``count``-th notice of one kind."""
        await until(lambda: len(self.notices(event)) >= count)
        return self.notices(event)[count - 1]

    async def round_trip(self) -> None:
        """Wait until what the relay has sent so far is handled."""
        answers = len(self.notices("ping.answered"))
        self.channel.ping()
        await self.notice("ping.answered", answers + 1)


OpenChannel = Callable[..., Awaitable[ChannelRun]]
