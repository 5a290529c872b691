"""A membership, and the relay's side of it as a test writes it."""

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
from udprelay.session_client.events import Event
from udprelay.session_client.membership import Membership
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


class Client:
    """A membership with a clock, and what it has said to the relay and to its user."""

    def __init__(self, **settings: Any) -> None:
        settings = {"room": "lobby", "nick": "anna", **settings}
        self.now = START
        self.random_bytes = random_bytes()
        self.membership = Membership(Settings(**settings), self.random_bytes, self.now)
        self.events: list[Event] = []
        self.said: list[FromClient] = []
        self.sent: list[tuple[float, FromClient]] = []
        self.collect()

    def collect(self) -> None:
        datagrams = [decode_from_client(raw) for raw in self.membership.take_datagrams()]
        self.said += datagrams
        self.sent += [(self.now - START, datagram) for datagram in datagrams]
        self.events += self.membership.take_events()

    def do(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method, with the time behind the arguments."""
        result = getattr(self.membership, method)(*arguments, now=self.now, **options)
        self.collect()
        return result

    def hear(self, *datagrams: FromRelay) -> None:
        for datagram in datagrams:
            self.membership.receive(datagram.encode(), self.now)
            self.collect()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and do all that gets due."""
        end = self.now + seconds
        while True:
            deadline = self.membership.next_deadline()
            if deadline is None or deadline > end:
                break
            self.now = max(self.now, deadline)
            self.do("expire")
            following = self.membership.next_deadline()
            assert following is None or following > self.now
        self.now = end

    def take(self, kind: type[T]) -> list[T]:
        """Return the datagrams of a type that it has said; all of them are forgotten."""
        said, self.said = self.said, []
        return [datagram for datagram in said if isinstance(datagram, kind)]

    def told(self, kind: type[E]) -> list[E]:
        """Return the events of a type; all of them are forgotten."""
        events, self.events = self.events, []
        return [event for event in events if isinstance(event, kind)]

    def times(self, kind: type[FromClient]) -> list[float]:
        """Return when datagrams of a type were sent, in seconds from the start."""
        return [round(time, 6) for time, datagram in self.sent if isinstance(datagram, kind)]

    # The relay.

    @property
    def nonce(self) -> bytes:
        """Of the last HELLO or JOIN."""
        (*_, last) = [d for _, d in self.sent if isinstance(d, Hello | Join)]
        return last.nonce

    def challenge(self, salt: bytes = SALT) -> None:
        self.hear(Challenge(self.nonce, COOKIE, salt))

    def refuse(self, code: str, retry_after: int = 0) -> None:
        self.hear(Refused(self.nonce, code, "No.", retry_after))

    def welcome(self, members: Iterable[MemberRecord] = (), **fields: Any) -> None:
        """Let it join; the room has nothing in it yet."""
        join = next(d for _, d in reversed(self.sent) if isinstance(d, Join))
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
        self.hear(Welcome(**fields))

    def join(self, members: Iterable[MemberRecord] = (), **fields: Any) -> None:
        """Go through the handshake."""
        self.challenge()
        self.welcome(members, **fields)

    def acknowledge(
        self, following: int, bitmap: int = 0, private: int = 1, private_bitmap: int = 0
    ) -> None:
        self.hear(Ack(SESSION, following, bitmap, private, private_bitmap))

    def payloads(self) -> list[bytes]:
        return [datagram.payload for datagram in self.take(DataUp)]

    def privates(self) -> list[tuple[bytes, bytes]]:
        return [(datagram.receiver, datagram.payload) for datagram in self.take(PrivateUp)]

    def tokens(self) -> list[bytes]:
        return [datagram.token for datagram in self.take(Ping)]


def started(**settings: Any) -> Client:
    client = Client(**settings)
    client.do("start")
    return client


def joined(*members: MemberRecord, **settings: Any) -> Client:
    """A client that is a member, with what it took to become one forgotten."""
    client = started(**settings)
    client.challenge()
    if settings.get("keyed"):
        client.do("provide_keys", SALT, KEYS)
    client.welcome(members)
    client.said.clear()
    client.events.clear()
    return client
