"""
What one datagram of a member costs at most, in multiples of a PING.

Each kind is sent in the state of the room that makes it most expensive: long histories of one's
own and of others' datagrams and entries, full windows and private sequences, thousands of members.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cbor2
import pytest
from relay_driver import SECRET, read_endpoint
from relay_session import Client, InboxesWithReplies, SessionRelay, session_rules
from work import steps

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
from udprelay.protocol.wire.joining import Welcome
from udprelay.relay.drops import DropReason
from udprelay.relay.room import Group
from udprelay.relay.session.cookie import path_token
from udprelay.segments import Run

LONG = 86_400.0
ELSEWHERE = "10.200.0.1:2000"
NOBODY = b"nobody".ljust(16, b"\0")


class Unheard(InboxesWithReplies):
    """Keeps replies alone: the cost of deliveries is not that of what causes them."""

    def deliver(self, runs: Sequence[Run], group: Group, count: int) -> list[DropReason]:
        return []


class UnheardRelay(SessionRelay):
    def new_transport(self, name: str) -> Unheard:
        return Unheard(name, self.inboxes)


class Crowd:
    """
    A room with two session members that have said much, and many plain members.

    :param size: the number of these.
    """

    def __init__(self, size: int) -> None:
        room = {"max_members": 3000, "session_timeout": LONG, "idle_timeout": LONG}
        self.relay = UnheardRelay(session_rules(room=room))
        self.number = 0
        self.anna, self.bert = self.member(), self.member()
        self.relay.receive_batch(*((f"10.0.{n >> 8}.{n & 255}:9", b"") for n in range(size)))

    def member(self) -> Client:
        """Return a new member."""
        self.number += 1
        client = Client(self.relay, f"10.1.0.1:{self.number}", f"{self.number}" + "\u03b1" * 28)
        client.join()
        return client

    def somebody_comes(self) -> None:
        self.number += 1
        self.relay.receive(f"10.3.0.1:{self.number}")

    def speaks(self, who: Client, flags: int = RELIABLE) -> Callable[[], None]:
        return lambda: who.send_data(b"x", flags)

    def cost(self, source: str, datagram: bytes) -> int:
        """Return the steps for a datagram that comes for the second time, after a pause."""
        for _ in range(2):
            self.relay.wait(6)
            self.relay.inboxes.clear()
            counted = steps(lambda: self.relay.receive(source, datagram))
        return counted


@pytest.fixture(scope="module")
def ping() -> int:
    """Return the cost of a PING in a room of two."""
    pair = Crowd(0)
    return pair.cost(pair.anna.source, Ping(pair.anna.id, b"12345678", 0).encode())


def nack(crowd: Crowd, *ranges: tuple[int, int], stream: int = 0) -> bytes:
    return Nack(crowd.anna.id, stream, ranges).encode()


def scattered(crowd: Crowd, count: int) -> list[tuple[int, int]]:
    """Return 64 ranges over all that the room has said lately."""
    first = max(1, crowd.relay.room_log().newest - 64 * 16)
    return [(first + 16 * number, count) for number in range(64)]


def histories(crowd: Crowd) -> dict[str, list[Callable[[], object]]]:
    """Return what fills the history in turns, by name."""
    anna, bert = crowd.anna, crowd.bert
    mine, theirs = crowd.speaks(anna), crowd.speaks(bert)
    return {
        "own": [mine],
        "others": [theirs],
        "in turns": [mine, theirs],
        "unreliable in turns": [crowd.speaks(anna, 0), crowd.speaks(bert, 0)],
        "own, and unreliable of others": [mine, crowd.speaks(bert, 0)],
        "all kinds": [theirs, crowd.speaks(anna, 0), crowd.somebody_comes, crowd.speaks(bert, 0)],
    }


NACK = 24
"""A NACK has up to 655 bytes, and an answer of up to 128 datagrams and ranges."""


@pytest.mark.parametrize("name", histories(Crowd(0)))
def test_nack_for_a_full_history(ping: int, name: str) -> None:
    crowd = Crowd(0)
    acts = histories(crowd)[name]
    for _ in range(1400 // len(acts)):
        for act in acts:
            act()
    newest = crowd.relay.room_log().newest
    asked = [[(1, 65_535)], [(newest - 1000, 65_535)], [(newest - 200, 65_535)]]
    asked += [scattered(crowd, count) for count in (1, 2, 3, 4, 15)]
    costs = [crowd.cost(crowd.anna.source, nack(crowd, *ranges)) for ranges in asked]
    assert max(costs) <= NACK * ping


@pytest.mark.parametrize("count", [1, 64])
def test_nack_for_a_full_private_sequence(ping: int, count: int) -> None:
    crowd = Crowd(0)
    for _ in range(64):
        crowd.bert.send_private(crowd.anna, b"x")
    ranges = [(number, 64 // count) for number in range(1, 65, 64 // count)]
    assert crowd.cost(crowd.anna.source, nack(crowd, *ranges, stream=1)) <= NACK * ping


def test_nack_for_what_has_not_been_sent(ping: int) -> None:
    crowd = Crowd(0)
    asked = nack(crowd, *((100 + 2 * number, 1) for number in range(64)))
    assert crowd.cost(crowd.anna.source, asked) <= NACK * ping


def hello(**more: Any) -> bytes:
    body = {"r": "lobby", "v": [1], "p": bytes(160), **more}
    return header(Type.HELLO, b"12345678") + cbor2.dumps(body)


def missed(crowd: Crowd) -> bytes:
    ranges = tuple((10 * number + 1, 5) for number in range(32))
    return Missed(crowd.anna.id, crowd.bert.welcome.number, ranges, b"12345678").encode()


def private(crowd: Crowd, flags: int) -> bytes:
    own = crowd.anna.session.private_window.next
    return PrivateUp(crowd.anna.id, flags, own, NOBODY, b"x" * 1000).encode()


def right_token(crowd: Crowd) -> bytes:
    made_for = crowd.anna.id, read_endpoint(ELSEWHERE), "main", crowd.relay.now
    return path_token(SECRET, *made_for)


def early(crowd: Crowd) -> bytes:
    """Fill the window behind a gap; return the last datagram again."""
    anna = crowd.anna
    for own in range(2, 66):
        anna.send_data(b"x", own=anna.own[RELIABLE] + own)
    return anna.data(b"x", own=anna.own[RELIABLE] + 65)


def rejoin(crowd: Crowd, **values: Any) -> bytes:
    crowd.anna.nick = "anna"
    return crowd.anna.join_datagram(**values).encode()


Make = Callable[[Crowd], bytes]
OF_MEMBERS: dict[str, tuple[float, Make]] = {
    "PING": (2, lambda c: Ping(c.anna.id, b"12345678", 0).encode()),
    "PING with places": (2, lambda c: Ping(c.anna.id, b"12345678", 2, 1).encode()),
    "ROSTER from the first": (8, lambda c: RosterRequest(c.anna.id, 0).encode()),
    "ROSTER from the middle": (8, lambda c: RosterRequest(c.anna.id, 1000).encode()),
    "ROSTER beyond the last": (4, lambda c: RosterRequest(c.anna.id, 2**32 - 1).encode()),
    "JOIN again": (5, rejoin),
    "JOIN that resumes": (5, lambda c: rejoin(c, tag=c.anna.welcome.tag, settled=0, own=(9, 9))),
    "PRIVATE to nobody": (5, lambda c: private(c, RELIABLE)),
    "unreliable PRIVATE to nobody": (3, lambda c: private(c, 0)),
    "MISSED": (12, missed),
    "DATA behind a gap": (3, early),
    "PATH-RESPONSE": (3, lambda c: PathResponse(c.anna.id, bytes(8)).encode()),
    "unknown type": (2, lambda c: header(Type.BYE, c.anna.id) + bytes(1000)),
    "CBOR of too many items": (
        8,
        lambda c: header(Type.NICK, c.anna.id) + cbor2.dumps({"n": "x", "r": 1, "z": [0] * 900}),
    ),
}


@pytest.fixture(scope="module", params=[10, 2000])
def crowd(request: pytest.FixtureRequest) -> Crowd:
    return Crowd(request.param)


@pytest.mark.parametrize("kind", OF_MEMBERS)
def test_datagram_of_a_member(crowd: Crowd, ping: int, kind: str) -> None:
    most, make = OF_MEMBERS[kind]
    assert crowd.cost(crowd.anna.source, make(crowd)) <= most * ping


# A nick with characters outside ASCII, of which the profile looks at each.
LONG_NICK = "\u03b1" * 30
OF_NICKS = {"ASCII": ("x" * 32, 8), "others": (LONG_NICK, 20), "spaces": ("x" + " " * 120, 8)}


@pytest.mark.parametrize("kind", OF_NICKS)
def test_new_nick(ping: int, kind: str) -> None:
    crowd = Crowd(2000)
    nick, most = OF_NICKS[kind]
    request = NickRequest(crowd.anna.id, 1, nick).encode()
    assert steps(lambda: crowd.relay.receive(crowd.anna.source, request)) <= most * ping


def test_nick_within_five_seconds(crowd: Crowd, ping: int) -> None:
    crowd.relay.wait(6)
    anna = crowd.anna
    anna.send(NickRequest(anna.id, 1, "first").encode())
    request = NickRequest(anna.id, 2, LONG_NICK, bytes(16)).encode()
    assert steps(lambda: crowd.relay.receive(anna.source, request)) <= 3 * ping
    assert steps(lambda: crowd.relay.receive(anna.source, request)) <= 2 * ping


@pytest.mark.parametrize("nick", ["x" * 32, LONG_NICK])
def test_join_and_leave_of_a_new_member(crowd: Crowd, ping: int, nick: str) -> None:
    crowd.relay.wait(6)
    client = Client(crowd.relay, ELSEWHERE, nick)
    join = client.join_datagram().encode()
    assert steps(lambda: crowd.relay.receive(ELSEWHERE, join)) <= 30 * ping
    (client.welcome,) = client.drain(Welcome)
    leave = Leave(client.id).encode()
    assert steps(lambda: crowd.relay.receive(ELSEWHERE, leave)) <= 8 * ping


OF_STRANGERS: dict[str, tuple[float, Make]] = {
    "HELLO": (3, lambda c: hello()),
    "HELLO with 100 versions": (8, lambda c: hello(v=[*range(100)])),
    "HELLO with 120 unknown numbers": (8, lambda c: hello(z=[0] * 120)),
    "HELLO with 490 unknown numbers": (8, lambda c: hello(z=[0] * 490)),
    "HELLO with 40 unknown keys": (
        8,
        lambda c: hello(**{f"a{chr(97 + n % 26)}": n for n in range(40)}),
    ),
    "PING of nobody": (3, lambda c: Ping(b"nobody__", b"12345678", 0).encode()),
    "JOIN with a wrong cookie": (5, lambda c: rejoin(c, cookie=bytes(20))),
    "other version": (3, lambda c: b"\xfdUR\x02" + bytes(1000)),
    "PING of a member": (3, lambda c: Ping(c.anna.id, b"12345678", 0).encode()),
    "PATH-RESPONSE of a member": (6, lambda c: PathResponse(c.anna.id, right_token(c)).encode()),
}


@pytest.mark.parametrize("kind", OF_STRANGERS)
def test_datagram_of_an_address_that_is_no_member(crowd: Crowd, ping: int, kind: str) -> None:
    most, make = OF_STRANGERS[kind]
    datagram = make(crowd)
    assert crowd.cost("10.250.0.1:7", datagram) <= most * ping
    assert steps(lambda: crowd.relay.receive(ELSEWHERE, datagram)) <= most * ping
