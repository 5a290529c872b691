"""A client's membership of one room, as its user has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf

from udprelay.protocol.keys import RoomKeys
from udprelay.protocol.nick import NickError, normalise
from udprelay.session_client.events import Event, NickRefused, Refused
from udprelay.session_client.known_member import KnownMember
from udprelay.session_client.machine import Machine
from udprelay.session_client.sending import MessageError
from udprelay.session_client.settings import Settings
from udprelay.session_client.state import State, Statistics


class Membership:
    """
    One client's membership of one room, without input and output.

    Whoever owns it calls :meth:`expire` at :meth:`next_deadline`, and after each call sends what
    :meth:`take_datagrams` returns and looks at :meth:`take_events`.

    :param settings: what it is to be.
    :param random_bytes: returns so many secret random bytes.
    """

    def __init__(
        self, settings: Settings, random_bytes: Callable[[int], bytes], now: float
    ) -> None:
        self.room = settings.room
        self._machine = Machine(settings, random_bytes, now)
        self._session = self._machine.session

    # What its user wants.

    def start(self, now: float) -> None:
        """Begin to join; a nick that is none is refused at once."""
        if self.state is not State.NEW:
            return
        handshake = self._machine.handshake
        try:
            handshake.want(normalise(handshake.nick))
        except NickError as error:
            self._machine.close(Refused("nick-invalid", str(error)))
        else:
            self._machine.start(now)

    def provide_keys(self, salt: bytes, keys: RoomKeys, now: float) -> None:
        """Answer :class:`KeysNeeded`; the keys are good for later attempts too."""
        self._machine.handshake.know(salt, keys)
        self._machine.has_keys(now)

    def send(self, payload: bytes, now: float, reliable: bool = True) -> int:
        """
        Send a message to the room; it waits until the client is a member, if it is reliable.

        :returns: the number by which events call the message.
        :raises MessageError: if it is empty or too large, too much is waiting already, or the
            membership is over.
        """
        self._check_open()
        sending = self._session.sending
        if reliable:
            message = sending.reliable(payload, b"", now)
        else:
            message = sending.unreliable(payload, b"", now)
            self._session.arrivals.sent(now)
        self._machine.flush(now)
        return message

    def send_private(self, number: int, payload: bytes, now: float, reliable: bool = True) -> int:
        """
        Send a message to one member.

        :raises MessageError: as :meth:`send`, and if there is no such member, or it is one that
            private messages can't be sent to.
        """
        self._check_open()
        member = self.members.get(number)
        if member is None or number == self.number:
            raise MessageError("nobody else in the room has this number")
        if not member.identity:
            raise MessageError("only those who have joined by the session protocol get these")
        sending = self._session.sending
        if reliable:
            message = sending.reliable(payload, member.identity, now)
        else:
            message = sending.unreliable(payload, member.identity, now)
        self._machine.flush(now)
        return message

    def change_nick(self, nick: str, now: float) -> None:
        """
        Ask for another nick; the answer is :class:`NickChanged` or :class:`NickRefused`.

        Before the client has ever been a member it just wants this nick instead.
        """
        if self._machine.over:
            return
        session = self._session
        try:
            nick = normalise(nick)
        except NickError as error:
            session.events.append(NickRefused("nick-invalid", str(error)))
            return
        if self.number is None and self.state is not State.JOINING:
            self._machine.handshake.want(nick)
            return
        session.nick_change.want(nick)
        if self.state is State.JOINED:
            session.ask_for_nick(now)
            self._machine.flush(now)

    def ping(self, now: float) -> None:
        """Ask for the round trip, if it is a member; the answer is :class:`Ponged`."""
        if self.state is State.JOINED:
            self._session.contact.ask(now)
            self._machine.flush(now)

    def leave(self, now: float) -> None:
        """Leave the room; what has not been delivered by then fails."""
        self._machine.leave(now)

    # What comes, and what goes.

    def receive(self, datagram: bytes, now: float) -> None:
        """Take a datagram, whatever it is; what does not belong here is counted and ignored."""
        self._machine.receive(datagram, now)

    def unreachable(self, now: float) -> None:
        """Take an ICMP error: it may be that nobody is there."""
        if self.state is State.JOINED:
            if self._session.contact.unreachable(now):
                self._machine.lose("unreachable", now)
            self._machine.expire(now)

    def expire(self, now: float) -> None:
        """Do what is due."""
        self._machine.expire(now)

    def next_deadline(self) -> float | None:
        """Return when to call :meth:`expire`; None if there is nothing to wait for."""
        deadline = self._machine.deadline
        return None if deadline == inf else deadline

    def take_datagrams(self) -> list[bytes]:
        """Return what is to be sent to the relay, in order."""
        taken = self._session.datagrams.copy()
        self._session.datagrams.clear()
        return taken

    def take_events(self) -> list[Event]:
        """Return what has happened, in order."""
        taken = self._session.events.copy()
        self._session.events.clear()
        return taken

    # What it is.

    @property
    def state(self) -> State:
        """Where it is."""
        return self._machine.state

    @property
    def number(self) -> int | None:
        """The client's member number; None before it is a member."""
        return None if self._session.arrivals.tag is None else self._session.arrivals.number

    @property
    def nick(self) -> str:
        """The client's nick, as the relay has it; before that, the one that is wanted."""
        return self._machine.handshake.nick if self.number is None else self._session.arrivals.nick

    @property
    def members(self) -> Mapping[int, KnownMember]:
        """The members of the room by number, the client itself among them."""
        return self._session.arrivals.members

    @property
    def outstanding(self) -> int:
        """Messages, not the unreliable ones, that have neither been delivered nor failed."""
        return self._session.sending.outstanding

    @property
    def backlog(self) -> int:
        """Datagrams that have not been sent yet: they wait for the window, or for a session."""
        return self._session.sending.backlog

    @property
    def statistics(self) -> Statistics:
        """What it has come to so far."""
        session = self._session
        return Statistics(
            round_trip=session.round_trip.smoothed,
            round_trip_variation=session.round_trip.variation,
            received=session.arrivals.received,
            lost=session.arrivals.lost,
            repaired=session.arrivals.repaired,
            duplicates=session.arrivals.duplicates,
            sent=session.sending.sent,
            repeated=session.sending.repeated,
            unsent=session.sending.unsent,
            ignored=self._machine.ignored,
        )

    def _check_open(self) -> None:
        if self._machine.over:
            raise MessageError("the membership is over")
