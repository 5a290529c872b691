"""A member of a room, for programs: what :func:`udprelay.client.join` gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from errno import ECONNREFUSED
from time import monotonic
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from udprelay.client.errors import JoinError, RefusedError, UndeliveredError, UnreachableError
from udprelay.client.recent import Recent
from udprelay.client.session_driver import Session
from udprelay.session_client.events import Closed, Delivered, Event, Failed, Joined, Refused
from udprelay.session_client.known_member import KnownMember
from udprelay.session_client.sending import (
    LARGEST_UNRELIABLE,
    LARGEST_UNRELIABLE_PRIVATE,
    MessageError,
)
from udprelay.session_client.settings import Settings
from udprelay.session_client.state import State, Statistics


class Member:
    """
    One's own membership of one room.

    It keeps itself up: it repeats what gets lost, finds the relay again after a restart, and
    changes sockets when the network does.

    :param settings: what is wanted.
    :param passphrase: the room's; ``None`` if ``settings.keyed`` is false.
    :param tell: called with this and each event of :mod:`udprelay.session_client.events`.
    :raises PassphraseError: if it can be no passphrase.
    :ivar over: fires with the reason when nothing more will come.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int,
        settings: Settings,
        passphrase: str | None,
        tell: Callable[[Member, Event], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.over: Deferred[Refused | Closed] = Deferred()
        self._room = settings.room
        self._sealed = settings.keyed
        self._tell = tell
        self._session = Session(reactor, host, port, settings, passphrase, self._told, clock)
        self._membership = self._session.membership
        self._recent = Recent()
        self._joining: Deferred[Member] | None = None
        self._leaving: list[Deferred[None]] = []
        self._waiting: dict[int, tuple[bytes, Deferred[None]]] = {}

    @property
    def relay(self) -> str:
        """The relay's address as ``host:port``; with its name until that has been looked up."""
        return self._session.route.peer

    @property
    def room(self) -> str:
        return self._room

    @property
    def sealed(self) -> bool:
        """Whether all that is said is encrypted with the room's passphrase."""
        return self._sealed

    @property
    def nick(self) -> str:
        """One's own nick, as the relay has it."""
        return self._membership.nick

    @property
    def number(self) -> int:
        """One's own member number; 0 before one was a member."""
        return self._membership.number or 0

    @property
    def joined(self) -> bool:
        """Whether one is in contact with the relay, as a member."""
        return self._membership.state is State.JOINED

    @property
    def members(self) -> Mapping[int, KnownMember]:
        """All members of the room by their numbers, oneself among them."""
        return self._membership.members

    @property
    def statistics(self) -> Statistics:
        """What has been counted so far, and the round-trip time."""
        return self._membership.statistics

    @property
    def outstanding(self) -> int:
        """Messages that neither have reached the relay nor have failed."""
        return self._membership.outstanding

    @property
    def backlog(self) -> int:
        """Datagrams that wait until earlier ones have reached the relay."""
        return self._membership.backlog

    @property
    def trouble(self) -> OSError | None:
        """What the network has reported since the relay was last heard."""
        return self._session.trouble

    @property
    def nobody_listens(self) -> bool:
        """Whether the network has reported that since the relay was last heard."""
        return self.trouble is not None and self.trouble.errno == ECONNREFUSED

    @property
    def resolving(self) -> bool:
        """Whether the relay's name is being looked up, in a thread."""
        return self._session.route.resolving

    def join(self) -> Deferred[Member]:
        """
        Join the room; to be called once. Cancelling it leaves.

        :returns: fires when that is done. Until then it goes on trying.
        :raises UnreachableError: if the relay's name is unknown.
        :raises RefusedError: if the relay does not want this member.
        """
        joining: Deferred[Member] = Deferred(lambda _: self._cancelled())
        self._joining = joining
        Deferred.fromCoroutine(self._session.start()).addCallback(self._started)
        return joining

    def send(self, payload: bytes, reliable: bool = True) -> Deferred[None]:
        """
        Send a message to everybody else in the room.

        :param payload: 1 to 65,536 bytes; if not reliable, at most what one datagram holds.
        :param reliable: repeat it until it has arrived.
        :returns: fires when the relay has it; if it is not reliable, at once. Fails with
            :exc:`UndeliveredError`.
        :raises MessageError: if it can't be a message, or the membership is over.
        """
        message = self._membership.send(payload, self._session.now(), reliable)
        return self._given(message, payload, reliable)

    def send_private(self, number: int, payload: bytes, reliable: bool = True) -> Deferred[None]:
        """
        Send a message to one member.

        :param number: of the member.
        :returns: as :meth:`send`. That the member has gone is told as a ``Failed`` event, even
            after that.
        :raises MessageError: as :meth:`send`, and if no session member has that number.
        """
        now = self._session.now()
        message = self._membership.send_private(number, payload, now, reliable)
        return self._given(message, payload, reliable)

    def throw(self, payload: bytes, number: int | None = None) -> str | None:
        """
        Send a message once and now, and hear no more of it: less work than :meth:`send`.

        :param number: of the only member to get it; ``None``: everybody else in the room.
        :returns: why it could not be sent: ``empty``, ``too-large``, ``no-contact``, or
            ``absent``: nobody who could get it has this number.
        """
        if not payload:
            return "empty"
        if len(payload) > (LARGEST_UNRELIABLE if number is None else LARGEST_UNRELIABLE_PRIVATE):
            return "too-large"
        if not self.joined:
            return "no-contact"
        now = self._session.now()
        try:
            if number is None:
                self._membership.send(payload, now, reliable=False)
            else:
                self._membership.send_private(number, payload, now, reliable=False)
        except MessageError:
            return "absent"
        self._session.turn()
        return None

    def payload(self, message: int) -> bytes | None:
        """Return what a message of one's own said, if it was not long ago."""
        waiting = self._waiting.get(message)
        return self._recent.get(message) if waiting is None else waiting[0]

    def change_nick(self, nick: str) -> None:
        """Ask for another nick: ``NickChanged`` or ``NickRefused`` follows."""
        self._membership.change_nick(nick, self._session.now())
        self._session.turn()

    def ping(self) -> None:
        """Ask whether the relay is there: ``Ponged`` or ``ContactLost`` follows."""
        self._membership.ping(self._session.now())
        self._session.turn()

    def leave(self) -> Deferred[None]:
        """
        Leave the room. What has not reached the relay fails.

        :returns: fires when the relay knows, or after a second.
        """
        if self._session.ended:
            return succeed(None)
        left: Deferred[None] = Deferred()
        self._leaving.append(left)
        self._membership.leave(self._session.now())
        self._session.turn()
        return left

    def pause(self) -> None:
        """Read nothing for a while. What the kernel can't hold meanwhile is asked for later."""
        self._session.route.pause()

    def resume(self) -> None:
        """Read on."""
        self._session.route.resume()

    def _cancelled(self) -> None:
        self._joining = None
        self.leave()

    def _started(self, found: bool) -> None:
        if not found and not self._session.ended:
            self._session.end()
            sentence = f"the name in {self.relay} is unknown"
            self._finish(Closed("unresolved", sentence), UnreachableError(sentence))

    def _given(self, message: int, payload: bytes, reliable: bool) -> Deferred[None]:
        given: Deferred[None] = Deferred()
        self._waiting[message] = payload, given
        self._session.turn()
        if not reliable:
            self._settle(message, None)
        return given

    def _settle(self, message: int, error: UndeliveredError | None) -> None:
        if message in self._waiting:
            payload, given = self._waiting.pop(message)
            self._recent.add(message, payload)
            if error is None:
                given.callback(None)
            else:
                given.errback(error)

    def _told(self, event: Event) -> None:
        try:
            self._tell(self, event)
        except Exception:
            # A mistake of whoever listens must not cost the membership.
            self._log.failure("an event was not taken")
        if isinstance(event, Joined) and self._joining is not None:
            joining, self._joining = self._joining, None
            joining.callback(self)
        elif isinstance(event, Delivered):
            self._settle(event.message, None)
        elif isinstance(event, Failed):
            self._settle(event.message, UndeliveredError(event.reason))
        elif isinstance(event, Refused | Closed):
            self._finish(event, RefusedError(event.code, event.sentence))

    def _finish(self, reason: Refused | Closed, error: JoinError) -> None:
        for message in tuple(self._waiting):
            self._settle(message, UndeliveredError("closed"))
        self.over.callback(reason)
        if self._joining is not None:
            joining, self._joining = self._joining, None
            joining.errback(error)
        leaving, self._leaving = self._leaving, []
        for left in leaving:
            left.callback(None)
