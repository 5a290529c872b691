"""The IP headers of what the relay and the client send: no DF bit, the mark of the listener."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest
import pytest_twisted
from net_peers import MakePeer, OpenRelay, one_listener
from twisted.internet import reactor

from udprelay.client.sockets import PeerSocket

EF = 46
_RECEIVE_TCLASS = 66
_RECEIVE_TOS = 13
_DO_NOT_FRAGMENT = 0x40

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


@pytest.fixture
def capture() -> Iterator[socket.socket]:
    """Return a socket that gets all IPv4 packets on loopback, from the IP header on."""
    if os.geteuid() or sys.platform != "linux":
        pytest.skip("needs root on Linux")
    ipv4 = socket.htons(0x0800)
    with closing(socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, ipv4)) as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        opened.bind(("lo", 0x0800))
        opened.settimeout(20)
        yield opened


def headers_from(capture: socket.socket, port: int, payload: bytes) -> bytes:
    """Return the IP header of the captured datagram that has a source port and a payload."""
    while True:
        packet = capture.recv(70_000)
        header, datagram = packet[:20], packet[20:]
        if datagram[:2] == port.to_bytes(2, "big") and datagram[8:] == payload:
            return header


@pytest.mark.parametrize("interface", ["::", "0.0.0.0", "127.0.0.1"])
@pytest_twisted.ensureDeferred
async def test_routers_may_fragment_what_the_relay_sends(
    capture: socket.socket, open_relay: OpenRelay, make_peer: MakePeer, interface: str
) -> None:
    relay = open_relay(one_listener(interface))
    one, other = [await make_peer().join(relay) for _ in range(2)]
    for size in (9, 1400):
        one.send(os.urandom(size), relay)
        (payload,) = await other.receive()
        header = headers_from(capture, relay.port(), payload)
        assert not header[6] & _DO_NOT_FRAGMENT


@pytest_twisted.ensureDeferred
async def test_routers_may_fragment_what_the_client_sends(
    capture: socket.socket, make_peer: MakePeer
) -> None:
    peer = make_peer()
    client = PeerSocket(reactor, peer.host, peer.port, lambda _: None, lambda _: None)
    with closing(client):
        client.send(b"a line of text")
        assert await peer.receive() == [b"a line of text"]
        port = client.socket.getsockname()[1]
        header = headers_from(capture, port, b"a line of text")
        assert not header[6] & _DO_NOT_FRAGMENT


def receive_mark(peer: socket.socket) -> int:
    """Return the DSCP and ECN of the next datagram."""
    peer.settimeout(20)
    _, control, _, _ = peer.recvmsg(100, 100)
    (mark,) = [data[0] for _, kind, data in control if kind in (1, 67)]
    return mark


@needs_linux
@pytest.mark.parametrize("interface", ["::", "0.0.0.0", "::1"])
@pytest.mark.parametrize("dscp", [0, EF, 63])
@pytest_twisted.ensureDeferred
async def test_all_that_a_listener_sends_has_its_mark(
    open_relay: OpenRelay, make_peer: MakePeer, interface: str, dscp: int
) -> None:
    relay = open_relay(one_listener(interface, dscp=dscp))
    hosts = {"::": ["127.0.0.1", "::1"], "0.0.0.0": ["127.0.0.1"], "::1": ["::1"]}[interface]
    for host in hosts:
        speaker, other = [await make_peer(host).join(relay) for _ in range(2)]
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with closing(socket.socket(family, socket.SOCK_DGRAM)) as marked:
            if family == socket.AF_INET6:
                marked.setsockopt(socket.IPPROTO_IPV6, _RECEIVE_TCLASS, 1)
            else:
                marked.setsockopt(socket.IPPROTO_IP, _RECEIVE_TOS, 1)
            marked.connect((host, relay.port()))
            marked.send(b"mark?")
            await other.receive()
            speaker.send(b"marked", relay)
            await other.receive()
            assert receive_mark(marked) == dscp << 2
