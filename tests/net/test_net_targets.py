"""Targets: looked up, sent to, and moved."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import pytest
import pytest_twisted
from net_peers import MakePeer, OpenRelay, RunningRelay, link_local, loopback
from net_reactors import ClockReactor

from free_port import free_port
from udprelay.net.targets import Targets
from udprelay.protocol.endpoint import endpoint, host_port, parse_host_port
from udprelay.relay import events
from udprelay.relay.rules import Label, RelayRules, RoomRules

REFRESH = 60.0


class RelayWith(Protocol):
    """What the fixture ``relay_with`` returns."""

    def __call__(
        self,
        *targets: tuple[str, int],
        interface: str = "::",
        label: Label = Label.NONE,
        port: int = 0,
    ) -> RunningRelay: ...


@pytest.fixture
def clock() -> ClockReactor:
    return ClockReactor()


@pytest_twisted.async_yield_fixture
async def relay_with(open_relay: OpenRelay, clock: ClockReactor) -> AsyncIterator[RelayWith]:
    """Return a factory of relays whose room ``lobby`` has the targets given."""
    started: list[Targets] = []

    def start(
        *targets: tuple[str, int],
        interface: str = "::",
        label: Label = Label.NONE,
        port: int = 0,
    ) -> RunningRelay:
        rules = RelayRules(
            listeners={"main": loopback(interface, port=port)},
            rooms={"lobby": RoomRules(targets=targets, target_refresh=REFRESH, label=label)},
        )
        relay = open_relay(rules, using=clock)
        started.append(Targets(relay.relay))
        started[-1].start()
        return relay

    yield start
    for targets in started:
        targets.stop()


def target_events(relay: RunningRelay) -> list[events.Event]:
    return [event for event in relay.events if event.id.startswith("target.")]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest_twisted.ensureDeferred
async def test_a_target_gets_a_copy_of_everything(
    relay_with: RelayWith, make_peer: MakePeer, clock: ClockReactor, host: str
) -> None:
    target = make_peer(host)
    relay = relay_with(("collector.example", target.port))
    resolution = clock.nameResolver.pop()
    assert resolution.name == "collector.example"
    resolution.answer(host)
    name = f"collector.example:{target.port}"
    assert target_events(relay) == [
        events.TargetResolved(room="lobby", target=name, address=str(target), addresses=1)
    ]
    (joined,) = relay.of(events.MemberJoined)
    assert (joined.kind, joined.member, joined.address) == ("target", name, str(target))
    for sender in ("127.0.0.1", "::1"):
        make_peer(sender).send(bytes(range(256)), relay)
        assert await target.receive() == [bytes(range(256))]


@pytest_twisted.ensureDeferred
async def test_a_copy_has_no_label(
    relay_with: RelayWith, make_peer: MakePeer, clock: ClockReactor
) -> None:
    target = make_peer()
    relay = relay_with(("collector.example", target.port), label=Label.NICK)
    clock.nameResolver.pop().answer("127.0.0.1")
    member = await make_peer().join(relay)
    make_peer().send(b"hello", relay)
    assert await member.receive() == [b"guest-3: hello"]
    assert await target.receive() == [b"hello"]


@pytest_twisted.ensureDeferred
async def test_payloads_from_a_target_are_dropped(
    relay_with: RelayWith, make_peer: MakePeer, clock: ClockReactor
) -> None:
    target = make_peer()
    relay = relay_with(("collector.example", target.port))
    clock.nameResolver.pop().answer("127.0.0.1")
    member = await make_peer().join(relay)
    target.send(b"thank you", relay)
    (rejected,) = await relay.seen(events.MemberRejected)
    assert rejected.reason == "from-target"
    make_peer().send(b"the first payload", relay)
    assert await member.receive() == [b"the first payload"]


@pytest_twisted.ensureDeferred
async def test_a_name_without_an_address_is_looked_up_again(
    relay_with: RelayWith, make_peer: MakePeer, clock: ClockReactor
) -> None:
    target = make_peer()
    relay = relay_with(("collector.example", target.port))
    for seconds in (1, 2, 4, 8, 16, 32, 60, 60):
        clock.nameResolver.pop().answer()
        clock.advance(seconds - 0.5)
        assert clock.nameResolver.asked == []
        clock.advance(0.5)
    unresolved = events.TargetUnresolved(
        room="lobby",
        target=f"collector.example:{target.port}",
        error="the name has no address",
    )
    # Once in each REFRESH.
    assert target_events(relay) == [unresolved] * 3
    clock.nameResolver.pop().answer("127.0.0.1")
    make_peer().send(b"at last", relay)
    assert await target.receive() == [b"at last"]


@pytest.mark.parametrize("address", ["127.0.0.1", "127.3.4.5", "::1", "0.0.0.0", "::"])
@pytest_twisted.ensureDeferred
async def test_the_relay_itself_is_no_target(
    relay_with: RelayWith, clock: ClockReactor, address: str
) -> None:
    port = free_port()
    relay = relay_with(("relay.example", port), port=port)
    clock.nameResolver.pop().answer(address)
    refused = events.TargetRefused(
        room="lobby",
        target=f"relay.example:{port}",
        address=host_port(address, port),
        error="is this relay itself",
    )
    assert target_events(relay) == [refused]
    assert relay.of(events.MemberJoined) == []
    # Its name may come to be another machine's.
    clock.advance(REFRESH)
    clock.nameResolver.pop().answer(address, "192.0.2.7")
    assert [event.id for event in target_events(relay)[1:]] == ["target.resolved"]
    assert relay.of(events.MemberJoined)[0].address == f"192.0.2.7:{port}"


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("255.255.255.255", "is a broadcast address"),
        ("127.255.255.255", "is a broadcast address"),
        ("0.0.0.0", "is no address to send to"),
        ("::", "is no address to send to"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_no_address_of_one_machine_is_no_target(
    relay_with: RelayWith, make_peer: MakePeer, clock: ClockReactor, address: str, error: str
) -> None:
    target = make_peer()
    relay = relay_with(("collector.example", target.port))
    clock.nameResolver.pop().answer(address)
    assert target_events(relay) == [
        events.TargetRefused(
            room="lobby",
            target=f"collector.example:{target.port}",
            address=host_port(address, target.port),
            error=error,
        )
    ]
    clock.advance(REFRESH)
    clock.nameResolver.pop().answer(address, "127.0.0.1")
    make_peer().send(b"hello", relay)
    assert await target.receive() == [b"hello"]


@pytest_twisted.ensureDeferred
async def test_a_target_has_one_of_many_addresses_and_keeps_it(
    relay_with: RelayWith, make_peer: MakePeer, clock: ClockReactor
) -> None:
    target = make_peer("127.0.0.9")
    relay = relay_with(("collector.example", target.port))
    many = [f"127.0.0.{number}" for number in range(9, 59)]
    clock.nameResolver.pop().answer(*many)
    clock.advance(REFRESH)
    clock.nameResolver.pop().answer(*reversed(many))
    (resolved,) = target_events(relay)
    assert isinstance(resolved, events.TargetResolved)
    assert (resolved.address, resolved.addresses) == (str(target), 50)
    make_peer().send(b"once", relay)
    assert await target.receive() == [b"once"]


@pytest_twisted.ensureDeferred
async def test_a_target_whose_address_becomes_the_relays_own_leaves(
    relay_with: RelayWith, clock: ClockReactor
) -> None:
    relay = relay_with(("relay.example", 2055))
    clock.nameResolver.pop().answer("192.0.2.7")
    relay.relay.own_addresses.add(endpoint("192.0.2.7", 2055))
    clock.advance(REFRESH)
    clock.nameResolver.pop().answer("192.0.2.7")
    assert [event.id for event in target_events(relay)] == ["target.resolved", "target.refused"]
    (left,) = relay.of(events.MemberLeft)
    assert (left.address, left.reason) == ("192.0.2.7:2055", "replaced")


@pytest_twisted.ensureDeferred
async def test_a_target_moves_with_its_name(
    relay_with: RelayWith, make_peer: MakePeer, clock: ClockReactor
) -> None:
    old = make_peer("127.0.0.1")
    new = make_peer("::1", old.port)
    relay = relay_with(("collector.example", old.port))
    clock.nameResolver.pop().answer("127.0.0.1")
    make_peer().send(b"to the old", relay)
    assert await old.receive() == [b"to the old"]
    clock.advance(REFRESH)
    clock.nameResolver.pop().answer("::1")
    assert [event.address for event in relay.of(events.TargetResolved)] == [
        f"127.0.0.1:{old.port}",
        f"[::1]:{old.port}",
    ]
    (left,) = relay.of(events.MemberLeft)
    assert (left.address, left.reason) == (str(old), "replaced")
    make_peer().send(b"to the new", relay)
    assert await new.receive() == [b"to the new"]


@pytest_twisted.ensureDeferred
async def test_an_address_among_several_is_kept(
    relay_with: RelayWith, make_peer: MakePeer, clock: ClockReactor
) -> None:
    target = make_peer()
    relay = relay_with(("collector.example", target.port))
    clock.nameResolver.pop().answer("127.0.0.1", "127.0.0.2")
    clock.advance(REFRESH)
    clock.nameResolver.pop().answer("127.0.0.2", "127.0.0.1")
    assert len(target_events(relay)) == 1
    make_peer().send(b"still here", relay)
    assert await target.receive() == [b"still here"]


@pytest_twisted.ensureDeferred
async def test_a_name_that_is_lost_keeps_its_last_address(
    relay_with: RelayWith, make_peer: MakePeer, clock: ClockReactor
) -> None:
    target = make_peer()
    relay = relay_with(("collector.example", target.port))
    clock.nameResolver.pop().answer("127.0.0.1")
    clock.advance(REFRESH)
    clock.nameResolver.pop().answer()
    assert [event.id for event in target_events(relay)] == ["target.resolved", "target.unresolved"]
    make_peer().send(b"still here", relay)
    assert await target.receive() == [b"still here"]


@pytest_twisted.ensureDeferred
async def test_a_look_up_without_an_answer_does_not_end_the_look_ups(
    relay_with: RelayWith, clock: ClockReactor
) -> None:
    # Twisted's own resolver never answers when getaddrinfo fails in an unusual way.
    relay_with(("collector.example", 2055))
    clock.nameResolver.pop()
    clock.advance(REFRESH)
    clock.nameResolver.pop().answer("127.0.0.1")


@pytest.mark.parametrize(("interface", "address"), [("127.0.0.1", "::1"), ("::1", "127.0.0.1")])
@pytest_twisted.ensureDeferred
async def test_an_address_that_no_listener_can_send_to(
    relay_with: RelayWith, clock: ClockReactor, interface: str, address: str
) -> None:
    relay = relay_with(("collector.example", 2055), interface=interface)
    clock.nameResolver.pop().answer(address)
    assert target_events(relay) == [
        events.TargetUnresolved(
            room="lobby",
            target="collector.example:2055",
            error="no listener can send to its addresses",
        )
    ]


@pytest_twisted.ensureDeferred
async def test_the_first_address_that_can_be_sent_to_is_taken(
    relay_with: RelayWith, make_peer: MakePeer, clock: ClockReactor
) -> None:
    target = make_peer("127.0.0.1")
    relay = relay_with(("collector.example", target.port), interface="127.0.0.1")
    clock.nameResolver.pop().answer("::1", "127.0.0.1")
    make_peer().send(b"hello", relay)
    assert await target.receive() == [b"hello"]


@pytest_twisted.ensureDeferred
async def test_the_listener_of_the_room_sends_to_its_targets(
    open_relay: OpenRelay, make_peer: MakePeer, clock: ClockReactor
) -> None:
    target = make_peer()
    rules = RelayRules(
        listeners={"a": loopback(room="attic"), "b": loopback(room="cellar")},
        rooms={"cellar": RoomRules(targets=(("collector.example", target.port),))},
    )
    relay = open_relay(rules, using=clock)
    targets = Targets(relay.relay)
    targets.start()
    clock.nameResolver.pop().answer("127.0.0.1")
    make_peer().send(b"hello", relay, "b")
    assert await target.receive() == [b"hello"]
    assert target.sources == {("127.0.0.1", relay.port("b"))}
    targets.stop()


@pytest_twisted.ensureDeferred
async def test_two_rooms_may_share_a_target(
    open_relay: OpenRelay, make_peer: MakePeer, clock: ClockReactor
) -> None:
    target = make_peer()
    room = RoomRules(targets=(("collector.example", target.port),), target_refresh=REFRESH)
    rules = RelayRules(
        listeners={"a": loopback(room="attic"), "b": loopback(room="cellar")},
        rooms={"attic": room, "cellar": room},
    )
    relay = open_relay(rules, using=clock)
    targets = Targets(relay.relay)
    targets.start()
    for address in ("127.0.0.2", "127.0.0.1"):
        for resolution in clock.nameResolver.asked:
            resolution.answer(address)
        clock.nameResolver.asked = []
        clock.advance(REFRESH)
    for listener in ("a", "b"):
        make_peer().send(listener.encode(), relay, listener)
        assert await target.receive() == [listener.encode()]
    targets.stop()


@pytest_twisted.ensureDeferred
async def test_a_closed_target_is_reported_once(
    relay_with: RelayWith, make_peer: MakePeer, clock: ClockReactor
) -> None:
    closed, other = make_peer(), make_peer()
    relay = relay_with(("closed.example", closed.port), ("other.example", other.port))
    for resolution in clock.nameResolver.asked:
        resolution.answer("127.0.0.1")
    clock.nameResolver.asked = []
    sender, member = [await make_peer().join(relay) for _ in range(2)]
    closed.close()
    payloads = [b"%d" % number for number in range(50)]
    for payload in payloads:
        sender.send(payload, relay)
    for receiver in (other, member):
        assert await receiver.receive(len(payloads)) == payloads
    (unreachable,) = await relay.seen(events.TargetUnreachable)
    assert unreachable == events.TargetUnreachable(
        room="lobby",
        target=f"closed.example:{closed.port}",
        address=f"127.0.0.1:{closed.port}",
        error="Connection refused",
    )
    clock.advance(REFRESH)
    for number in (2, 3):
        sender.send(b"still closed?", relay)
        await other.receive()
        if number == 2:
            await relay.seen(events.TargetUnreachable, number)
    assert len(relay.of(events.TargetUnreachable)) == 2
    clock.nameResolver.asked = []


@pytest_twisted.ensureDeferred
async def test_an_answer_after_the_end_is_ignored(
    open_relay: OpenRelay, clock: ClockReactor
) -> None:
    rules = RelayRules(
        listeners={"main": loopback()},
        rooms={"lobby": RoomRules(targets=(("collector.example", 2055),))},
    )
    relay = open_relay(rules, using=clock)
    targets = Targets(relay.relay)
    targets.start()
    resolution = clock.nameResolver.pop()
    targets.stop()
    resolution.answer("127.0.0.1")
    assert target_events(relay) == []
    assert clock.getDelayedCalls() == []


@pytest_twisted.ensureDeferred
async def test_real_names_are_looked_up(open_relay: OpenRelay, make_peer: MakePeer) -> None:
    target = make_peer()
    rules = RelayRules(
        listeners={"main": loopback("127.0.0.1")},
        rooms={"lobby": RoomRules(targets=(("localhost", target.port),))},
    )
    relay = open_relay(rules)
    targets = Targets(relay.relay)
    targets.start()
    await relay.seen(events.TargetResolved)
    make_peer().send(b"hello", relay)
    assert await target.receive() == [b"hello"]
    targets.stop()


@pytest.mark.parametrize("host", ["a..b", f"{'x' * 64}.example", "\udcff.example"])
def test_names_at_which_the_resolver_would_fail_are_refused_before(host: str) -> None:
    with pytest.raises(ValueError, match="is not a valid host name"):
        parse_host_port(f"{host}:2055")


@pytest.mark.skipif(link_local() is None, reason="no link-local address here")
@pytest_twisted.ensureDeferred
async def test_a_link_local_address(open_relay: OpenRelay, make_peer: MakePeer) -> None:
    host = link_local()
    assert host is not None
    target = make_peer(host)
    rules = RelayRules(
        listeners={"main": loopback()},
        rooms={"lobby": RoomRules(targets=((host, target.port),))},
    )
    relay = open_relay(rules)
    targets = Targets(relay.relay)
    targets.start()
    await relay.seen(events.TargetResolved)
    make_peer().send(b"hello", relay)
    assert await target.receive() == [b"hello"]
    targets.stop()
