"""
The state machine of a membership.

The states are those of "The client" in ``docs/protocol.rst``; the table is at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Any

from udprelay.protocol.wire import FromRelay, WireError, decode_from_relay, from_relay, joining
from udprelay.protocol.wire.from_client import Leave
from udprelay.protocol.wire.header import HEADER, VERSION
from udprelay.session_client.active_session import TAKEN, Session
from udprelay.session_client.attempts import Attempts
from udprelay.session_client.events import (
    Closed,
    ContactLost,
    Joined,
    KeysNeeded,
    NickChanged,
    NoAnswer,
    Refused,
)
from udprelay.session_client.handshake import Handshake
from udprelay.session_client.repeats import Repeats
from udprelay.session_client.sealing import Sealing
from udprelay.session_client.settings import Settings
from udprelay.session_client.state import State

LEAVING_PAUSES = (0.25,) * 4


class Machine:
    """
    Moves between states as datagrams come and time passes.

    :ivar state: where it is.
    :ivar session: what it is, or was, as a member.
    :ivar handshake: how it becomes one.
    :ivar ignored: how many datagrams were invalid, or did not belong here.
    """

    def __init__(
        self, settings: Settings, random_bytes: Callable[[int], bytes], now: float
    ) -> None:
        secret = random_bytes(16)
        self.state = State.NEW
        self.ignored = 0
        self._sealing = Sealing(settings.room, secret)
        self.session = Session(settings, self._sealing)
        self.handshake = Handshake(settings, self._sealing, secret, random_bytes)
        self._settings = settings
        self._random_bytes = random_bytes
        self._attempts = Attempts(random_bytes, now)
        # While leaving: LEAVE, and whether the client comes back as somebody else.
        self._farewell: Repeats | None = None
        self._renews = False

    def receive(self, datagram: bytes, now: float) -> None:
        """Take a datagram, whatever it is."""
        try:
            read = decode_from_relay(datagram)
        except WireError:
            self.ignored += 1
            return
        act = _ACTS[self.state].get(type(read))
        if act is None or datagram[6:HEADER] != self._awaited(read):
            self.ignored += 1
            return
        if self.state is State.JOINED and not isinstance(read, joining.Unknown):
            # That can be another relay, which has nothing of what the last one acknowledged.
            self.session.contact.hear(now)
        act(self, read, now)
        self.flush(now)

    def expire(self, now: float) -> None:
        """Do what is due."""
        if self.state in _IDLE:
            return
        if self.state is State.WAITING and now >= self._attempts.resumes_at:
            self._try(now)
        if self.state in _TRYING and self._attempts.unanswered(now):
            self.session.events.append(NoAnswer(self._attempts.since))
        if self.session.expire(now, member=self.state is State.JOINED):
            self.lose("silent", now)
        self.flush(now)

    @property
    def deadline(self) -> float:
        """When to call :meth:`expire`; infinite if there is nothing to wait for."""
        if self.state in _IDLE:
            return inf
        return min(
            self.session.deadline(member=self.state is State.JOINED),
            self.handshake.deadline,
            inf if self._farewell is None else self._farewell.deadline,
            self._attempts.report_at if self.state in _TRYING else inf,
            self._attempts.resumes_at if self.state is State.WAITING else inf,
        )

    @property
    def over(self) -> bool:
        """Whether it is closed, or will be as soon as the relay knows."""
        return self.state is State.CLOSED or (self.state is State.LEAVING and not self._renews)

    def flush(self, now: float) -> None:
        """Put out what there is to send, and move on if that is due."""
        session = self.session
        if self._farewell is not None:
            session.datagrams += self._farewell.take(now)
            if self._farewell.over:
                self._left(None, now)
        elif self.state is State.JOINED and session.sending.worn:
            self._say_farewell(now, renews=True)
        elif self.state is State.JOINED:
            session.flush(now)
            if session.sending.stuck:
                self.lose("stuck", now)
        session.datagrams += self.handshake.take(now)
        if self.handshake.over:
            self._greet(now)
            session.datagrams += self.handshake.take(now)
        session.collect()

    # What the client's user does.

    def start(self, now: float) -> None:
        """Begin to join."""
        self._try(now)
        self.flush(now)

    def has_keys(self, now: float) -> None:
        """Go on, if it was the keys that it had to wait for."""
        if self.state is State.KEYING and self.handshake.has_keys():
            self._join(now)
            self.flush(now)

    def lose(self, reason: str, now: float, pause: int = 0) -> None:
        """End the session as lost, and join again, after so many milliseconds at least."""
        self._suspend(now)
        self.session.events.append(ContactLost(reason))
        self._try(now, pause)

    def leave(self, now: float) -> None:
        """Leave the room, for good."""
        if self.state is State.JOINED:
            self._say_farewell(now, renews=False)
            self.flush(now)
        elif self.state is State.LEAVING:
            self._renews = False
        elif self.state is not State.CLOSED:
            if self.session.id:
                # It may be a member still, for the relay.
                self.session.datagrams.append(Leave(self.session.id).encode())
            self.close(Closed("left", ""))

    def close(self, last: Closed | Refused) -> None:
        """End everything."""
        self.state = State.CLOSED
        self.handshake.stop()
        self._farewell = None
        self.session.sending.close()
        self.session.collect()
        self.session.events.append(last)

    # What datagrams do.

    def _challenged(self, challenge: joining.Challenge, now: float) -> None:
        self.handshake.challenged(challenge, now)
        if self._settings.keyed and not self.handshake.has_keys():
            self.state = State.KEYING
            self.session.events.append(KeysNeeded(challenge.salt))
        else:
            self._join(now)

    def _versions(self, versions: joining.Versions, now: float) -> None:
        if VERSION not in versions.versions:
            spoken = ", ".join(map(str, versions.versions))
            self.close(Refused("version", f"The relay speaks version {spoken}, not {VERSION}."))

    def _welcomed(self, welcome: joining.Welcome, now: float) -> None:
        round_trip = self.handshake.welcomed(welcome.nick, now)
        if round_trip is not None:
            self.session.round_trip.sample(round_trip)
        nick, number = welcome.nick, welcome.number
        before = self.session.arrivals.nick if self.session.id else None
        self.state = State.JOINED
        self._attempts.joined(now)
        resumed = before is not None
        self.session.events.append(Joined(self._settings.room, nick, number, resumed))
        if resumed and before != nick:
            self.session.events.append(NickChanged(number, before, nick, own=True))
        self.session.begin(welcome, now)

    def _refused(self, refused: joining.Refused, now: float) -> None:
        resuming = bool(self.session.id)
        yields = refused.code == "nick-taken" and (resuming or self._settings.other_nicks)
        if yields and self.handshake.take_other_nick():
            self._join(now)
        elif resuming and refused.retry_after:
            self.handshake.stop()
            self._try(now, refused.retry_after)
        else:
            self.close(Refused(refused.code, refused.sentence))

    def _taken(self, read: object, now: float) -> None:
        self.session.take(read, now)

    def _unknown(self, unknown: joining.Unknown, now: float) -> None:
        self.lose("unknown", now)

    def _dismissed(self, bye: from_relay.Bye, now: float) -> None:
        if bye.retry_after:
            self.lose(bye.code, now, bye.retry_after)
        else:
            self.close(Closed(bye.code, bye.sentence))

    def _left(self, answer: from_relay.Bye | joining.Unknown | None, now: float) -> None:
        """End the farewell: it was answered, or was long enough."""
        self._farewell = None
        if not self._renews:
            self.close(Closed("left", ""))
            return
        secret = self._random_bytes(16)
        self._sealing.become(secret)
        self.handshake.secret = secret
        self.session.sending.renew()
        self.session.events.append(ContactLost("renewed"))
        self._try(now)

    # Moves.

    def _try(self, now: float, pause: int = 0) -> None:
        if self._attempts.wait(pause, now):
            self.state = State.WAITING
        else:
            self._attempts.begin(now)
            self._greet(now)

    def _greet(self, now: float) -> None:
        self.state = State.GREETING
        self.handshake.greet(now)

    def _join(self, now: float) -> None:
        if not self.handshake.has_cookie(now):
            self._greet(now)
            return
        self.state = State.JOINING
        arrivals, own = self.session.arrivals, self.session.sending.offer(now)
        settled = None if arrivals.tag is None else arrivals.settled
        self.handshake.join(own, arrivals.tag, settled, now)

    def _suspend(self, now: float) -> None:
        self.session.suspend(now)
        if self.session.arrivals.nick != self.handshake.nick:
            self.handshake.want(self.session.arrivals.nick)

    def _say_farewell(self, now: float, *, renews: bool) -> None:
        self._suspend(now)
        self.state = State.LEAVING
        self._renews = renews
        self._farewell = Repeats(Leave(self.session.id).encode(), LEAVING_PAUSES, now)
        self.session.datagrams += self._farewell.take(now)

    def _awaited(self, read: FromRelay) -> bytes | None:
        """Return the id that a datagram of this type has to have here."""
        if isinstance(read, _OF_ATTEMPT):
            return self.handshake.nonce
        if isinstance(read, _OF_ROOM):
            return self.session.arrivals.tag
        return self.session.id


_OF_ATTEMPT = (joining.Challenge, joining.Welcome, joining.Refused, joining.Versions)
_OF_ROOM = (from_relay.Data, from_relay.Entry, from_relay.Heartbeat)
_TRYING = (State.GREETING, State.JOINING)
_IDLE = (State.NEW, State.CLOSED)

_ACTS: Mapping[State, Mapping[type, Callable[[Machine, Any, float], None]]] = {
    **{state: {} for state in (State.NEW, State.KEYING, State.WAITING, State.CLOSED)},
    State.GREETING: {
        joining.Challenge: Machine._challenged,
        joining.Versions: Machine._versions,
    },
    State.JOINING: {
        joining.Welcome: Machine._welcomed,
        joining.Refused: Machine._refused,
    },
    State.JOINED: {
        **dict.fromkeys(TAKEN, Machine._taken),
        joining.Unknown: Machine._unknown,
        from_relay.Bye: Machine._dismissed,
    },
    State.LEAVING: {
        joining.Unknown: Machine._left,
        from_relay.Bye: Machine._left,
    },
}
