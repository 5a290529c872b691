from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from errno import EACCES, EAGAIN, ECONNREFUSED, EHOSTUNREACH, EMSGSIZE, ENETUNREACH, EPERM
from typing import Any

import pytest
import pytest_twisted
from client_programs import Peer
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from free_port import free_port
from udprelay.client.link import Link
from udprelay.protocol.endpoint import MAX_PAYLOAD


class Ends:
    """A link and what it tells."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.troubles: list[int | None] = []
        self._awaited: tuple[int, Deferred[None]] | None = None
        self.link = Link(self._receive, lambda error: self.troubles.append(error.errno))

    def connect(self, peer: Peer) -> None:
        self.link.connect(peer.address.rsplit(":", 1)[0].strip("[]"), peer.port, reactor)

    def receive(self, count: int) -> Deferred[None]:
        self._awaited = count, Deferred()
        return self._awaited[1]

    def _receive(self, payload: bytes) -> None:
        self.received.append(payload)
        if self._awaited is not None and len(self.received) == self._awaited[0]:
            self._awaited[1].callback(None)


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
    opened.link.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest_twisted.ensureDeferred
async def test_datagrams_pass_both_ways_whole_and_in_order(ends: Ends, host: str) -> None:
    with closing(Peer(host)) as peer:
        ends.connect(peer)
        said = [b"x" * MAX_PAYLOAD, b"\x00", b"two\nlines\n"]
        for payload in said:
            assert ends.link.send(payload) is None
            assert peer.receive() == payload
        received = ends.receive(len(said))
        peer.send(*said)
        await received
        assert ends.received == said
    assert ends.troubles == []


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
async def test_empty_datagrams_are_datagrams(ends: Ends, peer: Peer) -> None:
    ends.connect(peer)
    ends.link.send(b"")
    assert peer.receive() == b""
    received = ends.receive(2)
    peer.send(b"", b"after")
    await received
    assert ends.received == [b"", b"after"]


def test_it_knows_its_own_end(ends: Ends, peer: Peer) -> None:
    ends.connect(peer)
    ends.link.send(b"hello")
    peer.receive()
    assert peer._client is not None
    assert ends.link.local == "{}:{}".format(*peer._client)


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
    assert ends.troubles == [ECONNREFUSED]


@pytest_twisted.ensureDeferred
async def test_an_error_reported_while_reading_does_not_close_the_link(
    ends: Ends, peer: Peer
) -> None:
    ends.connect(peer)
    ends.link.send(b"hello")
    peer.receive()
    FailingSocket(ends.link, ECONNREFUSED, EHOSTUNREACH, EACCES)
    received = ends.receive(1)
    peer.send(b"here")
    await received
    assert ends.troubles == [ECONNREFUSED, EHOSTUNREACH, EACCES]


def test_an_error_that_was_an_earlier_datagrams_is_not_this_ones(ends: Ends, peer: Peer) -> None:
    ends.connect(peer)
    FailingSocket(ends.link, EHOSTUNREACH, ECONNREFUSED)
    assert ends.link.send(b"sent all the same") is None
    assert peer.receive() == b"sent all the same"


@pytest.mark.parametrize("number", [ENETUNREACH, EPERM])
def test_what_can_not_be_sent_is_told_with_the_reason(ends: Ends, peer: Peer, number: int) -> None:
    ends.connect(peer)
    FailingSocket(ends.link, *[number] * 3)
    error = ends.link.send(b"four")
    assert error is not None
    assert error.errno == number


@pytest.mark.parametrize("number", [EAGAIN, EMSGSIZE])
def test_no_room_and_too_large_are_this_datagrams_own_and_tried_once(
    ends: Ends, peer: Peer, number: int
) -> None:
    ends.connect(peer)
    FailingSocket(ends.link, number)
    error = ends.link.send(b"again")
    assert error is not None
    assert error.errno == number
    assert ends.link.send(b"again") is None
    assert peer.receive() == b"again"


@pytest_twisted.ensureDeferred
async def test_while_paused_what_arrives_waits(ends: Ends, peer: Peer) -> None:
    ends.connect(peer)
    ends.link.send(b"hello")
    peer.receive()
    ends.link.pause()
    peer.send(b"one", b"two")
    pause: Deferred[None] = Deferred()
    reactor.callLater(0.01, pause.callback, None)
    await pause
    assert ends.received == []
    received = ends.receive(2)
    ends.link.resume()
    await received
    assert ends.received == [b"one", b"two"]


def test_no_way_to_the_peer_is_an_error_of_connecting(ends: Ends) -> None:
    with pytest.raises(OSError, match="Permission denied"):
        ends.link.connect("255.255.255.255", 6000, reactor)


def test_a_pending_report_is_found_when_asked(ends: Ends) -> None:
    ends.link.connect("127.0.0.1", free_port(), reactor)
    ends.link.check()
    assert ends.troubles == []
    ends.link.send(b"lost")
    ends.link.check()
    assert ends.troubles == [ECONNREFUSED]


def test_a_closed_link_is_quiet(ends: Ends, peer: Peer) -> None:
    ends.connect(peer)
    ends.link.close()
    ends.link.close()
    ends.link.check()
    ends.link.pause()
    ends.link.resume()
    assert ends.link.send(b"never") is None
    assert ends.link.local == ""


@pytest_twisted.ensureDeferred
async def test_closing_while_datagrams_are_read_ends_the_reading(peer: Peer) -> None:
    heard: list[bytes] = []
    done: Deferred[None] = Deferred()

    def receive(payload: bytes) -> None:
        heard.append(payload)
        link.close()
        reactor.callLater(0, done.callback, None)

    link = Link(receive, heard.append)  # type: ignore[arg-type]
    link.connect("127.0.0.1", peer.port, reactor)
    link.send(b"hello")
    peer.receive()
    peer.send(b"one", b"two")
    await done
    assert heard == [b"one"]
