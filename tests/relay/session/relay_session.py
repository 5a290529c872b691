"""A session client that sends only what a test asks for, and a relay that delivers to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any, TypeVar, overload

from relay_driver import ANNA, Inboxes, Relay

from udprelay.protocol import keys
from udprelay.protocol.wire import FromRelay, decode_from_relay
from udprelay.protocol.wire.from_client import DataUp, Nack, Ping, PrivateUp
from udprelay.protocol.wire.from_relay import Pong
from udprelay.protocol.wire.header import RELIABLE
from udprelay.protocol.wire.joining import Challenge, Hello, Join, Refused, Welcome
from udprelay.protocol.wire.sequenced import Data
from udprelay.relay.drops import DropReason
from udprelay.relay.room import Room
from udprelay.relay.rules import Limits, ListenerRules, PlainPolicy, RelayRules, RoomRules
from udprelay.relay.session.member import SessionMember
from udprelay.relay.session.room_log import RoomLog

D = TypeVar("D")
_NONCES = count(1)


def session_rules(
    limits: Limits | None = None, room: dict[str, Any] | None = None, **options: Any
) -> RelayRules:
    """Return rules with one listener that also admits every address as a plain member."""
    listener = {name: options.pop(name) for name in ("protocol",) if name in options}
    return RelayRules(
        listeners={"main": ListenerRules(plain=PlainPolicy.ANY, **listener)},
        room_defaults=RoomRules(**(room or {})),
        limits=limits or Limits(),
        **options,
    )


class InboxesWithReplies(Inboxes):
    """A transport that also puts replies into the inboxes."""

    def reply(self, datagrams: Sequence[tuple[Any, bytes]]) -> list[DropReason]:
        for source, payload in datagrams:
            self.received[source].append(payload)
        return []


class SessionRelay(Relay):
    """A relay that also delivers replies to the inboxes."""

    def __init__(self, rules: RelayRules | None = None, own: Iterable[str] = ()) -> None:
        super().__init__(rules or session_rules(), own)

    def new_transport(self, name: str) -> Inboxes:
        return InboxesWithReplies(name, self.inboxes)

    def room(self, name: str = "lobby") -> Room:
        return self.hub.roster.rooms[name]

    def room_log(self, name: str = "lobby") -> RoomLog:
        """Return the log of a room that has one."""
        log = self.room(name).log
        assert isinstance(log, RoomLog)
        return log


class Client:
    """
    One client at one address.

    :ivar source: where it sends from now; it may be changed.
    :ivar own: the last own sequence of unreliable DATA, reliable DATA, and PRIVATE.
    :ivar welcome: the last WELCOME.
    """

    welcome: Welcome

    def __init__(
        self,
        relay: SessionRelay,
        source: str = ANNA,
        nick: str = "anna",
        room: str = "lobby",
        listener: str = "main",
        secret: bytes | None = None,
        access_key: bytes | None = None,
    ) -> None:
        self.relay = relay
        self.source = source
        self.nick = nick
        self.room = room
        self.listener = listener
        self.secret = secret or nick.encode().ljust(16, b"\0")[:16]
        self.access_key = access_key
        self.identity = keys.identity(self.secret)
        self.own = [0, 0, 0]

    # Sending.

    def send(self, datagram: bytes) -> None:
        self.relay.receive(self.source, datagram, listener=self.listener)

    def nonce(self) -> bytes:
        self.last_nonce = next(_NONCES).to_bytes(8, "big")
        return self.last_nonce

    def hello(self, nonce: bytes | None = None) -> Challenge:
        self.drain()
        self.send(Hello(nonce or self.nonce(), self.room).encode())
        (challenge,) = self.drain(Challenge)
        return challenge

    def join_datagram(self, **changes: Any) -> Join:
        challenge = self.hello()
        values: dict[str, Any] = {
            "nonce": challenge.nonce,
            "cookie": challenge.cookie,
            "room": self.room,
            "nick": self.nick,
            "secret": self.secret,
        }
        if self.access_key is not None:
            values["badge"] = bytes(16)
            values["proof"] = keys.proof(
                self.access_key,
                challenge.cookie,
                self.room,
                changes.get("nick", self.nick),
                challenge.nonce,
                self.identity,
            )
        return Join(**{**values, **changes})

    def try_to_join(self, **changes: Any) -> Welcome | Refused | None:
        """Do the handshake; return the answer to JOIN."""
        self.send(self.join_datagram(**changes).encode())
        answers = [a for a in self.drain() if isinstance(a, (Welcome, Refused))]
        return answers[0] if answers else None

    def join(self, **changes: Any) -> Welcome:
        answer = self.try_to_join(**changes)
        assert isinstance(answer, Welcome), answer
        self.welcome = answer
        return answer

    def send_data(self, payload: bytes, flags: int = RELIABLE, own: int | None = None) -> None:
        self.send(self.data(payload, flags, own))

    def data(self, payload: bytes, flags: int = RELIABLE, own: int | None = None) -> bytes:
        """Return DATA with the next own sequence, or the one given."""
        stream = flags & RELIABLE
        if own is None:
            own = self.own[stream] = self.own[stream] + 1
        return DataUp(self.id, flags, own, payload).encode()

    def send_private(
        self, receiver: Client, payload: bytes, flags: int = RELIABLE, own: int | None = None
    ) -> None:
        if own is None:
            own = self.own[2] = self.own[2] + 1
        self.send(PrivateUp(self.id, flags, own, receiver.identity, payload).encode())

    def nack(self, *ranges: tuple[int, int], stream: int = 0) -> list[FromRelay]:
        """Send NACK; return the answers."""
        self.drain()
        self.send(Nack(self.id, stream, ranges).encode())
        return self.drain()

    def ping(self, token: bytes = b"12345678") -> list[Pong]:
        self.send(Ping(self.id, token, 0).encode())
        return self.drain(Pong)

    def report(self, settled: int, settled_private: int = 0) -> None:
        """Report by PING what is settled."""
        self.send(Ping(self.id, b"reported", settled, settled_private).encode())

    # Receiving, and its state.

    @property
    def id(self) -> bytes:
        return self.welcome.session_id

    @property
    def session(self) -> SessionMember:
        member: SessionMember = self.relay.listeners[self.listener].sessions[self.id]
        return member

    def is_member(self) -> bool:
        return self.id in self.relay.listeners[self.listener].sessions

    def drain_raw(self) -> list[bytes]:
        """Return the datagrams received since the last call."""
        return self.relay.inboxes.pop(self.source, [])

    @overload
    def drain(self, kind: type[D]) -> list[D]: ...
    @overload
    def drain(self, kind: None = None) -> list[Any]: ...
    def drain(self, kind: type[D] | None = None) -> list[Any]:
        """Decode the datagrams received since the last call; return all, or those of one kind."""
        read = [decode_from_relay(datagram) for datagram in self.drain_raw()]
        return read if kind is None else [one for one in read if isinstance(one, kind)]


def data_for(
    client: Client, sequence: int, number: int, own: int, payload: bytes, flags: int
) -> Data:
    """Return DATA as a member of the client's room gets it."""
    return Data(client.welcome.tag, flags, sequence, number, own, payload)


def refused(client: Client, **changes: Any) -> Refused:
    """Try to join; return the REFUSED."""
    answer = client.try_to_join(**changes)
    assert isinstance(answer, Refused), answer
    return answer


def joined(relay: SessionRelay, *nicks: str, **options: Any) -> list[Client]:
    """Return clients that have joined, each at its own address, with empty inboxes."""
    clients = [
        Client(relay, f"10.0.1.{number}:4000", nick, **options)
        for number, nick in enumerate(nicks, 1)
    ]
    for client in clients:
        client.join()
    for client in clients:
        client.drain()
    return clients
