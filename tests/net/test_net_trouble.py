"""The trouble of one recipient is no other's."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_twisted
from net_peers import PATIENCE, Peer, RunningRelay, one_listener
from twisted.internet import reactor

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

Fault = Callable[[bytes, int], int | None]
"""Given a payload and a destination port, the errno to fail with, or None."""


class FaultySocket:
    """A socket whose sending fails as a test wants it to."""

    def __init__(self, real: socket.socket, fault: Fault) -> None:
        self._real, self._fault = real, fault

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def sendto(self, payload: bytes, destination: tuple[Any, ...]) -> int:
        code = self._fault(payload, destination[1])
        if code:
            raise OSError(code, os.strerror(code))
        return self._real.sendto(payload, destination)


# Where the socket module sends; test_net_batch_port.py does the same for sendmmsg.
one_call_a_datagram = pytest.mark.parametrize("batch", [False], ids=["stock"], indirect=True)


def break_sending(relay: RunningRelay, fault: Fault) -> None:
    port = relay.relay.listeners["main"].port
    port.socket = FaultySocket(port.socket, fault)


@one_call_a_datagram
@pytest.mark.parametrize("code", REASONS, ids=errno.errorcode.get)
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest_twisted.ensureDeferred
async def test_an_error_of_one_member_costs_the_others_nothing(open_relay, make_peer, code, place):
    relay = open_relay()
    members = [await make_peer().join(relay) for _ in range(3)]
    speaker = await make_peer().join(relay)
    broken = members.pop(place)
    break_sending(relay, lambda _, port: code if port == broken.port else None)
    said = [b"%d" % number for number in range(10)]
    for payload in said:
        speaker.send(payload, relay)
    for member in members:
        assert await member.receive(len(said)) == said
        member.send(b"after it", relay)
        assert await speaker.receive() == [b"after it"]
    failed = len(said) + len(members)
    assert relay.dropped == {REASONS[code]: failed}
    assert relay.relay.hub.roster.datagrams == failed
    assert relay.relay.hub.roster.deliveries == failed * 3 - failed
    assert relay.relay.hub.roster.member_count == 4


@one_call_a_datagram
@pytest_twisted.ensureDeferred
async def test_an_error_of_every_member_stops_nothing(open_relay, make_peer):
    relay = open_relay()
    speaker, member = [await make_peer().join(relay) for _ in range(2)]
    broken = True
    break_sending(relay, lambda _, port: errno.EPERM if broken else None)
    speaker.send(b"lost", relay)
    make_peer().send(b"lost twice", relay)
    await relay.seen(events.MemberJoined, 3)
    broken = False
    speaker.send(b"and heard", relay)
    assert await member.receive() == [b"and heard"]
    assert relay.dropped == {"send-failed": 3}


@pytest_twisted.ensureDeferred
async def test_an_error_left_by_an_earlier_datagram_costs_nothing(open_relay, make_peer):
    # Linux reports an ICMP error on the next call on the socket, in place of doing it.
    relay = open_relay()
    members = [await make_peer().join(relay) for _ in range(3)]
    pending: set[bytes] = set()

    def fault(payload: bytes, _: int) -> int | None:
        if payload in pending:
            return None
        pending.add(payload)
        return errno.ECONNREFUSED

    break_sending(relay, fault)
    said = [b"%d" % number for number in range(10)]
    speaker = make_peer()
    for payload in said:
        speaker.send(payload, relay)
    for member in members:
        assert await member.receive(len(said)) == said
    assert relay.dropped == {}
    assert relay.relay.hub.roster.deliveries == len(said) * len(members)


@pytest_twisted.ensureDeferred
async def test_an_error_of_a_reply_is_counted(open_relay, make_peer):
    relay = open_relay(one_listener(plain=PlainPolicy.CHALLENGE, plain_networks=()))
    break_sending(relay, lambda *_: errno.EPERM)
    port = relay.relay.listeners["main"].port
    if port.batched:
        # What can't be sent with others is sent alone, by the socket.
        port._calls = SimpleNamespace(recvmmsg=port._calls.recvmmsg, sendmmsg=lambda *_: -1)
    make_peer().send(b"let me in, please", relay)
    await relay.seen(events.MemberRejected)
    assert relay.dropped == {"challenged": 1, "send-failed": 1}


@pytest_twisted.ensureDeferred
async def test_a_batch_that_fails_is_logged_and_the_relay_goes_on(
    open_relay, make_peer, logged_errors
):
    relay = open_relay()
    speaker, member = [await make_peer().join(relay) for _ in range(2)]

    def fail(*_: object) -> None:
        relay.relay.hub.receive = receive
        speaker.send(b"the next", relay)
        raise RuntimeError("a batch that fails")

    receive = relay.relay.hub.receive
    relay.relay.hub.receive = fail
    speaker.send(b"lost", relay)
    assert await member.receive() == [b"the next"]
    assert len(logged_errors) == 1
    assert "a batch that fails" in logged_errors[0]
    logged_errors.clear()


# Real ICMP errors.


@pytest_twisted.ensureDeferred
async def test_a_member_that_has_gone_is_counted_and_stays_a_member(open_relay, make_peer):
    relay = open_relay()
    speaker, gone, member = [await make_peer().join(relay) for _ in range(3)]
    gone.close()
    said = [b"%d" % number for number in range(50)]
    for payload in said:
        speaker.send(payload, relay)
    assert await member.receive(len(said)) == said
    member.send(b"", relay)
    await make_peer().join(relay)
    assert set(relay.dropped) == {"unreachable"}
    assert relay.relay.hub.roster.member_count == 4
    assert relay.of(events.MemberLeft) == []


@pytest_twisted.ensureDeferred
async def test_icmp_errors_under_load_take_no_room_from_datagrams(open_relay, make_peer):
    # The kernel keeps unread errors in the receive buffer's space.
    relay = open_relay()
    speaker, *gone = [await make_peer().join(relay) for _ in range(20)]
    member = await make_peer().join(relay)
    for peer in gone:
        peer.close()
    said = [b"%d" % number for number in range(1000)]
    batches = []
    receive = relay.relay.hub.receive

    def receive_and_say_more(listener, batch, now):
        # So that the relay always finds more to read.
        batches.append(len(batch))
        for payload in said[sum(batches) + 40 - len(batch) : sum(batches) + 40]:
            speaker.send(payload, relay)
        return receive(listener, batch, now)

    relay.relay.hub.receive = receive_and_say_more
    for payload in said[:40]:
        speaker.send(payload, relay)
    assert await member.receive(len(said)) == said
    # Each one is noticed, not only those for which there happened to be time. The kernel makes
    # one error of a message, and the batched port's are of many datagrams.
    await make_peer().join(relay)
    messages = len(batches) if relay.relay.listeners["main"].port.batched else len(said)
    assert relay.dropped["unreachable"] >= messages * len(gone)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest_twisted.ensureDeferred
async def test_errors_of_what_is_sent_between_batches_are_read(open_relay, make_peer, host):
    relay = open_relay()
    member = await make_peer(host).join(relay)
    member.close()
    (of_hub,) = relay.relay.hub.roster.rooms["lobby"].members()
    for number in range(3):
        relay.relay.hub.tell(of_hub, b"are you there?", relay.relay.now())
        relay.relay.settle()
        # Readable for its errors alone, as select and asyncio see it.
        relay.relay.listeners["main"].port.doRead()
        assert relay.dropped == {"unreachable": number + 1}


@pytest_twisted.ensureDeferred
async def test_an_error_that_comes_while_nothing_is_read_is_noticed(open_relay, make_peer):
    relay = open_relay()
    for member in [await make_peer().join(relay) for _ in range(2)]:
        member.close()
    for of_hub in relay.relay.hub.roster.rooms["lobby"].members():
        relay.relay.hub.tell(of_hub, b"are you there?", relay.relay.now())
    relay.relay.settle()
    await make_peer().join(relay)
    assert relay.dropped == {"unreachable": 2}


@contextmanager
def running_child(name: str, interface: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, str(CHILD), name, interface],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def blocking_peer(host: str) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(PATIENCE)
    made.bind((host, 0))
    return made


@pytest.mark.parametrize("name", ["epoll", "poll", "select", "asyncio"])
def test_no_reactor_takes_an_icmp_error_for_the_end(name):
    with running_child(name, "::") as child, ExitStack() as stack:
        opened = json.loads(child.stdout.readline())
        assert opened["reactor"].lower().startswith(name)
        for host in ("127.0.0.1", "::1"):
            relay = (host, opened["port"])
            speaker, *gone, member = [
                stack.enter_context(closing(blocking_peer(host))) for _ in range(5)
            ]
            # Each joins with a word; once the first has heard them all, all are members.
            speaker.sendto(b"", relay)
            for number, peer in enumerate((*gone, member)):
                peer.sendto(b"%d" % number, relay)
            assert {speaker.recv(100) for _ in range(4)} == {b"0", b"1", b"2", b"3"}
            for peer in gone:
                peer.close()
            heard = []
            for number in range(100, 150):
                # Both ways in turn, so that errors come while the relay waits and while it works.
                speaker.sendto(b"%d" % number, relay)
                heard.append(member.recv(100))
                member.sendto(b"back", relay)
                assert speaker.recv(100) == b"back"
            for number in range(150, 200):
                speaker.sendto(b"%d" % number, relay)
            heard += [member.recv(100) for _ in range(50)]
            assert heard == [b"%d" % number for number in range(100, 200)]
            speaker.close()
            member.close()
        totals = json.loads(child.communicate(timeout=PATIENCE)[0])
        assert child.returncode == 0
    assert totals["listeners"] == 1
    assert totals["members"] == 10
    assert totals["datagrams"] == 2 * 154
    assert set(totals["dropped"]) == {"unreachable"}


# A flood.


@pytest_twisted.ensureDeferred
async def test_a_flood_leaves_timers_their_turn(open_relay, make_peer):
    relay = open_relay()
    speaker, member = make_peer(), make_peer()
    await member.join(relay)
    happened: list[int | str] = []
    receive = relay.relay.hub.receive

    def count(listener, batch, now):
        happened.append(sum(len(datagrams) for _, datagrams in batch))
        return receive(listener, batch, now)

    def tick() -> None:
        nonlocal ticking
        happened.append("timer")
        ticking = reactor.callLater(0, tick)

    relay.relay.hub.receive = count
    ticking = reactor.callLater(0, tick)
    said = [b"%d" % number for number in range(200)]
    for payload in said:
        speaker.send(payload, relay)
    assert await member.receive(len(said)) == said
    ticking.cancel()
    batches = [step for step in happened if step != "timer"]
    assert sum(batches) == len(said)
    assert max(batches) == 64
    # Between any two batches every timer that is due has run.
    for one, next_one in pairwise(happened):
        assert "timer" in (one, next_one)


@pytest_twisted.ensureDeferred
async def test_a_flood_of_what_is_dropped_leaves_timers_their_turn(open_relay):
    relay = open_relay()
    with closing(Peer("::1")) as speaker:
        speaker.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        happened: list[str] = []
        drop = relay.relay.hub.drop
        relay.relay.hub.drop = lambda *args: (happened.append("batch"), drop(*args))
        port = relay.relay.listeners["main"].port
        port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        for _ in range(20):
            speaker.send(bytes(65_520), relay)
        await speaker.join(relay)
        assert relay.dropped == {"too-long": 20}
        assert happened == ["batch"]
