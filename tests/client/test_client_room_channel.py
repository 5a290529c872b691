"""Channels in a room of a real relay, over real sockets."""

from __future__ import annotations

from contextlib import ExitStack
from socket import AF_INET, SOCK_DGRAM, socket

import pytest
import pytest_twisted
from client_channel import ChannelRun, OpenChannel
from client_fakes import ClockReactor, DeafSocket, NamedReactor, polled
from client_relay import PASSPHRASE, Members, until

from free_port import free_port
from name_resolver import NameResolver
from udprelay.client.channel import RejectedError, Sender
from udprelay.client.room_reporter import PROGRESS_DELAY
from udprelay.protocol.wire.header import MIN_HELLO
from udprelay.session_client import events
from udprelay.session_client.machine import LEAVE_PATIENCE
from udprelay.session_client.pieces import MAX_MESSAGE


@pytest_twisted.ensureDeferred
async def test_messages_pass_in_both_directions(
    members: Members, open_channel: OpenChannel
) -> None:
    bob = await members.join("bob")
    ada = await open_channel()
    ada.send(b"hello")
    await until(lambda: members.received("bob") == [b"hello"])
    bob.send(b"hi")
    await until(lambda: ada.observer.messages)
    (message,) = ada.observer.messages
    assert message.payload == b"hi"
    assert message.sender == Sender(
        "lobby", bob.number, "bob", private=False, reliable=True, sealed=False
    )
    await until(lambda: not ada.channel.pending)
    assert (ada.channel.exit_status(), ada.channel.peer) == (0, bob.relay)


@pytest_twisted.ensureDeferred
async def test_joining_is_reported_with_the_other_members(
    members: Members, open_channel: OpenChannel
) -> None:
    await members.join("bob")
    await members.join("carol")
    ada = await open_channel()
    texts = [notice.text for notice in ada.observer.notices]
    assert texts == ["in lobby as ada, with bob and carol"]
    assert ada.channel.nicks == ["bob", "carol"]


@pytest_twisted.ensureDeferred
async def test_changes_of_the_roster_are_reported(
    members: Members, open_channel: OpenChannel
) -> None:
    ada = await open_channel()
    bob = await members.join("bob")
    assert (await ada.notice("member.joined")).text == "bob has joined"
    bob.change_nick("robert")
    assert (await ada.notice("member.renamed")).text == "bob is now robert"
    await bob.leave()
    assert (await ada.notice("member.left")).text == "robert has left"


@pytest.mark.parametrize("to", ["bob", "BOB"])
@pytest_twisted.ensureDeferred
async def test_a_private_message_is_sent_by_nick(
    members: Members, open_channel: OpenChannel, to: str
) -> None:
    await members.join("bob")
    ada = await open_channel()
    ada.send(b"psst", to=to)
    await until(lambda: members.events_of("bob", events.Received))
    assert members.events_of("bob", events.Received)[0].private


@pytest_twisted.ensureDeferred
async def test_a_private_message_to_an_unknown_nick_is_rejected(open_channel: OpenChannel) -> None:
    ada = await open_channel()
    with pytest.raises(RejectedError, match="no member has the nick carol"):
        ada.send(b"psst", to="carol")


@pytest_twisted.ensureDeferred
async def test_an_invalid_message_is_rejected(open_channel: OpenChannel) -> None:
    ada = await open_channel()
    for payload, reliable, reason in (
        (b"", True, "empty"),
        (b"x" * (MAX_MESSAGE + 1), True, "too-long"),
        (b"x" * 65_500, False, "invalid"),
    ):
        with pytest.raises(RejectedError) as rejected:
            ada.send(payload, reliable=reliable)
        assert (rejected.value.reason, rejected.value.length) == (reason, len(payload))


def test_a_message_before_a_room_is_joined_is_rejected() -> None:
    with pytest.raises(RejectedError, match="no room joined yet"):
        ChannelRun(6000).send(b"hello")


@pytest_twisted.ensureDeferred
async def test_with_a_large_backlog_it_is_busy(
    members: Members, open_channel: OpenChannel
) -> None:
    await members.join("bob")
    ada = await open_channel()
    payloads = [b"%d" % number for number in range(500)]
    for payload in payloads:
        ada.send(payload)
    assert (ada.channel.busy, ada.channel.pending) == (True, 500)
    await until(lambda: members.received("bob") == payloads and not ada.channel.pending)
    assert not ada.channel.busy
    assert ada.observer.progress >= 500


@pytest_twisted.ensureDeferred
async def test_a_refusal_ends_it_with_the_reason(
    members: Members, open_channel: OpenChannel
) -> None:
    await members.join("ada")
    ada = await open_channel()
    assert ada.observer.status == 3
    (notice,) = ada.observer.notices
    assert dict(notice.fields) == {"room": "lobby", "reason": "nick-taken"}
    assert notice.text.startswith("not admitted to lobby: ")
    assert notice.text.endswith("; choose another with --nick")


@pytest_twisted.ensureDeferred
async def test_a_similar_nick_is_used_if_allowed(
    members: Members, open_channel: OpenChannel
) -> None:
    await members.join("ada")
    ada = await open_channel(other_nicks=True)
    assert ada.channel.own_nick == "ada-2"


@pytest_twisted.ensureDeferred
async def test_a_passphrase_admits_to_its_room(
    members: Members, open_channel: OpenChannel
) -> None:
    await members.join("bob", room="sealed", passphrase=PASSPHRASE)
    ada = await open_channel(room="sealed", passphrase=PASSPHRASE)
    ada.send(b"secret")
    await until(lambda: members.received("bob") == [b"secret"])


@pytest_twisted.ensureDeferred
async def test_a_kick_ends_it_with_the_reason(members: Members, open_channel: OpenChannel) -> None:
    ada = await open_channel()
    relay = members.relay.relay
    assert relay is not None
    (member,) = relay.hub.roster.rooms["lobby"].members()
    relay.hub.kick(member, relay.now())
    relay.driver.settle()
    notice = await ada.notice("session.closed")
    assert dict(notice.fields) == {"room": "lobby", "reason": "kicked"}
    assert ada.observer.status == 3


@pytest.mark.parametrize("timeout", [0.3, 60.0])
@pytest_twisted.ensureDeferred
async def test_if_no_program_listens_it_ends_after_the_timeout_or_five_seconds(
    timeout: float,
) -> None:
    port = free_port()
    failed = await ChannelRun(port, timeout=timeout).fail()
    assert failed == (2, f"no program listens at 127.0.0.1:{port}", "ECONNREFUSED")


@pytest_twisted.ensureDeferred
async def test_if_one_of_several_addresses_is_silent_it_ends_after_the_timeout() -> None:
    port = free_port()
    with socket(AF_INET, SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.2", port))
        using = NamedReactor(NameResolver("127.0.0.1", "127.0.0.2"))
        status, _, reason = await ChannelRun(port, using, "a.example", timeout=5.5).fail()
        assert len(silent.recv(1000)) >= MIN_HELLO
    assert (status, reason) == (2, "ETIMEDOUT")


@pytest_twisted.ensureDeferred
async def test_without_an_answer_it_ends_after_the_timeout() -> None:
    with socket(AF_INET, SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        status, text, reason = await ChannelRun(silent.getsockname()[1], timeout=0.3).fail()
    assert (status, reason) == (2, "ETIMEDOUT")
    assert text.endswith(" within 0.3 s")


def test_an_unknown_name_ends_it() -> None:
    ada = ChannelRun(6000, ClockReactor(NameResolver()), "a.example", timeout=None)
    ada.open()
    assert (ada.observer.status, ada.observer.events) == (2, ["peer.unresolved"])


@pytest_twisted.ensureDeferred
async def test_slow_joining_is_reported_after_a_second() -> None:
    using = ClockReactor(NameResolver(at_once=False))
    ada = ChannelRun(6000, using, "a.example", timeout=None)
    ada.open()
    assert ada.channel.resolving
    using.advance(PROGRESS_DELAY)
    assert [notice.text for notice in ada.observer.notices] == ["connecting to a.example:6000 ..."]
    await ada.channel.close()
    assert ada.observer.status is None


@pytest_twisted.ensureDeferred
async def test_it_reconnects_to_a_restarted_relay(
    members: Members, open_channel: OpenChannel
) -> None:
    await members.join("bob")
    ada = await open_channel()
    await members.relay.stop()
    peer = f"127.0.0.1:{members.relay.port}"
    notice = await ada.notice("session.lost")
    assert dict(notice.fields) == {"peer": peer, "reason": "stopping"}
    assert ada.channel.exit_status() == 2
    ada.send(b"meanwhile")
    members.relay.start()
    assert (await ada.notice("session.resumed")).text == f"reconnected to {peer}"
    await until(lambda: members.received("bob") == [b"meanwhile"])
    assert ada.channel.exit_status() == 0


@pytest_twisted.ensureDeferred
async def test_a_message_to_a_member_that_has_left_fails(
    members: Members, open_channel: OpenChannel
) -> None:
    bob = await members.join("bob")
    ada = await open_channel()
    muted = ada.reactor.mute()
    ada.send(b"psst", to="bob")
    await bob.leave()
    muted.unmute()
    notice = await ada.notice("message.failed")
    assert notice.text == "not delivered (its receiver has left): psst"
    assert ada.channel.exit_status() == 1


@pytest_twisted.ensureDeferred
async def test_a_refused_nick_is_reported(members: Members, open_channel: OpenChannel) -> None:
    await members.join("bob")
    ada = await open_channel()
    ada.channel.change_nick("bob")
    assert (await ada.notice("nick.refused")).fields["reason"] == "nick-taken"
    ada.channel.change_nick("")
    refused = await ada.notice("nick.refused", 2)
    assert refused.fields["reason"] == "nick-invalid"
    assert refused.text.startswith("nick not changed: ")
    assert ada.channel.own_nick == "ada"


@pytest_twisted.ensureDeferred
async def test_the_round_trip_is_reported(open_channel: OpenChannel) -> None:
    ada = await open_channel()
    ada.channel.ping()
    notice = await ada.notice("ping.answered")
    assert 0 < float(str(notice.fields["seconds"])) < 20


@pytest_twisted.ensureDeferred
async def test_while_paused_nothing_is_received_and_nothing_is_lost(
    members: Members, open_channel: OpenChannel
) -> None:
    bob = await members.join("bob")
    ada = await open_channel()
    ada.channel.pause()
    await bob.send(b"one")
    await polled()
    assert ada.observer.payloads == []
    ada.channel.resume()
    await until(lambda: ada.observer.payloads == [b"one"])


@pytest_twisted.ensureDeferred
async def test_unacknowledged_messages_are_reported_at_the_end(
    members: Members, open_channel: OpenChannel
) -> None:
    ada = await open_channel()
    await members.relay.stop(farewell=False)
    ada.send(b"one")
    ada.send(b"two")
    await ada.channel.close()
    assert [notice.text for notice in ada.observer.notices][1:] == [
        "left before 2 messages were acknowledged"
    ]


@pytest_twisted.ensureDeferred
async def test_leaving_while_the_relay_is_restarted_takes_no_message_with_it(
    members: Members, open_channel: OpenChannel
) -> None:
    using = NamedReactor()
    await members.join("bob", reactor=using)
    ada = await open_channel()
    deaf = DeafSocket(using.socket)
    ada.send(b"before the end")
    await until(lambda: not ada.channel.pending)
    await members.relay.stop(farewell=False)
    deaf.unmute()
    left = ada.channel.close()
    members.relay.start()
    assert await left == 0
    await until(lambda: members.received("bob") == [b"before the end"])


@pytest_twisted.ensureDeferred
async def test_what_a_relay_may_have_lost_is_reported_on_leaving(
    members: Members, open_channel: OpenChannel
) -> None:
    using = ClockReactor()
    ada = await open_channel(using=using)
    ada.send(b"anybody?")
    await until(lambda: not ada.channel.pending)
    await members.relay.stop()
    await ada.notice("session.lost")
    left = ada.channel.close()
    using.advance(LEAVE_PATIENCE)
    assert await left == 2
    (failed,) = ada.notices("message.failed")
    assert failed.text == (
        "not delivered (the relay has gone, perhaps before everybody had it): anybody?"
    )


@pytest_twisted.ensureDeferred
async def test_all_others_are_counted_where_one_datagram_cannot_list_them(
    members: Members, open_channel: OpenChannel
) -> None:
    with ExitStack() as stack:
        for _ in range(130):
            plain = stack.enter_context(socket(AF_INET, SOCK_DGRAM))
            plain.sendto(b"", ("127.0.0.1", members.relay.port))
        await until(lambda: sum(e.id == "member.joined" for e in members.relay.events) == 130)
        ada = await open_channel()
        joined = await ada.notice("session.joined")
        assert joined.fields["others"] == 130
        assert joined.text.endswith("guest-8 and 122 more")
        assert len(ada.notices("session.joined")) == 1
