"""A relay that is held up for longer than its timeouts."""

from __future__ import annotations

import pytest
import pytest_twisted
from net_peers import MakePeer, OpenRelay, RunningRelay, loopback, one_listener

from pausing_reactor import PausingReactor
from udprelay.relay import events
from udprelay.relay.rules import PlainPolicy, RelayRules, RoomRules

PAUSE = 3600.0


@pytest.fixture
def held_up() -> PausingReactor:
    return PausingReactor()


async def settled(relay: RunningRelay, make_peer: MakePeer) -> None:
    """Wait until the relay has had turns of its reactor, and has read its sockets."""
    for _ in range(2):
        await make_peer().join(relay)


@pytest_twisted.ensureDeferred
async def test_what_waits_in_the_socket_is_relayed_and_nobody_leaves(
    open_relay: OpenRelay, make_peer: MakePeer, held_up: PausingReactor
) -> None:
    relay = open_relay(one_listener(), held_up)
    sender, member, silent = [await make_peer().join(relay) for _ in range(3)]
    held_up.pause(PAUSE)
    sender.send(b"said meanwhile", relay)
    member.send(b"", relay)
    assert await member.receive() == [b"said meanwhile"]
    assert await silent.receive() == [b"said meanwhile"]
    await settled(relay, make_peer)
    assert relay.of(events.MemberLeft) == []


@pytest_twisted.ensureDeferred
async def test_who_is_silent_after_the_pause_too_leaves(
    open_relay: OpenRelay, make_peer: MakePeer, held_up: PausingReactor
) -> None:
    rules = RelayRules(
        listeners={"main": loopback(), "short": loopback(room="short")},
        rooms={"short": RoomRules(idle_timeout=0.3)},
    )
    relay = open_relay(rules, held_up)
    silent = await make_peer().join(relay, "short")
    held_up.pause(PAUSE)
    (left,) = await relay.seen(events.MemberLeft)
    assert (left.address, left.reason) == (str(silent), "idle")


@pytest_twisted.ensureDeferred
async def test_a_code_that_was_sent_meanwhile_is_valid(
    open_relay: OpenRelay, make_peer: MakePeer, held_up: PausingReactor
) -> None:
    rules = RelayRules(
        listeners={"main": loopback(plain=PlainPolicy.CHALLENGE, plain_networks=())}
    )
    relay = open_relay(rules, held_up)
    person = make_peer()
    person.send(b"let me in, please", relay)
    (challenge,) = await person.receive()
    held_up.pause(PAUSE)
    person.send(challenge.split()[-1], relay)
    (joined,) = await relay.seen(events.MemberJoined)
    assert joined.address == str(person)
