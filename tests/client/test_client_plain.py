"""A channel of plain datagrams, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from errno import EAGAIN, ECONNREFUSED, EMSGSIZE, ENETUNREACH, ENOBUFS, EPERM
from typing import Any

import pytest
import pytest_twisted
from client_fakes import ClockReactor, FailingSocket, RecordingObserver, polled
from client_programs import Peer
from client_relay import until
from twisted.internet.defer import Deferred

from free_port import free_port
from name_resolver import NameResolver
from udprelay.client.channel import OutgoingMessage, RejectedError
from udprelay.client.plain import (
    BATCH_INTERVAL,
    MAX_BATCH,
    MAX_BATCH_BYTES,
    RETRY_DELAY,
    PlainChannel,
)
from udprelay.protocol.endpoint import MAX_PAYLOAD


class Plain:
    """A channel on a clock of its own, with real sockets."""

    def __init__(self) -> None:
        self.observer = RecordingObserver()
        self.reactor = ClockReactor()
        self.channel: Any = None

    def start(
        self, host: str, port: int, names: NameResolver | None = None, **options: Any
    ) -> None:
        self.reactor = ClockReactor(names)
        self.channel = PlainChannel(self.reactor, host, port, self.observer, **options)
        Deferred.fromCoroutine(self.channel.open())

    def send(self, *payloads: bytes) -> None:
        for payload in payloads:
            self.channel.send(OutgoingMessage(payload))
        self.reactor.advance(0)

    def fail(self, *errors: int) -> None:
        """Let the next calls on the socket fail with these errnos."""
        FailingSocket(self.reactor.socket, *errors)

    def reported(self) -> list[tuple[str, dict[str, Any]]]:
        return [(notice.id, dict(notice.fields)) for notice in self.observer.notices]


@pytest.fixture
def plain() -> Iterator[Plain]:
    made = Plain()
    yield made
    assert made.channel.close().called
    assert made.reactor.getDelayedCalls() == []


@pytest_twisted.ensureDeferred
async def test_payloads_are_sent_and_received_unchanged(plain: Plain, peer: Peer) -> None:
    plain.start("127.0.0.1", peer.port)
    assert plain.observer.is_open
    plain.send(b"one", b"two")
    assert [peer.receive(), peer.receive()] == [b"one", b"two"]
    peer.send(b"three")
    await until(lambda: plain.observer.messages)
    assert (plain.observer.payloads, plain.observer.messages[0].sender) == ([b"three"], None)
    assert plain.observer.events == ["link.opened"]
    assert (plain.channel.peer, plain.channel.exit_status()) == (peer.address, 0)


def test_an_unknown_name_ends_the_channel(plain: Plain) -> None:
    plain.start("a.example", 6000, NameResolver())
    assert (plain.observer.status, plain.observer.events) == (2, ["peer.unresolved"])


def test_an_address_without_a_route_to_it_is_skipped(plain: Plain, peer: Peer) -> None:
    plain.start("a.example", peer.port, NameResolver("255.255.255.255", "127.0.0.1"))
    assert plain.observer.is_open
    plain.send(b"hello")
    assert peer.receive() == b"hello"


def test_no_route_to_any_address_ends_the_channel(plain: Plain) -> None:
    plain.start("a.example", 6000, NameResolver("255.255.255.255"))
    assert (plain.observer.status, plain.reported()) == (
        2,
        [("peer.unreachable", {"peer": "a.example:6000", "reason": "EACCES"})],
    )


def test_closing_does_not_wait_for_the_resolver(plain: Plain) -> None:
    names = NameResolver("127.0.0.1", at_once=False)
    plain.start("a.example", 6000, names)
    plain.channel.close()
    assert plain.channel.resolving
    names.answer()
    assert not plain.observer.is_open


@pytest_twisted.ensureDeferred
async def test_an_empty_datagram_is_not_a_message(plain: Plain, peer: Peer) -> None:
    plain.start("127.0.0.1", peer.port)
    plain.send(b"hello")
    peer.receive()
    peer.send(b"", b"after")
    await until(lambda: plain.observer.messages)
    assert plain.observer.payloads == [b"after"]
    assert plain.observer.events == ["link.opened", "datagram.empty"]


def test_keepalives_are_sent_at_once_and_at_intervals(plain: Plain, peer: Peer) -> None:
    plain.start("127.0.0.1", peer.port, keepalive=30.0)
    assert peer.receive() == b""
    assert not peer.is_readable()
    plain.reactor.advance(30)
    assert peer.receive() == b""


def test_a_newline_is_appended_on_request_and_counts_as_a_byte(plain: Plain, peer: Peer) -> None:
    plain.start("127.0.0.1", peer.port, newline=True)
    plain.send(b"x" * (MAX_PAYLOAD - 1))
    with pytest.raises(RejectedError, match="a message of 65508 bytes"):
        plain.send(b"x" * MAX_PAYLOAD)
    with pytest.raises(RejectedError, match="an empty datagram is no message"):
        plain.send(b"")
    assert peer.receive() == b"x" * (MAX_PAYLOAD - 1) + b"\n"


def test_a_private_message_is_rejected(plain: Plain, peer: Peer) -> None:
    plain.start("127.0.0.1", peer.port)
    with pytest.raises(RejectedError, match="'to' needs a session"):
        plain.channel.send(OutgoingMessage(b"hello", to="bob"))


def test_a_channel_with_a_backlog_is_busy(plain: Plain, peer: Peer) -> None:
    plain.start("127.0.0.1", peer.port)
    plain.channel.send(OutgoingMessage(b"hello"))
    assert (plain.channel.busy, plain.channel.pending) == (True, 1)
    plain.reactor.advance(0)
    assert (plain.channel.busy, plain.channel.pending, plain.observer.progress) == (False, 0, 1)
    assert peer.receive() == b"hello"


def test_an_unreachable_peer_is_reported_once_and_in_the_exit_status(plain: Plain) -> None:
    port = free_port()
    plain.start("127.0.0.1", port)
    plain.send(*[b"lost"] * 10)
    assert plain.reported()[1:] == [
        ("peer.unreachable", {"peer": f"127.0.0.1:{port}", "reason": "ECONNREFUSED"})
    ]
    assert plain.channel.exit_status() == 2


def test_a_pending_icmp_error_counts_for_the_exit_status(plain: Plain) -> None:
    plain.start("127.0.0.1", free_port())
    plain.send(b"lost")
    assert plain.channel.exit_status() == 2


@pytest_twisted.ensureDeferred
async def test_a_datagram_shows_that_the_peer_is_reachable_again(plain: Plain) -> None:
    port = free_port()
    plain.start("127.0.0.1", port)
    plain.send(b"lost", b"lost")
    with closing(Peer(port=port)) as peer:
        plain.send(b"hello")
        while peer.receive() != b"hello":
            pass
        peer.send(b"here")
        await until(lambda: plain.observer.messages)
    assert plain.observer.events == ["link.opened", "peer.unreachable", "peer.reachable"]
    assert plain.channel.exit_status() == 0


@pytest.mark.parametrize(
    ("number", "reason", "status"),
    [(ENETUNREACH, "ENETUNREACH", 2), (EPERM, "EPERM", 2), (EMSGSIZE, "EMSGSIZE", 0)],
)
def test_a_message_that_can_not_be_sent_is_reported_with_the_reason(
    plain: Plain, peer: Peer, number: int, reason: str, status: int
) -> None:
    plain.start("127.0.0.1", peer.port)
    plain.fail(*[number] * (1 if number == EMSGSIZE else 3))
    plain.send(b"four")
    assert plain.reported()[1:] == [
        ("message.unsent", {"peer": peer.address, "reason": reason, "bytes": 4})
    ]
    assert plain.channel.exit_status() == status
    plain.send(b"sent")
    assert peer.receive() == b"sent"
    assert plain.channel.exit_status() == 0


def test_a_keepalive_that_can_not_be_sent_is_not_reported(plain: Plain, peer: Peer) -> None:
    plain.start("127.0.0.1", peer.port, keepalive=1.0)
    plain.fail(*[ECONNREFUSED, ENETUNREACH, ENETUNREACH])
    plain.reactor.advance(1)
    assert plain.observer.events == ["link.opened", "peer.unreachable"]


@pytest_twisted.ensureDeferred
async def test_a_paused_channel_receives_nothing_until_it_is_resumed(
    plain: Plain, peer: Peer
) -> None:
    plain.start("127.0.0.1", peer.port)
    plain.send(b"hello")
    peer.receive()
    plain.channel.pause()
    peer.send(b"one")
    await polled()
    assert plain.observer.payloads == []
    plain.channel.resume()
    await until(lambda: plain.observer.payloads == [b"one"])


def queue(plain: Plain, *payloads: bytes) -> None:
    for payload in payloads:
        plain.channel.send(OutgoingMessage(payload))


def received(peer: Peer) -> list[bytes]:
    """Return what is there to be received."""
    found = []
    while peer.is_readable():
        found.append(peer.receive())
    return found


def test_a_batch_is_sent_in_each_turn_in_order(plain: Plain, peer: Peer) -> None:
    plain.start("127.0.0.1", peer.port)
    payloads = [b"%d" % number for number in range(2 * MAX_BATCH + 1)]
    queue(plain, *payloads)
    assert received(peer) == []
    plain.reactor.advance(0)
    assert received(peer) == payloads[:MAX_BATCH]
    plain.reactor.advance(BATCH_INTERVAL)
    assert received(peer) == payloads[MAX_BATCH : 2 * MAX_BATCH]
    assert (plain.channel.pending, plain.observer.progress) == (1, 0)
    plain.reactor.advance(BATCH_INTERVAL)
    assert received(peer) == payloads[2 * MAX_BATCH :]
    assert (plain.channel.pending, plain.observer.progress) == (0, 1)


def test_a_batch_of_large_payloads_is_limited_in_bytes(plain: Plain, peer: Peer) -> None:
    plain.start("127.0.0.1", peer.port)
    queue(plain, *[b"x" * (MAX_BATCH_BYTES // 2)] * 5)
    plain.reactor.advance(0)
    assert plain.channel.pending == 3


def test_after_a_full_send_buffer_the_same_payload_is_sent_again(plain: Plain, peer: Peer) -> None:
    plain.start("127.0.0.1", peer.port)
    plain.fail(EAGAIN, ENOBUFS)
    queue(plain, b"one", b"two")
    plain.reactor.advance(0)
    plain.reactor.advance(RETRY_DELAY)
    assert (received(peer), plain.channel.pending) == ([], 2)
    plain.reactor.advance(RETRY_DELAY)
    assert (received(peer), plain.observer.progress) == ([b"one", b"two"], 1)


def test_a_closed_channel_sends_nothing(plain: Plain, peer: Peer) -> None:
    plain.start("127.0.0.1", peer.port)
    queue(plain, b"one")
    plain.channel.close()
    assert (plain.channel.pending, plain.reactor.getDelayedCalls()) == (0, [])
    assert received(peer) == []
