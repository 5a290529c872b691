"""Relays and echo programs that return what they are sent, on real sockets."""

from __future__ import annotations

import pytest
import pytest_twisted
from net_peers import TIMEOUT, MakePeer, OpenRelay, Peer, RunningRelay
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from udprelay.clock import clock_of
from udprelay.relay import events

MAX_HEARD = 20


def send_to(relay: RunningRelay, other: RunningRelay, host: str) -> None:
    """Make a relay a target of another one, by one of its addresses."""
    transport = relay.relay.listeners["main"]
    source = transport.source_of(host, other.port())
    assert source is not None
    hub, now = relay.relay.hub, relay.relay.now()
    hub.add_target("lobby", "relay", transport.listener, source, now)
    relay.relay.driver.settle()


def introduce(relay: RunningRelay, other: RunningRelay) -> None:
    """Send an empty datagram from the port of a relay to another one, as if it was forged."""
    port = relay.relay.listeners["main"].port
    port.socket.sendto(b"", ("::ffff:127.0.0.1", other.port()))


class EchoProgram(Peer):
    """Sends every payload back."""

    def doRead(self) -> None:
        while True:
            try:
                payload, source = self.socket.recvfrom(70_000)
            except BlockingIOError:
                return
            self.socket.sendto(payload, source)


async def heard(relays: list[RunningRelay], make_peer: MakePeer) -> int:
    """Say a text once, wait until a loop is found, and return how often it was heard."""
    found: Deferred[None] = Deferred()

    def look() -> None:
        if not found.called and any(relay.of(events.LoopFound) for relay in relays):
            found.callback(None)

    for relay in relays:
        relay.stream.open("loops", look)
    listener, speaker = make_peer(), make_peer()
    for peer in (listener, speaker):
        await peer.join(relays[0])
    speaker.send(b"once", relays[0])
    await found.addTimeout(TIMEOUT, clock_of(reactor))
    speaker.send(b"end", relays[0])
    count = 0
    while (await listener.receive())[0] != b"end":
        count += 1
    return count


@pytest_twisted.ensureDeferred
async def test_two_relays_as_targets_of_each_other_by_ipv4_and_ipv6(
    open_relay: OpenRelay, make_peer: MakePeer
) -> None:
    one, other = open_relay(), open_relay()
    send_to(one, other, "127.0.0.1")
    send_to(other, one, "::1")
    assert 1 <= await heard([one, other], make_peer) <= MAX_HEARD


@pytest.mark.parametrize("size", [3, 4])
@pytest_twisted.ensureDeferred
async def test_a_ring_of_relays(open_relay: OpenRelay, make_peer: MakePeer, size: int) -> None:
    relays = [open_relay() for _ in range(size)]
    for number, relay in enumerate(relays):
        send_to(relay, relays[(number + 1) % size], "127.0.0.1")
    assert 1 <= await heard(relays, make_peer) <= MAX_HEARD


@pytest_twisted.ensureDeferred
async def test_relays_made_members_of_each_other_by_empty_datagrams(
    open_relay: OpenRelay, make_peer: MakePeer
) -> None:
    relays = [open_relay() for _ in range(3)]
    for number, relay in enumerate(relays):
        introduce(relay, relays[number - 1])
        await relays[number - 1].seen(events.MemberJoined)
    assert 1 <= await heard(relays, make_peer) <= MAX_HEARD


@pytest.mark.parametrize("hosts", [("127.0.0.1", "127.0.0.1"), ("127.0.0.1", "::1")])
@pytest_twisted.ensureDeferred
async def test_two_echo_programs(
    open_relay: OpenRelay, make_peer: MakePeer, hosts: tuple[str, str]
) -> None:
    relay = open_relay()
    programs = [EchoProgram(host) for host in hosts]
    for program in programs:
        await program.join(relay)
    assert 1 <= await heard([relay], make_peer) <= MAX_HEARD
    assert {event.address for event in relay.of(events.LoopFound)} <= set(map(str, programs))
    for program in programs:
        program.close()
