"""What a bridge tells of what has passed, and of what has not."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from udprelay.client.bridge_counts import AGAIN, TRAFFIC, BridgeCounts
from udprelay.client.notices import Notice


class Counting:
    def __init__(self) -> None:
        self.clock = Clock()
        self.notices: list[Notice] = []
        self.counts = BridgeCounts(self.clock, self.notices.append)

    def told(self, event: str) -> list[tuple[object, ...]]:
        return [tuple(n.fields.values()) for n in self.notices if n.event == event]


@pytest.fixture
def counting() -> Counting:
    return Counting()


def test_the_first_drop_is_told_at_once_and_the_others_together(counting: Counting) -> None:
    for _ in range(5):
        counting.counts.drop("too-large")
    assert counting.told("bridge.dropped") == [("too-large", 1)]
    counting.clock.advance(AGAIN)
    assert counting.told("bridge.dropped") == [("too-large", 1), ("too-large", 4)]
    counting.clock.advance(AGAIN)
    counting.counts.drop("too-large")
    assert counting.told("bridge.dropped")[2:] == [("too-large", 1)]


def test_each_reason_is_told_for_itself(counting: Counting) -> None:
    counting.counts.drop("too-large")
    counting.counts.drop("lost", 3)
    assert counting.told("bridge.dropped") == [("too-large", 1), ("lost", 3)]


def test_traffic_is_told_now_and_then_if_there_was_any(counting: Counting) -> None:
    counting.clock.advance(TRAFFIC)
    counting.counts.to_room += 2
    counting.counts.drop("empty")
    counting.clock.advance(TRAFFIC)
    counting.clock.advance(TRAFFIC)
    assert counting.told("bridge.traffic") == [(2, 0, 1)]


def test_at_the_end_everything_is_told(counting: Counting) -> None:
    counting.counts.drop("empty")
    counting.counts.drop("empty")
    counting.counts.to_program += 1
    counting.counts.close()
    assert counting.told("bridge.dropped") == [("empty", 1), ("empty", 1)]
    assert counting.told("bridge.traffic") == [(0, 1, 2)]
    assert not counting.clock.getDelayedCalls()
