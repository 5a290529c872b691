from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from errno import EACCES, EAGAIN, ECONNREFUSED, EHOSTUNREACH, EMSGSIZE, ENETUNREACH, EPERM
from itertools import pairwise

import pytest
import pytest_twisted
from client_fakes import FailingSocket, polled
from client_programs import Peer
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from free_port import free_port
from udprelay.client.sockets import PeerSocket
from udprelay.protocol.endpoint import MAX_PAYLOAD


class Ends:
    """A socket connected to a peer, and what it reports."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.troubles: list[int | None] = []
        self._awaited: tuple[int, Deferred[None]] | None = None
        self.socket: PeerSocket

    def connect(self, peer: Peer) -> None:
        self.connect_to(peer.address.rsplit(":", 1)[0].strip("[]"), peer.port)

    def connect_to(self, host: str, port: int) -> None:
        self.socket = PeerSocket(reactor, host, port, self._receive, self._trouble)

    def fail(self, *errors: int) -> None:
        """Let the next calls on the socket fail with these errnos."""
        FailingSocket(self.socket, *errors)

    def receive(self, count: int) -> Deferred[None]:
        """Fire when so many datagrams have been received in total."""
        self._awaited = count, Deferred()
        return self._awaited[1]

    def _trouble(self, error: OSError) -> None:
        self.troubles.append(error.errno)

    def _receive(self, payload: bytes) -> None:
        self.received.append(payload)
        if self._awaited is not None and len(self.received) == self._awaited[0]:
            self._awaited[1].callback(None)


@pytest.fixture
def ends() -> Iterator[Ends]:
    opened = Ends()
    yield opened
    opened.socket.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest_twisted.ensureDeferred
async def test_datagrams_pass_both_ways_whole_and_in_order(ends: Ends, host: str) -> None:
    with closing(Peer(host)) as peer:
        ends.connect(peer)
        payloads = [b"x" * MAX_PAYLOAD, b"\x00", b"two\nlines\n"]
        for payload in payloads:
            assert ends.socket.send(payload) is None
            assert peer.receive() == payload
        received = ends.receive(len(payloads))
        peer.send(*payloads)
        await received
        assert ends.received == payloads
    assert ends.troubles == []


@pytest_twisted.ensureDeferred
async def test_timers_are_served_during_a_flood(ends: Ends, peer: Peer) -> None:
    ends.connect(peer)
    ends.socket.send(b"hello")
    peer.receive()
    # Fewer than the smallest receive buffer holds, all of them there before the first is read.
    peer.send(*[b"flood"] * 200)
    received_at_timers: list[int] = []

    def timer() -> None:
        received_at_timers.append(len(ends.received))
        if len(ends.received) < 200:
            reactor.callLater(0, timer)

    timer()
    await ends.receive(200)
    assert max(b - a for a, b in pairwise([*received_at_timers, 200])) <= 64
    await polled()
    assert received_at_timers[-1] == 200


@pytest_twisted.ensureDeferred
async def test_datagrams_of_other_sources_are_not_received(ends: Ends, peer: Peer) -> None:
    ends.connect(peer)
    ends.socket.send(b"hello")
    peer.receive()
    with closing(Peer()) as stranger:
        assert peer.source is not None
        stranger.set_destination(peer.source)
        stranger.send(b"stranger")
        received = ends.receive(1)
        peer.send(b"peer")
        await received
    assert ends.received == [b"peer"]


@pytest_twisted.ensureDeferred
async def test_empty_datagrams_are_sent_and_received(ends: Ends, peer: Peer) -> None:
    ends.connect(peer)
    ends.socket.send(b"")
    assert peer.receive() == b""
    received = ends.receive(2)
    peer.send(b"", b"after")
    await received
    assert ends.received == [b"", b"after"]


def test_the_local_address_is_the_one_that_the_peer_sees(ends: Ends, peer: Peer) -> None:
    ends.connect(peer)
    ends.socket.send(b"hello")
    peer.receive()
    assert peer.source is not None
    assert ends.socket.local == "{}:{}".format(*peer.source)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_icmp_error_about_an_earlier_datagram_does_not_cost_the_next_one(
    host: str, ends: Ends
) -> None:
    with closing(Peer(host)) as absent:
        ends.connect(absent)
    ends.socket.send(b"lost")
    with closing(Peer(host, absent.port)) as peer:
        # Linux answers the first call on the socket with the "port unreachable" for "lost".
        ends.socket.send(b"one")
        ends.socket.send(b"two")
        assert [peer.receive(), peer.receive()] == [b"one", b"two"]
    assert ends.troubles == [ECONNREFUSED]


@pytest_twisted.ensureDeferred
async def test_an_error_returned_by_a_read_does_not_close_the_socket(
    ends: Ends, peer: Peer
) -> None:
    ends.connect(peer)
    ends.socket.send(b"hello")
    peer.receive()
    ends.fail(ECONNREFUSED, EHOSTUNREACH, EACCES)
    received = ends.receive(1)
    peer.send(b"here")
    await received
    assert ends.troubles == [ECONNREFUSED, EHOSTUNREACH, EACCES]


def test_a_datagram_is_sent_after_an_error_about_an_earlier_one(ends: Ends, peer: Peer) -> None:
    ends.connect(peer)
    ends.fail(EHOSTUNREACH, ECONNREFUSED)
    assert ends.socket.send(b"sent after all") is None
    assert peer.receive() == b"sent after all"


@pytest.mark.parametrize("number", [ENETUNREACH, EPERM])
def test_a_datagram_that_can_not_be_sent_is_returned_as_an_error(
    ends: Ends, peer: Peer, number: int
) -> None:
    ends.connect(peer)
    ends.fail(*[number] * 3)
    error = ends.socket.send(b"four")
    assert error is not None
    assert error.errno == number


@pytest.mark.parametrize("number", [EAGAIN, EMSGSIZE])
def test_a_full_send_buffer_and_a_large_datagram_are_not_retried(
    ends: Ends, peer: Peer, number: int
) -> None:
    ends.connect(peer)
    ends.fail(number)
    error = ends.socket.send(b"again")
    assert error is not None
    assert error.errno == number
    assert ends.socket.send(b"again") is None
    assert peer.receive() == b"again"


@pytest_twisted.ensureDeferred
async def test_a_paused_socket_receives_nothing_until_it_is_resumed(
    ends: Ends, peer: Peer
) -> None:
    ends.connect(peer)
    ends.socket.send(b"hello")
    peer.receive()
    ends.socket.pause()
    peer.send(b"one", b"two")
    await polled()
    assert ends.received == []
    received = ends.receive(2)
    ends.socket.resume()
    await received
    assert ends.received == [b"one", b"two"]


def test_connecting_without_a_route_to_the_peer_is_an_error() -> None:
    with pytest.raises(OSError, match="Permission denied"):
        Ends().connect_to("255.255.255.255", 6000)


def test_a_pending_icmp_error_is_reported_by_a_check(ends: Ends) -> None:
    ends.connect_to("127.0.0.1", free_port())
    ends.socket.check()
    assert ends.troubles == []
    ends.socket.send(b"lost")
    ends.socket.check()
    assert ends.troubles == [ECONNREFUSED]


def test_a_closed_socket_does_nothing(ends: Ends, peer: Peer) -> None:
    ends.connect(peer)
    ends.socket.close()
    ends.socket.close()
    ends.socket.check()
    ends.socket.pause()
    ends.socket.resume()
    assert ends.socket.send(b"never") is None


@pytest_twisted.ensureDeferred
async def test_closing_while_datagrams_are_read_stops_the_reading(peer: Peer) -> None:
    received: list[bytes] = []
    done: Deferred[None] = Deferred()

    def receive(payload: bytes) -> None:
        received.append(payload)
        opened.close()
        reactor.callLater(0, done.callback, None)

    def fail(error: OSError) -> None:
        raise error

    opened = PeerSocket(reactor, "127.0.0.1", peer.port, receive, fail)
    opened.send(b"hello")
    peer.receive()
    peer.send(b"one", b"two")
    await done
    assert received == [b"one"]
