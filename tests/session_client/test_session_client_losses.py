"""Each loss is told once: by its sender, if that can be known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udprelay.session_client.events import Lost
from udprelay.session_client.losses import PATIENCE, Losses


@pytest.fixture
def events():
    return []


@pytest.fixture
def losses(events):
    return Losses(events.append)


def test_a_gap_tells_whose_messages_were_in_a_hole(losses, events):
    losses.hole(3, 0.0)
    assert events == []
    assert losses.gap(2, "Alice") == 0
    losses.close()
    assert events == [Lost(2, "Alice"), Lost(1, None)]
    assert losses.lost == 3


def test_what_nobody_explains_is_told_without_a_sender_after_a_while(losses, events):
    losses.hole(3, 0.0)
    losses.hole(1, 3.0)
    assert losses.deadline == PATIENCE
    losses.expire(PATIENCE - 0.1)
    assert events == []
    losses.expire(PATIENCE)
    assert events == [Lost(4, None)]
    assert losses.deadline is None
    losses.expire(100.0)
    assert losses.lost == 4


def test_joins_and_leaves_are_no_messages(losses, events):
    losses.hole(3, 0.0)
    losses.explain(2)
    losses.close()
    assert events == [Lost(1, None)]
    losses.explain(5)
    losses.close()
    assert losses.lost == 1


def test_a_gap_without_a_hole_was_not_lost_on_the_way(losses, events):
    assert losses.gap(2, "Alice") == 2
    losses.hole(1, 0.0)
    assert losses.gap(3, "Alice") == 2
    losses.close()
    assert events == [Lost(2, "Alice"), Lost(3, "Alice")]


def test_what_was_told_without_a_sender_is_not_told_again(losses, events):
    losses.hole(3, 0.0)
    losses.close()
    assert losses.gap(2, "Alice") == 0
    assert losses.gap(2, "Alice") == 1
    assert events == [Lost(3, None), Lost(1, "Alice")]


def test_gaps_have_nothing_to_do_with_the_holes_of_another_room(losses, events):
    losses.hole(3, 0.0)
    losses.forget()
    assert losses.gap(2, "Alice") == 2
    assert events == [Lost(3, None), Lost(2, "Alice")]


steps = st.tuples(st.sampled_from(["hole", "gap", "close"]), st.integers(1, 5))


@given(st.lists(steps))
def test_the_told_is_what_one_side_or_the_other_shows(steps):
    events = []
    losses = Losses(events.append)
    holes = gaps = unexplained = 0
    for what, count in steps:
        if what == "hole":
            holes += count
            losses.hole(count, 0.0)
        elif what == "gap":
            gaps += count
            unexplained += losses.gap(count, "Alice")
        else:
            losses.close()
    losses.close()
    assert losses.lost == sum(event.count for event in events)
    assert losses.lost == holes + unexplained
    assert losses.lost >= max(holes, gaps)
