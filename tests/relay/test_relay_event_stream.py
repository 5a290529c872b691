"""Events reach every consumer; a slow or a broken one affects only itself."""

from __future__ import annotations

import sys

import pytest

from udprelay.relay import events
from udprelay.relay.event_stream import EVENT_SIZE, EventQueue, EventStream

STOPPING = events.RelayStopping()


def opened(number: int) -> events.RoomOpened:
    return events.RoomOpened(room=f"room {number}")


def relayed(payload: str) -> events.DatagramRelayed:
    return events.DatagramRelayed(
        room="lobby", member="guest-1", address="a", bytes=len(payload), payload=payload
    )


class Failures:
    """Notes the consumers that fail, and the exceptions."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, BaseException | None]] = []

    def __call__(self, name: str) -> None:
        self.noted.append((name, sys.exc_info()[1]))


@pytest.fixture
def failures() -> Failures:
    return Failures()


@pytest.fixture
def stream(failures: Failures) -> EventStream:
    return EventStream(failures)


def test_each_consumer_reads_every_event_once(stream: EventStream) -> None:
    one, other = stream.open("one"), stream.open("other")
    stream.publish(opened(1))
    assert one.drain() == [opened(1)]
    stream.publish(opened(2))
    assert one.drain() == [opened(2)]
    assert other.drain() == [opened(1), opened(2)]
    assert other.drain() == []


def test_a_consumer_gets_no_earlier_events(stream: EventStream) -> None:
    stream.publish(opened(1))
    queue = stream.open("late")
    stream.publish(opened(2))
    assert queue.drain() == [opened(2)]


def test_a_consumer_that_never_reads_keeps_the_newest_events_and_counts_the_others(
    stream: EventStream,
) -> None:
    never, reading = stream.open("never"), stream.open("reading")
    for number in range(10_000):
        stream.publish(opened(number))
        assert reading.drain() == [opened(number)]
    assert (len(never), never.lost, reading.lost) == (4096, 5904, 0)


def test_a_slow_consumer_is_told_once_how_many_events_it_has_lost(stream: EventStream) -> None:
    slow = stream.open("slow", limit=2 * EVENT_SIZE)
    for number in range(5):
        stream.publish(opened(number))
    lost = events.EventsLost(consumer="slow", count=3)
    assert slow.drain() == [lost, opened(3), opened(4)]
    stream.publish(opened(5))
    assert slow.drain() == [opened(5)]
    for number in range(3):
        stream.publish(opened(number))
    assert slow.drain()[0] == events.EventsLost(consumer="slow", count=1)
    assert slow.lost == 4


def test_what_waits_and_what_is_lost_is_known_by_consumer(stream: EventStream) -> None:
    stream.open("slow", limit=EVENT_SIZE)
    stream.open("reading")
    for number in range(3):
        stream.publish(opened(number))
    assert stream.waiting() == {"slow": 1, "reading": 3}
    assert stream.lost() == {"slow": 2, "reading": 0}


def test_payloads_count_towards_the_limit(stream: EventStream) -> None:
    queue = stream.open("page")
    for _ in range(100):
        stream.publish(relayed("x" * 65_507))
    assert len(queue) == 7


def test_counters_count_towards_the_limit(stream: EventStream) -> None:
    queue = stream.open("page", limit=100 * EVENT_SIZE)
    statistics = events.RelayStatistics(counts={f"counter.{n}": n for n in range(100)})
    for _ in range(100):
        stream.publish(statistics)
    assert len(queue) == 3


def test_an_event_larger_than_the_queue_is_lost(stream: EventStream) -> None:
    queue = stream.open("small", limit=1000)
    stream.publish(relayed("x" * 1000))
    assert queue.drain() == [events.EventsLost(consumer="small", count=1)]


def test_a_consumer_is_woken_after_each_event(stream: EventStream) -> None:
    waiting: list[int] = []
    queue = stream.open("log", lambda: waiting.append(len(queue)))
    stream.publish(STOPPING)
    stream.publish(STOPPING)
    assert waiting == [1, 2]


def test_an_exception_of_a_consumer_stops_no_other(
    stream: EventStream, failures: Failures
) -> None:
    error = RuntimeError("a bug")

    def fail() -> None:
        raise error

    stream.open("broken", fail)
    read: list[events.Event] = []
    after: EventQueue = stream.open("after", lambda: read.extend(after.drain()))
    stream.publish(opened(1))
    stream.publish(opened(2))
    assert read == [opened(1), opened(2)]
    assert failures.noted == [("broken", error)] * 2


def test_events_that_a_consumer_causes_come_later_for_all(stream: EventStream) -> None:
    def answer() -> None:
        if opened(1) in first.drain():
            stream.publish(opened(2))

    first: EventQueue = stream.open("first", answer)
    second = stream.open("second")
    stream.publish(opened(1))
    assert second.drain() == [opened(1), opened(2)]
