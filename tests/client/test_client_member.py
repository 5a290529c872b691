"""Members of a real relay, over real sockets."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from errno import EINVAL

import pytest
import pytest_twisted
from client_fakes import ClockReactor, FailingSocket, NamedReactor, polled
from client_programs import Peer
from client_relay import PASSPHRASE, Members, until
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, gatherResults

from free_port import free_port
from name_resolver import NameResolver
from udprelay.client import (
    Member,
    MessageError,
    RefusedError,
    UndeliveredError,
    UnreachableError,
    join,
)
from udprelay.client.member import MAX_RECENT_BYTES, MAX_RECENT_MESSAGES
from udprelay.protocol.keys import PassphraseError
from udprelay.session_client import events
from udprelay.session_client.message_sender import MAX_UNRELIABLE


@pytest_twisted.ensureDeferred
async def test_messages_arrive_once_and_in_order(members: Members) -> None:
    ada, bob = await members.join("ada"), await members.join("bob")
    payloads = [b"%d" % number for number in range(200)]
    for payload in payloads:
        await ada.send(payload)
    await until(lambda: members.received("bob") == payloads)
    assert members.received("ada") == []
    message = members.events_of("bob", events.Received)[0]
    assert (message.nick, message.number) == ("ada", ada.number)
    assert (message.reliable, message.private, message.sealed) == (True, False, False)
    assert (ada.outstanding, ada.backlog, bob.room) == (0, 0, "lobby")


@pytest_twisted.ensureDeferred
async def test_large_messages_arrive_whole(members: Members) -> None:
    ada, _ = await members.join("ada"), await members.join("bob")
    payload = bytes(range(256)) * 256
    await ada.send(payload)
    await until(lambda: members.received("bob") == [payload])
    with pytest.raises(MessageError):
        ada.send(payload + b"x")
    with pytest.raises(MessageError):
        ada.send(b"")


@pytest_twisted.ensureDeferred
async def test_an_unreliable_message_is_sent_at_once(members: Members) -> None:
    ada, _ = await members.join("ada"), await members.join("bob")
    assert ada.send(b"now", reliable=False).called
    await until(lambda: members.received("bob") == [b"now"])
    assert not members.events_of("bob", events.Received)[0].reliable


@pytest_twisted.ensureDeferred
async def test_a_private_message_reaches_its_receiver_only(members: Members) -> None:
    ada, bob = await members.join("ada"), await members.join("bob")
    await members.join("carol")
    await until(lambda: len(ada.members) == 3)
    await ada.send_private(bob.number, b"psst")
    await ada.send(b"hello")
    await until(lambda: members.received("bob") == [b"psst", b"hello"])
    await until(lambda: members.received("carol") == [b"hello"])
    assert members.events_of("bob", events.Received)[0].private
    with pytest.raises(MessageError):
        ada.send_private(ada.number, b"me")


@pytest_twisted.ensureDeferred
async def test_changes_of_the_roster_are_events(members: Members) -> None:
    ada = await members.join("ada")
    bob = await members.join("bob")
    assert {member.nick for member in bob.members.values()} == {"ada", "bob"}
    await until(lambda: members.events_of("ada", events.MemberJoined))
    bob.change_nick("robert")
    await until(lambda: members.events_of("ada", events.NickChanged))
    assert bob.nick == "robert"
    await bob.leave()
    await until(lambda: members.events_of("ada", events.MemberLeft))
    assert members.events_of("ada", events.MemberLeft)[0].reason == "left"
    assert list(ada.members) == [ada.number]
    assert members.events["bob"][-1] == events.Closed("left", "")


@pytest_twisted.ensureDeferred
async def test_each_callback_gets_its_events(members: Members) -> None:
    called: list[tuple[str, object]] = []

    def note(name: str) -> Callable[[Member, object], None]:
        return lambda member, event: called.append((name, type(event)))

    names = ("received", "roster_changed", "lost", "closed")
    ada = await members.join("ada", **{name: note(name) for name in names})
    bob = await members.join("bob")
    await bob.send(b"hello")
    await until(lambda: len(called) == 2)
    # An unreliable message is not sent later.
    await members.relay.stop()
    await until(lambda: not ada.joined)
    with pytest.raises(UndeliveredError, match="not-joined"):
        await ada.send(b"now", reliable=False)
    await ada.leave()
    assert called == [
        ("roster_changed", events.MemberJoined),
        ("received", events.Received),
        ("lost", events.Failed),
        ("closed", events.Closed),
    ]


@pytest_twisted.ensureDeferred
async def test_the_payload_of_a_sent_message_is_kept(members: Members) -> None:
    ada = await members.join("ada")
    delivered = ada.send(b"hello")
    assert ada.payload(1) == b"hello"
    await delivered
    assert (ada.payload(1), ada.payload(2)) == (b"hello", None)


@pytest.mark.parametrize(
    ("payload", "kept"),
    [
        (b"x", MAX_RECENT_MESSAGES),
        (b"x" * MAX_UNRELIABLE, MAX_RECENT_BYTES // MAX_UNRELIABLE),
    ],
)
@pytest_twisted.ensureDeferred
async def test_the_payloads_of_older_messages_are_forgotten(
    members: Members, payload: bytes, kept: int
) -> None:
    ada = await members.join("ada")
    await gatherResults([ada.send(payload) for _ in range(kept + 1)])
    assert (ada.payload(1), ada.payload(2)) == (None, payload)


@pytest_twisted.ensureDeferred
async def test_a_ping_measures_the_round_trip(members: Members) -> None:
    ada = await members.join("ada")
    ada.ping()
    await until(lambda: members.events_of("ada", events.Ponged))
    assert ada.statistics.round_trip is not None


@pytest_twisted.ensureDeferred
async def test_only_the_passphrase_admits_to_its_room(members: Members) -> None:
    ada = await members.join("ada", room="sealed", passphrase=PASSPHRASE)
    await members.join("bob", room="sealed", passphrase=PASSPHRASE + "\n")
    await ada.send(b"secret")
    await until(lambda: members.received("bob") == [b"secret"])
    assert members.events_of("bob", events.Received)[0].sealed
    for passphrase, code in ((None, "key-required"), ("wrong", "wrong-key")):
        with pytest.raises(RefusedError) as refused:
            await members.join("eve", room="sealed", passphrase=passphrase)
        assert refused.value.code == code
    with pytest.raises(RefusedError) as refused:
        await members.join("eve", passphrase="wrong")
    assert refused.value.code == "no-key-here"


@pytest_twisted.ensureDeferred
async def test_no_two_members_have_one_nick(members: Members) -> None:
    await members.join("ada")
    with pytest.raises(RefusedError) as refused:
        await members.join("Ada")
    assert refused.value.code == "nick-taken"
    assert (await members.join("ada", other_nicks=True)).nick == "ada-2"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"room": "a/b"}, ValueError),
        ({"passphrase": ""}, PassphraseError),
    ],
)
def test_invalid_arguments_raise_at_once(options: dict[str, str], error: type[Exception]) -> None:
    with pytest.raises(error):
        join(reactor, "127.0.0.1", nick="ada", **options)  # type: ignore[arg-type]


@pytest_twisted.ensureDeferred
async def test_an_invalid_nick_is_refused(members: Members) -> None:
    with pytest.raises(RefusedError) as refused:
        await members.join("\x07")
    assert refused.value.code == "nick-invalid"


@pytest_twisted.ensureDeferred
async def test_joining_times_out() -> None:
    with pytest.raises(UnreachableError, match=r"no answer from 127.0.0.1:\d+ within 0.3 s"):
        await join(reactor, "127.0.0.1", free_port(), nick="ada", patience=0.3)


@pytest_twisted.ensureDeferred
async def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(UnreachableError, match=r"unknown host name in a\.example:6000"):
        await join(ClockReactor(NameResolver()), "a.example", nick="ada", patience=None)


@pytest_twisted.ensureDeferred
async def test_joining_can_be_cancelled() -> None:
    joining = join(reactor, "127.0.0.1", free_port(), nick="ada")
    joining.cancel()
    with pytest.raises(CancelledError):
        await joining


@pytest_twisted.ensureDeferred
async def test_leaving_ends_the_membership_and_undelivered_messages_fail(
    members: Members,
) -> None:
    ada = await members.join("ada")
    members.relay.relay.close()  # type: ignore[union-attr]
    delivered = ada.send(b"lost")
    leaving = ada.leave()
    with pytest.raises(UndeliveredError, match="closed"):
        await delivered
    await leaving
    assert ada.over.called
    assert ada.leave().called
    with pytest.raises(MessageError):
        ada.send(b"late")


@pytest.mark.parametrize("farewell", [True, False])
@pytest_twisted.ensureDeferred
async def test_messages_sent_during_a_restart_of_the_relay_arrive(
    members: Members, farewell: bool
) -> None:
    ada, _ = await members.join("ada"), await members.join("bob")
    await ada.send(b"before")
    await until(lambda: members.received("bob") == [b"before"])
    await members.relay.stop(farewell)
    delivered = ada.send(b"meanwhile")
    await polled()
    members.relay.start()
    await delivered
    await until(lambda: members.received("bob") == [b"before", b"meanwhile"])
    assert ada.joined
    assert members.events_of("ada", events.Joined)[-1].resumed


@pytest_twisted.ensureDeferred
async def test_the_next_address_is_tried_at_once_if_no_program_listens(
    members: Members,
) -> None:
    using = NamedReactor(NameResolver("127.0.0.9", "127.0.0.1"))
    ada = await members.join("ada", reactor=using, host="relay.example")
    assert ada.relay == f"127.0.0.1:{members.relay.port}"


@pytest_twisted.ensureDeferred
async def test_the_next_address_is_tried_if_one_does_not_answer(
    members: Members,
) -> None:
    with closing(Peer("127.0.0.9", members.relay.port)):
        using = NamedReactor(NameResolver("127.0.0.9", "127.0.0.1"))
        ada = await members.join("ada", reactor=using, host="relay.example")
    assert ada.relay == f"127.0.0.1:{members.relay.port}"


@pytest_twisted.ensureDeferred
async def test_it_survives_the_loss_of_its_own_address(members: Members) -> None:
    using = NamedReactor()
    ada, bob = await members.join("ada", reactor=using), await members.join("bob")
    before = using.socket
    # As when the address that the socket is bound to is removed.
    FailingSocket(before, *[EINVAL] * 100)
    await ada.send(b"from elsewhere")
    await until(lambda: members.received("bob") == [b"from elsewhere"])
    await bob.send(b"welcome there")
    await until(lambda: members.received("ada") == [b"welcome there"])
    assert using.socket is not before
    assert not members.events_of("ada", events.ContactLost)


@pytest_twisted.ensureDeferred
async def test_an_error_in_a_callback_does_not_end_the_membership(
    members: Members, logged_errors: list[str]
) -> None:
    def broken(*_: object) -> None:
        raise LookupError("oh")

    ada, bob = await members.join("ada"), await members.join("bob", received=broken)
    await ada.send(b"one")
    await until(lambda: logged_errors)
    assert "LookupError: oh" in logged_errors.pop()
    assert bob.joined
