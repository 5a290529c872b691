"""What arrives is what was sent."""

from __future__ import annotations

import os

import pytest
import pytest_twisted

from udprelay.relay import events

LARGEST = 65_507


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("size", [1, 1472, 8192, 8193, LARGEST])
@pytest_twisted.ensureDeferred
async def test_a_payload_arrives_as_it_was_sent(open_relay, make_peer, host, size):
    relay = open_relay()
    speaker, listener = make_peer(host), make_peer(host)
    await listener.join(relay)
    payload = os.urandom(size)
    speaker.send(payload, relay)
    assert await listener.receive() == [payload]


@pytest.mark.parametrize("size", [LARGEST + 1, 65_510, 65_527])
@pytest_twisted.ensureDeferred
async def test_a_payload_that_ipv4_could_not_carry_is_dropped_whole(open_relay, make_peer, size):
    relay = open_relay()
    speaker = make_peer("::1")
    listeners = [await make_peer(host).join(relay) for host in ("127.0.0.1", "::1")]
    speaker.send(bytes(size), relay)
    speaker.send(b"and now a short one", relay)
    for listener in listeners:
        assert await listener.receive() == [b"and now a short one"]
    assert relay.dropped == {"too-long": 1}


@pytest_twisted.ensureDeferred
async def test_one_that_is_too_long_does_not_make_a_member(open_relay, make_peer):
    relay = open_relay()
    make_peer("::1").send(bytes(LARGEST + 1), relay)
    await make_peer("::1").join(relay)
    assert len(relay.of(events.MemberJoined)) == 1
    assert relay.dropped == {"too-long": 1}


@pytest_twisted.ensureDeferred
async def test_an_empty_datagram_joins_and_is_not_relayed(open_relay, make_peer):
    relay = open_relay()
    first = await make_peer().join(relay)
    second = await make_peer().join(relay)
    second.send(b"", relay)
    second.send(b"said", relay)
    assert await first.receive() == [b"said"]
    assert relay.relay.hub.roster.datagrams == 1
    assert relay.dropped == {}


@pytest_twisted.ensureDeferred
async def test_the_first_datagram_of_a_member_is_relayed_and_not_returned(open_relay, make_peer):
    relay = open_relay()
    first, second = make_peer(), make_peer()
    await first.join(relay)
    second.send(b"hello", relay)
    assert await first.receive() == [b"hello"]
    first.send(b"hello yourself", relay)
    # Had its own come back, it would be here first.
    assert await second.receive() == [b"hello yourself"]


@pytest_twisted.ensureDeferred
async def test_datagrams_of_one_sender_arrive_in_order_and_once(open_relay, make_peer):
    relay = open_relay()
    listeners = [await make_peer(host).join(relay) for host in ("127.0.0.1", "::1")]
    speaker = make_peer()
    said = [b"%d" % number for number in range(200)]
    for payload in said:
        speaker.send(payload, relay)
    for listener in listeners:
        assert await listener.receive(len(said)) == said


@pytest_twisted.ensureDeferred
async def test_payloads_of_all_sizes_in_one_batch(open_relay, make_peer):
    relay = open_relay()
    listener = await make_peer().join(relay)
    speakers = [make_peer() for _ in range(3)]
    said = [os.urandom(1 + 37 * number % 1400) for number in range(60)]
    for number, payload in enumerate(said):
        speakers[number % 3].send(payload, relay)
    assert await listener.receive(len(said)) == said
    for number, speaker in enumerate(speakers):
        heard = await speaker.receive(len(said[number + 1 :]) - len(said[number + 3 :: 3]))
        assert heard == [p for i, p in enumerate(said) if i > number and i % 3 != number]
