from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from errno import EACCES, EAGAIN, ECONNREFUSED, EHOSTUNREACH, EMSGSIZE, ENETUNREACH, EPERM
from typing import Any

import pytest
import pytest_twisted
from client_programs import Peer, unused_port
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from udprelay.client.link import Link
from udprelay.core.endpoint import MAX_PAYLOAD


class Ends:
    """A link and what it tells."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.notices: list[tuple[str, dict[str, Any]]] = []
        self._awaited: tuple[int, Deferred[None]] | None = None
        self.link = Link(self._receive, self._notice)

    def connect(self, peer: Peer) -> None:
        self.link.connect(peer.address.rsplit(":", 1)[0].strip("[]"), peer.port, reactor)

    def receive(self, count: int) -> Deferred[None]:
        self._awaited = count, Deferred()
        return self._awaited[1]

    def events(self) -> list[str]:
        return [event for event, _ in self.notices]

    def _receive(self, payload: bytes) -> None:
        self.received.append(payload)
        if self._awaited is not None and len(self.received) == self._awaited[0]:
            self._awaited[1].callback(None)

    def _notice(self, notice: Any) -> None:
        self.notices.append((notice.event, dict(notice.fields)))


class FailingSocket:
    """Stands in for the link's socket: fails as told, then works."""

    def __init__(self, link: Link, *errors: int) -> None:
        self._port = link.transport
        self._real = self._port.socket
        self._errors = list(errors)
        self._port.socket = self

    def send(self, payload: bytes) -> int:
        self._fail()
        return self._real.send(payload)

    def recvfrom(self, size: int) -> Any:
        self._fail()
        return self._real.recvfrom(size)

    def _fail(self) -> None:
        if self._errors:
            raise OSError(self._errors.pop(0), "as told")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.fixture
def ends() -> Iterator[Ends]:
    opened = Ends()
    yield opened
    pytest_twisted.blockon(opened.link.close())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest_twisted.ensureDeferred
async def test_datagrams_pass_both_ways_whole_and_in_order(ends: Ends, host: str) -> None:
    with closing(Peer(host)) as peer:
        ends.connect(peer)
        said = [b"x" * MAX_PAYLOAD, b"\x00", b"two\nlines\n"]
        for payload in said:
            assert ends.link.send(payload)
            assert peer.receive() == payload
        received = ends.receive(len(said))
        peer.send(*said)
        await received
        assert ends.received == said
    assert ends.events() == ["link.opened"]


@pytest_twisted.ensureDeferred
async def test_only_the_peer_is_heard(ends: Ends, peer: Peer) -> None:
    ends.connect(peer)
    ends.link.send(b"hello")
    peer.receive()
    with closing(Peer()) as stranger:
        stranger._client = peer._client
        stranger.send(b"stranger")
        received = ends.receive(1)
        peer.send(b"peer")
        await received
    assert ends.received == [b"peer"]


@pytest_twisted.ensureDeferred
async def test_an_empty_datagram_is_sent_and_one_received_is_no_message(
    ends: Ends, peer: Peer
) -> None:
    ends.connect(peer)
    ends.link.send(b"")
    assert peer.receive() == b""
    received = ends.receive(1)
    peer.send(b"", b"after")
    await received
    assert ends.received == [b"after"]
    assert ends.events() == ["link.opened", "datagram.empty"]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_report_about_an_earlier_datagram_does_not_eat_the_next(host: str, ends: Ends) -> None:
    with closing(Peer(host)) as gone:
        ends.connect(gone)
    ends.link.send(b"lost")
    with closing(Peer(host, gone.port)) as peer:
        # Linux answers the first call on the socket with the "port unreachable" for "lost".
        ends.link.send(b"one")
        ends.link.send(b"two")
        assert [peer.receive(), peer.receive()] == [b"one", b"two"]
    assert ends.notices[1:] == [
        ("peer.unreachable", {"peer": gone.address, "reason": "ECONNREFUSED"})
    ]


def test_unreachable_is_told_once(ends: Ends) -> None:
    ends.link.connect("127.0.0.1", unused_port(), reactor)
    for _ in range(10):
        ends.link.send(b"lost")
    assert ends.events() == ["link.opened", "peer.unreachable"]
    assert ends.link.unreachable


@pytest_twisted.ensureDeferred
async def test_a_datagram_shows_that_the_peer_is_reachable_again(ends: Ends, peer: Peer) -> None:
    ends.connect(peer)
    ends.link.send(b"hello")
    peer.receive()
    ends.link.connectionRefused()
    assert ends.link.unreachable
    received = ends.receive(1)
    peer.send(b"here")
    await received
    assert ends.events() == ["link.opened", "peer.unreachable", "peer.reachable"]
    assert not ends.link.unreachable


@pytest_twisted.ensureDeferred
async def test_an_error_reported_while_reading_does_not_close_the_link(
    ends: Ends, peer: Peer
) -> None:
    ends.connect(peer)
    ends.link.send(b"hello")
    peer.receive()
    FailingSocket(ends.link, EHOSTUNREACH, EACCES)
    received = ends.receive(1)
    peer.send(b"here")
    await received
    assert ends.notices[1:] == [
        ("peer.unreachable", {"peer": peer.address, "reason": "EHOSTUNREACH"}),
        ("peer.reachable", {"peer": peer.address}),
    ]


def test_an_error_that_was_an_earlier_datagrams_is_not_this_ones(ends: Ends, peer: Peer) -> None:
    ends.connect(peer)
    FailingSocket(ends.link, EHOSTUNREACH, ECONNREFUSED)
    assert ends.link.send(b"sent all the same")
    assert peer.receive() == b"sent all the same"


@pytest.mark.parametrize(
    ("number", "reason"), [(ENETUNREACH, "ENETUNREACH"), (EPERM, "EPERM"), (EMSGSIZE, "EMSGSIZE")]
)
def test_what_can_not_be_sent_is_told_with_the_reason(
    ends: Ends, peer: Peer, number: int, reason: str
) -> None:
    ends.connect(peer)
    FailingSocket(ends.link, *[number] * 3)
    assert ends.link.send(b"four")
    assert ends.notices[1:] == [
        ("message.unsent", {"peer": peer.address, "reason": reason, "bytes": 4})
    ]
    assert ends.link.unreachable is (number != EMSGSIZE)


def test_a_datagram_sent_after_one_that_could_not_be_shows_that_there_is_a_way(
    ends: Ends, peer: Peer
) -> None:
    ends.connect(peer)
    FailingSocket(ends.link, *[ENETUNREACH] * 3)
    ends.link.send(b"lost")
    ends.link.send(b"sent")
    assert peer.receive() == b"sent"
    assert not ends.link.unreachable


def test_no_room_in_the_kernel_is_no_loss(ends: Ends, peer: Peer) -> None:
    ends.connect(peer)
    FailingSocket(ends.link, EAGAIN)
    assert not ends.link.send(b"again")
    assert ends.link.send(b"again")
    assert peer.receive() == b"again"
    assert ends.events() == ["link.opened"]


@pytest_twisted.ensureDeferred
async def test_while_paused_what_arrives_waits(ends: Ends, peer: Peer) -> None:
    ends.connect(peer)
    ends.link.send(b"hello")
    peer.receive()
    ends.link.pauseProducing()
    peer.send(b"one", b"two")
    pause: Deferred[None] = Deferred()
    reactor.callLater(0.01, pause.callback, None)
    await pause
    assert ends.received == []
    received = ends.receive(2)
    ends.link.resumeProducing()
    await received
    assert ends.received == [b"one", b"two"]


def test_no_way_to_the_peer_is_an_error_of_connecting(ends: Ends) -> None:
    with pytest.raises(OSError, match="Permission denied"):
        ends.link.connect("255.255.255.255", 6000, reactor)


def test_a_pending_report_is_found_when_asked(ends: Ends) -> None:
    ends.link.connect("127.0.0.1", unused_port(), reactor)
    ends.link.check()
    assert not ends.link.unreachable
    ends.link.send(b"lost")
    ends.link.check()
    assert ends.link.unreachable


def test_closing_twice_is_closing_once(ends: Ends, peer: Peer) -> None:
    ends.connect(peer)
    assert ends.link.close() is ends.link.close()


def test_closing_what_was_never_open_is_harmless(ends: Ends) -> None:
    closed: Callable[[], Deferred[None]] = ends.link.close
    assert closed().called
