"""Members and strangers cause few lines of the log, whatever they do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from manual_clock import ManualClock
from udprelay.logs.folding import MAX_LINES, MAX_LINES_OF_SOURCE, WINDOW
from udprelay.logs.log import EventLog
from udprelay.relay import events
from udprelay.relay.event_stream import EventStream


@implementer(ILogObserver)
class LoggedEvents:
    """What the log has, with a clock for it."""

    def __init__(self) -> None:
        self.stream = EventStream(lambda name: None)
        self.clock = ManualClock()
        self._logged: list[events.Event] = []
        log = EventLog(self.stream)
        log.start(self.clock)

    def __call__(self, entry: LogEvent) -> None:
        self._logged.append(entry["udprelay"])

    def publish(self, *published: events.Event) -> None:
        for event in published:
            self.stream.publish(event)

    def drain(self) -> list[events.Event]:
        drained, self._logged = self._logged, []
        return drained


@pytest.fixture
def log() -> Iterator[LoggedEvents]:
    logged = LoggedEvents()
    globalLogPublisher.addObserver(logged)
    yield logged
    globalLogPublisher.removeObserver(logged)


def moved(number: int, host: str = "192.0.2.1") -> events.MemberMoved:
    return events.MemberMoved(
        before="192.0.2.9:1",
        room="lobby",
        member="anna",
        address=f"{host}:{number}",
        listener="main",
    )


def renamed(number: int) -> events.MemberRenamed:
    return events.MemberRenamed(room="lobby", member=f"anna-{number}", before="anna")


def test_lines_of_one_host_are_folded(log: LoggedEvents) -> None:
    flapping = [moved(number) for number in range(100)]
    log.publish(*flapping, moved(1, "192.0.2.2"))
    assert log.drain() == [*flapping[:MAX_LINES_OF_SOURCE], moved(1, "192.0.2.2")]
    log.clock.advance(WINDOW)
    left_out = 100 - MAX_LINES_OF_SOURCE
    assert log.drain() == [
        events.LogFolded(count=left_out, window=WINDOW, events={"member.moved": left_out})
    ]


def test_lines_of_all_hosts_are_folded(log: LoggedEvents) -> None:
    log.publish(*(moved(1, f"[2001:db8::{number:x}]") for number in range(1000)))
    assert len(log.drain()) == MAX_LINES
    log.clock.advance(WINDOW)
    (folded,) = log.drain()
    assert isinstance(folded, events.LogFolded)
    assert folded.count == 1000 - MAX_LINES


def test_lines_without_an_address_are_folded_by_room(log: LoggedEvents) -> None:
    log.publish(*map(renamed, range(50)))
    log.publish(events.RoomOpened(room="other"))
    assert len(log.drain()) == MAX_LINES_OF_SOURCE + 1


def test_at_most_ten_lines_a_second_on_average_during_a_flood(log: LoggedEvents) -> None:
    for second in range(60):
        log.publish(*(moved(n, f"10.0.{second}.{n % 256}") for n in range(300)))
        log.clock.advance(1)
    assert len(log.drain()) <= 60 * 10


def test_few_lines_are_as_before(log: LoggedEvents) -> None:
    for number in range(20):
        log.publish(moved(number))
        log.clock.advance(5)
    assert log.drain() == [moved(number) for number in range(20)]


def test_events_of_the_operator_and_of_the_relay_are_never_folded(log: LoggedEvents) -> None:
    log.publish(*map(moved, range(1000)))
    log.drain()
    own = [events.EventsLost(consumer="log", count=1), events.RelayStopping()] * 200
    log.publish(*own)
    assert log.drain() == own


def test_what_was_folded_is_said_before_the_relay_has_stopped(log: LoggedEvents) -> None:
    log.publish(*map(moved, range(100)))
    log.drain()
    stopped = events.RelayStopped(
        uptime=1.0, members=0, datagrams=0, bytes=0, deliveries=0, dropped={}
    )
    log.publish(stopped)
    folded, last = log.drain()
    assert isinstance(folded, events.LogFolded)
    assert last == stopped
    assert log.clock.getDelayedCalls() == []


def test_without_a_clock_nothing_is_folded(log: LoggedEvents) -> None:
    stream = EventStream(lambda name: None)
    EventLog(stream).start()
    for number in range(200):
        stream.publish(moved(number))
    assert len(log.drain()) == 200
