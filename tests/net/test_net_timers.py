"""Deadlines, and the end of a relay."""

from __future__ import annotations

from typing import cast

import pytest
import pytest_twisted
from net_peers import (
    SECRET,
    MakePeer,
    OpenRelay,
    Peer,
    RunningRelay,
    loopback,
    one_listener,
)
from net_reactors import ClockReactor
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher

from udprelay.config import Config
from udprelay.net.relay import FAILURE_DELAY
from udprelay.relay import events
from udprelay.relay.fan_out import FanOut
from udprelay.relay.hub import Hub
from udprelay.relay.rules import PlainPolicy, RelayRules, RoomRules
from udprelay.segments import Segments
from udprelay.service import RelayService


@pytest.fixture
def clock() -> ClockReactor:
    return ClockReactor()


def kinds(relay: RunningRelay) -> list[str]:
    return [event.id for event in relay.events]


@pytest_twisted.ensureDeferred
async def test_a_silent_member_leaves(
    open_relay: OpenRelay, make_peer: MakePeer, clock: ClockReactor
) -> None:
    relay = open_relay(using=clock)
    silent, sender = [await make_peer().join(relay) for _ in range(2)]
    clock.advance(299)
    sender.send(b"still here", relay)
    await silent.receive()
    clock.advance(1)
    (left,) = relay.of(events.MemberLeft)
    assert (left.address, left.reason) == (str(silent), "idle")
    clock.advance(299)
    assert len(relay.of(events.MemberLeft)) == 2
    assert kinds(relay)[-1] == "room.closed"
    assert clock.getDelayedCalls() == []


@pytest_twisted.ensureDeferred
async def test_a_consumer_of_events_that_fails_stops_no_timer(
    open_relay: OpenRelay, make_peer: MakePeer, clock: ClockReactor
) -> None:
    relay = open_relay(using=clock)
    relay.stream.open("broken", lambda: 1 / 0)
    await make_peer().join(relay)
    clock.advance(1)
    await make_peer().join(relay)
    clock.advance(300)
    assert len(relay.of(events.MemberLeft)) == 2
    assert set(relay.failed) == {"broken"}


@pytest_twisted.ensureDeferred
async def test_datagrams_schedule_nothing(
    open_relay: OpenRelay, make_peer: MakePeer, clock: ClockReactor
) -> None:
    relay = open_relay(using=clock)
    sender, member = [await make_peer().join(relay) for _ in range(2)]
    scheduled = clock.scheduled
    for number in range(100):
        sender.send(b"%d" % number, relay)
        await member.receive()
        clock.advance(0.1)
    assert clock.scheduled == scheduled
    assert len(clock.getDelayedCalls()) == 1


@pytest_twisted.ensureDeferred
async def test_drops_schedule_one_report_in_each_window(
    open_relay: OpenRelay, make_peer: MakePeer, clock: ClockReactor
) -> None:
    rules = RelayRules(listeners={"main": loopback(), "closed": loopback(plain=PlainPolicy.OFF)})
    relay = open_relay(rules, using=clock)
    unverified = make_peer()
    scheduled = clock.scheduled
    for window in (1, 2):
        for _ in range(20):
            unverified.send(b"let me in", relay, "closed")
        await relay.seen(events.MemberRejected, window)
        # Sent after the others, it is read after them.
        await make_peer().join(relay)
        assert clock.scheduled == scheduled + window
        clock.advance(10)
        report = relay.of(events.DatagramsDropped)[-1]
        assert (report.count, report.reason, report.window) == (20, "plain-off", 10.0)
    # The idle timeout of the members.
    assert len(clock.getDelayedCalls()) == 1


@pytest_twisted.ensureDeferred
async def test_an_earlier_deadline_moves_the_timer(
    open_relay: OpenRelay, make_peer: MakePeer, clock: ClockReactor
) -> None:
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


class FailingHub(Hub):
    """A hub whose deadlines fail when a test wants it."""

    fails = True

    def expire(self, now: float) -> list[FanOut]:
        if self.fails:
            raise RuntimeError("a deadline that fails")
        return super().expire(now)


@pytest_twisted.ensureDeferred
async def test_a_deadline_that_fails_is_logged_and_tried_again(
    make_peer: MakePeer, clock: ClockReactor, logged_errors: list[str]
) -> None:
    running = RunningRelay(one_listener(), clock)
    relay = running.relay
    hub = relay.driver.hub = FailingHub(relay.hub.rules, SECRET, lambda _: False, clock.seconds())
    running.open()
    member = await make_peer().join(running)
    clock.advance(300)
    # Not at once: it would repeat without end.
    clock.pump([0] * 10)
    (logged,) = logged_errors
    assert "a deadline that fails" in logged
    logged_errors.clear()
    make_peer().send(b"hello", running)
    assert await member.receive() == [b"hello"]
    hub.fails = False
    clock.advance(FAILURE_DELAY)
    (left,) = running.of(events.MemberLeft)
    assert left.address == str(member)
    assert await running.dropped() == {}


@pytest_twisted.ensureDeferred
async def test_many_deadlines_at_once_do_not_delay_datagrams(
    open_relay: OpenRelay, make_peer: MakePeer, clock: ClockReactor
) -> None:
    relay = open_relay(one_listener(), using=clock)
    hub, listener = relay.relay.hub, relay.relay.listeners["main"].listener
    source_of = relay.relay.listeners["main"].port.source_of
    batch = [(source_of("192.0.2.1", port), Segments(b"", 0)) for port in range(1, 601)]
    relay.relay.driver.receive(listener, batch, clock.seconds())
    left = []
    clock.callLater(300, lambda: left.append(len(relay.of(events.MemberLeft))))
    clock.advance(300)
    while hub.roster.member_count:
        left.append(len(relay.of(events.MemberLeft)))
        clock.advance(0)
    # Not all in one turn.
    assert left[0] < 600
    assert len(relay.of(events.MemberLeft)) == 600


# The end.


@pytest_twisted.ensureDeferred
async def test_nothing_is_read_after_the_end(make_peer: MakePeer) -> None:
    relay = RunningRelay(one_listener()).open()
    sender, member = [await make_peer().join(relay) for _ in range(2)]
    sender.send(b"in time", relay)
    assert await member.receive() == [b"in time"]
    closed = relay.relay.close()
    datagrams = relay.relay.hub.roster.datagrams
    sender.send(b"too late", relay)
    await closed
    assert relay.relay.hub.roster.datagrams == datagrams
    assert kinds(relay)[-1] == "listener.closed"


@pytest_twisted.ensureDeferred
async def test_after_the_end_nothing_is_delivered(make_peer: MakePeer) -> None:
    # The console's last line may come while the relay stops.
    relay = RunningRelay(one_listener()).open()
    await make_peer().join(relay)
    (member,) = relay.relay.hub.roster.rooms["lobby"].members()
    await relay.relay.close()
    now = relay.relay.now()
    relay.relay.driver.send(member, b"goodbye")
    relay.relay.hub.send_to(member, b"goodbye", now)
    relay.relay.driver.settle()


def published() -> tuple[list[events.Event], ILogObserver]:
    logged: list[events.Event] = []

    def note(record: LogEvent) -> None:
        if isinstance(record.get("udprelay"), events.Event):
            logged.append(record["udprelay"])

    observer = cast(ILogObserver, note)
    globalLogPublisher.addObserver(observer)
    return logged, observer


async def stop(service: RelayService) -> None:
    stopped = service.stopService()
    assert stopped is not None
    await stopped


@pytest_twisted.ensureDeferred
async def test_the_service_ends_with_the_totals() -> None:
    logged, observer = published()
    rules = RelayRules(listeners={"a": loopback(), "b": loopback("127.0.0.1", room="attic")})
    service = RelayService(Config(rules))
    service.privilegedStartService()
    service.startService()
    peers = [Peer("::1") for _ in range(3)]
    port = next(e.port for e in logged if isinstance(e, events.ListenerOpened))
    for number, peer in enumerate(peers):
        peer.socket.sendto(b"%d" % number, ("::1", port))
    assert await peers[0].receive(2) == [b"1", b"2"]
    while sum(isinstance(event, events.MemberJoined) for event in logged) < 3:
        await deferLater(reactor, 0)
    await stop(service)
    for peer in peers:
        peer.close()
    globalLogPublisher.removeObserver(observer)
    ids = [event.id for event in logged]
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
    stopped = logged[-1]
    assert isinstance(stopped, events.RelayStopped)
    assert (stopped.members, stopped.datagrams, stopped.bytes, stopped.deliveries) == (3, 3, 3, 3)
    assert service.stopService() is None


@pytest_twisted.ensureDeferred
async def test_the_service_can_start_again() -> None:
    logged, observer = published()
    service = RelayService(Config(one_listener()))
    for _ in range(2):
        service.privilegedStartService()
        service.startService()
        await stop(service)
    globalLogPublisher.removeObserver(observer)
    assert [event.id for event in logged].count("relay.stopped") == 2
