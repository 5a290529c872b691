"""
The state machine of a client.

The states are those of "The client" in ``docs/protocol.rst``; the table is at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Any, get_args

from udprelay.protocol.keys import RoomKeys
from udprelay.protocol.nick import NickError, normalise
from udprelay.protocol.wire import FromRelay, WireError, decode_from_relay, joining
from udprelay.protocol.wire.from_client import Leave
from udprelay.protocol.wire.from_relay import Bye, Heartbeat
from udprelay.protocol.wire.header import HEADER_SIZE, VERSION
from udprelay.protocol.wire.sequenced import Data, Entry
from udprelay.session_client.active_session import ActiveSession, InSession
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
from udprelay.session_client.retries import NEVER, Retries
from udprelay.session_client.sealing import Sealing
from udprelay.session_client.settings import Settings, State

LEAVE_INTERVALS = (0.25,) * 4
"""Seconds between LEAVEs; after the last interval the client has left."""
LEAVE_PATIENCE = 40.0
"""Seconds for another relay to get what a dead one has acknowledged, from a client that leaves."""


class StateMachine:
    """
    Changes its state as datagrams come and time passes.

    :ivar session: the session, or the suspended one.
    """

    def __init__(
        self, settings: Settings, random_bytes: Callable[[int], bytes], now: float
    ) -> None:
        self.state = State.NEW
        self._sealing = Sealing(settings.room, random_bytes(16))
        self.session = ActiveSession(settings, self._sealing)
        self.handshake = Handshake(settings, self._sealing, random_bytes, now)
        self._settings = settings
        self._random_bytes = random_bytes
        # While leaving: LEAVE, and whether the client then joins under a new identity.
        self._leave = NEVER
        self._rejoins = False
        # Once the user leaves: when to leave in any case.
        self._leaves_by = inf

    def receive(self, datagram: bytes, now: float) -> None:
        """Receive any datagram."""
        try:
            decoded = decode_from_relay(datagram)
        except WireError:
            self.session.statistics.ignored += 1
            return
        handler = _HANDLERS[self.state].get(type(decoded))
        if handler is None or datagram[6:HEADER_SIZE] != self._expected_id(decoded):
            self.session.statistics.ignored += 1
            return
        if self.state is State.JOINED and not isinstance(decoded, joining.Unknown):
            # UNKNOWN may come from a restarted relay, without what was acknowledged before.
            self.session.liveness.hear(now)
        handler(self, decoded, now)
        self.flush(now)

    def expire(self, now: float) -> None:
        """Handle timeouts."""
        if self.state in _WITHOUT_TIMERS:
            return
        if now >= self._leaves_by:
            self._end_now()
            return
        if self.state is State.WAITING and now >= self.handshake.retry_at:
            self._try_to_join(now)
        if self.state in _TRYING and self.handshake.pop_report(now):
            self.session.events.append(NoAnswer(self.handshake.trying_since))
        if self.session.expire(now, joined=self.state is State.JOINED):
            self.lose_contact("silent", now)
        self.flush(now)

    @property
    def deadline(self) -> float:
        """When to call :meth:`expire`; infinite without timers."""
        if self.state in _WITHOUT_TIMERS:
            return inf
        return min(
            self.session.deadline(joined=self.state is State.JOINED),
            self.handshake.retries.deadline,
            self._leave.deadline,
            self._leaves_by,
            self.handshake.report_at if self.state in _TRYING else inf,
            self.handshake.retry_at if self.state is State.WAITING else inf,
        )

    @property
    def ending(self) -> bool:
        """Whether it is closed, or will be as its user leaves."""
        return self.state is State.CLOSED or self._leaves_by < inf

    def flush(self, now: float) -> None:
        """Collect the datagrams to send, and change the state if that is due."""
        session = self.session
        if self.state is State.JOINED:
            if self._leaves_by < inf and session.may_end(now):
                self._send_leave(now, rejoins=False)
            elif session.sender.needs_new_identity:
                self._send_leave(now, rejoins=True)
        session.datagrams += self._leave.drain_datagrams(now)
        if self._leave.exhausted:
            self._finish_leaving(None, now)
        elif self.state is State.JOINED:
            session.flush(now)
            if session.sender.needs_new_session:
                self.lose_contact("stuck", now)
            elif session.unconfirmed:
                self.lose_contact("silent", now)
        session.datagrams += self.handshake.retries.drain_datagrams(now)
        if self.handshake.retries.exhausted:
            self._send_hello(now)
            session.datagrams += self.handshake.retries.drain_datagrams(now)
        session.collect()

    # Requests of the user.

    def start(self, now: float) -> None:
        """Begin to join; an invalid nick is refused at once."""
        try:
            self.handshake.set_nick(normalise(self.handshake.nick))
        except NickError as error:
            self.close(Refused("nick-invalid", str(error)))
            return
        self._try_to_join(now)
        self.flush(now)

    def add_keys(self, salt: bytes, keys: RoomKeys, now: float) -> None:
        """Add the keys for a salt; continue to join if they are those of the room."""
        self.handshake.add_keys(salt, keys)
        if self.state is State.KEYING and self.handshake.select_keys():
            self._send_join(now)
            self.flush(now)

    def lose_contact(self, reason: str, now: float, delay: int = 0) -> None:
        """End the session and join again, after so many milliseconds at least."""
        self._suspend(now)
        self.session.events.append(ContactLost(reason))
        self._try_to_join(now, delay)

    def leave(self, now: float) -> None:
        """
        Leave the room for good.

        If the relay has died, its history has died with it: then the client joins once more, to
        offer again what may not have reached all members.
        """
        if self.ending:
            return
        self._leaves_by = now + LEAVE_PATIENCE
        if self.state is State.JOINED:
            self.flush(now)
        elif self.state is State.LEAVING:
            self._rejoins = False
        elif not self.session.sender.in_doubt:
            self._end_now()

    def _end_now(self) -> None:
        """Leave without waiting for an answer."""
        if self.session.id:
            # The relay may still have the last session.
            self.session.datagrams.append(Leave(self.session.id).encode())
        self.close(Closed("left", ""))

    def close(self, event: Closed | Refused) -> None:
        """End everything with this last event."""
        self.state = State.CLOSED
        self.handshake.retries = self._leave = NEVER
        self.session.sender.close(left=self._leaves_by < inf)
        self.session.collect()
        self.session.events.append(event)

    # Datagrams by type.

    def _receive_challenge(self, challenge: joining.Challenge, now: float) -> None:
        self.handshake.receive_challenge(challenge, now)
        if self._settings.keyed and not self.handshake.select_keys():
            self.state = State.KEYING
            self.session.events.append(KeysNeeded(challenge.salt))
        else:
            self._send_join(now)

    def _receive_versions(self, versions: joining.Versions, now: float) -> None:
        if VERSION not in versions.versions:
            supported = ", ".join(map(str, versions.versions))
            self.close(
                Refused("version", f"The relay supports version {supported}, not {VERSION}.")
            )

    def _receive_welcome(self, welcome: joining.Welcome, now: float) -> None:
        round_trip = self.handshake.receive_welcome(welcome.nick, now)
        if round_trip is not None:
            self.session.round_trip.add_sample(round_trip)
        room, nick, number = self._settings.room, welcome.nick, welcome.number
        before = self.session.arrivals.roster.nick if self.session.id else None
        self.state = State.JOINED
        self.session.events.append(Joined(room, nick, number, resumed=before is not None))
        if before not in (None, nick):
            self.session.events.append(NickChanged(number, before, nick, own=True))
        self.session.start(welcome, now)

    def _receive_refused(self, refused: joining.Refused, now: float) -> None:
        resuming = bool(self.session.id)
        other_nick = refused.code == "nick-taken" and (resuming or self._settings.other_nicks)
        if other_nick and self.handshake.try_next_nick():
            self._send_join(now)
        elif refused.retry_after and (resuming or refused.code == _TOO_MANY_JOINS):
            self.handshake.retries = NEVER
            self._try_to_join(now, refused.retry_after)
        else:
            self.close(Refused(refused.code, refused.sentence))

    def _receive_in_session(self, datagram: InSession, now: float) -> None:
        self.session.receive(datagram, now)

    def _receive_unknown(self, unknown: joining.Unknown, now: float) -> None:
        self.lose_contact("unknown", now)

    def _receive_bye(self, bye: Bye, now: float) -> None:
        if bye.retry_after:
            self.lose_contact(bye.code, now, bye.retry_after)
        else:
            # The relay lives, so nothing is in doubt.
            self.session.sender.confirm()
            self.close(Closed(bye.code, bye.sentence))

    def _finish_leaving(self, answer: Bye | joining.Unknown | None, now: float) -> None:
        self._leave = NEVER
        if not self._rejoins:
            if isinstance(answer, Bye):
                self.session.sender.confirm()
            self.close(Closed("left", ""))
            return
        self._sealing.change_identity(self._random_bytes(16))
        self.session.sender.restart()
        self.session.events.append(ContactLost("renewed"))
        self._try_to_join(now)

    # Transitions.

    def _try_to_join(self, now: float, delay: int = 0) -> None:
        if self.handshake.begin(delay, now):
            self._send_hello(now)
        else:
            self.state = State.WAITING

    def _send_hello(self, now: float) -> None:
        self.state = State.GREETING
        self.handshake.send_hello(now)

    def _send_join(self, now: float) -> None:
        if not self.handshake.has_cookie(now):
            self._send_hello(now)
            return
        self.state = State.JOINING
        arrivals, own = self.session.arrivals, self.session.sender.offer(now)
        settled = None if arrivals.tag is None else arrivals.room.settled
        self.handshake.send_join(own, arrivals.tag, settled, now)

    def _suspend(self, now: float) -> None:
        self.session.suspend(now)
        if self.session.arrivals.roster.nick != self.handshake.nick:
            self.handshake.set_nick(self.session.arrivals.roster.nick)

    def _send_leave(self, now: float, *, rejoins: bool) -> None:
        self._suspend(now)
        self.state = State.LEAVING
        self._rejoins = rejoins
        self._leave = Retries(Leave(self.session.id).encode(), LEAVE_INTERVALS, now)

    def _expected_id(self, datagram: FromRelay) -> bytes | None:
        if isinstance(datagram, _OF_HANDSHAKE):
            return self.handshake.nonce
        if isinstance(datagram, _OF_ROOM):
            return self.session.arrivals.tag
        return self.session.id


_TOO_MANY_JOINS = "join-limit"
"""Its own kind of refusal: the client is welcome, only not in the same second as many others."""
_OF_HANDSHAKE = (joining.Challenge, joining.Welcome, joining.Refused, joining.Versions)
_OF_ROOM = (Data, Entry, Heartbeat)
_TRYING = (State.GREETING, State.JOINING)
_WITHOUT_TIMERS = (State.NEW, State.CLOSED)

_HANDLERS: Mapping[State, Mapping[type, Callable[[StateMachine, Any, float], None]]] = {
    **{state: {} for state in (State.NEW, State.KEYING, State.WAITING, State.CLOSED)},
    State.GREETING: {
        joining.Challenge: StateMachine._receive_challenge,
        joining.Versions: StateMachine._receive_versions,
    },
    State.JOINING: {
        joining.Welcome: StateMachine._receive_welcome,
        joining.Refused: StateMachine._receive_refused,
    },
    State.JOINED: {
        **dict.fromkeys(get_args(InSession), StateMachine._receive_in_session),
        joining.Unknown: StateMachine._receive_unknown,
        Bye: StateMachine._receive_bye,
    },
    State.LEAVING: {
        joining.Unknown: StateMachine._finish_leaving,
        Bye: StateMachine._finish_leaving,
    },
}
