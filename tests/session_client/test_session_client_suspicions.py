"""Suspicions are reported at once, and then at a limited rate."""

from __future__ import annotations

from math import inf

import pytest

from udprelay.session_client.events import Distrusted, Event
from udprelay.session_client.suspicions import REPORT_INTERVAL, Suspicions


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def suspicions(events: list[Event]) -> Suspicions:
    return Suspicions(events.append)


def reports(events: list[Event]) -> list[Distrusted]:
    """Return the events; all have this type."""
    distrusted = [event for event in events if isinstance(event, Distrusted)]
    assert distrusted == events
    return distrusted


def test_the_first_suspicion_is_reported_at_once(
    suspicions: Suspicions, events: list[Event]
) -> None:
    suspicions.add("seal", 7, "Alice", 0.0)
    assert events == [Distrusted("seal", 7, "Alice", 1)]
    assert suspicions.deadline == REPORT_INTERVAL


def test_further_suspicions_are_reported_with_their_count_after_the_interval(
    suspicions: Suspicions, events: list[Event]
) -> None:
    for at in range(5):
        suspicions.add("seal", 7, "Alice", at)
    suspicions.expire(9.9)
    assert len(events) == 1
    suspicions.expire(10.0)
    assert events[1:] == [Distrusted("seal", 7, "Alice", 4)]
    assert suspicions.deadline == 20.0
    suspicions.expire(20.0)
    assert len(events) == 2
    assert suspicions.deadline == inf


def test_after_a_quiet_interval_a_suspicion_is_reported_at_once(
    suspicions: Suspicions, events: list[Event]
) -> None:
    suspicions.add("seal", 7, "Alice", 0.0)
    suspicions.add("seal", 7, "Alice", 11.0)
    assert [event.count for event in reports(events)] == [1, 1]


def test_reasons_and_members_are_reported_separately(
    suspicions: Suspicions, events: list[Event]
) -> None:
    suspicions.add("seal", 7, "Alice", 0.0)
    suspicions.add("badge", 7, None, 0.0)
    suspicions.add("seal", 8, None, 0.0, count=3)
    assert [(e.reason, e.number, e.count) for e in reports(events)] == [
        ("seal", 7, 1),
        ("badge", 7, 1),
        ("seal", 8, 3),
    ]


def test_the_table_is_limited_and_every_suspicion_is_reported(
    suspicions: Suspicions, events: list[Event]
) -> None:
    for _ in range(2):
        suspicions.add("seal", 0, None, 0.0)
    for number in range(1, 2000):
        suspicions.add("seal", number, None, 0.0)
    suspicions.expire(100.0)
    assert sum(event.count for event in reports(events)) == 2001
    assert suspicions.deadline == inf
