"""One run of the client: a channel and a front end, and when to leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from udprelay.client.channel import (
    DONE,
    Channel,
    ChannelObserver,
    IncomingMessage,
    OutgoingMessage,
)
from udprelay.client.notices import Level, Notice, messages
from udprelay.client.options import Options

PROGRESS_DELAY = 1.0
"""Seconds until it is reported that undelivered messages keep the client from leaving."""


class FrontEnd(Protocol):
    """
    The source of outgoing messages and the sink of incoming ones: terminal, pipe or bridge.

    :ivar shows_presence: whether it shows who comes and goes.
    """

    shows_presence: bool

    def begin(self, client: Client, channel: Channel) -> None:
        """Start to read input: messages can be sent now."""
        ...

    def show(self, message: IncomingMessage) -> None: ...

    def notice(self, notice: Notice) -> None: ...

    def resume_input(self) -> None:
        """Read input again if it was paused: the channel is not busy."""
        ...

    def flush(self) -> None:
        """Wait for notices that are not written yet; the reactor has stopped."""
        ...

    def close(self) -> Deferred[None]:
        """Stop reading; fire when all output has been written. Notices may still follow."""
        ...


class Client:
    """
    Connects a channel to a front end, and leaves with an exit status.

    :param channel: makes the channel for an observer.
    :ivar finished: fires with the exit status, once.
    """

    def __init__(
        self,
        options: Options,
        clock: IReactorTime,
        front: FrontEnd,
        channel: Callable[[ChannelObserver], Channel],
    ) -> None:
        self.finished: Deferred[int] = Deferred()
        self._options = options
        self._clock = clock
        self._front = front
        self._channel = channel(self)
        self._received = 0
        self._count_reached = False
        self._input_ended = False
        self._wait: float | None = None
        self._timer: IDelayedCall | None = None
        self._waiting = False
        self._leaving = False

    async def start(self) -> None:
        """Open the channel; the front end begins when it is open."""
        await self._channel.open()

    @property
    def resolving(self) -> bool:
        """Whether a name is being looked up, in a thread."""
        return self._channel.resolving

    @property
    def busy(self) -> bool:
        """Whether the backlog is so large that no more should be sent."""
        return self._channel.busy

    def send(self, message: OutgoingMessage) -> None:
        """
        Send a message, or queue it.

        :raises RejectedError: if it cannot be a message.
        """
        if not self._count_reached:
            self._channel.send(message)

    def input_ended(self, wait: float | None) -> None:
        """
        Note the end of the input: leave when no message is pending.

        :param wait: seconds to stay after that; ``None``: the user has quit, with status 0.
        """
        self._input_ended = True
        self._wait = wait
        self.progressed()

    def leave(self, status: int | None = None) -> None:
        """
        Close the channel and the front end, then fire :attr:`finished`.

        :param status: the exit status; ``None``: that of the channel.
        """
        if self._leaving:
            return
        self._leaving = True
        self._cancel_timer()
        left, shown = self._channel.close(), self._front.close()
        if not left.called:
            self._timer = self._clock.callLater(PROGRESS_DELAY, self._report_leaving)
        left.addCallback(self._left, shown, status).chainDeferred(self.finished)

    def _left(self, found: int, shown: Deferred[None], status: int | None) -> Deferred[int]:
        self._cancel_timer()
        return shown.addCallback(lambda _: found if status is None else status)

    # ChannelObserver

    def opened(self) -> None:
        self._front.begin(self, self._channel)

    def received(self, message: IncomingMessage) -> None:
        if self._leaving or self._count_reached:
            return
        self._front.show(message)
        self._received += 1
        if self._received == self._options.count:
            self._count_reached = True
            self.progressed()

    def notice(self, notice: Notice) -> None:
        shown = {
            Level.DETAIL: self._options.verbose,
            Level.PRESENCE: self._options.verbose or self._front.shows_presence,
            Level.NORMAL: True,
        }
        if notice.level is Level.ERROR or (shown[notice.level] and not self._options.quiet):
            self._front.notice(notice)

    def progressed(self) -> None:
        if self._leaving:
            return
        if not self._channel.busy:
            self._front.resume_input()
        if not (self._input_ended or self._count_reached):
            return
        if self._channel.pending:
            if self._timer is None:
                self._timer = self._clock.callLater(PROGRESS_DELAY, self._report_pending)
        elif self._count_reached:
            self.leave()
        elif self._wait is None:
            self.leave(DONE)
        elif not self._waiting:
            self._waiting = True
            self._cancel_timer()
            self._timer = self._clock.callLater(self._wait, self._waited)

    def ended(self, status: int) -> None:
        self.leave(status)

    def _cancel_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _report_pending(self) -> None:
        count = self._channel.pending
        pending = messages(count, " is", " are")
        self.notice(Notice.of("messages.pending", count=count, messages=pending))

    def _waited(self) -> None:
        self.leave()

    def _report_leaving(self) -> None:
        self.notice(Notice.of("session.leaving"))
