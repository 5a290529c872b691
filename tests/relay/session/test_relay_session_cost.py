"""
What one datagram of a member costs at most, in multiples of a PING.

Each kind is sent in the state of the room that makes it most expensive: long histories of one's
own and of others' datagrams and entries, full windows and private sequences, thousands of members.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from relay_session import Client, InboxesWithReplies, SessionRelay, session_rules
from work import steps

from udprelay.protocol.wire.from_client import (
    Nack,
    Ping,
)
from udprelay.protocol.wire.header import RELIABLE
from udprelay.relay.drops import DropReason
from udprelay.relay.room import Group
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
