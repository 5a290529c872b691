"""Time: deadlines, and the end."""

from __future__ import annotations

import pytest
import pytest_twisted
from net_peers import Peer, RunningRelay, loopback, one_listener
from net_reactors import ClockReactor
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.logger import globalLogPublisher

from udprelay.config import Config
from udprelay.protocol.endpoint import endpoint
from udprelay.relay import events
from udprelay.relay.rules import PlainPolicy, RelayRules, RoomRules
from udprelay.service import RelayService


@pytest.fixture
def clock() -> ClockReactor:
    return ClockReactor()


def kinds(relay: RunningRelay) -> list[str]:
    return [event.id for event in relay.events]


@pytest_twisted.ensureDeferred
async def test_a_silent_member_leaves(open_relay, make_peer, clock):
    relay = open_relay(using=clock)
    silent, speaker = [await make_peer().join(relay) for _ in range(2)]
    clock.advance(299)
    speaker.send(b"still here", relay)
    await silent.receive()
    clock.advance(1)
    (left,) = relay.of(events.MemberLeft)
    assert (left.address, left.reason) == (str(silent), "idle")
    clock.advance(299)
    assert len(relay.of(events.MemberLeft)) == 2
    assert kinds(relay)[-1] == "room.closed"
    assert clock.getDelayedCalls() == []


@pytest_twisted.ensureDeferred
async def test_datagrams_schedule_nothing(open_relay, make_peer, clock):
    relay = open_relay(using=clock)
    speaker, member = [await make_peer().join(relay) for _ in range(2)]
    scheduled = clock.scheduled
    for number in range(100):
        speaker.send(b"%d" % number, relay)
        await member.receive()
        clock.advance(0.1)
    assert clock.scheduled == scheduled
    assert len(clock.getDelayedCalls()) == 1


@pytest_twisted.ensureDeferred
async def test_drops_schedule_one_report_in_each_window(open_relay, make_peer, clock):
    rules = RelayRules(listeners={"main": loopback(), "closed": loopback(plain=PlainPolicy.OFF)})
    relay = open_relay(rules, using=clock)
    stranger = make_peer()
    scheduled = clock.scheduled
    for window in (1, 2):
        for _ in range(20):
            stranger.send(b"let me in", relay, "closed")
        await relay.seen(events.MemberRejected, window)
        while relay.dropped["plain-off"] < 20 * window:
            await deferLater(reactor, 0)
        assert clock.scheduled == scheduled + window
        clock.advance(10)
        report = relay.of(events.DatagramsDropped)[-1]
        assert (report.count, report.reason, report.window) == (20, "plain-off", 10.0)
    assert clock.getDelayedCalls() == []


@pytest_twisted.ensureDeferred
async def test_an_earlier_deadline_moves_the_timer(open_relay, make_peer, clock):
    rules = RelayRules(
        listeners={"slow": loopback(room="slow"), "fast": loopback(room="fast")},
        rooms={"fast": RoomRules(idle_timeout=5), "slow": RoomRules(idle_timeout=500)},
    )
    relay = open_relay(rules, using=clock)
    await make_peer().join(relay, "slow")
    await make_peer().join(relay, "fast")
    clock.advance(5)
    assert [event.room for event in relay.of(events.MemberLeft)] == ["fast"]
    clock.advance(495)
    assert [event.room for event in relay.of(events.MemberLeft)] == ["fast", "slow"]


@pytest_twisted.ensureDeferred
async def test_a_deadline_that_fails_is_logged_and_the_relay_goes_on(
    open_relay, make_peer, clock, logged_errors, monkeypatch
):
    relay = open_relay(using=clock)
    member = await make_peer().join(relay)

    def fail(now: float) -> None:
        raise RuntimeError("a deadline that fails")

    with monkeypatch.context() as patch:
        patch.setattr(relay.relay.hub, "expire", fail)
        clock.advance(300)
    assert len(logged_errors) == 1
    assert "a deadline that fails" in logged_errors[0]
    logged_errors.clear()
    make_peer().send(b"hello", relay)
    assert await member.receive() == [b"hello"]
    clock.pump([1, 299])
    assert len(relay.of(events.MemberLeft)) == 2


@pytest_twisted.ensureDeferred
async def test_a_deadline_that_keeps_failing_does_not_spin(
    open_relay, make_peer, clock, logged_errors, monkeypatch
):
    relay = open_relay(using=clock)
    await make_peer().join(relay)

    def fail(now: float) -> None:
        raise RuntimeError("a deadline that fails")

    with monkeypatch.context() as patch:
        patch.setattr(relay.relay.hub, "expire", fail)
        clock.advance(300)
        for _ in range(10):
            clock.advance(0)
    assert len(logged_errors) == 1
    logged_errors.clear()
    clock.advance(1)
    assert len(relay.of(events.MemberLeft)) == 1


@pytest_twisted.ensureDeferred
async def test_many_deadlines_at_once_leave_datagrams_their_turn(open_relay, make_peer, clock):
    relay = open_relay(one_listener(), using=clock)
    hub, listener = relay.relay.hub, relay.relay.listeners["main"].listener
    source = relay.relay.listeners["main"].port.address_of
    strangers = [source(endpoint("192.0.2.1", port)) for port in range(1, 601)]
    relay.relay.carry_out(hub.receive(listener, [(s, [b""]) for s in strangers], clock.seconds()))
    left = []
    clock.callLater(300, lambda: left.append(len(relay.of(events.MemberLeft))))
    clock.advance(300)
    while hub.roster.member_count:
        left.append(len(relay.of(events.MemberLeft)))
        clock.advance(0)
    # Not all in one go.
    assert left[0] < 600
    assert len(relay.of(events.MemberLeft)) == 600


# The end.


@pytest_twisted.ensureDeferred
async def test_after_the_end_nothing_is_read(make_peer):
    relay = RunningRelay(one_listener()).open()
    speaker, member = [await make_peer().join(relay) for _ in range(2)]
    speaker.send(b"in time", relay)
    assert await member.receive() == [b"in time"]
    closed = relay.relay.stop_reading()
    datagrams = relay.relay.hub.roster.datagrams
    speaker.send(b"too late", relay)
    await closed
    assert relay.relay.hub.roster.datagrams == datagrams
    assert kinds(relay)[-1] == "listener.closed"


@pytest_twisted.ensureDeferred
async def test_after_the_end_what_is_said_goes_nowhere(make_peer):
    # The console's last line may come while the relay stops.
    relay = RunningRelay(one_listener()).open()
    await make_peer().join(relay)
    (member,) = relay.relay.hub.roster.rooms["lobby"].members()
    await relay.relay.stop_reading()
    now = relay.relay.now()
    relay.relay.carry_out(relay.relay.hub.say(member, b"goodbye", now))
    relay.relay.hub.tell(member, b"goodbye", relay.relay.now())
    relay.relay.settle()


def published() -> tuple[list[events.Event], object]:
    said: list[events.Event] = []

    def note(logged):
        if isinstance(logged.get("udprelay"), events.Event):
            said.append(logged["udprelay"])

    globalLogPublisher.addObserver(note)
    return said, note


@pytest_twisted.ensureDeferred
async def test_the_service_ends_with_the_totals():
    said, observer = published()
    rules = RelayRules(listeners={"a": loopback(), "b": loopback("127.0.0.1", room="attic")})
    service = RelayService(Config(rules))
    service.privilegedStartService()
    service.startService()
    relay = service._relay
    peers = [Peer("::1") for _ in range(3)]
    port = next(e.port for e in said if isinstance(e, events.ListenerOpened))
    for number, peer in enumerate(peers):
        peer.socket.sendto(b"%d" % number, ("::1", port))
    assert await peers[0].receive(2) == [b"1", b"2"]
    while len(relay.hub.roster.rooms["lobby"]) < 3:
        await deferLater(reactor, 0)
    await service.stopService()
    for peer in peers:
        peer.close()
    globalLogPublisher.removeObserver(observer)
    ids = [event.id for event in said]
    assert ids[0] == "relay.started"
    assert ids[ids.index("relay.stopping") :] == [
        "relay.stopping",
        "listener.statistics",
        "listener.closed",
        "listener.statistics",
        "listener.closed",
        "room.closed",
        "relay.stopped",
    ]
    stopped = said[-1]
    assert (stopped.members, stopped.datagrams, stopped.bytes, stopped.deliveries) == (3, 3, 3, 3)
    assert service.stopService() is None


@pytest_twisted.ensureDeferred
async def test_the_service_can_start_again():
    said, observer = published()
    service = RelayService(Config(one_listener()))
    for _ in range(2):
        service.privilegedStartService()
        service.startService()
        await service.stopService()
    globalLogPublisher.removeObserver(observer)
    assert [event.id for event in said].count("relay.stopped") == 2
