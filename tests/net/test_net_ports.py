"""The ports of a relay: which one a listener has, and what is counted of it."""

from __future__ import annotations

import socket

import pytest_twisted
from net_peers import MakePeer, OpenRelay, one_listener
from net_reactors import ClockReactor

from udprelay.net.udp import KERNEL_DROPS_INTERVAL
from udprelay.relay import events


@pytest_twisted.ensureDeferred
async def test_the_rules_choose_the_port(open_relay: OpenRelay, batch: bool) -> None:
    relay = open_relay()
    (opened,) = relay.of(events.ListenerOpened)
    assert opened.batched is batch


@pytest_twisted.ensureDeferred
async def test_deliveries_follow_members_that_join_leave_and_move(
    open_relay: OpenRelay, make_peer: MakePeer
) -> None:
    relay = open_relay()
    hub = relay.relay.hub
    peers = [await make_peer().join(relay) for _ in range(20)]
    members = list(hub.roster.rooms["lobby"].members())
    peers[0].send(b"to all", relay)
    for peer in peers[1:]:
        assert await peer.receive() == [b"to all"]
    left = (1, 5, 19, 10)
    for index in left:
        hub.kick(members[index], relay.relay.now())
    staying = [peer for index, peer in enumerate(peers) if index not in left]
    staying.append(await make_peer().join(relay))
    staying[0].send(b"again", relay)
    for peer in staying[1:]:
        assert await peer.receive() == [b"again"]
    staying[-1].send(b"other", relay)
    for peer in staying[:-1]:
        assert await peer.receive() == [b"other"]
    assert hub.roster.deliveries == 19 + 2 * (len(staying) - 1)


@pytest_twisted.ensureDeferred
async def test_payloads_of_one_size_are_counted_as_segmented(
    open_relay: OpenRelay, make_peer: MakePeer, batch: bool
) -> None:
    relay = open_relay()
    sender, *members = [await make_peer().join(relay) for _ in range(3)]
    payloads = [b"%02d" % number for number in range(64)]
    for payload in payloads:
        sender.send(payload, relay)
    for member in members:
        assert await member.receive(len(payloads)) == payloads
    statistics = relay.relay.listeners["main"].statistics()
    assert statistics.segmented == (2 * 64 if batch else 0)
    assert statistics.deliveries == 2 * 64


@pytest_twisted.ensureDeferred
async def test_drops_of_the_kernel_are_counted(open_relay: OpenRelay, make_peer: MakePeer) -> None:
    clock = ClockReactor()
    relay = open_relay(one_listener(), clock)
    sender = await make_peer().join(relay)
    relay.relay.listeners["main"].port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for _ in range(200):
        sender.send(bytes(1000), relay)
    clock.advance(KERNEL_DROPS_INTERVAL)
    joined = make_peer()
    while len(relay.of(events.MemberJoined)) < 2:
        # The first attempts may be dropped as well.
        await joined.join(relay)
    dropped = await relay.dropped()
    assert dropped["receive-buffer"] > 100
