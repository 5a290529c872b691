# ruff: noqa: N803 (Twisted's names)
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import pytest_twisted
from client_programs import Peer, unused_port
from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IHostnameResolver
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyClass

from udprelay.client.client import Client
from udprelay.client.notices import Notice, RejectedError
from udprelay.client.options import Options
from udprelay.client.resolve import resolve
from udprelay.core.endpoint import MAX_PAYLOAD


@implementer(IHostnameResolver)
class Names:
    """Knows every name, or none; answers when told."""

    def __init__(self, *addresses: str, at_once: bool = True) -> None:
        self._addresses = addresses
        self._at_once = at_once
        self._receiver: Any = None

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[Any] | None = None,
        transportSemantics: str = "TCP",
    ) -> Any:
        assert transportSemantics == "UDP"
        self._receiver = resolutionReceiver
        if self._at_once:
            self.answer()

    def answer(self) -> None:
        for host in self._addresses:
            kind = IPv6Address if ":" in host else IPv4Address
            self._receiver.addressResolved(kind("UDP", host, 0))
        self._receiver.resolutionComplete()


class Front:
    """A front end that remembers."""

    def __init__(self) -> None:
        self.begun = False
        self.shown: list[bytes] = []
        self.events: list[str] = []
        self.closed = 0

    def begin(self, client: Client, link: object) -> None:
        self.begun = True

    def show(self, payload: bytes) -> None:
        self.shown.append(payload)

    def notice(self, notice: Notice) -> None:
        self.events.append(notice.event)

    def drained(self) -> None:
        pass

    def close(self) -> Deferred[None]:
        self.closed += 1
        return succeed(None)


class Conversation:
    """A client on a clock of its own, with real sockets."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.front = Front()
        self.status: int | None = None
        self.client: Any = None

    def start(self, host: str, port: int, names: Names | None = None, **options: Any) -> None:
        chosen = Options(host=host, port=port, **options)
        self.client = Client(chosen, self.clock, self.front)
        self.client.finished.addCallback(self._finish)
        Deferred.fromCoroutine(self.client.start(names or Names(), reactor))

    def _finish(self, status: int) -> None:
        self.status = status

    async def end(self) -> int | None:
        """Leave, if it has not left yet; return the exit status."""
        self.client.leave(9)
        if self.status is None:
            await self.client.finished
        return self.status


@pytest.fixture
def talk() -> Iterator[Conversation]:
    conversation = Conversation()
    yield conversation
    pytest_twisted.blockon(Deferred.fromCoroutine(conversation.end()))
    assert conversation.front.closed == 1
    assert conversation.clock.getDelayedCalls() == []


def test_the_names_are_a_resolver() -> None:
    assert verifyClass(IHostnameResolver, Names)


@pytest_twisted.ensureDeferred
async def test_addresses_are_not_looked_up() -> None:
    for host in ("192.0.2.1", "2001:db8::1", "fe80::1%eth0"):
        assert await resolve(Names("192.0.2.9"), host) == [host]


@pytest_twisted.ensureDeferred
async def test_addresses_keep_the_order_of_the_resolver() -> None:
    names = Names("2001:db8::1", "192.0.2.1")
    assert await resolve(names, "a.example") == ["2001:db8::1", "192.0.2.1"]


@pytest_twisted.ensureDeferred
async def test_the_scope_of_a_link_local_address_is_kept() -> None:
    names = Names(at_once=False)
    found = resolve(names, "a.example")
    names._receiver.addressResolved(IPv6Address("UDP", "fe80::1", 0, 0, 3))
    names.answer()
    assert await found == ["fe80::1%3"]


@pytest_twisted.ensureDeferred
async def test_a_name_that_nobody_knows_ends_it(talk: Conversation) -> None:
    talk.start("a.example", 6000, Names(), quiet=True)
    assert (await talk.end(), talk.front.events) == (2, ["peer.unresolved"])


def test_an_address_without_a_way_to_it_gives_place_to_the_next(
    talk: Conversation, peer: Peer
) -> None:
    talk.start("a.example", peer.port, Names("255.255.255.255", "127.0.0.1"))
    assert talk.front.begun
    talk.client.say(b"hello")
    talk.clock.advance(0)
    assert peer.receive() == b"hello"


@pytest_twisted.ensureDeferred
async def test_no_address_with_a_way_to_it_ends_it(talk: Conversation) -> None:
    talk.start("a.example", 6000, Names("255.255.255.255"), quiet=True)
    assert (await talk.end(), talk.front.events) == (2, ["peer.unreachable"])


def test_leaving_does_not_wait_for_the_resolver(talk: Conversation) -> None:
    names = Names("127.0.0.1", at_once=False)
    talk.start("a.example", 6000, names)
    talk.client.leave(143)
    assert (talk.status, talk.client.resolving) == (143, True)
    names.answer()
    assert not talk.front.begun


@pytest_twisted.ensureDeferred
async def test_after_the_end_of_input_it_stays_for_a_while(talk: Conversation, peer: Peer) -> None:
    talk.start("127.0.0.1", peer.port)
    talk.client.say(b"last")
    talk.client.input_ended(2.0)
    talk.clock.advance(5)
    assert peer.receive() == b"last"
    talk.clock.advance(1.9)
    assert talk.front.closed == 0
    talk.clock.advance(0.1)
    assert await talk.end() == 0


@pytest.mark.parametrize(("wait", "status"), [(0.0, 2), (None, 0)])
@pytest_twisted.ensureDeferred
async def test_that_nobody_listened_is_the_status_unless_a_person_saw_it(
    talk: Conversation, wait: float | None, status: int
) -> None:
    talk.start("127.0.0.1", unused_port())
    talk.client.say(b"lost")
    talk.client.input_ended(wait)
    talk.clock.pump([0, 0])
    assert await talk.end() == status


@pytest_twisted.ensureDeferred
async def test_it_leaves_after_the_wanted_number_and_shows_no_more(
    talk: Conversation, peer: Peer
) -> None:
    talk.start("127.0.0.1", peer.port, count=2)
    talk.client.say(b"hello")
    talk.clock.advance(0)
    peer.receive()
    peer.send(b"one", b"two", b"three")
    await talk.client.finished
    assert (talk.status, talk.front.shown) == (0, [b"one", b"two"])


def test_keepalives_go_out_at_once_and_again(talk: Conversation, peer: Peer) -> None:
    talk.start("127.0.0.1", peer.port, keepalive=30.0)
    assert peer.receive() == b""
    assert peer.nothing_waits()
    talk.clock.advance(30)
    assert peer.receive() == b""


def test_a_newline_is_added_where_it_is_wanted_and_counts(talk: Conversation, peer: Peer) -> None:
    talk.start("127.0.0.1", peer.port, newline=True)
    talk.client.say(b"x" * (MAX_PAYLOAD - 1))
    with pytest.raises(RejectedError, match="a message of 65508 bytes"):
        talk.client.say(b"x" * MAX_PAYLOAD)
    with pytest.raises(RejectedError, match="an empty datagram is no message"):
        talk.client.say(b"")
    talk.clock.advance(0)
    assert peer.receive() == b"x" * (MAX_PAYLOAD - 1) + b"\n"


@pytest.mark.parametrize(
    ("options", "events"),
    [
        ({"quiet": True}, []),
        ({}, ["peer.unreachable"]),
        ({"verbose": True}, ["link.opened", "peer.unreachable"]),
    ],
)
def test_how_much_is_told_is_chosen(
    talk: Conversation, options: dict[str, bool], events: list[str]
) -> None:
    talk.start("127.0.0.1", unused_port(), **options)
    talk.client.say(b"one")
    talk.client.say(b"two")
    talk.clock.advance(0)
    assert talk.front.events == events
