"""Floods: what the kernel drops for a listener, and how it is counted."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network

import pytest
import pytest_twisted
from net_peers import MakePeer, OpenRelay, Peer, RunningRelay, loopback
from net_reactors import ClockReactor

from udprelay.batch_udp import linux_socket
from udprelay.batch_udp.linux_socket import kernel_drops
from udprelay.batch_udp.socket_filter import FilteredSource
from udprelay.relay import events, floods
from udprelay.relay.rules import PlainPolicy, RelayRules

LARGE = bytes(60_000)
"""Counts for 41 datagrams."""
FLOOD = floods.STRANGER_LIMIT // 41 + 1


def closed_to_others(interface: str, host: str) -> RelayRules:
    """Return rules of a listener that admits only the first addresses of the network of a host."""
    network = IPv6Network(host) if ":" in host else IPv4Network(host)
    options = {"plain": PlainPolicy.NETWORKS, "plain_networks": (network,)}
    return RelayRules(listeners={"main": loopback(interface, **options)})


def drops(relay: RunningRelay) -> int:
    return kernel_drops(relay.relay.listeners["main"].port.socket)


async def flooded(relay: RunningRelay, stranger: Peer) -> None:
    """Let a stranger send until it is filtered."""
    for _ in range(FLOOD):
        stranger.send(LARGE, relay)
    await relay.seen(events.FloodFiltered)


@pytest.mark.parametrize("interface", ["::", "0.0.0.0"])
@pytest_twisted.ensureDeferred
async def test_a_flood_is_dropped_before_the_relay_and_looked_at_again(
    open_relay: OpenRelay, make_peer: MakePeer, interface: str
) -> None:
    clock = ClockReactor()
    relay = open_relay(closed_to_others(interface, "127.0.0.1/32"), clock)
    anna, bert = [await make_peer().join(relay) for _ in range(2)]
    stranger = make_peer("127.0.0.2")
    await flooded(relay, stranger)
    (event,) = relay.of(events.FloodFiltered)
    assert event.address == str(stranger)
    before = drops(relay)
    for _ in range(10):
        stranger.send(b"flood", relay)
    anna.send(b"hello", relay)
    assert await bert.receive() == [b"hello"]
    assert drops(relay) - before == 10
    clock.advance(floods.FIRST_TIME)
    stranger.send(b"heard", relay)
    anna.send(b"again", relay)
    assert await bert.receive() == [b"again"]
    assert drops(relay) - before == 10
    clock.advance(floods.WATCH_TIME)
    await relay.seen(events.FloodOver)
    statistics = relay.relay.listeners["main"].statistics()
    assert (statistics.receive_drops, statistics.filtered_drops) == (0, 10)
    dropped = await relay.dropped()
    assert (dropped["filtered"], dropped["outside-networks"]) == (10, FLOOD + 1)


@pytest_twisted.ensureDeferred
async def test_an_address_of_ipv6_is_filtered_too(
    open_relay: OpenRelay, make_peer: MakePeer
) -> None:
    relay = open_relay(closed_to_others("::", "127.0.0.1/32"), ClockReactor())
    anna, bert = [await make_peer().join(relay) for _ in range(2)]
    stranger = make_peer("::1")
    await flooded(relay, stranger)
    before = drops(relay)
    stranger.send(b"flood", relay)
    anna.send(b"hello", relay)
    assert await bert.receive() == [b"hello"]
    assert drops(relay) - before == 1


@pytest_twisted.ensureDeferred
async def test_a_listener_that_is_opened_again_filters_again(
    open_relay: OpenRelay, make_peer: MakePeer
) -> None:
    clock = ClockReactor()
    relay = open_relay(closed_to_others("0.0.0.0", "127.0.0.1/32"), clock)
    anna, bert = [await make_peer().join(relay) for _ in range(2)]
    stranger = make_peer("127.0.0.2")
    await flooded(relay, stranger)
    relay.relay.suspend_listener("main")
    clock.advance(0)
    assert relay.relay.open_listener("main")
    stranger.send(b"flood", relay)
    anna.send(b"hello", relay)
    assert await bert.receive() == [b"hello"]
    assert drops(relay) == 1


@pytest_twisted.ensureDeferred
async def test_a_filter_that_is_lifted_while_a_listener_is_closed_does_not_come_back(
    open_relay: OpenRelay, make_peer: MakePeer
) -> None:
    clock = ClockReactor()
    relay = open_relay(closed_to_others("0.0.0.0", "127.0.0.1/32"), clock)
    anna, bert = [await make_peer().join(relay) for _ in range(2)]
    stranger = make_peer("127.0.0.2")
    await flooded(relay, stranger)
    relay.relay.suspend_listener("main")
    clock.advance(floods.FIRST_TIME)
    assert relay.relay.open_listener("main")
    stranger.send(b"heard", relay)
    anna.send(b"hello", relay)
    assert await bert.receive() == [b"hello"]
    assert drops(relay) == 0


@pytest_twisted.ensureDeferred
async def test_a_kernel_that_refuses_filters_is_reported_once(
    open_relay: OpenRelay, make_peer: MakePeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(opened: object, sources: Sequence[FilteredSource], mark_at: int = 0) -> int:
        return errno.EPERM if sources else 0

    monkeypatch.setattr(linux_socket, "filter_sources", refuse)
    relay = open_relay(closed_to_others("::", "127.0.0.1/32"), ClockReactor())
    anna, bert = [await make_peer().join(relay) for _ in range(2)]
    for host in ("127.0.0.2", "127.0.0.3"):
        stranger = make_peer(host)
        for _ in range(FLOOD):
            stranger.send(LARGE, relay)
        anna.send(b"hello", relay)
        assert await bert.receive() == [b"hello"]
    (unfiltered,) = relay.of(events.FloodUnfiltered)
    assert unfiltered.error == "Operation not permitted"
    dropped = await relay.dropped()
    assert dropped["outside-networks"] == 2 * FLOOD
