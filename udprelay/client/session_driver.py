"""Runs the session client with a socket, a clock, and a thread for key derivation."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from udprelay.client.route import Route
from udprelay.clock import clock_of
from udprelay.protocol.keys import RoomKeys, derive, prepare_passphrase
from udprelay.session_client.client import SessionClient
from udprelay.session_client.events import Closed, Event, KeysNeeded, Refused
from udprelay.session_client.settings import Settings, State

ADDRESS_TIMEOUT = 2.0
"""Seconds without an answer until the next address of the relay's name is tried."""
SOCKET_TIMEOUT = 5.0
"""Seconds without an answer until a new socket is tried, if the relay has one address."""


class SessionDriver:
    """
    Runs one membership from :meth:`start` to its last event.

    Call :meth:`run` after each call of a method of :attr:`session`.

    :param passphrase: the room's; ``None`` if ``settings.keyed`` is false.
    :param observe: called with each event, in order; raises nothing.
    :ivar trouble: the last error that the network reported since the relay's last datagram.
    :ivar ended: no more events follow, and the socket is closed.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int,
        settings: Settings,
        passphrase: str | None,
        observe: Callable[[Event], None],
    ) -> None:
        self._clock = clock_of(reactor)
        self.now = self._clock.seconds
        self.route = Route(reactor, host, port, self._received, self._troubled)
        self.session = SessionClient(settings, secrets.token_bytes, self.now())
        self.ended = False
        self.trouble: OSError | None = None
        self._passphrase = None if passphrase is None else prepare_passphrase(passphrase)
        self._reactor = reactor
        self._observe = observe
        self._timer: IDelayedCall | None = None
        self._running = False
        self._timer_due = 0.0
        # While the relay does not answer: since when at this address, and what it was sent.
        self._greeting_since: float | None = None
        self._hellos: list[bytes] = []

    async def start(self) -> bool:
        """Look the relay's name up and start to join; return whether the name is known."""
        found = await self.route.look_up()
        if found and not self.ended:
            self.session.start(self.now())
            self.run()
        return found

    def run(self) -> None:
        """Send the session's datagrams, report its events, and set the timer."""
        if self._running or self.ended:
            # Called by an observer of an event: the loop below continues.
            return
        self._running = True
        try:
            while not self.ended and (self._send() | self._report_events()):
                pass
        finally:
            self._running = False
        if not self.ended:
            self._check_greeting()
            self._set_timer()

    def end(self) -> None:
        """Close the socket at once, without leaving the room."""
        self.ended = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.route.close()

    def _send(self) -> bool:
        datagrams = self.session.drain_datagrams()
        if self.session.state is not State.GREETING:
            self._hellos = []
        elif datagrams:
            self._hellos = datagrams
        for datagram in datagrams:
            self.route.send(datagram)
        return bool(datagrams)

    def _report_events(self) -> bool:
        events = self.session.drain_events()
        for event in events:
            if isinstance(event, Refused | Closed):
                self.end()
            elif isinstance(event, KeysNeeded):
                self._derive(event.salt)
            self._observe(event)
        return bool(events)

    def _derive(self, salt: bytes) -> None:
        pool = self._reactor.getThreadPool()
        # Only a session with a passphrase needs keys.
        derived = deferToThreadPool(self._reactor, pool, derive, self._passphrase or "", salt)
        derived.addCallback(lambda keys: self._derived(salt, keys))
        derived.addErrback(lambda failure: self._log.failure("key derivation failed", failure))

    def _derived(self, salt: bytes, keys: RoomKeys) -> None:
        if not self.ended:
            self.session.provide_keys(salt, keys, self.now())
            self.run()

    def _received(self, datagram: bytes) -> None:
        self.trouble = None
        self.session.receive(datagram, self.now())
        self.run()

    def _troubled(self, error: OSError) -> None:
        self.trouble = error
        now = self.now()
        self.session.receive_icmp_error(now)
        self._check_greeting()
        if self._greeting_since is not None and self.route.has_untried:
            self._use_next_address(now)
        self.run()

    def _expired(self) -> None:
        self._timer = None
        now = self.now()
        self.session.expire(now)
        self._check_greeting()
        answer_due = self._answer_due()
        if answer_due is not None and now >= answer_due:
            self._use_next_address(now)
        self.run()

    def _check_greeting(self) -> None:
        """Note since when the relay has not answered."""
        if self.session.state is not State.GREETING:
            self._greeting_since = None
        elif self._greeting_since is None:
            self._greeting_since = self.now()
            self.route.start_round()

    def _answer_due(self) -> float | None:
        if self._greeting_since is None:
            return None
        timeout = ADDRESS_TIMEOUT if self.route.has_alternatives else SOCKET_TIMEOUT
        return self._greeting_since + timeout

    def _use_next_address(self, now: float) -> None:
        self._greeting_since = now
        if self.route.has_alternatives:
            # The error was about the previous address.
            self.trouble = None
        self.route.use_next_address()
        # The next retransmission may be seconds away.
        for datagram in self._hellos:
            self.route.send(datagram)

    def _set_timer(self) -> None:
        deadlines = (self.session.next_deadline(), self._answer_due())
        due = min((deadline for deadline in deadlines if deadline is not None), default=None)
        if due is None:
            return
        if self._timer is not None:
            if self._timer_due <= due:
                # Too early is corrected then: cheaper than a new timer for each datagram.
                return
            self._timer.cancel()
        self._timer_due = due
        self._timer = self._clock.callLater(max(0.0, due - self.now()), self._expired)
