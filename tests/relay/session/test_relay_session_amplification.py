"""A member that is alone in its room is sent at most 20 times what it sends, by each kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from relay_driver import ANNA, BERT
from relay_session import Client, SessionRelay, session_rules

from udprelay.protocol.wire.from_client import (
    Leave,
    Missed,
    Nack,
    NickRequest,
    PathResponse,
    Ping,
    PrivateUp,
    RosterRequest,
)
from udprelay.protocol.wire.header import RELIABLE, Type, header
from udprelay.protocol.wire.joining import Hello, Welcome

MOST = 20
SECONDS = 8.0
NICK = "\N{GREEK SMALL LETTER ALPHA}" * 32
NOBODY = b"nobody".ljust(16, b"\0")

Storm = Callable[[Client], Iterator[bytes]]


def for_ever(make: Callable[[Client, int], bytes]) -> Storm:
    """Return a storm of datagrams that are made from the client and a number, from 1 on."""

    def storm(anna: Client) -> Iterator[bytes]:
        for number in range(1, 10_000_000):
            yield make(anna, number)

    return storm


def private(anna: Client, number: int, receiver: bytes, flags: int = RELIABLE) -> bytes:
    return PrivateUp(anna.id, flags, number, receiver, b"x").encode()


def nack(anna: Client, stream: int) -> bytes:
    return Nack(anna.id, stream, ((1, 65_535),)).encode()


def in_turns(*makes: Callable[[Client, int], bytes]) -> Storm:
    """Return a storm of several kinds; each number comes once for each."""

    def storm(anna: Client) -> Iterator[bytes]:
        for number in range(1, 10_000_000):
            for make in makes:
                yield make(anna, number)

    return storm


def come_and_go(anna: Client) -> Iterator[bytes]:
    join = anna.join_datagram().encode()
    while True:
        yield Hello(anna.nonce(), anna.room).encode()
        yield join
        for answer in anna.drain(Welcome):
            anna.welcome = answer
        yield nack(anna, 0)
        yield Leave(anna.id).encode()


def join_again(anna: Client) -> Iterator[bytes]:
    join = anna.join_datagram(tag=anna.welcome.tag, settled=0).encode()
    while True:
        yield join


STORMS: dict[str, Storm] = {
    "PING": for_ever(lambda a, n: Ping(a.id, n.to_bytes(8, "big"), n, n).encode()),
    "ROSTER": for_ever(lambda a, n: RosterRequest(a.id, 0).encode()),
    "ROSTER beyond the last": for_ever(lambda a, n: RosterRequest(a.id, 2**32 - 1).encode()),
    "NICK": for_ever(lambda a, n: NickRequest(a.id, n, f"{n % 2}{NICK[2:]}").encode()),
    "short NICK": for_ever(lambda a, n: NickRequest(a.id, n, str(n % 2)).encode()),
    "invalid NICK": for_ever(lambda a, n: NickRequest(a.id, n, "").encode()),
    "repeated NICK": for_ever(lambda a, n: NickRequest(a.id, 1, "x").encode()),
    "NICK and NACK": in_turns(
        lambda a, n: NickRequest(a.id, n, f"{n % 2}{NICK[2:]}").encode(),
        lambda a, n: nack(a, 0),
    ),
    "DATA": for_ever(lambda a, n: a.data(b"x", own=n)),
    "unreliable DATA": for_ever(lambda a, n: a.data(b"x", 0, own=n)),
    "DATA behind a gap": for_ever(lambda a, n: a.data(b"x", own=2 + n % 64)),
    "repeated DATA": for_ever(lambda a, n: a.data(b"x", own=1)),
    "DATA and NACK": in_turns(lambda a, n: a.data(b"x", own=n), lambda a, n: nack(a, 0)),
    "both kinds of DATA, and NACK": in_turns(
        lambda a, n: a.data(b"x", own=n),
        lambda a, n: a.data(b"x", 0, own=n),
        lambda a, n: nack(a, 0),
    ),
    "PRIVATE to nobody": for_ever(lambda a, n: private(a, n, NOBODY)),
    "unreliable PRIVATE to nobody": for_ever(lambda a, n: private(a, n, NOBODY, 0)),
    "PRIVATE to itself": for_ever(lambda a, n: private(a, n, a.identity)),
    "unreliable PRIVATE to itself": for_ever(lambda a, n: private(a, n, a.identity, 0)),
    "PRIVATE to nobody, and NACK": in_turns(
        lambda a, n: private(a, n, NOBODY), lambda a, n: nack(a, 1)
    ),
    "PRIVATE to itself, and NACK": in_turns(
        lambda a, n: private(a, n, a.identity), lambda a, n: nack(a, 1)
    ),
    "NACK": for_ever(lambda a, n: nack(a, n % 2)),
    "MISSED of its own": for_ever(
        lambda a, n: Missed(a.id, a.welcome.number, ((n, 1),), n.to_bytes(8, "big")).encode()
    ),
    "MISSED of its own, and NACK": in_turns(
        lambda a, n: Missed(a.id, a.welcome.number, ((n, 1),)).encode(), lambda a, n: nack(a, 1)
    ),
    "MISSED of nobody": for_ever(lambda a, n: Missed(a.id, 77, ((n, 1),), bytes(8)).encode()),
    "LEAVE": for_ever(lambda a, n: Leave(a.id).encode()),
    "JOIN again": join_again,
    "HELLO, JOIN, NACK, LEAVE": come_and_go,
    "PATH-RESPONSE": for_ever(lambda a, n: PathResponse(a.id, n.to_bytes(8, "big")).encode()),
    "unknown type": for_ever(lambda a, n: header(Type.BYE, a.id) + b"x"),
    "other version": for_ever(lambda a, n: b"\xfdUR\x02\x01\x00" + a.id + b"x"),
}


class Counted(Client):
    """
    A client that is alone in its room.

    :ivar sent: bytes that it has sent.
    :ivar received: bytes that it has been sent.
    """

    sent = received = 0

    def send(self, datagram: bytes) -> None:
        self.sent += len(datagram)
        super().send(datagram)

    def drain_raw(self) -> list[bytes]:
        datagrams = super().drain_raw()
        self.received += sum(map(len, datagrams))
        return datagrams


def lone_client() -> Counted:
    relay = SessionRelay(session_rules(room={"session_timeout": 1000.0}))
    anna = Counted(relay, ANNA, NICK, secret=b"a long nick".ljust(16))
    anna.join()
    relay.wait(10)
    anna.drain_raw()
    anna.sent = anna.received = 0
    return anna


@pytest.mark.parametrize("pause", [0.004, 0.3, 3.5], ids=["fast", "slow", "single"])
@pytest.mark.parametrize("kind", STORMS)
def test_storm(kind: str, pause: float) -> None:
    anna = lone_client()
    storm = STORMS[kind](anna)
    for _ in range(min(600, max(6, int(SECONDS / pause)))):
        anna.send(next(storm))
        anna.relay.wait(pause)
    anna.relay.wait(10)
    anna.drain_raw()
    assert anna.received <= MOST * anna.sent


@pytest.mark.parametrize("kind", ["PING", "ROSTER", "PATH-RESPONSE", "PRIVATE to nobody"])
def test_storm_from_another_address_is_answered_with_less(kind: str) -> None:
    anna = lone_client()
    relay, storm, sent = anna.relay, STORMS[kind](anna), 0
    for _ in range(300):
        datagram = next(storm)
        sent += len(datagram)
        relay.receive(BERT, datagram)
        relay.wait(0.01)
    assert sum(map(len, relay.inboxes[BERT])) <= sent
