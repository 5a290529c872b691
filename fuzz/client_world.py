"""The world of the target ``client``: a session client, and what its relay knows."""

from __future__ import annotations

from collections import Counter
from itertools import count

from fuzz.client_session import SessionKnowledge
from fuzz.steps import until_later
from udprelay.protocol import keys
from udprelay.protocol.seal import PRIVATE, RELIABLE, UNRELIABLE, UNRELIABLE_PRIVATE, Seal
from udprelay.protocol.wire import decode_from_client
from udprelay.protocol.wire.from_client import (
    DataUp,
    Missed,
    Nack,
    NickRequest,
    Ping,
    PrivateUp,
    RosterRequest,
)
from udprelay.protocol.wire.header import RELIABLE as RELIABLE_FLAG
from udprelay.protocol.wire.header import RESUBMITTED
from udprelay.protocol.wire.joining import Hello, Join
from udprelay.protocol.wire.members import MemberKind, MemberRecord
from udprelay.protocol.wire.ranges import Ranges
from udprelay.session_client.client import SessionClient
from udprelay.session_client.events import Closed, Delivered, Event, Failed, Refused
from udprelay.session_client.message_sender import MessageError
from udprelay.session_client.settings import Settings, State

KEYS = keys.RoomKeys(access=b"a" * 32, content=b"c" * 32)
ROOM = "lobby"
NUMBER = 7
"""The client's own member number in most inputs."""
SECRET_SIZE = 16
"""Bytes of a resume secret; the client asks for no other random bytes of this size."""


class World:
    """
    Owns a session client, and knows what its relay would know.

    It checks everything that the client sends and emits: each datagram can be decoded, own
    sequences have no gaps and never stand for two datagrams, settled sequences stay settled, each
    message ends once, and nothing follows the end.

    :ivar nonce: of the client's last HELLO or JOIN.
    :ivar salt: of the last CHALLENGE.
    :ivar tokens: of the client's last PING, and of its last MISSED.
    :ivar requested: the member number of its last ROSTER.
    :ivar nack: the ranges of its last NACK for the room.
    :ivar session: what it knows of its session.
    :ivar nick_request: the number of its last NICK.
    :ivar sent: its highest own sequences, by stream.
    :ivar owns: the last own sequences of the other members, by identity and stream.
    :ivar open: the reliable messages that have not ended.
    :ivar failed: the messages that have failed.
    :ivar closed: the client has emitted its last event.
    :ivar events: the types of the events so far.
    """

    def __init__(self, settings: Settings) -> None:
        self.now = 1000.0
        self._numbers = count(1)
        self._first_identity = b""
        # Not a bound method: the world does not belong to the memory of the client.
        self.session_client = SessionClient(
            settings, lambda size: self._random_bytes(size), self.now
        )
        self.keyed = settings.keyed
        self.nonce = self.session_id = self.tag = bytes(8)
        self.salt = bytes(16)
        self.own: tuple[int, int] = (1, 1)
        self.tokens = [bytes(8), bytes(8)]
        self.requested = self.nick_request = 0
        self.nack: Ranges = ()
        self.session = SessionKnowledge()
        self.sent: Counter[int] = Counter()
        self.owns: Counter[tuple[bytes, int]] = Counter()
        self.open: set[int] = set()
        self.failed: set[int] = set()
        self.closed = False
        self.events: set[type] = set()
        self._contents: dict[tuple[int, int], tuple[object, ...]] = {}
        self._seals: dict[bytes, Seal] = {}

    @property
    def identity(self) -> bytes:
        """The identity of the client."""
        client = self.session_client
        if client.number is None:
            return self._first_identity
        return client.members[client.number].identity

    def newest(self, stream: int) -> int:
        """
        Return the newest sequence number that the client should know.

        :param stream: 0 for the room sequence, 1 for the private one.
        """
        return self.session.newest[stream]

    def member(self, number: int, own: int = 0) -> MemberRecord:
        """Return the member with a number; some members have two numbers, a few no identity."""
        if number % 4 == 0:
            return MemberRecord(number, f"guest-{number}", MemberKind.PLAIN, b"", 0, b"")
        identity = self.identity if number == NUMBER else bytes((number % 9,)) * 16
        nick = f"member {number % 9}"
        badge = b""
        if number % 2:
            badge = keys.badge(KEYS.content, ROOM, identity, nick) if self.keyed else bytes(16)
        return MemberRecord(number, nick, MemberKind.SESSION, identity, own, badge)

    def seal(self, stream: int, own: int, flags: int, payload: bytes, sender: bytes) -> bytes:
        """Return the sealed payload that a member would send."""
        if sender not in self._seals:
            self._seals[sender] = Seal(KEYS.content, sender, ROOM)
        receiver = self.identity if stream >= PRIVATE else b""
        return self._seals[sender].seal(stream, own, flags, payload, receiver)

    # The client.

    def send(self, payload: bytes, reliable: bool, number: int | None = None) -> None:
        """Let the client send a message, to the room or to a member."""
        session_client = self.session_client
        try:
            if number is None:
                message = session_client.send(payload, self.now, reliable)
            else:
                message = session_client.send_private(number, payload, self.now, reliable)
        except MessageError:
            return
        if reliable:
            self.open.add(message)

    def receive(self, datagram: bytes) -> None:
        """Let the client receive a datagram."""
        self.session.receive(datagram, self.session_client.state, self.nonce)
        self.session_client.receive(datagram, self.now)
        self.collect()

    def collect(self) -> None:
        """Collect and check the datagrams and events of the client."""
        datagrams, events = (
            self.session_client.drain_datagrams(),
            self.session_client.drain_events(),
        )
        was_closed = self.closed
        self.events.update(map(type, events))
        for event in events:
            assert not self.closed, f"an event after the last one: {event}"
            self._handle(event)
        assert not (was_closed and datagrams), "datagrams after the last event"
        is_closed = self.session_client.state is State.CLOSED
        assert self.closed == is_closed, "closed without an event"
        for datagram in datagrams:
            assert len(datagram) <= 65_507, "larger than UDP allows"
            self._read(decode_from_client(datagram))

    def _random_bytes(self, size: int) -> bytes:
        made = next(self._numbers).to_bytes(size, "big")
        if size == SECRET_SIZE and not self._first_identity:
            self._first_identity = keys.identity(made)
        return made

    def _handle(self, event: Event) -> None:
        if isinstance(event, Delivered):
            assert event.message in self.open, "delivered twice, or never sent"
            self.open.remove(event.message)
        elif isinstance(event, Failed):
            assert event.message not in self.failed, "failed twice"
            self.failed.add(event.message)
            self.open.discard(event.message)
        self.closed = isinstance(event, (Closed, Refused))

    def _read(self, datagram: object) -> None:
        if isinstance(datagram, (Hello, Join)):
            self.nonce = datagram.nonce
            if isinstance(datagram, Join):
                self.own = datagram.own
                if datagram.settled is not None:
                    assert datagram.tag == self.session.tag, "a JOIN with the tag of another room"
                    self.session.settle(datagram.settled)
        elif isinstance(datagram, (DataUp, PrivateUp)):
            self._follow(datagram)
        elif isinstance(datagram, Ping):
            self.tokens[0] = datagram.token
            self.session.settle(datagram.settled)
        elif isinstance(datagram, Missed):
            self.tokens[1] = datagram.token or bytes(8)
        elif isinstance(datagram, RosterRequest):
            self.requested = datagram.number
            self.session.needs_roster = False
        elif isinstance(datagram, Nack) and datagram.stream == 0:
            self.nack = datagram.ranges
        elif isinstance(datagram, NickRequest):
            self.nick_request = datagram.request

    def _follow(self, datagram: DataUp | PrivateUp) -> None:
        private, own = isinstance(datagram, PrivateUp), datagram.own
        if datagram.flags & RELIABLE_FLAG:
            stream = PRIVATE if private else RELIABLE
        else:
            stream = UNRELIABLE_PRIVATE if private else UNRELIABLE
            assert own == self.sent[stream] + 1, "an unreliable own sequence repeated or skipped"
        assert own <= self.sent[stream] + 1, "an own sequence skipped"
        self.sent[stream] = max(self.sent[stream], own)
        receiver = datagram.receiver if isinstance(datagram, PrivateUp) else b""
        content = (datagram.flags & ~RESUBMITTED, receiver, datagram.payload)
        first = self._contents.setdefault((stream, own), content)
        assert first == content, "one own sequence for two datagrams"

    # Time.

    def expire(self) -> None:
        """Let the client handle its timeouts."""
        until_later(self._expire_once, self.session_client.next_deadline, self.now)

    def wait(self, seconds: float) -> None:
        """Let time pass; the client is called at each of its deadlines."""
        end, calls = self.now + seconds, 0
        while (deadline := self.session_client.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.expire()
            calls += 1
            assert calls <= 300 + 300 * seconds, "more than 300 deadlines in a second"
        self.now = end

    def _expire_once(self) -> None:
        self.session_client.expire(self.now)
        self.collect()
