"""One run of the client: what joins a conversation to the terminal or pipe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from udprelay.client import notices
from udprelay.client.notices import Notice, Volume
from udprelay.client.options import Options
from udprelay.client.talk import DONE, Heard, Listening, Said, Talk

# Seconds after which it is told what takes so long.
PROGRESS = 1.0


class FrontEnd(Protocol):
    """
    Where messages come from and go to: the terminal or the pipe.

    :param company: whether it wants to hear who comes and goes.
    """

    company: bool

    def begin(self, client: Client, talk: Talk) -> None:
        """Start reading: what is said can be sent now."""
        ...

    def show(self, message: Heard) -> None: ...

    def notice(self, notice: Notice) -> None: ...

    def drained(self) -> None:
        """Little that was said still waits to be sent: more may be said."""
        ...

    def close(self) -> Deferred[None]:
        """Stop reading, and fire when all that was shown has been written."""
        ...


class Client:
    """
    Counts, waits, and leaves with an exit status.

    :param talk: makes the conversation, given whom to tell what happens.
    :ivar finished: fires with the exit status, once.
    """

    def __init__(
        self,
        options: Options,
        clock: IReactorTime,
        front: FrontEnd,
        talk: Callable[[Listening], Talk],
    ) -> None:
        self.finished: Deferred[int] = Deferred()
        self._options = options
        self._clock = clock
        self._front = front
        self._talk = talk(self)
        self._count = 0
        self._sated = False
        self._wait: float | None = None
        self._ended = False
        self._waiting: IDelayedCall | None = None
        self._staying = False
        self._leaving = False

    async def start(self) -> None:
        """Open the conversation, and let the front end begin."""
        await self._talk.open()

    @property
    def resolving(self) -> bool:
        """Whether a name is being looked up, in a thread."""
        return self._talk.resolving

    @property
    def busy(self) -> bool:
        """Whether so much waits to be sent that no more should be said."""
        return self._talk.busy

    def say(self, said: Said) -> None:
        """
        Send a message as soon as may be.

        :raises RejectedError: if it can't be one.
        """
        if not self._sated:
            self._talk.say(said)

    def input_ended(self, wait: float | None) -> None:
        """
        Nothing more will be said: leave when nothing that was said is pending.

        :param wait: seconds to stay after that; ``None``: whoever talked has left, and
            knows already how things are.
        """
        self._ended = True
        self._wait = wait
        self.progressed()

    def leave(self, status: int) -> None:
        """Close everything, then fire :attr:`finished`."""
        if self._leaving:
            return
        self._leaving = True
        if self._waiting is not None and self._waiting.active():
            self._waiting.cancel()
        closed = gatherResults([self._talk.close(), self._front.close()], consumeErrors=True)
        closed.addCallback(lambda _: status).chainDeferred(self.finished)

    # What the conversation tells.

    def opened(self) -> None:
        self._front.begin(self, self._talk)

    def heard(self, message: Heard) -> None:
        if self._leaving or self._sated:
            return
        self._front.show(message)
        self._count += 1
        if self._count == self._options.count:
            self._sated = True
            self.progressed()

    def notice(self, notice: Notice) -> None:
        if notice.volume is Volume.DETAIL and not self._options.verbose:
            return
        if notice.volume is Volume.COMPANY and not (self._front.company or self._options.verbose):
            return
        if notice.volume is not Volume.ERROR and self._options.quiet:
            return
        self._front.notice(notice)

    def progressed(self) -> None:
        if self._leaving:
            return
        if not self._talk.busy:
            self._front.drained()
        if not (self._ended or self._sated):
            return
        if self._talk.pending:
            if self._waiting is None:
                self._waiting = self._clock.callLater(PROGRESS, self._tell_pending)
        elif self._sated:
            self.leave(self._talk.outcome())
        elif self._wait is None:
            # A person knows how things are.
            self.leave(DONE)
        elif not self._staying:
            self._staying = True
            if self._waiting is not None and self._waiting.active():
                self._waiting.cancel()
            self._waiting = self._clock.callLater(self._wait, self._waited)

    def ended(self, status: int) -> None:
        self.leave(status)

    def _tell_pending(self) -> None:
        self.notice(notices.messages_pending(self._talk.pending))

    def _waited(self) -> None:
        self.leave(self._talk.outcome())
