"""
The part of a membership that is a member: what comes to it, what it sends, who is there.

It lives as long as the membership; between two sessions it is suspended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Any

from udprelay.protocol.wire import from_relay
from udprelay.protocol.wire.entries import MissedNotice
from udprelay.protocol.wire.from_client import PathResponse, Ping
from udprelay.protocol.wire.joining import Welcome
from udprelay.session_client.arrivals import Arrival, Arrivals
from udprelay.session_client.contact import Contact
from udprelay.session_client.events import Event, NickRefused, Ponged
from udprelay.session_client.nick_change import NickChange
from udprelay.session_client.round_trip import RoundTrip
from udprelay.session_client.sealing import Sealing
from udprelay.session_client.sending import Sending
from udprelay.session_client.settings import Settings

LEAST_KEEPALIVE = 0.1


class Session:
    """
    Joins what receives, what sends, and what watches over the relay.

    :param settings: those of the membership.
    :ivar id: of this session, or of the last one; nothing before the first.
    :ivar events: for the client's user; whoever takes them removes them.
    :ivar datagrams: for the relay; likewise.
    """

    def __init__(self, settings: Settings, sealing: Sealing) -> None:
        self.id = b""
        self.events: list[Event] = []
        self.datagrams: list[bytes] = []
        self.round_trip = round_trip = RoundTrip()
        self.contact = Contact(round_trip)
        self.sending = Sending(sealing, settings.keyed, round_trip)
        self.arrivals = Arrivals(
            sealing.identity,
            recover=settings.recover,
            sealing=sealing if settings.keyed else None,
            wait=lambda: round_trip.timeout,
        )
        self.nick_change = NickChange()
        self._sealing = sealing

    # Being a member, and not.

    def begin(self, welcome: Welcome, now: float) -> None:
        """Be a member."""
        last = self.arrivals.tag
        self.id = welcome.session_id
        self.contact.begin(max(LEAST_KEEPALIVE, welcome.keepalive / 1000), now)
        self.arrivals.joined(welcome, now)
        self.sending.begin(welcome, last is not None and last != welcome.tag, now)
        self.ask_for_nick(now)

    def suspend(self, now: float) -> None:
        """Be no member for now."""
        self.sending.end(self.contact.heard, now)
        self.arrivals.lost_contact(now)
        self.nick_change.wait()

    def ask_for_nick(self, now: float) -> None:
        """Ask for the nick that is wanted, if one is."""
        self.nick_change.ask(self.id, self._sealing.badge, now)

    # What comes, and time.

    def take(self, read: object, now: float) -> None:
        """Take a datagram of one of the types in :data:`TAKEN`."""
        TAKEN[type(read)](self, read, now)

    def expire(self, now: float, *, member: bool) -> bool:
        """Do what is due, whether it is a member or not; return whether contact is lost."""
        doubt = self.sending.expire(now)
        self.arrivals.expire(now)
        if not member:
            return False
        # Both are told here, so that the PING that one of them wants goes now.
        if self.arrivals.take_doubt() or doubt:
            self.contact.doubt(now)
        return self.contact.expire(now)

    def deadline(self, *, member: bool) -> float:
        """Return when to call :meth:`expire`."""
        arrivals = self.arrivals.deadline
        earliest = min(self.sending.deadline, inf if arrivals is None else arrivals)
        if member:
            earliest = min(earliest, self.contact.deadline, self.nick_change.deadline)
        return earliest

    def flush(self, now: float) -> None:
        """Put out what there is to send, as a member."""
        self.datagrams += [question.encode() for question in self.arrivals.take_questions()]
        if self.arrivals.take_doubt():
            self.contact.doubt(now)
        for notice in self.arrivals.take_notices():
            if isinstance(notice, MissedNotice):
                member = self.arrivals.members.get(notice.number)
                self.sending.missed(notice.ranges, None if member is None else member.shown)
            else:
                self.sending.failed(notice)
        for token in self.contact.take_pings():
            self.datagrams.append(Ping(self.id, token, self.arrivals.settled).encode())
        self.datagrams += self.nick_change.take(now)
        if self.nick_change.gives_up():
            self.events.append(NickRefused("no-answer", "The relay does not answer."))
        if self.sending.waits_for_members:
            self.sending.present({m.identity for m in self.arrivals.members.values()})
        self.sending.flush(now)

    def collect(self) -> None:
        """Collect what the parts have put out and told."""
        self.datagrams += self.sending.datagrams
        self.sending.datagrams.clear()
        self.events += self.arrivals.take_events()
        self.events += self.sending.events
        self.sending.events.clear()

    # By type.

    def _arrived(self, arrival: Arrival, now: float) -> None:
        self.arrivals.take(arrival, now)

    def _acknowledged(self, ack: from_relay.Ack, now: float) -> None:
        self.sending.acknowledge(ack, now)
        self.arrivals.take(ack, now)

    def _ponged(self, pong: from_relay.Pong, now: float) -> None:
        round_trip = self.contact.pong(pong.token, now)
        if round_trip is not None:
            self.events.append(Ponged(round_trip))
        self.arrivals.take(pong, now)

    def _path_challenged(self, challenge: from_relay.PathChallenge, now: float) -> None:
        self.datagrams.append(PathResponse(challenge.session_id, challenge.token).encode())

    def _nicked(self, nicked: from_relay.Nicked, now: float) -> None:
        if not self.nick_change.answered(nicked):
            return
        if nicked.nick is None:
            self.events.append(NickRefused(nicked.code or "", nicked.sentence or ""))
        else:
            self.arrivals.renamed(nicked.nick)


TAKEN: Mapping[type, Callable[[Session, Any, float], None]] = {
    from_relay.Data: Session._arrived,
    from_relay.Entry: Session._arrived,
    from_relay.Private: Session._arrived,
    from_relay.Notice: Session._arrived,
    from_relay.Ack: Session._acknowledged,
    from_relay.Gone: Session._arrived,
    from_relay.Heartbeat: Session._arrived,
    from_relay.Pong: Session._ponged,
    from_relay.Members: Session._arrived,
    from_relay.PathChallenge: Session._path_challenged,
    from_relay.Nicked: Session._nicked,
}
