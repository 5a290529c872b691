"""Programs that know one UDP peer talk through bridges and a real relay."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import closing
from functools import partial
from typing import Any

import pytest_twisted
from client_programs import Peer
from client_relay import PASSPHRASE, Members, RunningRelay, until
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from udprelay.client import Member
from udprelay.client.bridge import Bridge
from udprelay.client.channel import Channel, ChannelObserver
from udprelay.client.client import Client
from udprelay.client.formats import JSONFormat
from udprelay.client.notices import Notice
from udprelay.client.options import Options
from udprelay.client.plain import PlainChannel
from udprelay.client.room_channel import RoomChannel
from udprelay.session_client.events import Received
from udprelay.session_client.message_sender import MAX_UNRELIABLE, MAX_UNRELIABLE_PRIVATE
from udprelay.session_client.settings import Settings


class BridgeAndProgram(Bridge):
    """A bridge that records its notices, and its program."""

    def __init__(
        self, relay: RunningRelay, nick: str, *, plain: bool = False, **options: Any
    ) -> None:
        self.notices: list[Notice] = []
        self.program = Peer()
        room, passphrase = options.pop("room", "lobby"), options.pop("passphrase", None)
        options.setdefault("address", ("127.0.0.1", 0))
        options["relay"] = options.pop("peer", None)
        super().__init__(reactor, JSONFormat(), **options)

        def channel(observer: ChannelObserver) -> Channel:
            if plain:
                return PlainChannel(reactor, relay.host, relay.port, observer)
            chosen = Settings(room, nick, passphrase is not None, recover=False)
            return RoomChannel(reactor, relay.host, relay.port, observer, chosen, passphrase, None)

        self.client = Client(Options(verbose=True), reactor, self, channel)
        self.status: int | None = None
        self.client.finished.addCallback(self._finished)

    def _finished(self, status: int) -> None:
        self.status = status

    def notice(self, notice: Notice) -> None:
        self.notices.append(notice)

    def reported(self, event: str) -> list[dict[str, Any]]:
        """Return the fields of all notices of one kind."""
        return [dict(notice.fields) for notice in self.notices if notice.id == event]

    async def start(self) -> None:
        assert await self.open(self.client)
        host, _, port = self.reported("bridge.opened")[0]["local"].rpartition(":")
        self.program.set_destination((host.strip("[]"), int(port)))
        await self.client.start()

    async def joined(self) -> BridgeAndProgram:
        await until(lambda: self.reported("session.joined") or self.reported("link.opened"))
        return self

    def peer(self, nick: str) -> tuple[str, int]:
        """Return the address of a member for the program."""
        members = self.reported("bridge.member")
        local = [member["local"] for member in members if member["nick"] == nick][-1]
        return "127.0.0.1", int(local.rpartition(":")[2])

    async def dropped(self, reason: str) -> None:
        """Wait until a drop for a reason has been reported."""
        await until(
            lambda: any(one["reason"] == reason for one in self.reported("bridge.dropped"))
        )

    async def leave(self) -> None:
        self.program.close()
        self.client.leave(0)
        await until(lambda: self.status is not None)


Begin = Callable[..., Any]


@pytest_twisted.async_yield_fixture
async def members() -> AsyncIterator[Members]:
    relay = RunningRelay()
    relay.change(session_timeout=2.0)
    made = Members(relay.start())
    yield made
    await made.leave()
    await relay.stop()


@pytest_twisted.async_yield_fixture
async def begin(members: Members) -> AsyncIterator[Begin]:
    begun: list[BridgeAndProgram] = []

    async def make(nick: str, **options: Any) -> BridgeAndProgram:
        made = BridgeAndProgram(members.relay, nick, **options)
        begun.append(made)
        await made.start()
        return await made.joined()

    yield make
    for made in begun:
        await made.leave()


def has_received(members: Members, nick: str, count: int) -> bool:
    return len(members.received(nick)) == count


def number_of(member: Member, nick: str) -> int:
    (number,) = (one.number for one in member.members.values() if one.nick == nick)
    return number


async def receive(peer: Peer) -> bytes:
    """Receive without blocking the bridges in this process."""
    await until(peer.is_readable)
    return peer.receive()


@pytest_twisted.ensureDeferred
async def test_datagrams_of_the_program_go_to_the_room_and_back(
    members: Members, begin: Begin
) -> None:
    bob = await members.join("bob")
    bridge = await begin("game")
    bridge.program.send(b"\x00\xff state")
    await until(lambda: members.received("bob") == [b"\x00\xff state"])
    bob.send(b"input", reliable=False)
    assert await receive(bridge.program) == b"input"
    bob.send(b"a reliable message")
    assert await receive(bridge.program) == b"a reliable message"
    bob.send_private(number_of(bob, "game"), b"for you")
    assert await receive(bridge.program) == b"for you"


@pytest_twisted.ensureDeferred
async def test_three_programs_talk_through_three_bridges(members: Members, begin: Begin) -> None:
    await members.join("watcher")
    bridges = [await begin(nick) for nick in ("a", "b", "c")]
    for number, bridge in enumerate(bridges, 1):
        bridge.program.send(b"here")
        await until(partial(has_received, members, "watcher", number))
    for bridge in bridges:
        while bridge.program.is_readable():
            bridge.program.receive()
    for number, bridge in enumerate(bridges):
        bridge.program.send(b"%d" % number)
    for number, bridge in enumerate(bridges):
        received = {await receive(bridge.program), await receive(bridge.program)}
        assert received == {b"0", b"1", b"2"} - {b"%d" % number}


@pytest_twisted.ensureDeferred
async def test_the_largest_datagram_passes_and_a_larger_one_is_reported(
    members: Members, begin: Begin
) -> None:
    await members.join("bob")
    bridge = await begin("game")
    bridge.program.send(b"x" * (MAX_UNRELIABLE + 1), b"", b"x" * MAX_UNRELIABLE)
    await until(lambda: members.received("bob") == [b"x" * MAX_UNRELIABLE])
    assert bridge.reported("bridge.dropped") == [
        {"reason": "too-large", "count": 1},
        {"reason": "empty", "count": 1},
    ]


@pytest_twisted.ensureDeferred
async def test_messages_before_the_program_has_sent_anything_are_dropped(
    members: Members, begin: Begin
) -> None:
    bob = await members.join("bob")
    bridge = await begin("game")
    bob.send(b"too early", reliable=False)
    await bridge.dropped("no-program")
    bridge.program.send(b"hello")
    await until(lambda: members.received("bob"))
    bob.send(b"in time", reliable=False)
    assert await receive(bridge.program) == b"in time"


@pytest_twisted.ensureDeferred
async def test_a_program_that_only_receives_is_at_the_given_address(
    members: Members, begin: Begin
) -> None:
    bob = await members.join("bob")
    with closing(Peer()) as synth:
        bridge = await begin("synth", program=("127.0.0.1", synth.port))
        bob.send(b"/note 60", reliable=False)
        assert await receive(synth) == b"/note 60"
        bridge.program.send(b"from another port")
        await until(lambda: members.received("bob") == [b"from another port"])
        assert bridge.reported("bridge.opened")[0]["program"] == f"127.0.0.1:{synth.port}"


@pytest_twisted.ensureDeferred
async def test_a_room_with_a_passphrase(members: Members, begin: Begin) -> None:
    bob = await members.join("bob", room="sealed", passphrase=PASSPHRASE)
    bridge = await begin("game", room="sealed", passphrase=PASSPHRASE, per_member=True)
    bridge.program.send(b"to all")
    await until(lambda: members.received("bob") == [b"to all"])
    bob.send(b"from bob", reliable=False)
    assert await receive(bridge.program) == b"from bob"
    bridge.program.set_destination(bridge.peer("bob"))
    bridge.program.send(b"x" * MAX_UNRELIABLE_PRIVATE)
    await until(lambda: len(members.received("bob")) == 2)
    (_, private) = members.events_of("bob", Received)
    assert (private.private, private.sealed, private.reliable) == (True, True, False)


@pytest_twisted.ensureDeferred
async def test_plain_datagrams(members: Members, begin: Begin) -> None:
    bob = await members.join("bob")
    bridge = await begin("game", plain=True)
    bridge.program.send(b"", b"hello")
    await until(lambda: members.received("bob") == [b"hello"])
    bob.send(b"hi", reliable=False)
    assert await receive(bridge.program) == b"hi"
    assert bridge.reported("bridge.dropped") == [{"reason": "empty", "count": 1}]


@pytest_twisted.ensureDeferred
async def test_each_member_is_a_separate_peer(members: Members, begin: Begin) -> None:
    bob, carol = await members.join("bob"), await members.join("carol")
    bridge = await begin("game", per_member=True)
    bridge.program.send(b"to all")
    await until(lambda: members.received("bob") == members.received("carol") == [b"to all"])
    bob.send(b"from bob", reliable=False)
    assert await receive(bridge.program) == b"from bob"
    assert bridge.program.source == bridge.peer("bob")
    bridge.program.send(b"to bob")
    carol.send_private(number_of(carol, "game"), b"from carol", reliable=False)
    assert await receive(bridge.program) == b"from carol"
    assert bridge.program.source == bridge.peer("carol")
    bridge.program.send(b"to carol")
    await until(lambda: members.received("bob") == [b"to all", b"to bob"])
    expected = [b"to all", b"from bob", b"to carol"]
    await until(lambda: members.received("carol") == expected)


@pytest_twisted.ensureDeferred
async def test_a_plain_member_is_a_peer_that_can_not_be_answered_alone(
    members: Members, begin: Begin
) -> None:
    bridge = await begin("game", per_member=True)
    bridge.program.send(b"hello")
    with closing(Peer()) as guest:
        guest.set_destination((members.relay.host, members.relay.port))
        guest.send(b"hi")
        assert await receive(bridge.program) == b"hi"
        (member,) = bridge.reported("bridge.member")
        assert bridge.program.source == bridge.peer(member["nick"])
        bridge.program.send(b"to the guest")
        await bridge.dropped("absent")


@pytest_twisted.ensureDeferred
async def test_a_member_that_comes_back_has_its_old_port(members: Members, begin: Begin) -> None:
    bob = await members.join("bob")
    bridge = await begin("game", per_member=True)
    before = bridge.peer("bob")
    await bob.leave()
    await until(lambda: bridge.reported("member.left"))
    bridge.program.set_destination(before)
    bridge.program.send(b"to bob, who has left")
    await bridge.dropped("absent")
    returned = await members.join("bob")
    await until(lambda: len(bridge.reported("bridge.member")) == 2)
    returned.send(b"back", reliable=False)
    assert await receive(bridge.program) == b"back"
    assert bridge.program.source == before


@pytest_twisted.ensureDeferred
async def test_after_a_restart_of_the_relay_members_have_their_old_ports(
    members: Members, begin: Begin
) -> None:
    bob = await members.join("bob")
    bridge = await begin("game", per_member=True)
    bridge.program.set_destination(bridge.peer("bob"))
    await members.relay.stop(farewell=False)
    members.relay.start()

    # Datagrams that are sent before both are back are lost, as they would be without a bridge.
    while not members.received("bob"):
        bridge.program.send(b"are you there?")
        await deferLater(reactor, 0.1)
    bob.send(b"yes", reliable=False)
    assert await receive(bridge.program) == b"yes"
    assert bridge.program.source == bridge.peer("bob")
    assert len(bridge.reported("bridge.member")) == 1


@pytest_twisted.ensureDeferred
async def test_a_bridge_waits_for_a_relay_that_is_not_there_yet(members: Members) -> None:
    await members.relay.stop()
    bridge = BridgeAndProgram(members.relay, "game")
    await bridge.start()
    bridge.program.send(b"too early")
    await bridge.dropped("no-contact")
    members.relay.start()
    await bridge.joined()
    await bridge.leave()


@pytest_twisted.ensureDeferred
async def test_an_address_in_use_is_reported(members: Members, begin: Begin) -> None:
    first = await begin("first")
    address = "127.0.0.1", int(first.reported("bridge.opened")[0]["local"].rpartition(":")[2])
    second = BridgeAndProgram(members.relay, "second", address=address)
    assert not await second.open(second.client)
    (unusable,) = second.reported("bridge.unusable")
    assert unusable == {"local": f"127.0.0.1:{address[1]}", "reason": "EADDRINUSE"}
    await second.leave()


@pytest_twisted.ensureDeferred
async def test_leaving_during_the_look_up_opens_no_socket(members: Members) -> None:
    bridge = BridgeAndProgram(members.relay, "game", address=("localhost", 0))
    opening = Deferred.fromCoroutine(bridge.open(bridge.client))
    assert bridge.resolving
    await bridge.leave()
    assert not await opening
    assert not bridge.reported("bridge.opened")


@pytest_twisted.ensureDeferred
async def test_a_bridge_that_other_machines_can_send_to_is_reported(
    members: Members, begin: Begin
) -> None:
    bridge = await begin("game", address=("0.0.0.0", 0))
    assert len(bridge.reported("bridge.exposed")) == 1
