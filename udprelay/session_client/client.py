"""The client's half of the session protocol as one object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf

from attrs import evolve

from udprelay.protocol.keys import RoomKeys
from udprelay.protocol.nick import NickError, normalise
from udprelay.session_client.events import Event, NickRefused
from udprelay.session_client.known_member import KnownMember
from udprelay.session_client.machine import StateMachine
from udprelay.session_client.message_sender import MessageError
from udprelay.session_client.settings import Settings, State, Statistics


class SessionClient:
    """
    A client of one room, without input and output.

    The owner calls :meth:`expire` at :meth:`next_deadline`. After each call of any method it
    sends :meth:`drain_datagrams` and handles :meth:`drain_events`.

    :param random_bytes: returns so many secret random bytes.
    """

    def __init__(
        self, settings: Settings, random_bytes: Callable[[int], bytes], now: float
    ) -> None:
        self._machine = StateMachine(settings, random_bytes, now)
        self._session = self._machine.session
        self._roster = self._session.arrivals.roster

    # Requests of the user.

    def start(self, now: float) -> None:
        """Begin to join; an invalid nick is refused at once."""
        if self.state is State.NEW:
            self._machine.start(now)

    def provide_keys(self, salt: bytes, keys: RoomKeys, now: float) -> None:
        """Answer :class:`KeysNeeded`; later attempts to join use the keys too."""
        self._machine.add_keys(salt, keys, now)

    def send(self, payload: bytes, now: float, reliable: bool = True) -> int:
        """
        Send a message to the room; outside a session, queue a reliable one.

        :return: the number by which events call the message.
        :raises MessageError: if it is empty or too large, the backlog is full, or the client is
            leaving or closed.
        """
        message = self._send(payload, b"", now, reliable)
        if not reliable:
            self._session.arrivals.room.note_unreliable_sent(now)
        return message

    def send_private(self, number: int, payload: bytes, now: float, reliable: bool = True) -> int:
        """
        Send a message to one member.

        :raises MessageError: as :meth:`send`, and if the number is not that of another session
            member.
        """
        self._check_open()
        member = self.members.get(number)
        if member is None or number == self.number:
            raise MessageError("no other member has this number")
        if not member.identity:
            raise MessageError("only session members receive private messages")
        return self._send(payload, member.identity, now, reliable)

    def change_nick(self, nick: str, now: float) -> None:
        """
        Ask for another nick; :class:`NickChanged` or :class:`NickRefused` follows.

        Before the first session it replaces the nick of the settings.
        """
        if self._machine.ending:
            return
        session = self._session
        try:
            nick = normalise(nick)
        except NickError as error:
            session.events.append(NickRefused("nick-invalid", str(error)))
            return
        if self.number is None and self.state is not State.JOINING:
            self._machine.handshake.set_nick(nick)
            return
        session.request_nick(nick)
        if self.state is State.JOINED:
            session.send_nick_request(now)
            self._machine.flush(now)

    def ping(self, now: float) -> None:
        """Measure the round trip, in a session; :class:`Ponged` follows."""
        if self.state is State.JOINED:
            self._session.liveness.ping(now)
            self._machine.flush(now)

    def leave(self, now: float) -> None:
        """Leave the room for good; outstanding messages fail."""
        self._machine.leave(now)

    # Datagrams and time.

    def receive(self, datagram: bytes, now: float) -> None:
        """Receive any datagram; invalid and unexpected ones are counted and ignored."""
        self._machine.receive(datagram, now)

    def receive_icmp_error(self, now: float) -> None:
        """Receive an ICMP error: the relay may be unreachable."""
        if self.state is State.JOINED:
            if self._session.liveness.receive_icmp_error(now):
                self._machine.lose_contact("unreachable", now)
            self._machine.expire(now)

    def expire(self, now: float) -> None:
        """Handle timeouts."""
        self._machine.expire(now)

    def next_deadline(self) -> float | None:
        """Return when to call :meth:`expire`; None without timers."""
        deadline = self._machine.deadline
        return None if deadline == inf else deadline

    def drain_datagrams(self) -> list[bytes]:
        """Return the datagrams to send to the relay, in order."""
        datagrams = self._session.datagrams.copy()
        self._session.datagrams.clear()
        return datagrams

    def drain_events(self) -> list[Event]:
        """Return the events since the last call, in order."""
        events = self._session.events.copy()
        self._session.events.clear()
        return events

    # Properties.

    @property
    def state(self) -> State:
        return self._machine.state

    @property
    def number(self) -> int | None:
        """The client's member number; None before the first session."""
        return None if self._session.arrivals.tag is None else self._roster.number

    @property
    def nick(self) -> str:
        """The client's nick on the relay; before the first session, the one to ask for."""
        return self._machine.handshake.nick if self.number is None else self._roster.nick

    @property
    def members(self) -> Mapping[int, KnownMember]:
        """The members of the room by number, the client among them."""
        return self._roster.members

    @property
    def members_known(self) -> bool:
        """Whether ``members`` has all that were in the room when the client joined."""
        return self._roster.complete

    @property
    def outstanding(self) -> int:
        """Reliable messages that are neither delivered nor failed."""
        return self._session.sender.outstanding

    @property
    def backlog(self) -> int:
        """Datagrams that wait for the send window or for a session."""
        return self._session.sender.backlog

    @property
    def statistics(self) -> Statistics:
        session, round_trip = self._session, self._session.round_trip
        return evolve(
            session.statistics,
            round_trip=round_trip.smoothed,
            round_trip_variation=round_trip.variation,
        )

    def _send(self, payload: bytes, receiver: bytes, now: float, reliable: bool) -> int:
        self._check_open()
        sender = self._session.sender
        send = sender.send_reliable if reliable else sender.send_unreliable
        message = send(payload, receiver, now)
        self._machine.flush(now)
        return message

    def _check_open(self) -> None:
        if self._machine.ending:
            raise MessageError("the client has left the room")
