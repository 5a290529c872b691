"""Short forms of the datagrams that a client receives, and a client with a clock."""

from __future__ import annotations

from typing import Any, TypeVar

from udprelay.protocol.wire.entries import EntryBody, JoinEntry, LeaveEntry, NickEntry
from udprelay.protocol.wire.from_client import RosterRequest
from udprelay.protocol.wire.from_relay import Gone, Members, Pong
from udprelay.protocol.wire.header import RELIABLE
from udprelay.protocol.wire.joining import Welcome
from udprelay.protocol.wire.members import MemberKind, MemberRecord
from udprelay.protocol.wire.sequenced import Data, Entry, Private
from udprelay.session_client.arrivals import Arrival, Arrivals, Request
from udprelay.session_client.events import Event, Lost, Received
from udprelay.session_client.liveness import Liveness
from udprelay.session_client.round_trip import RoundTripEstimator
from udprelay.session_client.sealing import Sealing
from udprelay.session_client.settings import Statistics

T = TypeVar("T")

TAG, OTHER_TAG = b"the room", b"a second"
SESSION, OTHER_SESSION = b"session1", b"session2"
ME = b"m" * 16
MY_NUMBER = 99


def identity(nick: str) -> bytes:
    return nick.encode().ljust(16, b".")


def record(
    number: int,
    nick: str,
    own: int = 0,
    kind: MemberKind = MemberKind.SESSION,
    badge: bytes = b"",
) -> MemberRecord:
    known = identity(nick) if kind is MemberKind.SESSION else b""
    return MemberRecord(number, nick, kind, known, own, badge)


def welcome(
    *members: MemberRecord,
    newest: int = 0,
    first: int | None = None,
    tag: bytes = TAG,
    session: bytes = SESSION,
    number: int = MY_NUMBER,
    nick: str = "me",
    more_from: int | None = None,
    newest_private: int = 0,
) -> Welcome:
    return Welcome(
        nonce=b"nonce...",
        session_id=session,
        number=number,
        tag=tag,
        newest=newest,
        first=newest + 1 if first is None else first,
        nick=nick,
        keepalive=10_000,
        idle=45_000,
        largest=1200,
        allowance=(0, 0),
        next_own=(1, 1),
        newest_private=newest_private,
        members=members,
        more_from=more_from,
    )


def page(
    *members: MemberRecord, newest: int, first: int = 0, more_from: int | None = None
) -> Members:
    return Members(SESSION, first, newest, members, more_from)


def entry(sequence: int, number: int, body: EntryBody | None) -> Entry:
    return Entry(TAG, sequence, number, body)


def join_entry(
    sequence: int,
    number: int,
    nick: str,
    own: int = 0,
    kind: MemberKind = MemberKind.SESSION,
    badge: bytes = b"",
) -> Entry:
    known = identity(nick) if kind is MemberKind.SESSION else b""
    return entry(sequence, number, JoinEntry(nick, kind, known, own, badge))


def leave_entry(sequence: int, number: int, reason: str = "left") -> Entry:
    return entry(sequence, number, LeaveEntry(reason))


def nick_entry(sequence: int, number: int, nick: str, badge: bytes = b"") -> Entry:
    return entry(sequence, number, NickEntry(nick, badge))


def message(
    sequence: int, number: int, own: int, payload: bytes = b"hello", flags: int = RELIABLE
) -> Data:
    return Data(TAG, flags, sequence, number, own, payload)


def private_message(
    sequence: int, number: int, own: int, payload: bytes = b"psst", flags: int = RELIABLE
) -> Private:
    return Private(SESSION, flags, sequence, number, own, payload)


class Client:
    """The receiving half of a client, with its clock."""

    def __init__(
        self,
        *members: MemberRecord,
        recover: bool = True,
        sealing: Sealing | None = None,
        **keywords: Any,
    ) -> None:
        self.now = 0.0
        self.identity = ME
        self.in_session = False
        self.liveness = liveness()
        self.statistics = Statistics()
        self.arrivals = Arrivals(ME, recover, sealing, self.liveness, self.statistics)
        self.start_session(*members, **keywords)

    def start_session(self, *members: MemberRecord, **keywords: Any) -> None:
        self.arrivals.start_session(welcome(*members, **keywords), self.identity, self.now)
        self.in_session = True

    def end_session(self) -> None:
        self.arrivals.end_session()
        self.in_session = False

    def receive(self, *arrivals: Arrival) -> None:
        for arrival in arrivals:
            self.arrivals.receive(arrival, self.now)

    def wait(self, seconds: float, silent: bool = False) -> None:
        """Let time pass; the relay sends something every 0.5 s unless ``silent``."""
        end = self.now + seconds
        while self.in_session and not silent and self.now + 0.5 < end:
            self.expire(self.now + 0.5)
            self.receive(Pong(SESSION, bytes(8), 0, 0))
        self.expire(end)

    def expire(self, end: float) -> None:
        """Let time pass, and call ``expire`` at each deadline."""
        seconds = end - self.now
        times = 0
        while self.arrivals.deadline <= end:
            times += 1
            assert times < 100 * (1 + seconds), "too many deadlines"
            self.now = max(self.now, self.arrivals.deadline)
            self.arrivals.expire(self.now)
        self.now = end

    def drain_events(self) -> list[Event]:
        return drained(self.arrivals.events)

    def drain_messages(self) -> list[str | Lost]:
        """Return the messages received and the losses since the last call."""
        return [
            event.payload.decode() if isinstance(event, Received) else event
            for event in self.drain_events()
            if isinstance(event, Received | Lost)
        ]

    def drain_requests(self) -> list[Request]:
        return drained(self.arrivals.requests)

    def receive_gone(self, *ranges: tuple[int, int, int], stream: int = 0) -> None:
        self.receive(Gone(SESSION, stream, ranges))

    def answer_roster(self, *members: MemberRecord, newest: int, **keywords: Any) -> None:
        """Answer the last request for the roster."""
        request = [r for r in self.drain_requests() if isinstance(r, RosterRequest)][-1]
        self.receive(page(*members, newest=newest, first=request.number, **keywords))


def liveness(round_trip: float = 0.0) -> Liveness:
    """Return one that has measured a round trip; its shortest timeout is 0.1 s."""
    estimator = RoundTripEstimator()
    estimator.add_sample(round_trip)
    return Liveness(estimator)


def drained(items: list[T]) -> list[T]:
    """Return the items of a list, and empty it as its owner would."""
    copy = items.copy()
    items.clear()
    return copy


def with_alice(**keywords: Any) -> Client:
    return Client(record(1, "Alice"), record(2, "Bob"), **keywords)
