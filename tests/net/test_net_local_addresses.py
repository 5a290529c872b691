"""A listener on every address answers from the address that was asked."""

from __future__ import annotations

import pytest
import pytest_twisted
from net_peers import MakePeer, OpenRelay, Peer, RunningRelay, one_listener

from udprelay.protocol.wire import decode_from_relay
from udprelay.protocol.wire.joining import Challenge, Hello
from udprelay.relay import events
from udprelay.relay.rules import PlainPolicy

ASKED = {
    "::": ["127.0.0.1", "127.0.0.2", "::1", "127.1.2.3"],
    "0.0.0.0": ["127.0.0.1", "127.2.2.2"],
}


def connected(make_peer: MakePeer, relay: RunningRelay, address: str) -> Peer:
    """Return a peer that hears one address of the relay alone."""
    peer = make_peer("::1" if ":" in address else "127.0.0.1")
    peer.socket.connect((address, relay.port()))
    return peer


@pytest.mark.parametrize("interface", ASKED)
@pytest_twisted.ensureDeferred
async def test_connected_members_hear_the_room(
    open_relay: OpenRelay, make_peer: MakePeer, interface: str
) -> None:
    relay = open_relay(one_listener(interface))
    members = [connected(make_peer, relay, address) for address in ASKED[interface]]
    for number, member in enumerate(members, 1):
        member.socket.send(b"")
        await relay.seen(events.MemberJoined, number)
    for speaker in members:
        speaker.socket.send(b"hello")
        for member in members:
            if member is not speaker:
                assert await member.receive() == [b"hello"]


@pytest.mark.parametrize("interface", ASKED)
@pytest_twisted.ensureDeferred
async def test_answers_to_unverified_sources_come_from_the_address_that_was_asked(
    open_relay: OpenRelay, make_peer: MakePeer, interface: str
) -> None:
    relay = open_relay(one_listener(interface, plain=PlainPolicy.CHALLENGE, plain_networks=()))
    for address in ASKED[interface]:
        peer = connected(make_peer, relay, address)
        peer.socket.send(b"let me in, please")
        (challenge,) = await peer.receive()
        assert challenge.startswith(b"udprelay: ")
        peer.socket.send(Hello(bytes(8), "lobby").encode())
        (answer,) = await peer.receive()
        assert isinstance(decode_from_relay(answer), Challenge)


@pytest_twisted.ensureDeferred
async def test_a_peer_that_writes_to_two_addresses_is_one_member(
    open_relay: OpenRelay, make_peer: MakePeer
) -> None:
    relay = open_relay()
    peer, other = make_peer(), await make_peer().join(relay)
    for number, address in enumerate(("127.0.0.1", "127.0.0.2", "127.0.0.1", "127.0.0.3")):
        peer.socket.sendto(b"%d" % number, (address, relay.port()))
        assert await other.receive() == [b"%d" % number]
    other.send(b"once", relay)
    other.send(b"end", relay)
    assert await peer.receive(2) == [b"once", b"end"]
    assert {host for host, _ in peer.sources} == {"127.0.0.3"}
    assert relay.relay.hub.roster.member_count == 2
