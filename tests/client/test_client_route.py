"""A route to a relay: alternative addresses, and sockets that become unusable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from errno import EADDRNOTAVAIL, ECONNREFUSED, EINVAL, ENETUNREACH, EPERM
from typing import Any

import pytest
import pytest_twisted
from client_fakes import ClockReactor, FailingSocket, polled
from client_programs import Peer
from client_relay import until
from twisted.internet.defer import Deferred

from free_port import free_port
from name_resolver import NameResolver
from udprelay.client.route import GLANCE_INTERVAL, Route


class RouteOnClock:
    """A route with a clock of its own, and what it reports."""

    def __init__(self, port: int, *addresses: str, host: str = "relay.example") -> None:
        self.names = NameResolver(*addresses)
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

    def look_up(self) -> bool:
        found: list[bool] = []
        Deferred.fromCoroutine(self.route.look_up()).addCallback(found.append)
        return found == [True]

    def fail(self, *errors: int) -> None:
        """Let the next calls on the current socket fail with these errnos."""
        FailingSocket(self.reactor.socket, *errors)


@pytest.fixture
def make() -> Iterator[Callable[..., RouteOnClock]]:
    all_made: list[RouteOnClock] = []

    def new(*arguments: Any, **options: Any) -> RouteOnClock:
        all_made.append(RouteOnClock(*arguments, **options))
        return all_made[-1]

    yield new
    for one in all_made:
        one.route.close()
        assert one.reactor.getDelayedCalls() == []


@pytest_twisted.ensureDeferred
async def test_datagrams_pass_both_ways(make: Callable[..., RouteOnClock], peer: Peer) -> None:
    made = make(peer.port, "127.0.0.1")
    assert made.route.peer == f"relay.example:{peer.port}"
    assert made.look_up()
    assert made.route.peer == peer.address
    made.route.send(b"hello")
    assert peer.receive() == b"hello"
    peer.send(b"one", b"two")
    await until(lambda: made.received == [b"one", b"two"])


def test_without_an_address_datagrams_are_lost(make: Callable[..., RouteOnClock]) -> None:
    made = make(6000)
    assert not made.look_up()
    made.route.send(b"lost")
    made.route.use_next_address()


def test_an_address_without_a_route_to_it_is_skipped(
    make: Callable[..., RouteOnClock], peer: Peer
) -> None:
    made = make(peer.port, "255.255.255.255", "127.0.0.1")
    made.look_up()
    made.route.send(b"hello")
    assert peer.receive() == b"hello"


def test_without_a_route_datagrams_are_lost_until_the_name_has_another_address(
    make: Callable[..., RouteOnClock], peer: Peer
) -> None:
    made = make(peer.port, "255.255.255.255")
    made.look_up()
    made.route.send(b"lost")
    made.names.addresses = ("127.0.0.1",)
    made.route.use_next_address()
    made.route.send(b"hello")
    assert peer.receive() == b"hello"


def test_each_address_is_used_in_turn_and_then_the_name_is_looked_up_again(
    make: Callable[..., RouteOnClock],
) -> None:
    made = make(6000, "127.0.0.1", "127.0.0.2", "127.0.0.3")
    made.look_up()
    made.route.start_round()
    found = []
    for _ in range(3):
        found.append((made.route.peer, made.route.has_untried, made.names.look_ups))
        made.route.use_next_address()
    assert found == [
        ("127.0.0.1:6000", True, 1),
        ("127.0.0.2:6000", True, 1),
        ("127.0.0.3:6000", False, 1),
    ]
    assert (made.route.peer, made.route.has_untried, made.names.look_ups) == (
        "127.0.0.1:6000",
        True,
        2,
    )
    assert made.route.has_alternatives


def test_new_addresses_of_a_name_replace_the_old_ones(make: Callable[..., RouteOnClock]) -> None:
    made = make(6000, "127.0.0.1")
    made.look_up()
    made.names.addresses = ("127.0.0.8", "127.0.0.9")
    made.route.use_next_address()
    assert made.route.peer == "127.0.0.8:6000"
    made.names.addresses = ()
    made.route.use_next_address()
    made.route.use_next_address()
    assert made.route.peer == "127.0.0.8:6000"


@pytest.mark.parametrize("number", [EINVAL, ENETUNREACH, EADDRNOTAVAIL])
def test_an_unusable_socket_is_replaced(
    make: Callable[..., RouteOnClock], peer: Peer, number: int
) -> None:
    made = make(peer.port, host="127.0.0.1")
    made.look_up()
    made.route.send(b"before")
    assert peer.receive() == b"before"
    before = peer.source
    made.fail(*[number] * 3)
    made.route.send(b"after")
    assert peer.receive() == b"after"
    assert peer.source != before


def test_other_errors_lose_one_datagram_and_keep_the_socket(
    make: Callable[..., RouteOnClock], peer: Peer
) -> None:
    made = make(peer.port, host="127.0.0.1")
    made.look_up()
    made.route.send(b"before")
    assert peer.receive() == b"before"
    before = peer.source
    made.fail(*[EPERM] * 3)
    made.route.send(b"lost")
    made.route.send(b"after")
    assert peer.receive() == b"after"
    assert peer.source == before


def test_trouble_is_reported_once_in_a_later_turn(make: Callable[..., RouteOnClock]) -> None:
    made = make(free_port(), host="127.0.0.1")
    made.look_up()
    for _ in range(4):
        made.route.send(b"lost")
    assert made.troubles == []
    made.reactor.advance(0)
    assert made.troubles == [ECONNREFUSED]


def test_a_closed_route_does_nothing(make: Callable[..., RouteOnClock]) -> None:
    made = make(free_port(), host="127.0.0.1")
    made.look_up()
    made.route.send(b"lost")
    made.route.send(b"lost")
    made.route.close()
    made.route.send(b"never")
    made.route.use_next_address()
    made.reactor.advance(0)
    assert made.troubles == []


def test_closing_does_not_wait_for_the_resolver(make: Callable[..., RouteOnClock]) -> None:
    made = make(6000, "127.0.0.1")
    made.names.at_once = False
    assert not made.look_up()
    assert made.route.resolving
    made.route.close()
    made.names.answer()
    assert made.route.peer == "relay.example:6000"


@pytest_twisted.ensureDeferred
async def test_a_new_socket_is_paused_like_the_old_one(
    make: Callable[..., RouteOnClock], peer: Peer
) -> None:
    made = make(peer.port, host="127.0.0.1")
    made.look_up()
    made.route.pause()
    made.route.use_next_address()
    made.route.send(b"hello")
    peer.receive()
    peer.send(b"one")
    await polled()
    assert made.received == []
    made.route.resume()
    await until(lambda: made.received == [b"one"])


@pytest_twisted.ensureDeferred
async def test_a_paused_route_reads_a_datagram_at_intervals(
    make: Callable[..., RouteOnClock], peer: Peer
) -> None:
    """They show that the relay is there, or the session would end."""
    made = make(peer.port, host="127.0.0.1")
    made.look_up()
    made.route.send(b"hello")
    peer.receive()
    made.route.pause()
    made.route.pause()
    for payload in (b"one", b"two", b"three"):
        peer.send(payload)
    await polled()
    assert made.received == []
    made.reactor.advance(GLANCE_INTERVAL)
    assert made.received == [b"one"]
    made.reactor.advance(GLANCE_INTERVAL)
    assert made.received == [b"one", b"two"]
    made.route.resume()
    await until(lambda: made.received == [b"one", b"two", b"three"])
    made.reactor.advance(2 * GLANCE_INTERVAL)


@pytest_twisted.ensureDeferred
async def test_a_relay_is_reached_over_ipv6_too(make: Callable[..., RouteOnClock]) -> None:
    with closing(Peer("::1")) as peer:
        made = make(peer.port, "::1", "127.0.0.1")
        made.look_up()
        made.route.send(b"hello")
        assert peer.receive() == b"hello"
        assert made.route.peer == peer.address
