"""The way to a relay: several addresses, and sockets that wear out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from errno import EADDRNOTAVAIL, ECONNREFUSED, EINVAL, ENETUNREACH, EPERM
from typing import Any

import pytest
import pytest_twisted
from client_fakes import ClockReactor, Names
from client_programs import Peer
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from free_port import free_port
from udprelay.client.route import Route


class Way:
    """A route with a clock of its own, and what it tells."""

    def __init__(self, port: int, *addresses: str, host: str = "relay.example") -> None:
        self.names = Names(*addresses)
        self.reactor = ClockReactor(self.names)
        self.received: list[bytes] = []
        self.troubles: list[int | None] = []
        self.route = Route(
            self.reactor,
            host,
            port,
            self.received.append,
            lambda error: self.troubles.append(error.errno),
        )

    def find(self) -> bool:
        found: list[bool] = []
        Deferred.fromCoroutine(self.route.find()).addCallback(found.append)
        return found == [True]

    def fail(self, *errors: int) -> None:
        """Let the next attempts to send over the present socket fail."""
        port = self.route._link._port  # type: ignore[union-attr]
        real, waiting = port.socket, list(errors)

        class Failing:
            def send(self, payload: bytes) -> Any:
                if waiting:
                    raise OSError(waiting.pop(0), "as told")
                return real.send(payload)

            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

        port.socket = Failing()


@pytest.fixture
def make_way() -> Iterator[Callable[..., Way]]:
    made: list[Way] = []

    def make(*arguments: Any, **options: Any) -> Way:
        made.append(Way(*arguments, **options))
        return made[-1]

    yield make
    for way in made:
        way.route.close()
        assert way.reactor.getDelayedCalls() == []


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await deferLater(reactor, 0.001)


@pytest_twisted.ensureDeferred
async def test_datagrams_pass_both_ways(make_way: Callable[..., Way], peer: Peer) -> None:
    way = make_way(peer.port, "127.0.0.1")
    assert way.route.peer == f"relay.example:{peer.port}"
    assert way.find()
    assert way.route.peer == peer.address
    way.route.send(b"hello")
    assert peer.receive() == b"hello"
    peer.send(b"one", b"two")
    await until(lambda: way.received == [b"one", b"two"])


def test_a_name_without_an_address_leads_nowhere(make_way: Callable[..., Way]) -> None:
    way = make_way(6000)
    assert not way.find()
    way.route.send(b"lost")
    way.route.move_on()


def test_an_address_without_a_way_to_it_is_passed_over(
    make_way: Callable[..., Way], peer: Peer
) -> None:
    way = make_way(peer.port, "255.255.255.255", "127.0.0.1")
    way.find()
    way.route.send(b"hello")
    assert peer.receive() == b"hello"


def test_with_no_way_at_all_datagrams_are_lost_until_there_is_one(
    make_way: Callable[..., Way], peer: Peer
) -> None:
    way = make_way(peer.port, "255.255.255.255")
    way.find()
    way.route.send(b"lost")
    way.names.addresses = ("127.0.0.1",)
    way.route.move_on()
    way.route.send(b"hello")
    assert peer.receive() == b"hello"


def test_moving_on_takes_each_address_in_turn_and_then_asks_again(
    make_way: Callable[..., Way],
) -> None:
    way = make_way(6000, "127.0.0.1", "127.0.0.2", "127.0.0.3")
    way.find()
    way.route.start_round()
    found = []
    for _ in range(3):
        found.append((way.route.peer, way.route.untried, way.names.asked))
        way.route.move_on()
    assert found == [
        ("127.0.0.1:6000", True, 1),
        ("127.0.0.2:6000", True, 1),
        ("127.0.0.3:6000", False, 1),
    ]
    assert (way.route.peer, way.route.untried, way.names.asked) == ("127.0.0.1:6000", True, 2)
    assert way.route.alternatives


def test_a_name_with_other_addresses_by_now_is_followed(make_way: Callable[..., Way]) -> None:
    way = make_way(6000, "127.0.0.1")
    way.find()
    way.names.addresses = ("127.0.0.8", "127.0.0.9")
    way.route.move_on()
    assert way.route.peer == "127.0.0.8:6000"
    way.names.addresses = ()
    way.route.move_on()
    way.route.move_on()
    assert way.route.peer == "127.0.0.8:6000"


@pytest.mark.parametrize("number", [EINVAL, ENETUNREACH, EADDRNOTAVAIL])
def test_a_socket_whose_address_has_gone_is_replaced(
    make_way: Callable[..., Way], peer: Peer, number: int
) -> None:
    way = make_way(peer.port, host="127.0.0.1")
    way.find()
    way.route.send(b"before")
    assert peer.receive() == b"before"
    before = peer._client
    way.fail(*[number] * 3)
    way.route.send(b"after")
    assert peer.receive() == b"after"
    assert peer._client != before


def test_other_errors_cost_a_datagram_and_no_more(
    make_way: Callable[..., Way], peer: Peer
) -> None:
    way = make_way(peer.port, host="127.0.0.1")
    way.find()
    way.route.send(b"before")
    assert peer.receive() == b"before"
    before = peer._client
    way.fail(*[EPERM] * 3)
    way.route.send(b"lost")
    way.route.send(b"after")
    assert peer.receive() == b"after"
    assert peer._client == before


def test_trouble_is_told_in_a_later_turn_and_once(make_way: Callable[..., Way]) -> None:
    way = make_way(free_port(), host="127.0.0.1")
    way.find()
    for _ in range(4):
        way.route.send(b"lost")
    assert way.troubles == []
    way.reactor.advance(0)
    assert way.troubles == [ECONNREFUSED]


def test_a_closed_route_is_quiet(make_way: Callable[..., Way]) -> None:
    way = make_way(free_port(), host="127.0.0.1")
    way.find()
    way.route.send(b"lost")
    way.route.send(b"lost")
    way.route.close()
    way.route.send(b"never")
    way.route.move_on()
    way.reactor.advance(0)
    assert way.troubles == []


def test_closing_does_not_wait_for_the_resolver(make_way: Callable[..., Way]) -> None:
    way = make_way(6000, "127.0.0.1")
    way.names._at_once = False
    assert not way.find()
    assert way.route.resolving
    way.route.close()
    way.names.answer()
    assert way.route.peer == "relay.example:6000"


@pytest_twisted.ensureDeferred
async def test_a_new_socket_is_paused_like_the_old_one(
    make_way: Callable[..., Way], peer: Peer
) -> None:
    way = make_way(peer.port, host="127.0.0.1")
    way.find()
    way.route.pause()
    way.route.move_on()
    way.route.send(b"hello")
    peer.receive()
    peer.send(b"one")
    await deferLater(reactor, 0.01)
    assert way.received == []
    way.route.resume()
    await until(lambda: way.received == [b"one"])


@pytest_twisted.ensureDeferred
async def test_both_families_lead_to_a_relay(make_way: Callable[..., Way]) -> None:
    with closing(Peer("::1")) as peer:
        way = make_way(peer.port, "::1", "127.0.0.1")
        way.find()
        way.route.send(b"hello")
        assert peer.receive() == b"hello"
        assert way.route.peer == peer.address
