"""The client's joined phase: receiving, sending, liveness, and the change of its nick."""

from __future__ import annotations

from math import inf
from typing import TypeAlias

from udprelay.protocol.wire.entries import LimitedNotice, MissedNotice
from udprelay.protocol.wire.from_client import NickRequest, PathResponse, Ping, RosterRequest
from udprelay.protocol.wire.from_relay import Ack, Members, Nicked, PathChallenge, Pong, Waiting
from udprelay.protocol.wire.joining import Welcome
from udprelay.session_client.arrivals import Arrival, Arrivals
from udprelay.session_client.confirmation import EVERYBODY, Confirmation
from udprelay.session_client.events import Event, Limited, NickRefused, Ponged
from udprelay.session_client.flow_control import FlowControl
from udprelay.session_client.liveness import Liveness
from udprelay.session_client.message_sender import MessageSender
from udprelay.session_client.retries import NEVER, Retries
from udprelay.session_client.round_trip import RoundTripEstimator
from udprelay.session_client.sealing import Sealing
from udprelay.session_client.settings import Settings, Statistics

InSession: TypeAlias = Arrival | PathChallenge | Nicked | Waiting
"""The datagrams of a session that do not end it."""

MIN_KEEPALIVE = 0.1
"""Seconds between PINGs, if the relay asks for less."""
NICK_RETRY_INTERVALS = (1.0,) * 6
"""Seconds between NICKs; after the last interval the request fails."""
RETURN_PATIENCE = 30.0
"""Seconds for the members of a relay that has died to join another: a keepalive and retries."""


class ActiveSession:
    """
    Connects the parts of a session; between two sessions they are suspended.

    :ivar id: of this session or the last one; empty before the first.
    :ivar events: to be emitted; the owner removes them.
    :ivar datagrams: to be sent; the owner removes them.
    """

    def __init__(self, settings: Settings, sealing: Sealing) -> None:
        self.id = b""
        self.events: list[Event] = []
        self.datagrams: list[bytes] = []
        self.statistics = Statistics()
        self.round_trip = round_trip = RoundTripEstimator()
        self.liveness = Liveness(round_trip)
        self.flow = FlowControl(self.events.append)
        self.sender = MessageSender(settings, sealing, round_trip, self.statistics)
        self.arrivals = Arrivals(
            sealing.identity,
            recover=settings.recover,
            sealing=sealing if settings.keyed else None,
            liveness=self.liveness,
            statistics=self.statistics,
        )
        self._reports = settings.recover
        self._sealing = sealing
        # One request at a time, for the latest nick that the user wants.
        self._wanted_nick: str | None = None
        self._nick_request = 0
        self._nick_retries = NEVER
        # The members of the last room that have not come to this one, and until when they may.
        self._expected: set[bytes] = set()
        self._expected_until = inf
        self._confirmation = Confirmation()
        self._relay_asks_others = False

    # Sessions.

    def start(self, welcome: Welcome, now: float) -> None:
        """Start a session."""
        new_room = self.arrivals.tag not in (None, welcome.tag)
        if new_room:
            self._expected |= self._identities()
            self._expected_until = now + RETURN_PATIENCE
        self.id = welcome.session_id
        self.liveness.start_session(max(MIN_KEEPALIVE, welcome.keepalive / 1000), now)
        self.arrivals.start_session(welcome, self._sealing.identity, now)
        self.flow.start_session(welcome, self._reports, welcome.first - 1)
        self._relay_asks_others = welcome.history is not None
        self.sender.start_session(welcome, new_room, now)
        self.send_nick_request(now)

    def suspend(self, now: float) -> None:
        """End the session; another may follow."""
        self.sender.end_session(self.liveness.last_heard, now)
        self.arrivals.end_session()
        self.flow.end_session()
        self._nick_retries = NEVER
        self._confirmation.stop()

    def request_nick(self, nick: str) -> None:
        """Set the nick that :meth:`send_nick_request` asks for."""
        self._wanted_nick = nick
        self._nick_request += 1
        self._nick_retries = NEVER

    def send_nick_request(self, now: float) -> None:
        """Send NICK, if the user wants another nick."""
        nick = self._wanted_nick
        if nick is not None:
            request = NickRequest(self.id, self._nick_request, nick, self._sealing.badge(nick))
            self._nick_retries = Retries(request.encode(), NICK_RETRY_INTERVALS, now)

    # Datagrams and time.

    def receive(self, datagram: InSession, now: float) -> None:
        """Receive a decoded datagram."""
        match datagram:
            case PathChallenge():
                response = PathResponse(datagram.session_id, datagram.token)
                self.datagrams.append(response.encode())
                return
            case Nicked():
                self._receive_nicked(datagram)
                return
            case Waiting():
                roster = self.arrivals.roster
                self.flow.receive(datagram, roster.number, roster.members, now)
                return
            case Ack():
                self.sender.receive_ack(datagram, now)
            case Pong():
                round_trip = self.liveness.receive_pong(datagram.token, now)
                if round_trip is not None:
                    self.events.append(Ponged(round_trip))
                if self._confirmation.receive_pong(self.liveness.answered, now):
                    self._confirm()
            case Members():
                if self._confirmation.receive_members(datagram):
                    self._confirm()
        self.arrivals.receive(datagram, now)

    def expire(self, now: float, *, joined: bool) -> bool:
        """
        Handle timeouts.

        :param joined: there is a session, rather than a suspended one.
        :return: whether contact with the relay is lost.
        """
        if now >= self._expected_until:
            self._expected.clear()
            self._expected_until = inf
        doubt = self.sender.expire(now)
        self.arrivals.expire(now)
        self.flow.expire(now)
        if not joined:
            return False
        # Before the liveness expires, so that it sends the PING at once.
        if doubt:
            self.liveness.probe(now)
        return self.liveness.expire(now)

    def deadline(self, *, joined: bool) -> float:
        """Return when to call :meth:`expire`."""
        earliest = min(self.sender.deadline, self.arrivals.deadline, self.flow.deadline)
        if joined:
            retries = min(self._nick_retries.deadline, self._confirmation.deadline)
            earliest = min(earliest, self.liveness.deadline, retries)
        return min(earliest, self._expected_until)

    def may_end(self, now: float) -> bool:
        """
        Return whether the relay and the others have all messages; ask if needed.

        After another relay has died, the last member of a room must not leave it before they are
        back: an empty room is closed, with its history.
        """
        self.sender.forget_old(self.liveness.last_heard)
        if not self.sender.in_doubt:
            return True
        self._expected -= self._identities()
        if not (self.sender.resubmitting or self._expected):
            self._confirmation.begin(now, asks=self._relay_asks_others)
        return False

    @property
    def unconfirmed(self) -> bool:
        """Whether the relay has not answered in time that it still has the messages."""
        return self._confirmation.exhausted

    def flush(self, now: float) -> None:
        """Let all parts send what they may send now; only in a session."""
        if self._expected:
            self._expected -= self._identities()
        self.datagrams += [request.encode() for request in self.arrivals.requests]
        self.arrivals.requests.clear()
        for notice in self.arrivals.notices:
            if isinstance(notice, MissedNotice):
                member = self.arrivals.roster.members.get(notice.number)
                nick = None if member is None else member.trusted_nick
                self.sender.receive_missed(notice.ranges, nick)
            elif isinstance(notice, LimitedNotice):
                self.events.append(Limited(notice.code, notice.count))
            else:
                self.sender.receive_failed(notice)
        self.arrivals.notices.clear()
        if self._confirmation.is_due(now):
            self.liveness.ping(now, by_user=False)
            if self._confirmation.asks:
                self.datagrams.append(RosterRequest(self.id, EVERYBODY).encode())
        settled = self.arrivals.settled
        if self.flow.is_due(*settled):
            self.liveness.ping(now, by_user=False)
        for token in self.liveness.pings:
            ping = Ping(self.id, token, settled[0], self.flow.report(*settled))
            self.datagrams.append(ping.encode())
        self.liveness.pings.clear()
        self.datagrams += self._nick_retries.drain_datagrams(now)
        if self._nick_retries.exhausted:
            self._end_nick_request()
            self.events.append(NickRefused("no-answer", "The relay does not answer."))
        self.sender.update_members(m.identity for m in self.arrivals.roster.members.values())
        self.sender.flush(now)

    def collect(self) -> None:
        """Collect the datagrams and events of the parts."""
        self.datagrams += self.sender.datagrams
        self.sender.datagrams.clear()
        for part in (self.arrivals, self.sender):
            self.events += part.events
            part.events.clear()

    def _confirm(self) -> None:
        self._confirmation.stop()
        self.sender.confirm()

    def _identities(self) -> set[bytes]:
        """Return the identities of the other session members."""
        members = self.arrivals.roster.members.values()
        return {member.identity for member in members} - {b"", self._sealing.identity}

    def _receive_nicked(self, nicked: Nicked) -> None:
        if self._wanted_nick is None or nicked.request != self._nick_request:
            return
        self._end_nick_request()
        if nicked.nick is None:
            self.events.append(NickRefused(nicked.code or "", nicked.sentence or ""))
        else:
            self.arrivals.roster.set_own_nick(nicked.nick)

    def _end_nick_request(self) -> None:
        self._wanted_nick = None
        self._nick_retries = NEVER
