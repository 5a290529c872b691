"""What is distrusted is told at once, and then not too often."""

from __future__ import annotations

import pytest

from udprelay.session_client.events import Distrusted
from udprelay.session_client.suspicions import INTERVAL, Suspicions


@pytest.fixture
def events():
    return []


@pytest.fixture
def suspicions(events):
    return Suspicions(events.append)


def test_the_first_is_told_at_once(suspicions, events):
    suspicions.note("seal", 7, "Alice", 0.0)
    assert events == [Distrusted("seal", 7, "Alice", 1)]
    assert suspicions.deadline == INTERVAL


def test_more_of_the_same_is_told_with_its_count_when_the_interval_ends(suspicions, events):
    for at in range(5):
        suspicions.note("seal", 7, "Alice", at)
    suspicions.expire(9.9)
    assert len(events) == 1
    suspicions.expire(10.0)
    assert events[1:] == [Distrusted("seal", 7, "Alice", 4)]
    assert suspicions.deadline == 20.0
    suspicions.expire(20.0)
    assert len(events) == 2
    assert suspicions.deadline is None


def test_after_an_interval_without_any_it_is_told_at_once_again(suspicions, events):
    suspicions.note("seal", 7, "Alice", 0.0)
    suspicions.note("seal", 7, "Alice", 11.0)
    assert [event.count for event in events] == [1, 1]


def test_reasons_and_members_are_told_separately(suspicions, events):
    suspicions.note("seal", 7, "Alice", 0.0)
    suspicions.note("badge", 7, None, 0.0)
    suspicions.note("seal", 8, None, 0.0, count=3)
    assert [(e.reason, e.number, e.count) for e in events] == [
        ("seal", 7, 1),
        ("badge", 7, 1),
        ("seal", 8, 3),
    ]


def test_it_is_bounded_and_keeps_no_count_to_itself(suspicions, events):
    for _ in range(2):
        suspicions.note("seal", 0, None, 0.0)
    for number in range(1, 2000):
        suspicions.note("seal", number, None, 0.0)
    suspicions.expire(100.0)
    assert sum(event.count for event in events) == 2001
    assert suspicions.deadline is None
