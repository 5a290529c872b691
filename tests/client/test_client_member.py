"""Members of a real relay, over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import closing
from errno import EINVAL

import pytest
import pytest_twisted
from client_fakes import ClockReactor, Names
from client_programs import Peer
from client_relay import PASSPHRASE, Company, RunningRelay, until
from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.internet.task import deferLater

from free_port import free_port
from udprelay.client import (
    Member,
    MessageError,
    RefusedError,
    UndeliveredError,
    UnreachableError,
    join,
)
from udprelay.protocol.keys import PassphraseError
from udprelay.session_client import events


@pytest_twisted.async_yield_fixture
async def company() -> AsyncIterator[Company]:
    relay = RunningRelay()
    # Without a farewell, it is missed at the next PING: after a quarter of this.
    relay.change(session_timeout=2.0)
    relay.start()
    made = Company(relay)
    yield made
    await made.leave()
    await relay.stop()


@pytest_twisted.ensureDeferred
async def test_what_one_says_the_others_hear_once_and_in_order(company: Company) -> None:
    ada, bob = await company.join("ada"), await company.join("bob")
    said = [b"%d" % number for number in range(200)]
    for payload in said:
        await ada.send(payload)
    await until(lambda: company.heard("bob") == said)
    assert company.heard("ada") == []
    message = company.of("bob", events.Received)[0]
    assert (message.nick, message.number) == ("ada", ada.number)
    assert (message.reliable, message.private, message.sealed) == (True, False, False)
    assert (ada.outstanding, ada.backlog, bob.room) == (0, 0, "lobby")


@pytest_twisted.ensureDeferred
async def test_large_messages_arrive_whole(company: Company) -> None:
    ada, _ = await company.join("ada"), await company.join("bob")
    said = bytes(range(256)) * 256
    await ada.send(said)
    await until(lambda: company.heard("bob") == [said])
    with pytest.raises(MessageError):
        ada.send(said + b"x")
    with pytest.raises(MessageError):
        ada.send(b"")


@pytest_twisted.ensureDeferred
async def test_what_need_not_arrive_is_sent_at_once(company: Company) -> None:
    ada, _ = await company.join("ada"), await company.join("bob")
    assert ada.send(b"now", reliable=False).called
    await until(lambda: company.heard("bob") == [b"now"])
    assert not company.of("bob", events.Received)[0].reliable


@pytest_twisted.ensureDeferred
async def test_one_can_be_spoken_to_alone(company: Company) -> None:
    ada, bob = await company.join("ada"), await company.join("bob")
    await company.join("carol")
    await until(lambda: len(ada.members) == 3)
    await ada.send_private(bob.number, b"psst")
    await ada.send(b"hello")
    await until(lambda: company.heard("bob") == [b"psst", b"hello"])
    await until(lambda: company.heard("carol") == [b"hello"])
    assert company.of("bob", events.Received)[0].private
    with pytest.raises(MessageError):
        ada.send_private(ada.number, b"me")


@pytest_twisted.ensureDeferred
async def test_who_comes_and_goes_is_told(company: Company) -> None:
    ada = await company.join("ada")
    bob = await company.join("bob")
    assert {member.nick for member in bob.members.values()} == {"ada", "bob"}
    await until(lambda: company.of("ada", events.MemberJoined))
    bob.change_nick("robert")
    await until(lambda: company.of("ada", events.NickChanged))
    assert bob.nick == "robert"
    await bob.leave()
    await until(lambda: company.of("ada", events.MemberLeft))
    assert company.of("ada", events.MemberLeft)[0].reason == "left"
    assert list(ada.members) == [ada.number]
    assert company.told["bob"][-1] == events.Closed("left", "")


@pytest_twisted.ensureDeferred
async def test_each_callback_is_told_what_it_is_for(company: Company) -> None:
    told: list[tuple[str, object]] = []

    def note(name: str) -> Callable[[Member, object], None]:
        return lambda member, event: told.append((name, type(event)))

    names = ("received", "roster_changed", "lost", "closed")
    ada = await company.join("ada", **{name: note(name) for name in names})
    bob = await company.join("bob")
    await bob.send(b"hello")
    await until(lambda: len(told) == 2)
    # What can't be sent on time is lost.
    await company.relay.stop()
    await until(lambda: not ada.joined)
    with pytest.raises(UndeliveredError, match="not-joined"):
        await ada.send(b"now", reliable=False)
    await ada.leave()
    assert told == [
        ("roster_changed", events.MemberJoined),
        ("received", events.Received),
        ("lost", events.Failed),
        ("closed", events.Closed),
    ]


@pytest_twisted.ensureDeferred
async def test_what_was_said_is_remembered_for_a_while(company: Company) -> None:
    ada = await company.join("ada")
    given = ada.send(b"hello")
    assert ada.payload(1) == b"hello"
    await given
    assert (ada.payload(1), ada.payload(2)) == (b"hello", None)


@pytest_twisted.ensureDeferred
async def test_the_way_there_and_back_is_measured(company: Company) -> None:
    ada = await company.join("ada")
    ada.ping()
    await until(lambda: company.of("ada", events.Ponged))
    assert ada.statistics.round_trip is not None


@pytest_twisted.ensureDeferred
async def test_a_passphrase_opens_its_room_and_nobody_else_does(company: Company) -> None:
    ada = await company.join("ada", room="sealed", passphrase=PASSPHRASE)
    await company.join("bob", room="sealed", passphrase=PASSPHRASE + "\n")
    await ada.send(b"secret")
    await until(lambda: company.heard("bob") == [b"secret"])
    assert company.of("bob", events.Received)[0].sealed
    for passphrase, code in ((None, "key-required"), ("wrong", "wrong-key")):
        with pytest.raises(RefusedError) as refused:
            await company.join("eve", room="sealed", passphrase=passphrase)
        assert refused.value.code == code
    with pytest.raises(RefusedError) as refused:
        await company.join("eve", passphrase="wrong")
    assert refused.value.code == "no-key-here"


@pytest_twisted.ensureDeferred
async def test_a_nick_is_one_members_alone(company: Company) -> None:
    await company.join("ada")
    with pytest.raises(RefusedError) as refused:
        await company.join("Ada")
    assert refused.value.code == "nick-taken"
    assert (await company.join("ada", other_nicks=True)).nick == "ada-2"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"room": "a/b"}, ValueError),
        ({"passphrase": ""}, PassphraseError),
    ],
)
def test_what_can_not_be_is_refused_at_once(
    options: dict[str, str], error: type[Exception]
) -> None:
    with pytest.raises(error):
        join(reactor, "127.0.0.1", nick="ada", **options)  # type: ignore[arg-type]


@pytest_twisted.ensureDeferred
async def test_a_nick_that_can_not_be_is_refused(company: Company) -> None:
    with pytest.raises(RefusedError) as refused:
        await company.join("\x07")
    assert refused.value.code == "nick-invalid"


@pytest_twisted.ensureDeferred
async def test_a_relay_that_is_not_there_is_waited_for_so_long() -> None:
    with pytest.raises(UnreachableError, match=r"no answer from 127.0.0.1:\d+ in 0.3 s"):
        await join(reactor, "127.0.0.1", free_port(), nick="ada", patience=0.3)


@pytest_twisted.ensureDeferred
async def test_an_unknown_name_is_told() -> None:
    with pytest.raises(UnreachableError, match=r"the name in a\.example:6000 is unknown"):
        await join(ClockReactor(Names()), "a.example", nick="ada", patience=None)


@pytest_twisted.ensureDeferred
async def test_joining_can_be_given_up() -> None:
    joining = join(reactor, "127.0.0.1", free_port(), nick="ada")
    joining.cancel()
    with pytest.raises(CancelledError):
        await joining


@pytest_twisted.ensureDeferred
async def test_who_leaves_hears_no_more_and_what_was_not_delivered_has_failed(
    company: Company,
) -> None:
    ada = await company.join("ada")
    company.relay.relay.stop_reading()  # type: ignore[union-attr]
    given = ada.send(b"lost")
    leaving = ada.leave()
    with pytest.raises(UndeliveredError, match="closed"):
        await given
    await leaving
    assert ada.over.called
    assert ada.leave().called
    with pytest.raises(MessageError):
        ada.send(b"late")


@pytest.mark.parametrize("farewell", [True, False])
@pytest_twisted.ensureDeferred
async def test_it_outlives_a_relay_and_what_was_said_meanwhile_arrives(
    company: Company, farewell: bool
) -> None:
    ada, _ = await company.join("ada"), await company.join("bob")
    await ada.send(b"before")
    await until(lambda: company.heard("bob") == [b"before"])
    await company.relay.stop(farewell)
    given = ada.send(b"meanwhile")
    await deferLater(reactor, 0.1)
    company.relay.start()
    await given
    await until(lambda: company.heard("bob") == [b"before", b"meanwhile"])
    assert ada.joined
    assert company.of("ada", events.Joined)[-1].resumed


@pytest_twisted.ensureDeferred
async def test_the_next_address_of_a_name_is_tried_at_once_if_nobody_listens_at_one(
    company: Company,
) -> None:
    names = Names("127.0.0.9", "127.0.0.1")
    using = ClockReactor(names)
    using.callLater = reactor.callLater  # type: ignore[method-assign]
    ada = await company.join("ada", reactor=using, host="relay.example")
    assert ada.relay == f"127.0.0.1:{company.relay.port}"


@pytest_twisted.ensureDeferred
async def test_the_next_address_is_tried_after_a_while_if_one_does_not_answer(
    company: Company,
) -> None:
    with closing(Peer("127.0.0.9", company.relay.port)):
        using = ClockReactor(Names("127.0.0.9", "127.0.0.1"))
        using.callLater = reactor.callLater  # type: ignore[method-assign]
        ada = await company.join("ada", reactor=using, host="relay.example")
    assert ada.relay == f"127.0.0.1:{company.relay.port}"


@pytest_twisted.ensureDeferred
async def test_it_outlives_its_own_address(company: Company) -> None:
    ada, bob = await company.join("ada"), await company.join("bob")
    link = ada._session.route._link
    assert link is not None
    before = link.local
    link.send = lambda _: OSError(EINVAL, "as when the address has gone")  # type: ignore
    await ada.send(b"from elsewhere")
    await until(lambda: company.heard("bob") == [b"from elsewhere"])
    await bob.send(b"welcome there")
    await until(lambda: company.heard("ada") == [b"welcome there"])
    link = ada._session.route._link
    assert link is not None
    assert link.local != before
    assert not company.of("ada", events.ContactLost)


@pytest_twisted.ensureDeferred
async def test_a_mistake_of_who_listens_does_not_cost_the_membership(
    company: Company, logged_errors: list[str]
) -> None:
    def broken(*_: object) -> None:
        raise LookupError("oh")

    ada, bob = await company.join("ada"), await company.join("bob", received=broken)
    await ada.send(b"one")
    await until(lambda: logged_errors)
    assert "LookupError: oh" in logged_errors.pop()
    assert bob.joined
