"""Listeners: address families, rooms, refusals, and sockets that cannot be opened."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest
import pytest_twisted
from net_peers import MakePeer, OpenRelay, RunningRelay, link_local, loopback, one_listener
from twisted.internet import reactor
from twisted.internet.task import deferLater

from udprelay.net.relay import CannotOpenError
from udprelay.relay import events
from udprelay.relay.rules import PlainPolicy, RelayRules, RoomRules


@pytest_twisted.ensureDeferred
async def test_both_families_meet_in_one_room_on_one_port(
    open_relay: OpenRelay, make_peer: MakePeer
) -> None:
    relay = open_relay()
    old, new = [await make_peer(host).join(relay) for host in ("127.0.0.1", "::1")]
    old.send(b"over IPv4", relay)
    assert await new.receive() == [b"over IPv4"]
    new.send(b"over IPv6", relay)
    assert await old.receive() == [b"over IPv6"]
    assert [event.address for event in relay.of(events.MemberJoined)] == [str(old), str(new)]


@pytest_twisted.ensureDeferred
async def test_what_is_sent_comes_from_the_port_of_the_listener(
    open_relay: OpenRelay, make_peer: MakePeer
) -> None:
    relay = open_relay()
    old, new = [await make_peer(host).join(relay) for host in ("127.0.0.1", "::1")]
    for sender, listener in ((old, new), (new, old)):
        sender.send(b"where from?", relay)
        await listener.receive()
    assert old.sources == {("127.0.0.1", relay.port())}
    assert new.sources == {("::1", relay.port(), 0, 0)}


@pytest.mark.parametrize("interface", ["127.0.0.1", "::1", "0.0.0.0"])
@pytest_twisted.ensureDeferred
async def test_one_family_alone(
    open_relay: OpenRelay, make_peer: MakePeer, interface: str
) -> None:
    relay = open_relay(one_listener(interface))
    host = "::1" if ":" in interface else "127.0.0.1"
    one, other = [await make_peer(host).join(relay) for _ in range(2)]
    one.send(b"hello", relay)
    assert await other.receive() == [b"hello"]
    opened = relay.of(events.ListenerOpened)[0]
    assert (opened.interface, opened.room, opened.plain) == (interface, "lobby", "any")
    assert opened.port > 0


@pytest_twisted.ensureDeferred
async def test_a_listener_on_an_ipv6_address_leaves_the_port_of_ipv4_alone(
    open_relay: OpenRelay,
) -> None:
    relay = open_relay(one_listener("::1"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", relay.port()))


@pytest_twisted.ensureDeferred
async def test_listeners_of_one_room_are_one_group(
    open_relay: OpenRelay, make_peer: MakePeer
) -> None:
    rules = RelayRules(listeners={"a": loopback("127.0.0.1"), "b": loopback("::1")})
    relay = open_relay(rules)
    through_a = [await make_peer("127.0.0.1").join(relay, "a") for _ in range(2)]
    through_b = [await make_peer("::1").join(relay, "b") for _ in range(2)]
    through_a[0].send(b"to all", relay, "a")
    for member in (through_a[1], *through_b):
        assert await member.receive() == [b"to all"]
    through_b[0].send(b"and back", relay, "b")
    for member in (*through_a, through_b[1]):
        assert await member.receive() == [b"and back"]


@pytest_twisted.ensureDeferred
async def test_rooms_are_separate(open_relay: OpenRelay, make_peer: MakePeer) -> None:
    rules = RelayRules(listeners={"a": loopback(room="attic"), "b": loopback(room="cellar")})
    relay = open_relay(rules)
    members = {}
    for listener in ("a", "b"):
        members[listener] = [await make_peer().join(relay, listener) for _ in range(2)]
    for listener, (sender, _) in members.items():
        sender.send(f"in {listener}".encode(), relay, listener)
        sender.send(b"end", relay, listener)
    for listener, (_, member) in members.items():
        assert await member.receive(2) == [f"in {listener}".encode(), b"end"]


@pytest_twisted.ensureDeferred
async def test_one_address_may_be_in_two_rooms(open_relay: OpenRelay, make_peer: MakePeer) -> None:
    rules = RelayRules(listeners={"a": loopback(room="attic"), "b": loopback(room="cellar")})
    relay = open_relay(rules)
    both = make_peer()
    for listener in ("a", "b"):
        await both.join(relay, listener)
        make_peer().send(f"in {listener}".encode(), relay, listener)
        assert await both.receive() == [f"in {listener}".encode()]


# Answers to unverified sources.


@pytest_twisted.ensureDeferred
async def test_an_unverified_source_is_challenged_and_its_code_lets_it_in(
    open_relay: OpenRelay, make_peer: MakePeer
) -> None:
    relay = open_relay(one_listener(plain=PlainPolicy.CHALLENGE, plain_networks=()))
    unverified, other = make_peer(), make_peer("::1")
    for peer in (unverified, other):
        peer.send(b"hello, who is there?\n", relay)
        (challenge,) = await peer.receive()
        assert challenge.startswith(b"udprelay: to join, send this code: ")
        peer.send(challenge.split()[-1] + b"\n", relay)
    await relay.seen(events.MemberJoined, 2)
    other.send(b"we are in", relay)
    assert await unverified.receive() == [b"we are in"]
    assert await relay.dropped() == {"challenged": 2}


@pytest.mark.parametrize(
    ("policy", "reason"),
    [(PlainPolicy.OFF, "plain-off"), (PlainPolicy.NETWORKS, "outside-networks")],
)
@pytest_twisted.ensureDeferred
async def test_a_refused_source_gets_no_answer(
    open_relay: OpenRelay, make_peer: MakePeer, policy: PlainPolicy, reason: str
) -> None:
    rules = RelayRules(
        listeners={
            "closed": loopback(plain=policy, plain_networks=()),
            "open": loopback(),
        }
    )
    relay = open_relay(rules)
    unverified = make_peer()
    unverified.send(b"let me in", relay, "closed")
    await relay.seen(events.MemberRejected)
    await unverified.join(relay, "open")
    make_peer().send(b"the first payload", relay, "open")
    assert await unverified.receive() == [b"the first payload"]
    assert await relay.dropped() == {reason: 1}


@pytest.mark.parametrize("interface", ["::", "0.0.0.0", "127.0.0.1"])
@pytest_twisted.ensureDeferred
async def test_what_claims_to_come_from_a_listener_is_refused(
    open_relay: OpenRelay, make_peer: MakePeer, interface: str
) -> None:
    rules = RelayRules(listeners={"a": loopback(interface), "b": loopback(interface)})
    relay = open_relay(rules)
    member = await make_peer().join(relay, "a")
    host = "::ffff:127.0.0.1" if interface == "::" else "127.0.0.1"
    forge = relay.relay.listeners["b"].port
    forge.socket.sendto(b"forged", (host, relay.port("a")))
    (rejected,) = await relay.seen(events.MemberRejected)
    assert rejected.reason == "own-address"
    assert rejected.address == f"127.0.0.1:{relay.port('b')}"
    make_peer().send(b"the first payload", relay, "a")
    assert await member.receive() == [b"the first payload"]


@pytest_twisted.ensureDeferred
async def test_a_listener_does_not_join_itself(open_relay: OpenRelay) -> None:
    relay = open_relay()
    relay.relay.listeners["main"].port.socket.sendto(b"forged", ("::1", relay.port()))
    (rejected,) = await relay.seen(events.MemberRejected)
    assert (rejected.reason, rejected.address) == ("own-address", f"[::1]:{relay.port()}")


@pytest.mark.skipif(link_local() is None, reason="no link-local address here")
@pytest.mark.parametrize("interface", ["::", link_local() or ""])
@pytest_twisted.ensureDeferred
async def test_a_listener_knows_its_own_link_local_address(
    open_relay: OpenRelay, interface: str
) -> None:
    relay = open_relay(one_listener(interface))
    own = relay.relay.listeners["main"].port.socket
    address = socket.getaddrinfo(link_local(), relay.port(), type=socket.SOCK_DGRAM)[0][4]
    own.sendto(b"forged", address)
    (rejected,) = await relay.seen(events.MemberRejected)
    assert rejected.reason == "own-address"


@pytest.mark.skipif(link_local() is None, reason="no link-local address here")
@pytest.mark.parametrize("interface", ["::", link_local() or ""])
@pytest_twisted.ensureDeferred
async def test_members_at_link_local_addresses_are_reached(
    open_relay: OpenRelay, make_peer: MakePeer, interface: str
) -> None:
    relay = open_relay(one_listener(interface))
    host = link_local()
    assert host is not None
    address = socket.getaddrinfo(host, relay.port(), type=socket.SOCK_DGRAM)[0][4]
    near, far = [make_peer(host) for _ in range(2)]
    for number, peer in enumerate((near, far), 1):
        peer.socket.sendto(b"", address)
        await relay.seen(events.MemberJoined, number)
    near.socket.sendto(b"over the link", address)
    assert await far.receive() == [b"over the link"]


@pytest_twisted.ensureDeferred
async def test_a_full_room_refuses(open_relay: OpenRelay, make_peer: MakePeer) -> None:
    rules = RelayRules(listeners={"main": loopback()}, room_defaults=RoomRules(max_members=2))
    relay = open_relay(rules)
    one, two = [await make_peer().join(relay) for _ in range(2)]
    make_peer().send(b"me too", relay)
    await relay.seen(events.MemberRejected)
    one.send(b"we are two", relay)
    assert await two.receive() == [b"we are two"]
    assert await relay.dropped() == {"room-full": 1}


# Sockets that cannot be opened.


class NoIPv6:
    """Stands in for ``socket.socket`` on a machine without IPv6."""

    def __init__(self, where: str, code: int) -> None:
        self._where, self._code = where, code

    def __call__(
        self, family: int = socket.AF_INET, *arguments: Any, **options: Any
    ) -> socket.socket | Unbindable:
        if family != socket.AF_INET6:
            return self._real(family, *arguments, **options)
        if self._where == "socket":
            raise OSError(self._code, "no IPv6 here")
        made = self._real(family, *arguments, **options)
        return Unbindable(made, self._code)

    _real = socket.socket


class Unbindable:
    def __init__(self, made: socket.socket, code: int) -> None:
        self._made, self._code = made, code

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)

    def bind(self, address: object) -> None:
        self._made.close()
        raise OSError(self._code, "no IPv6 here")


@pytest.mark.parametrize(
    ("where", "code"),
    [("socket", errno.EAFNOSUPPORT), ("bind", errno.EADDRNOTAVAIL)],
    ids=["not in the kernel", "switched off"],
)
@pytest_twisted.ensureDeferred
async def test_without_ipv6_every_interface_is_every_ipv4_interface(
    open_relay: OpenRelay,
    make_peer: MakePeer,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    code: int,
) -> None:
    peers = [make_peer() for _ in range(2)]
    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", NoIPv6(where, code))
        relay = open_relay()
    assert relay.of(events.ListenerOpened)[0].interface == "0.0.0.0"
    one, two = [await peer.join(relay) for peer in peers]
    one.send(b"still here", relay)
    assert await two.receive() == [b"still here"]


@pytest_twisted.ensureDeferred
async def test_without_ipv6_a_listener_on_an_ipv6_address_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    relay = RunningRelay(one_listener("::1"))
    monkeypatch.setattr(socket, "socket", NoIPv6("socket", errno.EAFNOSUPPORT))
    with pytest.raises(CannotOpenError) as raised:
        relay.open()
    assert raised.value.event.interface == "::1"


@pytest.mark.parametrize("interface", ["::", "127.0.0.1", "::1"])
@pytest_twisted.ensureDeferred
async def test_a_port_in_use(make_peer: MakePeer, interface: str) -> None:
    host = "::1" if ":" in interface else "127.0.0.1"
    taken = make_peer(host).port
    relay = RunningRelay(one_listener(interface, port=taken))
    with pytest.raises(CannotOpenError) as raised:
        relay.open()
    assert raised.value.event == events.ListenerFailed(
        listener="main", interface=interface, port=taken, error="Address already in use"
    )
    assert relay.of(events.ListenerOpened) == []


@pytest_twisted.ensureDeferred
async def test_an_address_that_is_not_there_yet_does_not_stop_the_others(
    open_relay: OpenRelay, make_peer: MakePeer
) -> None:
    listeners = {"main": loopback(), "later": loopback("198.51.100.1", port=6000)}
    relay = open_relay(RelayRules(listeners=listeners))
    assert relay.of(events.ListenerWaiting) == [
        events.ListenerWaiting(
            listener="later",
            interface="198.51.100.1",
            port=6000,
            error="Cannot assign requested address",
        )
    ]
    one, other = [await make_peer().join(relay) for _ in range(2)]
    one.send(b"hello", relay)
    assert await other.receive() == [b"hello"]


@pytest_twisted.ensureDeferred
async def test_if_one_listener_fails_none_stays_bound(make_peer: MakePeer) -> None:
    taken = make_peer().port
    rules = RelayRules(
        listeners={"good": loopback("127.0.0.1"), "bad": loopback("127.0.0.1", port=taken)}
    )
    relay = RunningRelay(rules)
    with pytest.raises(CannotOpenError, match=r"listener:bad"):
        relay.open()
    assert [event.listener for event in relay.of(events.ListenerClosed)] == ["good"]
    # The reactor closes sockets in its next turn.
    await deferLater(reactor, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(("127.0.0.1", relay.port("good")))


@pytest_twisted.ensureDeferred
async def test_a_listener_that_admits_every_source_warns(open_relay: OpenRelay) -> None:
    relay = open_relay()
    assert relay.of(events.ListenerUnprotected) == [events.ListenerUnprotected(listener="main")]
