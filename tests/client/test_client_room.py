"""A conversation in rooms of a real relay, over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from socket import AF_INET, SOCK_DGRAM, socket
from typing import Any

import pytest
import pytest_twisted
from client_fakes import ClockReactor, Names, Owner
from client_relay import PASSPHRASE, Company, RunningRelay, until
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from free_port import free_port
from udprelay.client.notices import Notice, RejectedError
from udprelay.client.room_news import PROGRESS
from udprelay.client.room_talk import RoomTalk, Wanted
from udprelay.client.talk import Said, Sender
from udprelay.protocol.wire.header import LEAST_HELLO
from udprelay.session_client import attempts, events
from udprelay.session_client.sending import LARGEST_MESSAGE


class Conversation:
    """A conversation, and what it tells."""

    def __init__(
        self,
        port: int,
        using: Any = reactor,
        host: str = "127.0.0.1",
        patience: float | None = 10.0,
        **wanted: Any,
    ) -> None:
        self.owner = Owner()
        chosen = Wanted(**{"room": "lobby", "nick": "ada", **wanted})
        self.talk = RoomTalk(using, host, port, self.owner, chosen, patience)

    def open(self) -> None:
        Deferred.fromCoroutine(self.talk.open())

    async def given_up(self) -> tuple[int | None, str, str]:
        """Open it in vain; return the status, and the only notice: its text, and the reason."""
        self.open()
        await until(lambda: self.owner.status is not None)
        await self.talk.close()
        (notice,) = self.owner.notices
        return self.owner.status, notice.text, notice.fields["reason"]

    def say(self, payload: bytes, **options: Any) -> None:
        self.talk.say(Said(payload, **options))

    def notices(self, event: str) -> list[Notice]:
        return [notice for notice in self.owner.notices if notice.event == event]

    async def told(self, event: str, count: int = 1) -> Notice:
        """Wait for the ``count``-th notice of one kind."""
        await until(lambda: len(self.notices(event)) >= count)
        return self.notices(event)[count - 1]


@pytest_twisted.async_yield_fixture
async def company() -> AsyncIterator[Company]:
    relay = RunningRelay()
    relay.change(session_timeout=2.0)
    made = Company(relay.start())
    yield made
    await made.leave()
    await relay.stop()


@pytest_twisted.async_yield_fixture
async def begin(company: Company) -> AsyncIterator[Callable[..., Any]]:
    begun: list[Conversation] = []

    async def make(**wanted: Any) -> Conversation:
        made = Conversation(company.relay.port, **wanted)
        begun.append(made)
        made.open()
        await until(lambda: made.owner.begun or made.owner.status is not None)
        return made

    yield make
    for made in begun:
        await made.talk.close()


Begin = Callable[..., Any]


@pytest_twisted.ensureDeferred
async def test_what_is_said_and_heard_passes_through_the_room(
    company: Company, begin: Begin
) -> None:
    bob = await company.join("bob")
    ada = await begin()
    ada.say(b"hello")
    await until(lambda: company.heard("bob") == [b"hello"])
    bob.send(b"hi")
    await until(lambda: ada.owner.messages)
    (heard,) = ada.owner.messages
    assert heard.payload == b"hi"
    assert heard.sender == Sender(
        "lobby", bob.number, "bob", private=False, reliable=True, sealed=False
    )
    await until(lambda: not ada.talk.pending)
    assert (ada.talk.outcome(), ada.talk.peer) == (0, bob.relay)


@pytest_twisted.ensureDeferred
async def test_being_in_a_room_is_told_with_who_else_is(company: Company, begin: Begin) -> None:
    await company.join("bob")
    await company.join("carol")
    ada = await begin()
    assert [notice.text for notice in ada.owner.notices] == ["in lobby as ada, with bob and carol"]
    assert ada.talk.nicks == ["bob", "carol"]


@pytest_twisted.ensureDeferred
async def test_who_comes_goes_and_is_renamed_is_told(company: Company, begin: Begin) -> None:
    ada = await begin()
    bob = await company.join("bob")
    assert (await ada.told("member.joined")).text == "bob has joined"
    bob.change_nick("robert")
    assert (await ada.told("member.renamed")).text == "bob is now robert"
    await bob.leave()
    assert (await ada.told("member.left")).text == "robert has left"


@pytest.mark.parametrize(("to", "found"), [("bob", True), ("BOB", True), ("carol", False)])
@pytest_twisted.ensureDeferred
async def test_one_is_spoken_to_alone_by_nick(
    company: Company, begin: Begin, to: str, found: bool
) -> None:
    await company.join("bob")
    ada = await begin()
    if not found:
        with pytest.raises(RejectedError, match="nobody here is called carol"):
            ada.say(b"psst", to=to)
        return
    ada.say(b"psst", to=to)
    await until(lambda: company.of("bob", events.Received))
    assert company.of("bob", events.Received)[0].private


@pytest_twisted.ensureDeferred
async def test_what_can_be_no_message_is_rejected(begin: Begin) -> None:
    ada = await begin()
    for payload, reliable, reason in (
        (b"", True, "empty"),
        (b"x" * (LARGEST_MESSAGE + 1), True, "too-long"),
        (b"x" * 65_500, False, "invalid"),
    ):
        with pytest.raises(RejectedError) as rejected:
            ada.say(payload, reliable=reliable)
        assert (rejected.value.reason, rejected.value.length) == (reason, len(payload))


@pytest_twisted.ensureDeferred
async def test_before_there_is_a_room_nothing_can_be_said() -> None:
    with pytest.raises(RejectedError, match="not in a room yet"):
        Conversation(6000).say(b"hello")


@pytest_twisted.ensureDeferred
async def test_while_much_waits_it_is_busy(company: Company, begin: Begin) -> None:
    await company.join("bob")
    ada = await begin()
    said = [b"%d" % number for number in range(500)]
    for payload in said:
        ada.say(payload)
    assert (ada.talk.busy, ada.talk.pending) == (True, 500)
    await until(lambda: company.heard("bob") == said and not ada.talk.pending)
    assert not ada.talk.busy
    assert ada.owner.progress >= 500


@pytest_twisted.ensureDeferred
async def test_being_refused_ends_it_with_the_reason(company: Company, begin: Begin) -> None:
    await company.join("ada")
    ada = await begin()
    assert ada.owner.status == 3
    assert [notice.text for notice in ada.owner.notices] == [
        "not admitted to lobby: Somebody else has this nick; choose another with --nick"
    ]


@pytest_twisted.ensureDeferred
async def test_another_nick_is_taken_if_any_will_do(company: Company, begin: Begin) -> None:
    await company.join("ada")
    ada = await begin(other_nicks=True)
    assert ada.talk.own_nick == "ada-2"


@pytest_twisted.ensureDeferred
async def test_a_passphrase_opens_its_room(company: Company, begin: Begin) -> None:
    await company.join("bob", room="sealed", passphrase=PASSPHRASE)
    ada = await begin(room="sealed", passphrase=PASSPHRASE)
    ada.say(b"secret")
    await until(lambda: company.heard("bob") == [b"secret"])


@pytest_twisted.ensureDeferred
async def test_being_put_out_ends_it_with_the_reason(company: Company, begin: Begin) -> None:
    ada = await begin()
    relay = company.relay.relay
    assert relay is not None
    (member,) = relay.hub.roster.rooms["lobby"].members()
    relay.hub.kick(member, relay.now())
    relay.settle()
    notice = await ada.told("session.closed")
    assert (dict(notice.fields), ada.owner.status) == ({"room": "lobby", "reason": "kicked"}, 3)


@pytest.mark.parametrize(("no_answer", "patience"), [(5.0, 0.3), (0.3, 1000.0)])
@pytest_twisted.ensureDeferred
async def test_where_nobody_listens_it_is_over_in_time_or_sooner(
    monkeypatch: pytest.MonkeyPatch, no_answer: float, patience: float
) -> None:
    monkeypatch.setattr(attempts, "NO_ANSWER", no_answer)
    port = free_port()
    told = await Conversation(port, patience=patience).given_up()
    assert told == (2, f"nobody listens at 127.0.0.1:{port}", "ECONNREFUSED")


class NamedReactor:
    """The real reactor, with chosen names."""

    def __init__(self, names: Names) -> None:
        self.nameResolver = names

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)


@pytest_twisted.ensureDeferred
async def test_but_not_where_another_address_may_be_the_right_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attempts, "NO_ANSWER", 0.3)
    port = free_port()
    with socket(AF_INET, SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.2", port))
        using = NamedReactor(Names("127.0.0.1", "127.0.0.2"))
        told = await Conversation(port, using, "a.example", patience=0.8).given_up()
        assert len(silent.recv(1000)) >= LEAST_HELLO
    assert (told[0], told[2]) == (2, "ETIMEDOUT")


@pytest_twisted.ensureDeferred
async def test_no_answer_is_told_as_such(company: Company) -> None:
    relay = company.relay.relay
    assert relay is not None
    for listener in relay.listeners.values():
        listener.port.stopReading()
    told = await Conversation(company.relay.port, patience=0.3).given_up()
    assert (told[0], told[2]) == (2, "ETIMEDOUT")


@pytest_twisted.ensureDeferred
async def test_an_unknown_name_ends_it() -> None:
    ada = Conversation(6000, ClockReactor(Names()), "a.example", patience=None)
    ada.open()
    assert (ada.owner.status, ada.owner.events) == (2, ["peer.unresolved"])


@pytest_twisted.ensureDeferred
async def test_what_takes_long_is_told_after_a_second() -> None:
    using = ClockReactor(Names(at_once=False))
    ada = Conversation(6000, using, "a.example", patience=None)
    ada.open()
    assert ada.talk.resolving
    using.advance(PROGRESS)
    assert [notice.text for notice in ada.owner.notices] == ["connecting to a.example:6000 ..."]
    await ada.talk.close()
    assert ada.owner.status is None


@pytest_twisted.ensureDeferred
async def test_a_relay_that_starts_anew_is_found_again(company: Company, begin: Begin) -> None:
    await company.join("bob")
    ada = await begin()
    await company.relay.stop()
    notice = await ada.told("session.lost")
    assert dict(notice.fields) == {
        "peer": f"127.0.0.1:{company.relay.port}",
        "reason": "stopping",
    }
    assert ada.talk.outcome() == 2
    ada.say(b"meanwhile")
    company.relay.start()
    assert (await ada.told("session.resumed")).text.endswith(" again")
    await until(lambda: company.heard("bob") == [b"meanwhile"])
    assert ada.talk.outcome() == 0


@pytest_twisted.ensureDeferred
async def test_another_room_is_entered_before_the_old_one_is_left(
    company: Company, begin: Begin
) -> None:
    await company.join("bob")
    await company.join("carol", room="games")
    ada = await begin()
    ada.say(b"goodbye")
    ada.talk.enter("games")
    await ada.told("session.left")
    assert (ada.talk.room, ada.talk.nicks) == ("games", ["carol"])
    ada.say(b"hello")
    await until(lambda: company.heard("carol") == [b"hello"])
    await until(lambda: company.of("bob", events.MemberLeft))
    assert company.heard("bob") == [b"goodbye"]
    assert ada.talk.rooms == {"lobby", "games"}
    assert [notice.text for notice in ada.owner.notices][-2:] == [
        "in games as ada, with carol",
        "left lobby",
    ]


class Blocked:
    """Keeps a conversation's datagrams from the wire."""

    def __init__(self, talk: RoomTalk) -> None:
        member: Any = talk._member
        self._link = member._session.route._link
        self._send = self._link.send
        self._link.send = lambda _: None

    def end(self) -> None:
        self._link.send = self._send


@pytest_twisted.ensureDeferred
async def test_a_room_is_not_left_before_the_last_words_have_arrived(
    company: Company, begin: Begin
) -> None:
    await company.join("bob")
    ada = await begin()
    blocked = Blocked(ada.talk)
    ada.say(b"goodbye")
    ada.talk.enter("games")
    await ada.told("session.left")
    assert ada.talk.pending == 1
    blocked.end()
    await until(lambda: company.of("bob", events.MemberLeft))
    assert (company.heard("bob"), ada.talk.pending) == ([b"goodbye"], 0)


@pytest_twisted.ensureDeferred
async def test_a_message_whose_receiver_has_left_meanwhile_has_failed(
    company: Company, begin: Begin
) -> None:
    bob = await company.join("bob")
    ada = await begin()
    blocked = Blocked(ada.talk)
    ada.say(b"psst", to="bob")
    await bob.leave()
    blocked.end()
    notice = await ada.told("message.failed")
    assert notice.text == "not delivered (its receiver has left): psst"
    assert ada.talk.outcome() == 1


@pytest_twisted.ensureDeferred
async def test_a_message_that_fails_in_a_room_left_behind_is_told(
    company: Company, begin: Begin
) -> None:
    bob = await company.join("bob")
    ada = await begin()
    blocked = Blocked(ada.talk)
    ada.say(b"psst", to="bob")
    ada.talk.enter("games")
    await ada.told("session.left")
    await bob.leave()
    blocked.end()
    notice = await ada.told("message.failed")
    assert notice.fields["text"] == "psst"


@pytest_twisted.ensureDeferred
async def test_who_is_not_admitted_to_another_room_stays(company: Company, begin: Begin) -> None:
    ada = await begin()
    ada.talk.enter("sealed")
    notice = await ada.told("session.refused")
    assert notice.text == (
        "not admitted to sealed: The room has a passphrase;"
        " give --passphrase-file or UDPRELAY_PASSPHRASE"
    )
    assert (ada.talk.room, ada.owner.status) == ("lobby", None)
    with pytest.raises(ValueError, match="room"):
        ada.talk.enter("no room")


@pytest_twisted.ensureDeferred
async def test_the_last_choice_of_a_room_counts(begin: Begin) -> None:
    ada = await begin()
    ada.talk.enter("games")
    ada.talk.enter("council")
    await ada.told("session.left")
    assert ada.talk.room == "council"
    await deferLater(reactor, 0.05)
    assert ada.talk.room == "council"
    assert len(ada.notices("session.joined")) == 2


@pytest_twisted.ensureDeferred
async def test_who_chooses_the_room_that_one_is_in_stays(begin: Begin) -> None:
    ada = await begin()
    ada.talk.enter("games")
    ada.talk.enter("lobby")
    await deferLater(reactor, 0.05)
    assert (ada.talk.room, ada.owner.events) == ("lobby", ["session.joined"])


@pytest_twisted.ensureDeferred
async def test_a_new_nick_goes_along_to_other_rooms(begin: Begin) -> None:
    ada = await begin()
    ada.talk.change_nick("  countess ")
    assert (await ada.told("nick.changed")).text == "you are now countess"
    ada.talk.enter("games")
    await ada.told("session.left")
    assert ada.talk.own_nick == "countess"


@pytest_twisted.ensureDeferred
async def test_a_nick_that_can_not_be_had_is_told(company: Company, begin: Begin) -> None:
    await company.join("bob")
    ada = await begin()
    ada.talk.change_nick("bob")
    assert (await ada.told("nick.refused")).text == "no new nick: Somebody else has this nick"
    ada.talk.change_nick("")
    assert (await ada.told("nick.refused", 2)).text == (
        "no new nick: A nick has at least one character"
    )
    assert ada.talk.own_nick == "ada"


@pytest_twisted.ensureDeferred
async def test_how_far_the_relay_is_is_told(begin: Begin) -> None:
    ada = await begin()
    ada.talk.ping()
    notice = await ada.told("ping.answered")
    assert 0 < float(str(notice.fields["seconds"])) < 20


@pytest_twisted.ensureDeferred
async def test_while_paused_nothing_is_heard_and_nothing_is_lost(
    company: Company, begin: Begin
) -> None:
    bob = await company.join("bob")
    ada = await begin()
    ada.talk.pause()
    await bob.send(b"one")
    await deferLater(reactor, 0.05)
    assert ada.owner.payloads == []
    ada.talk.resume()
    await until(lambda: ada.owner.payloads == [b"one"])


@pytest_twisted.ensureDeferred
async def test_what_is_under_way_when_it_closes_is_told(company: Company, begin: Begin) -> None:
    ada = await begin()
    await company.relay.stop(farewell=False)
    ada.say(b"one")
    ada.say(b"two")
    await ada.talk.close()
    assert [notice.text for notice in ada.owner.notices][1:] == [
        "left without knowing whether 2 messages arrived"
    ]
