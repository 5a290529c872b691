"""Programs that know one UDP peer talk through bridges and a real relay."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import closing
from typing import Any

import pytest_twisted
from client_programs import Peer
from client_relay import PASSPHRASE, Company, RunningRelay, until
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from udprelay.client import Member
from udprelay.client.bridge import Bridge
from udprelay.client.client import Client
from udprelay.client.formats import JSONFormat
from udprelay.client.notices import Notice
from udprelay.client.options import Options
from udprelay.client.plain import PlainTalk
from udprelay.client.room_talk import RoomTalk, Wanted
from udprelay.client.talk import Listening, Talk
from udprelay.session_client.events import Received
from udprelay.session_client.sending import LARGEST_UNRELIABLE, LARGEST_UNRELIABLE_PRIVATE


class Bridged(Bridge):
    """A bridge that remembers its notices, and its program."""

    def __init__(
        self, relay: RunningRelay, nick: str, *, plain: bool = False, **options: Any
    ) -> None:
        self.notices: list[Notice] = []
        self.program = Peer()
        room, passphrase = options.pop("room", "lobby"), options.pop("passphrase", None)
        options.setdefault("address", ("127.0.0.1", 0))
        super().__init__(reactor, JSONFormat(), **options)

        def talk(owner: Listening) -> Talk:
            if plain:
                return PlainTalk(reactor, relay.host, relay.port, owner)
            wanted = Wanted(room, nick, passphrase=passphrase, recover=False)
            changed = self.company_changed
            return RoomTalk(reactor, relay.host, relay.port, owner, wanted, None, changed)

        self.client = Client(Options(verbose=True), reactor, self, talk)
        self.status: int | None = None
        self.client.finished.addCallback(self._finished)

    def _finished(self, status: int) -> None:
        self.status = status

    def notice(self, notice: Notice) -> None:
        self.notices.append(notice)

    def told(self, event: str) -> list[dict[str, Any]]:
        return [dict(notice.fields) for notice in self.notices if notice.event == event]

    async def start(self) -> None:
        assert await self.open(self.client)
        host, _, port = self.told("bridge.opened")[0]["local"].rpartition(":")
        self.program.knows((host.strip("[]"), int(port)))
        await self.client.start()

    async def joined(self) -> Bridged:
        await until(lambda: self.told("session.joined") or self.told("link.opened"))
        return self

    def peer(self, nick: str) -> tuple[str, int]:
        """Where the program finds a member."""
        local = [told["local"] for told in self.told("bridge.member") if told["nick"] == nick][-1]
        return "127.0.0.1", int(local.rpartition(":")[2])

    async def dropped(self, reason: str) -> None:
        await until(lambda: any(told["reason"] == reason for told in self.told("bridge.dropped")))

    async def leave(self) -> None:
        self.program.close()
        self.client.leave(0)
        await until(lambda: self.status is not None)


Begin = Callable[..., Any]


@pytest_twisted.async_yield_fixture
async def company() -> AsyncIterator[Company]:
    relay = RunningRelay()
    relay.change(session_timeout=2.0)
    made = Company(relay.start())
    yield made
    await made.leave()
    await relay.stop()


@pytest_twisted.async_yield_fixture
async def begin(company: Company) -> AsyncIterator[Begin]:
    begun: list[Bridged] = []

    async def make(nick: str, **options: Any) -> Bridged:
        made = Bridged(company.relay, nick, **options)
        begun.append(made)
        await made.start()
        return await made.joined()

    yield make
    for made in begun:
        await made.leave()


def number_of(member: Member, nick: str) -> int:
    (number,) = (one.number for one in member.members.values() if one.nick == nick)
    return number


async def hear(peer: Peer) -> bytes:
    """Receive without holding up the bridges in this process."""
    await until(peer.has_mail)
    return peer.receive()


@pytest_twisted.ensureDeferred
async def test_what_the_program_sends_goes_to_the_room_and_back(
    company: Company, begin: Begin
) -> None:
    bob = await company.join("bob")
    bridge = await begin("game")
    bridge.program.send(b"\x00\xff state")
    await until(lambda: company.heard("bob") == [b"\x00\xff state"])
    bob.send(b"input", reliable=False)
    assert await hear(bridge.program) == b"input"
    bob.send(b"said once and for all")
    assert await hear(bridge.program) == b"said once and for all"
    bob.send_private(number_of(bob, "game"), b"for you")
    assert await hear(bridge.program) == b"for you"


@pytest_twisted.ensureDeferred
async def test_three_programs_talk_through_three_bridges(company: Company, begin: Begin) -> None:
    await company.join("watcher")
    bridges = [await begin(nick) for nick in ("a", "b", "c")]
    for number, bridge in enumerate(bridges, 1):
        bridge.program.send(b"here")
        await until(lambda count=number: len(company.heard("watcher")) == count)
    for bridge in bridges:
        while bridge.program.has_mail():
            bridge.program.receive()
    for number, bridge in enumerate(bridges):
        bridge.program.send(b"%d" % number)
    for number, bridge in enumerate(bridges):
        heard = {await hear(bridge.program), await hear(bridge.program)}
        assert heard == {b"0", b"1", b"2"} - {b"%d" % number}


@pytest_twisted.ensureDeferred
async def test_what_is_as_large_as_can_be_passes_and_what_is_larger_is_told(
    company: Company, begin: Begin
) -> None:
    await company.join("bob")
    bridge = await begin("game")
    bridge.program.send(b"x" * (LARGEST_UNRELIABLE + 1), b"", b"x" * LARGEST_UNRELIABLE)
    await until(lambda: company.heard("bob") == [b"x" * LARGEST_UNRELIABLE])
    assert bridge.told("bridge.dropped") == [
        {"reason": "too-large", "count": 1},
        {"reason": "empty", "count": 1},
    ]


@pytest_twisted.ensureDeferred
async def test_what_is_said_before_there_is_a_program_is_dropped(
    company: Company, begin: Begin
) -> None:
    bob = await company.join("bob")
    bridge = await begin("game")
    bob.send(b"too early", reliable=False)
    await bridge.dropped("no-program")
    bridge.program.send(b"hello")
    await until(lambda: company.heard("bob"))
    bob.send(b"in time", reliable=False)
    assert await hear(bridge.program) == b"in time"


@pytest_twisted.ensureDeferred
async def test_a_program_that_only_listens_is_named(company: Company, begin: Begin) -> None:
    bob = await company.join("bob")
    with closing(Peer()) as synth:
        bridge = await begin("synth", program=("127.0.0.1", synth.port))
        bob.send(b"/note 60", reliable=False)
        assert await hear(synth) == b"/note 60"
        bridge.program.send(b"from another port")
        await until(lambda: company.heard("bob") == [b"from another port"])
        assert bridge.told("bridge.opened")[0]["program"] == f"127.0.0.1:{synth.port}"


@pytest_twisted.ensureDeferred
async def test_a_room_with_a_passphrase(company: Company, begin: Begin) -> None:
    bob = await company.join("bob", room="sealed", passphrase=PASSPHRASE)
    bridge = await begin("game", room="sealed", passphrase=PASSPHRASE, per_member=True)
    bridge.program.send(b"to all")
    await until(lambda: company.heard("bob") == [b"to all"])
    bob.send(b"from bob", reliable=False)
    assert await hear(bridge.program) == b"from bob"
    bridge.program.knows(bridge.peer("bob"))
    bridge.program.send(b"x" * LARGEST_UNRELIABLE_PRIVATE)
    await until(lambda: len(company.heard("bob")) == 2)
    (_, private) = company.of("bob", Received)
    assert (private.private, private.sealed, private.reliable) == (True, True, False)


@pytest_twisted.ensureDeferred
async def test_plain_datagrams(company: Company, begin: Begin) -> None:
    bob = await company.join("bob")
    bridge = await begin("game", plain=True)
    bridge.program.send(b"", b"hello")
    await until(lambda: company.heard("bob") == [b"hello"])
    bob.send(b"hi", reliable=False)
    assert await hear(bridge.program) == b"hi"
    assert bridge.told("bridge.dropped") == [{"reason": "empty", "count": 1}]


@pytest_twisted.ensureDeferred
async def test_each_member_is_a_peer_of_its_own(company: Company, begin: Begin) -> None:
    bob, carol = await company.join("bob"), await company.join("carol")
    bridge = await begin("game", per_member=True)
    bridge.program.send(b"to all")
    await until(lambda: company.heard("bob") == company.heard("carol") == [b"to all"])
    bob.send(b"from bob", reliable=False)
    assert await hear(bridge.program) == b"from bob"
    assert bridge.program.heard_from == bridge.peer("bob")
    bridge.program.send(b"to bob")
    carol.send_private(number_of(carol, "game"), b"from carol", reliable=False)
    assert await hear(bridge.program) == b"from carol"
    assert bridge.program.heard_from == bridge.peer("carol")
    bridge.program.send(b"to carol")
    await until(lambda: company.heard("bob") == [b"to all", b"to bob"])
    heard = [b"to all", b"from bob", b"to carol"]
    await until(lambda: company.heard("carol") == heard)


@pytest_twisted.ensureDeferred
async def test_a_plain_member_is_a_peer_that_can_not_be_answered_alone(
    company: Company, begin: Begin
) -> None:
    bridge = await begin("game", per_member=True)
    bridge.program.send(b"hello")
    with closing(Peer()) as guest:
        guest.knows((company.relay.host, company.relay.port))
        guest.send(b"hi")
        assert await hear(bridge.program) == b"hi"
        (told,) = bridge.told("bridge.member")
        assert bridge.program.heard_from == bridge.peer(told["nick"])
        bridge.program.send(b"to the guest")
        await bridge.dropped("absent")


@pytest_twisted.ensureDeferred
async def test_a_member_that_comes_back_has_the_port_that_it_had(
    company: Company, begin: Begin
) -> None:
    bob = await company.join("bob")
    bridge = await begin("game", per_member=True)
    before = bridge.peer("bob")
    await bob.leave()
    await until(lambda: bridge.told("member.left"))
    bridge.program.knows(before)
    bridge.program.send(b"to nobody")
    await bridge.dropped("absent")
    again = await company.join("bob")
    await until(lambda: len(bridge.told("bridge.member")) == 2)
    again.send(b"back", reliable=False)
    assert await hear(bridge.program) == b"back"
    assert bridge.program.heard_from == before


@pytest_twisted.ensureDeferred
async def test_after_a_restart_of_the_relay_peers_are_where_they_were(
    company: Company, begin: Begin
) -> None:
    bob = await company.join("bob")
    bridge = await begin("game", per_member=True)
    bridge.program.knows(bridge.peer("bob"))
    await company.relay.stop(farewell=False)
    company.relay.start()

    async def send_until_heard(count: int) -> None:
        # What is sent before both are back is lost, as it would be without a bridge.
        while len(company.heard("bob")) < count:
            bridge.program.send(b"are you there?")
            await deferLater(reactor, 0.1)

    await send_until_heard(1)
    bob.send(b"yes", reliable=False)
    assert await hear(bridge.program) == b"yes"
    assert bridge.program.heard_from == bridge.peer("bob")
    assert len(bridge.told("bridge.member")) == 1


@pytest_twisted.ensureDeferred
async def test_a_bridge_waits_for_a_relay_that_is_not_there_yet(company: Company) -> None:
    await company.relay.stop()
    bridge = Bridged(company.relay, "game")
    await bridge.start()
    bridge.program.send(b"too early")
    await bridge.dropped("no-contact")
    company.relay.start()
    await bridge.joined()
    await bridge.leave()


@pytest_twisted.ensureDeferred
async def test_an_address_in_use_is_told(company: Company, begin: Begin) -> None:
    first = await begin("first")
    address = "127.0.0.1", int(first.told("bridge.opened")[0]["local"].rpartition(":")[2])
    second = Bridged(company.relay, "second", address=address)
    assert not await second.open(second.client)
    (told,) = second.told("bridge.unusable")
    assert told == {"local": f"127.0.0.1:{address[1]}", "reason": "EADDRINUSE"}
    await second.leave()


@pytest_twisted.ensureDeferred
async def test_leaving_while_names_are_looked_up_opens_nothing(company: Company) -> None:
    bridge = Bridged(company.relay, "game", address=("localhost", 0))
    opening = Deferred.fromCoroutine(bridge.open(bridge.client))
    assert bridge.resolving
    await bridge.leave()
    assert not await opening
    assert not bridge.told("bridge.opened")


@pytest_twisted.ensureDeferred
async def test_other_machines_are_not_let_in_without_a_word(
    company: Company, begin: Begin
) -> None:
    bridge = await begin("game", address=("0.0.0.0", 0))
    assert len(bridge.told("bridge.exposed")) == 1
