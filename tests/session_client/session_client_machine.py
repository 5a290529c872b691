"""A driver for :class:`SessionClient`, with the relay's answers as a test writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from typing import Any, TypeVar

from udprelay.protocol.keys import RoomKeys, identity
from udprelay.protocol.wire import FromClient, FromRelay, decode_from_client
from udprelay.protocol.wire.from_client import DataUp, Ping, PrivateUp
from udprelay.protocol.wire.from_relay import Ack
from udprelay.protocol.wire.joining import Challenge, Hello, Join, Refused, Welcome
from udprelay.protocol.wire.members import MemberKind, MemberRecord
from udprelay.session_client.client import SessionClient
from udprelay.session_client.events import Event
from udprelay.session_client.settings import Settings

T = TypeVar("T", bound=FromClient)
E = TypeVar("E", bound=Event)

START = 1000.0
SESSION, OTHER_SESSION = b"session1", b"session2"
TAG, OTHER_TAG = b"tag-----", b"other---"
COOKIE, SALT = b"cookie", bytes(range(16))
KEYS = RoomKeys(access=b"a" * 32, content=b"c" * 32)
OWN_NUMBER, BERT, PLAIN = 7, 8, 9
BERTS_IDENTITY = b"bert's identity."


def random_bytes() -> Callable[[int], bytes]:
    numbers = count(1)
    return lambda size: (next(numbers) % 256**size).to_bytes(size, "big")


def member(number: int, nick: str, identity: bytes = b"") -> MemberRecord:
    kind = MemberKind.SESSION if identity else MemberKind.PLAIN
    return MemberRecord(number, nick, kind, identity, 0, b"")


BERT_RECORD = member(BERT, "bert", BERTS_IDENTITY)
PLAIN_RECORD = member(PLAIN, "guest-9")


class ClientDriver:
    """
    A client with a clock.

    :ivar events: the events since the last :meth:`drain_events`.
    :ivar datagrams: the datagrams since the last :meth:`drain`.
    :ivar log: all datagrams, with the seconds since the start.
    """

    def __init__(self, **settings: Any) -> None:
        settings = {"room": "lobby", "nick": "anna", **settings}
        self.now = START
        self.random_bytes = random_bytes()
        self.session_client = SessionClient(Settings(**settings), self.random_bytes, self.now)
        self.events: list[Event] = []
        self.datagrams: list[FromClient] = []
        self.log: list[tuple[float, FromClient]] = []
        self.collect()

    def collect(self) -> None:
        datagrams = [decode_from_client(raw) for raw in self.session_client.drain_datagrams()]
        self.datagrams += datagrams
        self.log += [(self.now - START, datagram) for datagram in datagrams]
        self.events += self.session_client.drain_events()

    def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method with the time as the last argument."""
        result = getattr(self.session_client, method)(*arguments, now=self.now, **options)
        self.collect()
        return result

    def receive(self, *datagrams: FromRelay) -> None:
        for datagram in datagrams:
            self.session_client.receive(datagram.encode(), self.now)
            self.collect()

    def pass_time(self, seconds: float) -> None:
        """Let time pass and handle all timeouts."""
        end = self.now + seconds
        while True:
            deadline = self.session_client.next_deadline()
            if deadline is None or deadline > end:
                break
            self.now = max(self.now, deadline)
            self.call("expire")
            following = self.session_client.next_deadline()
            assert following is None or following > self.now
        self.now = end

    def drain(self, kind: type[T]) -> list[T]:
        """Return the datagrams of a type; forget all."""
        drained, self.datagrams = self.datagrams, []
        return [datagram for datagram in drained if isinstance(datagram, kind)]

    def drain_events(self, kind: type[E]) -> list[E]:
        """Return the events of a type; forget all."""
        events, self.events = self.events, []
        return [event for event in events if isinstance(event, kind)]

    def times(self, kind: type[FromClient]) -> list[float]:
        """Return when datagrams of a type were sent, in seconds since the start."""
        return [round(time, 6) for time, datagram in self.log if isinstance(datagram, kind)]

    # The relay.

    @property
    def nonce(self) -> bytes:
        """Of the last HELLO or JOIN."""
        (*_, last) = [d for _, d in self.log if isinstance(d, Hello | Join)]
        return last.nonce

    def challenge(self, salt: bytes = SALT) -> None:
        self.receive(Challenge(self.nonce, COOKIE, salt))

    def refuse(self, code: str, retry_after: int = 0) -> None:
        self.receive(Refused(self.nonce, code, "No.", retry_after))

    def welcome(self, members: Iterable[MemberRecord] = (), **fields: Any) -> None:
        """Answer the last JOIN; the room has no entries."""
        join = next(d for _, d in reversed(self.log) if isinstance(d, Join))
        itself = MemberRecord(
            number=fields.get("number", OWN_NUMBER),
            nick=fields.get("nick", join.nick),
            kind=MemberKind.SESSION,
            identity=identity(join.secret),
            own=0,
            badge=join.badge or b"",
        )
        fields = {
            "nonce": self.nonce,
            "session_id": SESSION,
            "number": OWN_NUMBER,
            "tag": TAG,
            "newest": 0,
            "first": 1,
            "nick": join.nick,
            "keepalive": 10_000,
            "idle": 45_000,
            "largest": 1200,
            "allowance": (0, 0),
            "next_own": join.own,
            "newest_private": 0,
            "members": (itself, *members),
            **fields,
        }
        self.receive(Welcome(**fields))

    def join(self, members: Iterable[MemberRecord] = (), **fields: Any) -> None:
        """Go through the handshake."""
        self.challenge()
        self.welcome(members, **fields)

    def acknowledge(
        self, following: int, bitmap: int = 0, private: int = 1, private_bitmap: int = 0
    ) -> None:
        self.receive(Ack(SESSION, following, bitmap, private, private_bitmap))

    def drain_payloads(self) -> list[bytes]:
        return [datagram.payload for datagram in self.drain(DataUp)]

    def drain_private(self) -> list[tuple[bytes, bytes]]:
        return [(datagram.receiver, datagram.payload) for datagram in self.drain(PrivateUp)]

    def drain_tokens(self) -> list[bytes]:
        return [datagram.token for datagram in self.drain(Ping)]


def started(**settings: Any) -> ClientDriver:
    client = ClientDriver(**settings)
    client.call("start")
    return client


def joined(*members: MemberRecord, **settings: Any) -> ClientDriver:
    """Return a joined client, without the datagrams and events of the handshake."""
    client = started(**settings)
    client.challenge()
    if settings.get("keyed"):
        client.call("provide_keys", SALT, KEYS)
    client.welcome(members)
    client.datagrams.clear()
    client.events.clear()
    return client
