"""A conversation in plain datagrams, over real sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from errno import ECONNREFUSED, EMSGSIZE, ENETUNREACH, EPERM
from typing import Any

import pytest
import pytest_twisted
from client_fakes import ClockReactor, Names, Owner
from client_programs import Peer
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from free_port import free_port
from udprelay.client.notices import RejectedError
from udprelay.client.plain import PlainTalk
from udprelay.client.talk import Said
from udprelay.protocol.endpoint import MAX_PAYLOAD


class Conversation:
    """A conversation on a clock of its own, with real sockets."""

    def __init__(self) -> None:
        self.owner = Owner()
        self.reactor = ClockReactor()
        self.talk: Any = None

    def start(self, host: str, port: int, names: Names | None = None, **options: Any) -> None:
        self.reactor = ClockReactor(names)
        self.talk = PlainTalk(self.reactor, host, port, self.owner, **options)
        Deferred.fromCoroutine(self.talk.open())

    def say(self, *payloads: bytes) -> None:
        for payload in payloads:
            self.talk.say(Said(payload))
        self.reactor.advance(0)

    def fail(self, *errors: int) -> None:
        """Let the next attempts to send fail."""
        port = self.talk._link.transport
        real, waiting = port.socket, list(errors)

        class Failing:
            def send(self, payload: bytes) -> Any:
                if waiting:
                    raise OSError(waiting.pop(0), "as told")
                return real.send(payload)

            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

        port.socket = Failing()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await deferLater(reactor, 0.001)

    def told(self) -> list[tuple[str, dict[str, Any]]]:
        return [(notice.event, dict(notice.fields)) for notice in self.owner.notices]


@pytest.fixture
def talk() -> Iterator[Conversation]:
    conversation = Conversation()
    yield conversation
    assert conversation.talk.close().called
    assert conversation.reactor.getDelayedCalls() == []


@pytest_twisted.ensureDeferred
async def test_what_is_said_and_heard_are_payloads(talk: Conversation, peer: Peer) -> None:
    talk.start("127.0.0.1", peer.port)
    assert talk.owner.begun
    talk.say(b"one", b"two")
    assert [peer.receive(), peer.receive()] == [b"one", b"two"]
    peer.send(b"three")
    await talk.until(lambda: bool(talk.owner.messages))
    assert (talk.owner.payloads, talk.owner.messages[0].sender) == ([b"three"], None)
    assert talk.owner.events == ["link.opened"]
    assert (talk.talk.peer, talk.talk.outcome()) == (peer.address, 0)


def test_a_name_that_nobody_knows_ends_it(talk: Conversation) -> None:
    talk.start("a.example", 6000, Names())
    assert (talk.owner.status, talk.owner.events) == (2, ["peer.unresolved"])


def test_an_address_without_a_way_to_it_gives_place_to_the_next(
    talk: Conversation, peer: Peer
) -> None:
    talk.start("a.example", peer.port, Names("255.255.255.255", "127.0.0.1"))
    assert talk.owner.begun
    talk.say(b"hello")
    assert peer.receive() == b"hello"


def test_no_address_with_a_way_to_it_ends_it(talk: Conversation) -> None:
    talk.start("a.example", 6000, Names("255.255.255.255"))
    assert (talk.owner.status, talk.told()) == (
        2,
        [("peer.unreachable", {"peer": "a.example:6000", "reason": "EACCES"})],
    )


def test_closing_does_not_wait_for_the_resolver(talk: Conversation) -> None:
    names = Names("127.0.0.1", at_once=False)
    talk.start("a.example", 6000, names)
    talk.talk.close()
    assert talk.talk.resolving
    names.answer()
    assert not talk.owner.begun


@pytest_twisted.ensureDeferred
async def test_an_empty_datagram_is_no_message(talk: Conversation, peer: Peer) -> None:
    talk.start("127.0.0.1", peer.port)
    talk.say(b"hello")
    peer.receive()
    peer.send(b"", b"after")
    await talk.until(lambda: bool(talk.owner.messages))
    assert talk.owner.payloads == [b"after"]
    assert talk.owner.events == ["link.opened", "datagram.empty"]


def test_keepalives_go_out_at_once_and_again(talk: Conversation, peer: Peer) -> None:
    talk.start("127.0.0.1", peer.port, keepalive=30.0)
    assert peer.receive() == b""
    assert peer.nothing_waits()
    talk.reactor.advance(30)
    assert peer.receive() == b""


def test_a_newline_is_added_where_it_is_wanted_and_counts(talk: Conversation, peer: Peer) -> None:
    talk.start("127.0.0.1", peer.port, newline=True)
    talk.say(b"x" * (MAX_PAYLOAD - 1))
    with pytest.raises(RejectedError, match="a message of 65508 bytes"):
        talk.say(b"x" * MAX_PAYLOAD)
    with pytest.raises(RejectedError, match="an empty datagram is no message"):
        talk.say(b"")
    assert peer.receive() == b"x" * (MAX_PAYLOAD - 1) + b"\n"


def test_nobody_can_be_spoken_to_alone(talk: Conversation, peer: Peer) -> None:
    talk.start("127.0.0.1", peer.port)
    with pytest.raises(RejectedError, match="'to' needs a session"):
        talk.talk.say(Said(b"hello", to="bob"))


def test_while_something_waits_it_is_busy(talk: Conversation, peer: Peer) -> None:
    talk.start("127.0.0.1", peer.port)
    talk.talk.say(Said(b"hello"))
    assert (talk.talk.busy, talk.talk.pending) == (True, 1)
    talk.reactor.advance(0)
    assert (talk.talk.busy, talk.talk.pending, talk.owner.progress) == (False, 0, 1)
    assert peer.receive() == b"hello"


def test_unreachable_is_told_once_and_is_the_outcome(talk: Conversation) -> None:
    port = free_port()
    talk.start("127.0.0.1", port)
    talk.say(*[b"lost"] * 10)
    assert talk.told()[1:] == [
        ("peer.unreachable", {"peer": f"127.0.0.1:{port}", "reason": "ECONNREFUSED"})
    ]
    assert talk.talk.outcome() == 2


def test_a_report_that_has_not_been_met_yet_counts(talk: Conversation) -> None:
    talk.start("127.0.0.1", free_port())
    talk.say(b"lost")
    assert talk.talk.outcome() == 2


@pytest_twisted.ensureDeferred
async def test_a_datagram_shows_that_the_peer_is_reachable_again(talk: Conversation) -> None:
    port = free_port()
    talk.start("127.0.0.1", port)
    talk.say(b"lost", b"lost")
    with closing(Peer(port=port)) as peer:
        talk.say(b"hello")
        while peer.receive() != b"hello":
            pass
        peer.send(b"here")
        await talk.until(lambda: bool(talk.owner.messages))
    assert talk.owner.events == ["link.opened", "peer.unreachable", "peer.reachable"]
    assert talk.talk.outcome() == 0


@pytest.mark.parametrize(
    ("number", "reason", "status"),
    [(ENETUNREACH, "ENETUNREACH", 2), (EPERM, "EPERM", 2), (EMSGSIZE, "EMSGSIZE", 0)],
)
def test_what_can_not_be_sent_is_told_with_the_reason(
    talk: Conversation, peer: Peer, number: int, reason: str, status: int
) -> None:
    talk.start("127.0.0.1", peer.port)
    talk.fail(*[number] * (1 if number == EMSGSIZE else 3))
    talk.say(b"four")
    assert talk.told()[1:] == [
        ("message.unsent", {"peer": peer.address, "reason": reason, "bytes": 4})
    ]
    assert talk.talk.outcome() == status
    talk.say(b"sent")
    assert peer.receive() == b"sent"
    assert talk.talk.outcome() == 0


def test_a_keepalive_that_can_not_be_sent_is_not_told(talk: Conversation, peer: Peer) -> None:
    talk.start("127.0.0.1", peer.port, keepalive=1.0)
    talk.fail(*[ECONNREFUSED, ENETUNREACH, ENETUNREACH])
    talk.reactor.advance(1)
    assert talk.owner.events == ["link.opened", "peer.unreachable"]


@pytest_twisted.ensureDeferred
async def test_while_paused_nothing_is_heard(talk: Conversation, peer: Peer) -> None:
    talk.start("127.0.0.1", peer.port)
    talk.say(b"hello")
    peer.receive()
    talk.talk.pause()
    peer.send(b"one")
    await deferLater(reactor, 0.01)
    assert talk.owner.payloads == []
    talk.talk.resume()
    await talk.until(lambda: talk.owner.payloads == [b"one"])
