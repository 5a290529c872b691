"""A member of a room, for programs: what :func:`udprelay.client.join` gives, and its errors."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from errno import ECONNREFUSED
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from udprelay.client.session_driver import SessionDriver
from udprelay.session_client.events import Closed, Delivered, Event, Failed, Joined, Refused
from udprelay.session_client.known_member import KnownMember
from udprelay.session_client.settings import Settings, State, Statistics

MAX_RECENT_MESSAGES = 1024
MAX_RECENT_BYTES = 1 << 20


class JoinError(Exception):
    """A room was not joined; the text says why."""


class UnreachableError(JoinError):
    """The relay's name is unknown, or the relay did not answer in time."""


class RefusedError(JoinError):
    """
    The relay refused or ended the membership.

    :ivar code: the reason, as in ``REFUSED`` and ``BYE`` of the protocol.
    """

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence or code)
        self.code = code


class UndeliveredError(Exception):
    """
    A message was not delivered to the relay, or only parts of it.

    :ivar reason: ``unacknowledged``; ``not-joined``, for an unreliable one; ``absent`` or
        ``plain``, for its receiver; or ``closed``: the membership is over.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"not delivered: {reason}")
        self.reason = reason


class Member:
    """
    The client's membership of one room.

    It retransmits, reconnects after a restart of the relay, and follows changes of addresses.

    :param passphrase: the room's; ``None`` if ``settings.keyed`` is false.
    :param observe: called with this and each event of :mod:`udprelay.session_client.events`.
    :raises PassphraseError: if the passphrase is invalid.
    :ivar over: fires with the last event.
    :ivar room: the room's name.
    :ivar sealed: whether all messages are encrypted with the room's passphrase.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int,
        settings: Settings,
        passphrase: str | None,
        observe: Callable[[Member, Event], None],
    ) -> None:
        self.over: Deferred[Refused | Closed] = Deferred()
        self.room = settings.room
        self.sealed = settings.keyed
        self._observe = observe
        self._driver = SessionDriver(reactor, host, port, settings, passphrase, self._handle_event)
        self._session = self._driver.session
        self._joined: Deferred[Member] | None = None
        self._left: list[Deferred[None]] = []
        # Payloads by message number; of settled messages only the recent ones.
        self._unsettled: dict[int, tuple[bytes, Deferred[None]]] = {}
        self._recent: OrderedDict[int, bytes] = OrderedDict()
        self._recent_bytes = 0

    @property
    def relay(self) -> str:
        """The relay's address as ``host:port``; its host name until that is looked up."""
        return self._driver.route.peer

    @property
    def nick(self) -> str:
        """The client's nick, as the relay has it."""
        return self._session.nick

    @property
    def number(self) -> int:
        """The client's member number; 0 before it joins."""
        return self._session.number or 0

    @property
    def joined(self) -> bool:
        """Whether the relay regards the client as a member now."""
        return self._session.state is State.JOINED

    @property
    def members(self) -> Mapping[int, KnownMember]:
        """All members of the room by number, the client included."""
        return self._session.members

    @property
    def members_known(self) -> bool:
        """Whether ``members`` has all that were in the room when the client joined."""
        return self._session.members_known

    @property
    def statistics(self) -> Statistics:
        """Counters, and the round-trip time."""
        return self._session.statistics

    @property
    def outstanding(self) -> int:
        """Reliable messages that the relay has not acknowledged, and that have not failed."""
        return self._session.outstanding

    @property
    def backlog(self) -> int:
        """Datagrams that are queued until earlier ones are acknowledged."""
        return self._session.backlog

    @property
    def trouble(self) -> OSError | None:
        """The last error that the network reported since the relay's last datagram."""
        return self._driver.trouble

    @property
    def nobody_listens(self) -> bool:
        """Whether the last error says that no program listens at the relay's address."""
        return self.trouble is not None and self.trouble.errno == ECONNREFUSED

    @property
    def resolving(self) -> bool:
        """Whether the relay's name is being looked up, in a thread."""
        return self._driver.route.resolving

    def join(self) -> Deferred[Member]:
        """
        Join the room; to be called once. Cancelling it leaves.

        :return: fires when the room is joined. Until then it retries, without end. Fails with
            :exc:`UnreachableError` if the relay's name is unknown, and :exc:`RefusedError`.
        """
        joined: Deferred[Member] = Deferred(lambda _: self._cancelled())
        self._joined = joined
        Deferred.fromCoroutine(self._driver.start()).addCallback(self._started)
        return joined

    def send(self, payload: bytes, reliable: bool = True) -> Deferred[None]:
        """
        Send a message to all other members of the room.

        :param payload: 1 to 65,536 bytes; if not reliable, at most what one datagram holds.
        :param reliable: retransmit it until it is acknowledged.
        :return: fires when the relay has all of it; at once if it is not reliable. Fails with
            :exc:`UndeliveredError`.
        :raises MessageError: if the size is wrong, or the membership is over.
        """
        message = self._session.send(payload, self._driver.now(), reliable)
        return self._sent(message, payload, reliable)

    def send_private(self, number: int, payload: bytes, reliable: bool = True) -> Deferred[None]:
        """
        Send a message to one member.

        :param number: the member's.
        :return: as :meth:`send`. A ``Failed`` event can still follow, if the member left.
        :raises MessageError: as :meth:`send`, and if no session member has that number.
        """
        now = self._driver.now()
        message = self._session.send_private(number, payload, now, reliable)
        return self._sent(message, payload, reliable)

    def payload(self, message: int) -> bytes | None:
        """Return the payload of a message sent recently."""
        unsettled = self._unsettled.get(message)
        return self._recent.get(message) if unsettled is None else unsettled[0]

    def change_nick(self, nick: str) -> None:
        """Request another nick: ``NickChanged`` or ``NickRefused`` follows."""
        self._session.change_nick(nick, self._driver.now())
        self._driver.run()

    def ping(self) -> None:
        """Ping the relay: ``Ponged`` or ``ContactLost`` follows."""
        self._session.ping(self._driver.now())
        self._driver.run()

    def leave(self) -> Deferred[None]:
        """
        Leave the room. Messages that are not acknowledged fail.

        :return: fires when the relay confirms it, or after a second. If the relay may have lost
            what it has acknowledged: when another one has it, or after 40 seconds.
        """
        if self._driver.ended:
            return succeed(None)
        left: Deferred[None] = Deferred()
        self._left.append(left)
        self._session.leave(self._driver.now())
        self._driver.run()
        return left

    def pause(self) -> None:
        """Stop reading. What the kernel's buffer cannot hold is requested again later."""
        self._driver.route.pause()

    def resume(self) -> None:
        """Read again."""
        self._driver.route.resume()

    def _cancelled(self) -> None:
        self._joined = None
        self.leave()

    def _started(self, found: bool) -> None:
        if not found and not self._driver.ended:
            self._driver.end()
            sentence = f"unknown host name in {self.relay}"
            self._finish(Closed("unresolved", sentence), UnreachableError(sentence))

    def _sent(self, message: int, payload: bytes, reliable: bool) -> Deferred[None]:
        if not reliable and self.joined:
            # No event about it follows.
            self._driver.run()
            return succeed(None)
        delivered: Deferred[None] = Deferred()
        self._unsettled[message] = payload, delivered
        self._driver.run()
        if not reliable:
            self._settle(message, None)
        return delivered

    def _settle(self, message: int, error: UndeliveredError | None) -> None:
        if message not in self._unsettled:
            return
        payload, delivered = self._unsettled.pop(message)
        self._recent[message] = payload
        self._recent_bytes += len(payload)
        while len(self._recent) > MAX_RECENT_MESSAGES or self._recent_bytes > MAX_RECENT_BYTES:
            self._recent_bytes -= len(self._recent.popitem(last=False)[1])
        if error is None:
            delivered.callback(None)
        else:
            delivered.errback(error)

    def _handle_event(self, event: Event) -> None:
        try:
            self._observe(self, event)
        except Exception:
            # An error of an observer must not end the membership.
            self._log.failure("an observer raised an error")
        if isinstance(event, Joined) and self._joined is not None:
            joined, self._joined = self._joined, None
            joined.callback(self)
        elif isinstance(event, Delivered):
            self._settle(event.message, None)
        elif isinstance(event, Failed):
            self._settle(event.message, UndeliveredError(event.reason))
        elif isinstance(event, Refused | Closed):
            self._finish(event, RefusedError(event.code, event.sentence))

    def _finish(self, reason: Refused | Closed, error: JoinError) -> None:
        for message in tuple(self._unsettled):
            self._settle(message, UndeliveredError("closed"))
        self.over.callback(reason)
        if self._joined is not None:
            joined, self._joined = self._joined, None
            joined.errback(error)
        waiting, self._left = self._left, []
        for left in waiting:
            left.callback(None)
