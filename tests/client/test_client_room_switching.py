"""Channels that switch between rooms of a real relay."""

from __future__ import annotations

import pytest
import pytest_twisted
from client_channel import OpenChannel
from client_relay import Members, until

from udprelay.session_client import events


@pytest_twisted.ensureDeferred
async def test_the_next_room_is_joined_before_the_old_one_is_left(
    members: Members, open_channel: OpenChannel
) -> None:
    await members.join("bob")
    await members.join("carol", room="games")
    ada = await open_channel()
    ada.send(b"goodbye")
    ada.channel.switch_room("games")
    await ada.notice("session.left")
    assert (ada.channel.room, ada.channel.nicks) == ("games", ["carol"])
    ada.send(b"hello")
    await until(lambda: members.received("carol") == [b"hello"])
    await until(lambda: members.events_of("bob", events.MemberLeft))
    assert members.received("bob") == [b"goodbye"]
    assert ada.channel.rooms == {"lobby", "games"}
    assert [notice.text for notice in ada.observer.notices][-2:] == [
        "in games as ada, with carol",
        "left lobby",
    ]


@pytest_twisted.ensureDeferred
async def test_a_room_is_left_after_its_last_message_is_acknowledged(
    members: Members, open_channel: OpenChannel
) -> None:
    await members.join("bob")
    ada = await open_channel()
    muted = ada.reactor.mute()
    ada.send(b"goodbye")
    ada.channel.switch_room("games")
    await ada.notice("session.left")
    assert ada.channel.pending == 1
    muted.unmute()
    await until(lambda: members.events_of("bob", events.MemberLeft))
    assert (members.received("bob"), ada.channel.pending) == ([b"goodbye"], 0)


@pytest_twisted.ensureDeferred
async def test_a_message_that_fails_in_the_old_room_is_reported(
    members: Members, open_channel: OpenChannel
) -> None:
    bob = await members.join("bob")
    ada = await open_channel()
    muted = ada.reactor.mute()
    ada.send(b"psst", to="bob")
    ada.channel.switch_room("games")
    await ada.notice("session.left")
    await bob.leave()
    muted.unmute()
    notice = await ada.notice("message.failed")
    assert notice.fields["text"] == "psst"


@pytest_twisted.ensureDeferred
async def test_if_another_room_does_not_admit_it_the_room_stays(open_channel: OpenChannel) -> None:
    ada = await open_channel()
    ada.channel.switch_room("sealed")
    notice = await ada.notice("session.refused")
    assert dict(notice.fields) == {"room": "sealed", "reason": "key-required"}
    assert notice.text.endswith("; give --passphrase-file or UDPRELAY_PASSPHRASE")
    assert (ada.channel.room, ada.observer.status) == ("lobby", None)


@pytest_twisted.ensureDeferred
async def test_an_invalid_room_name_is_an_error(open_channel: OpenChannel) -> None:
    ada = await open_channel()
    with pytest.raises(ValueError, match="room"):
        ada.channel.switch_room("no room")


@pytest_twisted.ensureDeferred
async def test_of_two_switches_the_last_one_counts(open_channel: OpenChannel) -> None:
    ada = await open_channel()
    ada.channel.switch_room("games")
    ada.channel.switch_room("council")
    await ada.notice("session.left")
    await ada.round_trip()
    assert ada.channel.room == "council"
    assert len(ada.notices("session.joined")) == 2


@pytest_twisted.ensureDeferred
async def test_switching_to_the_current_room_cancels_a_switch(open_channel: OpenChannel) -> None:
    ada = await open_channel()
    ada.channel.switch_room("games")
    ada.channel.switch_room("lobby")
    await ada.round_trip()
    assert ada.channel.room == "lobby"
    assert len(ada.notices("session.joined")) == 1


@pytest_twisted.ensureDeferred
async def test_a_new_nick_is_used_in_other_rooms_too(open_channel: OpenChannel) -> None:
    ada = await open_channel()
    ada.channel.change_nick("  countess ")
    assert (await ada.notice("nick.changed")).text == "you are now countess"
    ada.channel.switch_room("games")
    await ada.notice("session.left")
    assert ada.channel.own_nick == "countess"
