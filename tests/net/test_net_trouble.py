"""Errors of one member: counted, and no loss for the others."""

from __future__ import annotations

import errno
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from platform import machine
from typing import cast

import pytest
import pytest_twisted
from batch_udp_network import FaultySocket
from forbidden_calls import NUMBERS
from net_peers import TIMEOUT, MakePeer, OpenRelay, Peer, RunningRelay, one_listener

from udprelay.relay import events
from udprelay.relay.rules import PlainPolicy

CHILD = Path(__file__).with_name("relay_child.py")

REASONS = {
    errno.EAGAIN: "send-buffer",
    errno.ENOBUFS: "send-buffer",
    errno.ENOMEM: "send-buffer",
    errno.EMSGSIZE: "path-mtu",
    errno.ENETUNREACH: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
    errno.ECONNREFUSED: "unreachable",
    errno.EPERM: "send-failed",
    errno.EACCES: "send-failed",
    errno.EINVAL: "send-failed",
    errno.EADDRNOTAVAIL: "send-failed",
    errno.EIO: "send-failed",
    errno.EINTR: "send-failed",
}

# The errors of system calls for many datagrams are tested in tests/batch_udp.
one_call_a_datagram = pytest.mark.parametrize("batch", [False], ids=["stock"], indirect=True)


def break_sending(relay: RunningRelay, to: Peer, code: int) -> None:
    """Let the relay fail to send to a peer, with an errno."""
    port = relay.relay.listeners["main"].port
    source = port.source_of(to.host, to.port)
    assert source is not None
    broken = FaultySocket(port.socket, port.socket_address(source), code)
    port.socket = cast(socket.socket, broken)


@one_call_a_datagram
@pytest.mark.parametrize("code", REASONS, ids=errno.errorcode.get)
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest_twisted.ensureDeferred
async def test_an_error_of_one_member_costs_the_others_nothing(
    open_relay: OpenRelay, make_peer: MakePeer, code: int, place: int
) -> None:
    relay = open_relay()
    members = [await make_peer().join(relay) for _ in range(3)]
    sender = await make_peer().join(relay)
    break_sending(relay, members.pop(place), code)
    payloads = [b"%d" % number for number in range(10)]
    for payload in payloads:
        sender.send(payload, relay)
    for member in members:
        assert await member.receive(len(payloads)) == payloads
        member.send(b"after it", relay)
        assert await sender.receive() == [b"after it"]
    failed = len(payloads) + len(members)
    roster = relay.relay.hub.roster
    assert roster.datagrams == failed
    assert roster.deliveries == failed * 3 - failed
    assert roster.member_count == 4
    assert await relay.dropped() == {REASONS[code]: failed}


@one_call_a_datagram
@pytest_twisted.ensureDeferred
async def test_an_error_of_a_reply_is_counted(open_relay: OpenRelay, make_peer: MakePeer) -> None:
    relay = open_relay(one_listener(plain=PlainPolicy.CHALLENGE, plain_networks=()))
    unverified = make_peer()
    break_sending(relay, unverified, errno.EPERM)
    unverified.send(b"let me in, please", relay)
    await relay.seen(events.MemberRejected)
    assert await relay.dropped() == {"challenged": 1, "send-failed": 1}


@pytest_twisted.ensureDeferred
async def test_a_destination_that_refuses_segments_is_reported(
    open_relay: OpenRelay, make_peer: MakePeer
) -> None:
    relay = open_relay()
    member = await make_peer().join(relay)
    protocol = relay.relay.listeners["main"]
    source = protocol.port.source_of(member.host, member.port)
    protocol.segments_refused(source, errno.EINVAL)
    protocol.segments_refused(None, errno.EIO)
    assert relay.of(events.ListenerSegmentsOff) == [
        events.ListenerSegmentsOff(listener="main", address=str(member), error="Invalid argument"),
        events.ListenerSegmentsOff(listener="main", address="", error="Input/output error"),
    ]


# Real ICMP errors.


@pytest_twisted.ensureDeferred
async def test_an_unreachable_member_is_counted_and_stays_a_member(
    open_relay: OpenRelay, make_peer: MakePeer
) -> None:
    relay = open_relay()
    sender, closed, member = [await make_peer().join(relay) for _ in range(3)]
    closed.close()
    payloads = [b"%d" % number for number in range(50)]
    for payload in payloads:
        sender.send(payload, relay)
    assert await member.receive(len(payloads)) == payloads
    await make_peer().join(relay)
    assert relay.relay.hub.roster.member_count == 4
    assert relay.of(events.MemberLeft) == []
    assert set(await relay.dropped()) == {"unreachable"}


@pytest_twisted.ensureDeferred
async def test_a_member_that_refuses_is_reported_and_gets_everything_once_it_is_heard(
    open_relay: OpenRelay, make_peer: MakePeer
) -> None:
    relay = open_relay()
    sender, closed = [await make_peer().join(relay) for _ in range(2)]
    address = closed.host, closed.port
    closed.close()
    sender.send(b"nobody is there", relay)
    (event,) = await relay.seen(events.MemberTroubled)
    assert event.fields() == {
        "room": "lobby",
        "member": "guest-2",
        "address": f"{address[0]}:{address[1]}",
        "listener": "main",
        "reason": "unreachable",
        "error": "Connection refused",
    }
    again = make_peer(*address)
    again.send(b"here again", relay)
    assert await sender.receive() == [b"here again"]
    payloads = [b"%d" % number for number in range(20)]
    for payload in payloads:
        sender.send(payload, relay)
    assert await again.receive(len(payloads)) == payloads


@contextmanager
def running_child(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, str(CHILD), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def blocking_peer(host: str) -> socket.socket:
    opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    opened.settimeout(TIMEOUT)
    opened.bind((host, 0))
    return opened


@pytest.mark.parametrize("name", ["epoll", "poll", "select", "asyncio"])
def test_no_reactor_closes_a_listener_for_an_icmp_error(name: str) -> None:
    with running_child(name, "::") as child, ExitStack() as stack:
        assert child.stdout is not None
        opened = json.loads(child.stdout.readline())
        assert opened["reactor"].lower().startswith(name)
        for host in ("127.0.0.1", "::1"):
            relay = (host, opened["port"])
            sender, *closed, member = [
                stack.enter_context(closing(blocking_peer(host))) for _ in range(5)
            ]
            # Each joins with a payload; when the first has received all, all are members.
            sender.sendto(b"", relay)
            for number, peer in enumerate((*closed, member)):
                peer.sendto(b"%d" % number, relay)
            assert {sender.recv(100) for _ in range(4)} == {b"0", b"1", b"2", b"3"}
            for peer in closed:
                peer.close()
            received = []
            for number in range(100, 150):
                # Both ways in turn: errors come while the relay waits and while it works.
                sender.sendto(b"%d" % number, relay)
                received.append(member.recv(100))
                # Each differs, as a relay holds back what might go round in a loop.
                member.sendto(b"back %d" % number, relay)
                assert sender.recv(100) == b"back %d" % number
            for number in range(150, 200):
                sender.sendto(b"%d" % number, relay)
            received += [member.recv(100) for _ in range(50)]
            assert received == [b"%d" % number for number in range(100, 200)]
            sender.close()
            member.close()
        totals = json.loads(child.communicate(timeout=TIMEOUT)[0])
        assert child.returncode == 0
    assert totals["members"] == 10
    assert totals["datagrams"] == 2 * 154
    assert set(totals["dropped"]) == {"unreachable"}


# Without the system calls for many datagrams.


@pytest.mark.skipif(machine() not in NUMBERS, reason="system call numbers unknown here")
def test_a_relay_without_batched_calls_reports_it_and_relays() -> None:
    with running_child("epoll", "127.0.0.1", "forbid") as child, ExitStack() as stack:
        assert child.stdout is not None
        opened = json.loads(child.stdout.readline())
        assert opened["unbatched"] == "Operation not permitted"
        relay = ("127.0.0.1", opened["port"])
        first, second = [
            stack.enter_context(closing(blocking_peer("127.0.0.1"))) for _ in range(2)
        ]
        first.sendto(b"", relay)
        second.sendto(b"hello", relay)
        assert first.recv(100) == b"hello"
        child.communicate(timeout=TIMEOUT)
        assert child.returncode == 0
