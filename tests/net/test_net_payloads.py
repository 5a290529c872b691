"""Payloads arrive as they were sent."""

from __future__ import annotations

import os

import pytest
import pytest_twisted
from net_peers import MakePeer, OpenRelay

from udprelay.relay import events

MAX_PAYLOAD = 65_507


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("size", [1, 1472, 8192, 8193, MAX_PAYLOAD])
@pytest_twisted.ensureDeferred
async def test_a_payload_arrives_as_it_was_sent(
    open_relay: OpenRelay, make_peer: MakePeer, host: str, size: int
) -> None:
    relay = open_relay()
    sender, listener = make_peer(host), make_peer(host)
    await listener.join(relay)
    payload = os.urandom(size)
    sender.send(payload, relay)
    assert await listener.receive() == [payload]


@pytest.mark.parametrize("size", [MAX_PAYLOAD + 1, 65_510, 65_527])
@pytest_twisted.ensureDeferred
async def test_a_payload_that_ipv4_could_not_carry_is_dropped_whole(
    open_relay: OpenRelay, make_peer: MakePeer, size: int
) -> None:
    relay = open_relay()
    sender = make_peer("::1")
    listeners = [await make_peer(host).join(relay) for host in ("127.0.0.1", "::1")]
    sender.send(bytes(size), relay)
    sender.send(b"and now a short one", relay)
    for listener in listeners:
        assert await listener.receive() == [b"and now a short one"]
    assert await relay.dropped() == {"too-long": 1}


@pytest_twisted.ensureDeferred
async def test_a_datagram_that_is_too_long_adds_no_member(
    open_relay: OpenRelay, make_peer: MakePeer
) -> None:
    relay = open_relay()
    make_peer("::1").send(bytes(MAX_PAYLOAD + 1), relay)
    await make_peer("::1").join(relay)
    assert len(relay.of(events.MemberJoined)) == 1
    assert await relay.dropped() == {"too-long": 1}


@pytest_twisted.ensureDeferred
async def test_an_empty_datagram_joins_and_is_not_relayed(
    open_relay: OpenRelay, make_peer: MakePeer
) -> None:
    relay = open_relay()
    first = await make_peer().join(relay)
    second = await make_peer().join(relay)
    second.send(b"", relay)
    second.send(b"payload", relay)
    assert await first.receive() == [b"payload"]
    assert relay.relay.hub.roster.datagrams == 1
    assert await relay.dropped() == {}


@pytest_twisted.ensureDeferred
async def test_the_first_datagram_of_a_member_is_relayed_and_not_returned(
    open_relay: OpenRelay, make_peer: MakePeer
) -> None:
    relay = open_relay()
    first, second = make_peer(), make_peer()
    await first.join(relay)
    second.send(b"hello", relay)
    assert await first.receive() == [b"hello"]
    first.send(b"hello yourself", relay)
    # Had its own come back, it would be here first.
    assert await second.receive() == [b"hello yourself"]


@pytest_twisted.ensureDeferred
async def test_datagrams_of_one_sender_arrive_in_order_and_once(
    open_relay: OpenRelay, make_peer: MakePeer
) -> None:
    relay = open_relay()
    listeners = [await make_peer(host).join(relay) for host in ("127.0.0.1", "::1")]
    sender = make_peer()
    payloads = [b"%d" % number for number in range(200)]
    for payload in payloads:
        sender.send(payload, relay)
    for listener in listeners:
        assert await listener.receive(len(payloads)) == payloads


@pytest_twisted.ensureDeferred
async def test_payloads_of_all_sizes_in_one_batch(
    open_relay: OpenRelay, make_peer: MakePeer
) -> None:
    relay = open_relay()
    listener = await make_peer().join(relay)
    senders = [make_peer() for _ in range(3)]
    payloads = [os.urandom(1 + 37 * number % 1400) for number in range(60)]
    for number, payload in enumerate(payloads):
        senders[number % 3].send(payload, relay)
    assert await listener.receive(len(payloads)) == payloads
    for number, sender in enumerate(senders):
        received = await sender.receive(
            len(payloads[number + 1 :]) - len(payloads[number + 3 :: 3])
        )
        assert received == [p for i, p in enumerate(payloads) if i > number and i % 3 != number]
