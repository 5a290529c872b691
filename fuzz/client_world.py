"""A client for the target ``client``: a membership, and what the relay knows of it."""

from __future__ import annotations

from collections import Counter
from itertools import count

from fuzz.steps import until_later
from udprelay.protocol import keys
from udprelay.protocol.seal import PRIVATE, RELIABLE, UNRELIABLE, UNRELIABLE_PRIVATE, Seal
from udprelay.protocol.wire import decode_from_client
from udprelay.protocol.wire.from_client import (
    DataUp,
    Missed,
    NickRequest,
    Ping,
    PrivateUp,
    RosterRequest,
)
from udprelay.protocol.wire.header import AGAIN
from udprelay.protocol.wire.header import RELIABLE as RELIABLE_FLAG
from udprelay.protocol.wire.joining import Hello, Join
from udprelay.protocol.wire.members import MemberKind, MemberRecord
from udprelay.session_client.events import Closed, Delivered, Event, Failed, Refused
from udprelay.session_client.membership import Membership
from udprelay.session_client.sending import MessageError
from udprelay.session_client.settings import Settings
from udprelay.session_client.state import State

KEYS = keys.RoomKeys(access=b"a" * 32, content=b"c" * 32)
ROOM = "lobby"
NUMBER = 7
"""The client's own member number, mostly."""


class World:
    """
    The owner of a membership, and what the relay would know.

    Checks on the way that whatever the client sends can be read, that its own sequences have no
    gaps and never stand for anything else, that each message ends once, and that nothing comes
    after the end.

    :ivar nonce: of the client's last HELLO or JOIN.
    :ivar salt: of the last CHALLENGE.
    :ivar tokens: of its last PING, and of its last MISSED.
    :ivar asked: the member number of its last ROSTER.
    :ivar request: the number of its last NICK.
    :ivar said: its largest own sequences, by stream.
    :ivar owns: the own sequences that others have used last, by identity and stream.
    :ivar events: the types of what the client has told.
    """

    def __init__(self, settings: Settings) -> None:
        self.now = 1000.0
        numbers = count(1)
        self.membership = Membership(
            settings, lambda size: next(numbers).to_bytes(size, "big"), self.now
        )
        self.keyed = settings.keyed
        self.nonce = self.session_id = self.tag = bytes(8)
        self.salt = bytes(16)
        self.own: tuple[int, int] = (1, 1)
        self.tokens = [bytes(8), bytes(8)]
        self.asked = self.request = 0
        self.said: Counter[int] = Counter()
        self.owns: Counter[tuple[bytes, int]] = Counter()
        self.open: set[int] = set()
        self.failed: set[int] = set()
        self.over = False
        self.events: set[type] = set()
        self._sent: dict[tuple[int, int], tuple[object, ...]] = {}
        self._settled: tuple[bytes | None, int] = (None, 0)
        self._seals: dict[bytes, Seal] = {}

    @property
    def identity(self) -> bytes:
        """The client's own."""
        return self.membership._session.arrivals.identity

    def newest(self, stream: int) -> int:
        """Return the newest number that the client knows of the room sequence, or of its own."""
        arrivals = self.membership._session.arrivals
        return (arrivals._private if stream else arrivals._room)._gaps.newest

    def member(self, number: int, own: int = 0) -> MemberRecord:
        """Return who has a number; some have two of them, a few no identity."""
        if number % 4 == 0:
            return MemberRecord(number, f"guest-{number}", MemberKind.PLAIN, b"", 0, b"")
        identity = self.identity if number == NUMBER else bytes((number % 9,)) * 16
        nick = f"member {number % 9}"
        badge = b""
        if number % 2:
            badge = keys.badge(KEYS.content, ROOM, identity, nick) if self.keyed else bytes(16)
        return MemberRecord(number, nick, MemberKind.SESSION, identity, own, badge)

    def seal(self, stream: int, own: int, flags: int, payload: bytes, sender: bytes) -> bytes:
        """Return what that member would send."""
        if sender not in self._seals:
            self._seals[sender] = Seal(KEYS.content, sender, ROOM)
        receiver = self.identity if stream >= PRIVATE else b""
        return self._seals[sender].seal(stream, own, flags, payload, receiver)

    # The client.

    def say(self, payload: bytes, reliable: bool, number: int | None = None) -> None:
        """Let the client say something, to the room or to a member."""
        membership = self.membership
        try:
            if number is None:
                message = membership.send(payload, self.now, reliable)
            else:
                message = membership.send_private(number, payload, self.now, reliable)
        except MessageError:
            return
        if reliable:
            self.open.add(message)

    def hear(self, datagram: bytes) -> None:
        """Let a datagram come in."""
        self.membership.receive(datagram, self.now)
        self.collect()

    def collect(self) -> None:
        """Take what the client has put out."""
        datagrams, events = self.membership.take_datagrams(), self.membership.take_events()
        over = self.over
        self.events.update(map(type, events))
        for event in events:
            assert not self.over, f"after the end: {event}"
            self._take(event)
        assert not (over and datagrams), "datagrams after the end"
        assert self.over == (self.membership.state is State.CLOSED), "the end, untold"
        for datagram in datagrams:
            assert len(datagram) <= 65_507, "larger than UDP allows"
            self._read(decode_from_client(datagram))

    def _take(self, event: Event) -> None:
        if isinstance(event, Delivered):
            assert event.message in self.open, "delivered twice, or never sent"
            self.open.remove(event.message)
        elif isinstance(event, Failed):
            assert event.message not in self.failed, "failed twice"
            self.failed.add(event.message)
            self.open.discard(event.message)
        self.over = isinstance(event, (Closed, Refused))

    def _read(self, datagram: object) -> None:
        if isinstance(datagram, (Hello, Join)):
            self.nonce = datagram.nonce
            if isinstance(datagram, Join):
                self.own = datagram.own
        elif isinstance(datagram, (DataUp, PrivateUp)):
            self._follow(datagram)
        elif isinstance(datagram, Ping):
            self.tokens[0] = datagram.token
        elif isinstance(datagram, Missed):
            self.tokens[1] = datagram.token or bytes(8)
        elif isinstance(datagram, RosterRequest):
            self.asked = datagram.number
        elif isinstance(datagram, NickRequest):
            self.request = datagram.request

    def _follow(self, datagram: DataUp | PrivateUp) -> None:
        private, own = isinstance(datagram, PrivateUp), datagram.own
        if datagram.flags & RELIABLE_FLAG:
            stream = PRIVATE if private else RELIABLE
        else:
            stream = UNRELIABLE_PRIVATE if private else UNRELIABLE
            assert own == self.said[stream] + 1, "an own sequence again, or left out"
        assert own <= self.said[stream] + 1, "an own sequence left out"
        self.said[stream] = max(self.said[stream], own)
        receiver = datagram.receiver if isinstance(datagram, PrivateUp) else b""
        said = (datagram.flags & ~AGAIN, receiver, datagram.payload)
        assert self._sent.setdefault((stream, own), said) == said, "an own sequence for two"

    def follow(self) -> None:
        """Check that what is settled in a room stays so."""
        arrivals = self.membership._session.arrivals
        tag, settled = self._settled
        self._settled = (arrivals.tag, arrivals.settled)
        assert arrivals.tag != tag or arrivals.settled >= settled, "not settled any more"

    # Time.

    def expire(self) -> None:
        """Do what is due."""
        until_later(self._expire_once, self.membership.next_deadline, self.now)

    def wait(self, seconds: float) -> None:
        """Let time pass, with the client called whenever it wants to be."""
        end, calls = self.now + seconds, 0
        while (deadline := self.membership.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.expire()
            calls += 1
            assert calls <= 300 + 300 * seconds, "a deadline again and again"
        self.now = end

    def _expire_once(self) -> None:
        self.membership.expire(self.now)
        self.collect()
