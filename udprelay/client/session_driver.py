"""A membership with a socket, a clock, and a thread for its keys."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from udprelay.client.route import Route
from udprelay.protocol.keys import RoomKeys, derive, prepare_passphrase
from udprelay.session_client.events import Closed, Event, KeysNeeded, Refused
from udprelay.session_client.membership import Membership
from udprelay.session_client.settings import Settings
from udprelay.session_client.state import State

# Seconds without an answer until the next address of the relay's name is tried; with only one
# address, until a new socket is.
NEXT_ADDRESS = 2.0
NEXT_SOCKET = 5.0


class Session:
    """
    Runs one membership from :meth:`start` to its last event, over one route.

    Whoever calls a method of :attr:`membership` calls :meth:`turn` after that.

    :param passphrase: the room's; ``None`` if ``settings.keyed`` is false.
    :param tell: called with each event, in order; raises nothing.
    :param clock: tells the time in seconds. Not the reactor's: that may be the time of day.
    :ivar trouble: what the network has reported since the relay was last heard.
    :ivar ended: no more events will be told, and everything is closed.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int,
        settings: Settings,
        passphrase: str | None,
        tell: Callable[[Event], None],
        clock: Callable[[], float],
    ) -> None:
        self.now = clock
        self.route = Route(reactor, host, port, self._received, self._troubled)
        self.membership = Membership(settings, secrets.token_bytes, clock())
        self.ended = False
        self.trouble: OSError | None = None
        self._passphrase = None if passphrase is None else prepare_passphrase(passphrase)
        self._reactor = reactor
        self._tell = tell
        self._timer: IDelayedCall | None = None
        self._turning = False
        self._due = 0.0
        # While the relay is looked for: since when at this address, and what it was asked.
        self._asking = False
        self._asked = 0.0
        self._greeting: list[bytes] = []

    async def start(self) -> bool:
        """Look the relay's name up and begin to join; return whether the name is known."""
        found = await self.route.find()
        if found and not self.ended:
            self.route.start_round()
            self.membership.start(self.now())
            self.turn()
        return found

    def turn(self) -> None:
        """Send and tell what the membership has to send and tell, and set the timer."""
        if self._turning or self.ended:
            # Called by somebody who is being told an event: the loop below goes on.
            return
        self._turning = True
        try:
            while not self.ended and (self._send() | self._tell_events()):
                pass
        finally:
            self._turning = False
        if not self.ended:
            self._watch()
            self._set_timer()

    def end(self) -> None:
        """Close everything at once, without a word to the relay."""
        self.ended = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.route.close()

    def _send(self) -> bool:
        datagrams = self.membership.take_datagrams()
        if self.membership.state is not State.GREETING:
            self._greeting = []
        elif datagrams:
            self._greeting = datagrams
        for datagram in datagrams:
            self.route.send(datagram)
        return bool(datagrams)

    def _tell_events(self) -> bool:
        told = self.membership.take_events()
        for event in told:
            if isinstance(event, Refused | Closed):
                self.end()
            elif isinstance(event, KeysNeeded):
                self._derive(event.salt)
            self._tell(event)
        return bool(told)

    def _derive(self, salt: bytes) -> None:
        pool = self._reactor.getThreadPool()
        # Only a membership with a passphrase asks for keys.
        derived = deferToThreadPool(self._reactor, pool, derive, self._passphrase or "", salt)
        derived.addCallback(lambda keys: self._derived(salt, keys))
        derived.addErrback(lambda failure: self._log.failure("no keys", failure))

    def _derived(self, salt: bytes, keys: RoomKeys) -> None:
        if not self.ended:
            self.membership.provide_keys(salt, keys, self.now())
            self.turn()

    def _received(self, datagram: bytes) -> None:
        self.trouble = None
        self.membership.receive(datagram, self.now())
        self.turn()

    def _troubled(self, error: OSError) -> None:
        self.trouble = error
        now = self.now()
        self.membership.unreachable(now)
        self._watch()
        if self._asking and self.route.untried:
            self._look_elsewhere(now)
        self.turn()

    def _expired(self) -> None:
        self._timer = None
        now = self.now()
        self.membership.expire(now)
        self._watch()
        if self._asking and now >= self._asked + self._patience():
            self._look_elsewhere(now)
        self.turn()

    def _watch(self) -> None:
        """Note since when the relay has been asked for, in vain so far."""
        greeting = self.membership.state is State.GREETING
        if greeting and not self._asking:
            self._asked = self.now()
            self.route.start_round()
        self._asking = greeting

    def _patience(self) -> float:
        return NEXT_ADDRESS if self.route.alternatives else NEXT_SOCKET

    def _look_elsewhere(self, now: float) -> None:
        self._asked = now
        if self.route.alternatives:
            # Of another address nothing is known.
            self.trouble = None
        self.route.move_on()
        # Not left to the next repetition, which may be seconds away.
        for datagram in self._greeting:
            self.route.send(datagram)

    def _set_timer(self) -> None:
        deadlines = [self.membership.next_deadline()]
        if self._asking:
            deadlines.append(self._asked + self._patience())
        due = min((deadline for deadline in deadlines if deadline is not None), default=None)
        if due is None:
            return
        if self._timer is not None:
            if self._due <= due:
                # It may come too early, and is corrected then: cheaper than with each datagram.
                return
            self._timer.cancel()
        self._due = due
        self._timer = self._reactor.callLater(max(0.0, due - self.now()), self._expired)
