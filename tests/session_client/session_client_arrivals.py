"""What a relay says to a member of a room, made short."""

from __future__ import annotations

from udprelay.protocol.wire.entries import JoinEntry, LeaveEntry, NickEntry
from udprelay.protocol.wire.from_client import RosterRequest
from udprelay.protocol.wire.from_relay import Gone, Members, Pong
from udprelay.protocol.wire.header import RELIABLE
from udprelay.protocol.wire.joining import Welcome
from udprelay.protocol.wire.members import MemberKind, MemberRecord
from udprelay.protocol.wire.sequenced import Data, Entry, Private
from udprelay.session_client.arrivals import Arrivals
from udprelay.session_client.events import Lost, Received

TAG, OTHER_TAG = b"the room", b"a second"
SESSION, OTHER_SESSION = b"session1", b"session2"
ME = b"m" * 16
MY_NUMBER = 99


def identity(nick):
    return nick.encode().ljust(16, b".")


def record(number, nick, own=0, kind=MemberKind.SESSION, badge=b""):
    known = identity(nick) if kind is MemberKind.SESSION else b""
    return MemberRecord(number, nick, kind, known, own, badge)


def welcome(
    *members,
    newest=0,
    first=None,
    tag=TAG,
    session=SESSION,
    number=MY_NUMBER,
    nick="me",
    more_from=None,
    newest_private=0,
):
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


def page(*members, newest, first=0, more_from=None):
    return Members(SESSION, first, newest, members, more_from)


def entry(sequence, number, body):
    return Entry(TAG, sequence, number, body)


def joins(sequence, number, nick, own=0, kind=MemberKind.SESSION, badge=b""):
    known = identity(nick) if kind is MemberKind.SESSION else b""
    return entry(sequence, number, JoinEntry(nick, kind, known, own, badge))


def leaves(sequence, number, reason="left"):
    return entry(sequence, number, LeaveEntry(reason))


def renames(sequence, number, nick, badge=b""):
    return entry(sequence, number, NickEntry(nick, badge))


def says(sequence, number, own, payload=b"hello", flags=RELIABLE):
    return Data(TAG, flags, sequence, number, own, payload)


def whispers(sequence, number, own, payload=b"psst", flags=RELIABLE):
    return Private(SESSION, flags, sequence, number, own, payload)


class Client:
    """The receiving half of a client, with its clock."""

    def __init__(self, *members, recover=True, sealing=None, **keywords):
        self.now = 0.0
        self.is_member = False
        self.arrivals = Arrivals(ME, recover=recover, sealing=sealing, wait=lambda: 0.1)
        self.joined(*members, **keywords)

    def joined(self, *members, **keywords):
        self.arrivals.joined(welcome(*members, **keywords), self.now)
        self.is_member = True

    def lose_contact(self):
        self.arrivals.lost_contact(self.now)
        self.is_member = False

    def take(self, *arrivals):
        for arrival in arrivals:
            self.arrivals.take(arrival, self.now)

    def wait(self, seconds, silent=False):
        """Let time pass; the relay is heard all the time, if it is not ``silent``."""
        end = self.now + seconds
        while self.is_member and not silent and self.now + 0.5 < end:
            self.expire(self.now + 0.5)
            self.take(Pong(SESSION, bytes(8), 0, 0))
        self.expire(end)

    def expire(self, end):
        """Let time pass, with everything done when it is due."""
        seconds = end - self.now
        times = 0
        while self.arrivals.deadline is not None and self.arrivals.deadline <= end:
            times += 1
            assert times < 100 * (1 + seconds), "it keeps its owner busy"
            self.now = max(self.now, self.arrivals.deadline)
            self.arrivals.expire(self.now)
        self.now = end

    @property
    def events(self):
        return self.arrivals.take_events()

    @property
    def heard(self):
        """What was said, and what was lost."""
        return [
            event.payload.decode() if isinstance(event, Received) else event
            for event in self.events
            if isinstance(event, Received | Lost)
        ]

    @property
    def questions(self):
        return self.arrivals.take_questions()

    def gone(self, *ranges, stream=0):
        self.take(Gone(SESSION, stream, ranges))

    def answers(self, *members, newest, **keywords):
        """Answer a question about the roster."""
        asked = [q for q in self.questions if isinstance(q, RosterRequest)][-1]
        self.take(page(*members, newest=newest, first=asked.number, **keywords))


def with_alice(**keywords):
    return Client(record(1, "Alice"), record(2, "Bob"), **keywords)
