"""When a bridge reports what it has forwarded and dropped."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from udprelay.client.bridge_counters import (
    DROPPED_INTERVAL,
    TRAFFIC_INTERVAL,
    BridgeCounters,
)
from udprelay.client.notices import Notice


class Counting:
    """The counters of a bridge on a clock, and the notices that come from them."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.notices: list[Notice] = []
        self.counters = BridgeCounters(self.clock, self.notices.append)

    def reported(self, event: str) -> list[tuple[object, ...]]:
        """Return the fields of all notices of one kind."""
        return [tuple(notice.fields.values()) for notice in self.notices if notice.id == event]


@pytest.fixture
def counting() -> Counting:
    return Counting()


def test_the_first_drop_is_reported_at_once_and_later_ones_together(counting: Counting) -> None:
    for _ in range(5):
        counting.counters.drop("too-large")
    assert counting.reported("bridge.dropped") == [("too-large", 1)]
    counting.clock.advance(DROPPED_INTERVAL)
    assert counting.reported("bridge.dropped") == [("too-large", 1), ("too-large", 4)]
    counting.clock.advance(DROPPED_INTERVAL)
    counting.counters.drop("too-large")
    assert counting.reported("bridge.dropped")[2:] == [("too-large", 1)]


def test_each_reason_is_reported_separately(counting: Counting) -> None:
    counting.counters.drop("too-large")
    counting.counters.drop("lost", 3)
    assert counting.reported("bridge.dropped") == [("too-large", 1), ("lost", 3)]


def test_traffic_is_reported_at_intervals_if_there_was_any(counting: Counting) -> None:
    counting.clock.advance(TRAFFIC_INTERVAL)
    counting.counters.traffic["to_room"] += 2
    counting.counters.drop("empty")
    counting.clock.advance(TRAFFIC_INTERVAL)
    counting.clock.advance(TRAFFIC_INTERVAL)
    assert counting.reported("bridge.traffic") == [(2, 0, 1)]


def test_closing_reports_all_counts(counting: Counting) -> None:
    counting.counters.drop("empty")
    counting.counters.drop("empty")
    counting.counters.traffic["to_program"] += 1
    counting.counters.close()
    assert counting.reported("bridge.dropped") == [("empty", 1), ("empty", 1)]
    assert counting.reported("bridge.traffic") == [(0, 1, 2)]
    assert not counting.clock.getDelayedCalls()
