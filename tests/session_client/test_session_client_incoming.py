"""One sequence as it comes in: in order, each number settled once, gaps asked for in time."""

from __future__ import annotations

from itertools import pairwise

import pytest

from udprelay.session_client.held import MOST, MOST_BYTES
from udprelay.session_client.incoming import (
    FARTHEST,
    MOST_GAPS,
    PATIENCE,
    PATIENCE_UNASKED,
    PRIVATE,
    ROOM,
    Incoming,
)

WAIT = 0.1
GONE, UNRELIABLE, OWN = 0, 1, 2


def incoming(first=1, recover=True):
    return Incoming(ROOM, first, lambda: WAIT, recover)


def run(sequence, until, begin=0.0, silent=False):
    """Expire at each deadline; return what was asked for and when, and what became deliverable."""
    asked, items = [], []
    now = begin
    while sequence.deadline is not None and sequence.deadline <= until:
        assert sequence.deadline >= now
        now = sequence.deadline
        if not silent:
            sequence.hear()
        items += sequence.expire(now)
        asked += [(round(now, 3), ranges) for ranges in sequence.take_nacks()]
    return asked, items


# Order.


def test_what_comes_in_order_is_deliverable_at_once():
    sequence = incoming()
    assert sequence.take(1, "a", 0.0) == ["a"]
    assert sequence.take(2, "b", 0.0) == ["b"]
    assert sequence.settled == 2
    assert sequence.deadline is None


def test_what_comes_early_waits_for_what_is_missing():
    sequence = incoming()
    assert sequence.take(3, "c", 0.0) == []
    assert sequence.take(2, "b", 0.0) == []
    assert sequence.settled == 0
    assert sequence.take(1, "a", 0.0) == ["a", "b", "c"]
    assert sequence.settled == 3


def test_what_need_not_wait_is_deliverable_before_what_is_missing():
    sequence = incoming()
    assert sequence.take(2, "b", 0.0, at_once=True) == ["b"]
    assert sequence.settled == 0
    assert sequence.take(3, "c", 0.0) == []
    assert sequence.take(1, "a", 0.0) == ["a", "c"]


def test_it_begins_where_it_is_told():
    sequence = incoming(first=100)
    assert sequence.settled == 99
    assert sequence.take(99, "old", 0.0) == []
    assert sequence.take(100, "new", 0.0) == ["new"]
    assert sequence.duplicates == 1


@pytest.mark.parametrize("again", [1, 3])
def test_what_comes_twice_counts_once(again):
    sequence = incoming()
    sequence.take(1, "a", 0.0)
    sequence.take(3, "c", 0.0)
    assert sequence.take(again, "again", 0.0) == []
    assert sequence.duplicates == 1
    assert sequence.take(2, "b", 0.0) == ["b", "c"]


def test_the_clients_own_need_not_come():
    sequence = incoming()
    assert sequence.take(3, "c", 0.0) == []
    assert sequence.own(((1, 2),), 0.0) == ["c"]
    assert sequence.own(((4, 1), (6, 2)), 0.0) == []
    assert sequence.settled == 4
    assert sequence.take(5, "e", 0.0) == ["e"]
    assert sequence.settled == 7
    assert sequence.take_holes() == []


def test_what_is_told_to_be_gone_is_a_hole():
    sequence = incoming()
    sequence.take(6, "f", 0.0)
    assert sequence.gone(((1, 2, GONE), (4, 2, GONE)), 0.0) == []
    assert sequence.take_holes() == [(1, 2), (4, 2)]
    assert sequence.take_holes() == []
    assert sequence.take(3, "c", 0.0) == ["c", "f"]


def test_only_what_is_missing_can_be_gone():
    sequence = incoming()
    sequence.take(2, "b", 0.0)
    assert sequence.gone(((1, 9, GONE),), 0.0) == ["b"]
    assert sequence.take_holes() == [(1, 1)]
    assert sequence.take(3, "c", 0.0) == ["c"]


def test_what_was_unreliable_or_the_clients_own_is_no_hole():
    sequence = incoming()
    sequence.take(4, "d", 0.0)
    assert sequence.gone(((1, 2, UNRELIABLE), (3, 1, OWN)), 0.0) == ["d"]
    assert sequence.take_holes() == []
    assert sequence.unkept == 2


def test_what_comes_after_it_was_given_up_is_dropped():
    sequence = incoming()
    sequence.take(2, "b", 0.0)
    sequence.gone(((1, 1, GONE),), 0.0)
    assert sequence.take(1, "a", 0.0) == []
    assert sequence.duplicates == 1


# Questions.


def test_a_gap_is_asked_for_after_a_short_time_for_reordering():
    sequence = incoming()
    sequence.take(3, "c", 5.0)
    assert sequence.deadline == 5.02
    assert sequence.expire(5.01) == []
    assert sequence.take_nacks() == []
    sequence.expire(5.02)
    assert sequence.take_nacks() == [((1, 2),)]
    assert sequence.take_nacks() == []


def test_what_may_be_the_clients_own_is_asked_for_50_ms_later():
    sequence = incoming()
    sequence.sent(4.0)
    sequence.take(3, "c", 4.9)
    assert sequence.deadline == pytest.approx(4.97)
    sequence.own(((1, 2),), 4.95)
    assert sequence.deadline is None
    sequence.take(5, "e", 5.0)
    assert sequence.deadline == 5.02


def test_what_came_in_another_order_is_not_asked_for():
    sequence = incoming()
    sequence.take(2, "b", 0.0)
    sequence.take(1, "a", 0.01)
    assert sequence.deadline is None
    sequence.expire(0.02)
    assert sequence.take_nacks() == []


def test_a_gap_is_asked_for_at_growing_intervals_for_30_s_and_then_given_up():
    sequence = incoming()
    sequence.take(2, "b", 0.0)
    asked, items = run(sequence, until=60.0)
    times = [at for at, _ in asked]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses == pytest.approx([0.1 * 1.5**n for n in range(6)] + [1.0] * 27, abs=0.002)
    assert times[-1] < PATIENCE <= times[-1] + 1
    assert {ranges for _, ranges in asked} == {((1, 1),)}
    assert items == ["b"]
    assert sequence.take_holes() == [(1, 1)]
    assert sequence.settled == 2


def test_where_answers_take_long_a_gap_is_asked_for_ten_times_before_it_is_given_up():
    sequence = Incoming(ROOM, 1, lambda: 4.0)
    sequence.take(2, "b", 0.0)
    asked, items = run(sequence, until=60.0)
    assert [at for at, _ in asked] == pytest.approx([0.02 + 4 * n for n in range(10)])
    assert items == ["b"]


def test_the_newest_number_shows_that_the_last_ones_are_missing():
    sequence = incoming()
    assert sequence.newest(2, 0.0) == []
    sequence.expire(0.02)
    assert sequence.take_nacks() == [((1, 2),)]
    assert sequence.newest(1, 0.03) == []
    assert sequence.take(1, "a", 0.04) == ["a"]
    assert sequence.take(2, "b", 0.04) == ["b"]
    assert sequence.repaired == 2


def test_a_gap_that_grows_before_it_is_asked_for_stays_one():
    sequence = incoming()
    sequence.newest(1, 0.0)
    sequence.newest(3, 0.01)
    sequence.expire(0.02)
    assert sequence.take_nacks() == [((1, 3),)]
    sequence.newest(4, 0.03)
    sequence.expire(0.05)
    assert sequence.take_nacks() == [((4, 1),)]


def test_the_parts_of_a_gap_are_asked_for_together():
    sequence = incoming()
    sequence.newest(5, 0.0)
    sequence.expire(0.02)
    sequence.take(3, "c", 0.03)
    sequence.take_nacks()
    sequence.expire(0.13)
    assert sequence.take_nacks() == [((1, 2), (4, 2))]


def test_a_nack_has_at_most_64_ranges():
    sequence = incoming()
    for number in range(2, 202, 2):
        sequence.take(number, number, 0.0)
    sequence.expire(0.02)
    first, second = sequence.take_nacks()
    assert first == tuple((number, 1) for number in range(1, 129, 2))
    assert second == tuple((number, 1) for number in range(129, 201, 2))


def test_a_large_gap_is_asked_for_in_parts_the_lowest_first():
    sequence = incoming()
    sequence.newest(1000, 0.0)
    sequence.expire(0.02)
    assert sequence.take_nacks() == [((1, 128),)]
    for number in range(1, 64):
        sequence.take(number, number, 0.03)
    assert sequence.deadline == pytest.approx(0.12)
    sequence.take(64, 64, 0.03)
    assert sequence.deadline == 0.03
    sequence.expire(0.03)
    assert sequence.take_nacks() == [((129, 64),)]


def test_more_is_asked_for_at_once_as_long_as_the_history_does_not_go_back_so_far():
    sequence = incoming()
    sequence.newest(1_000_000, 0.0, certain=True)
    now, asked = 0.02, []
    while sequence.settled < 900_000:
        sequence.expire(now)
        for ranges in sequence.take_nacks():
            asked.append(ranges)
            sequence.gone(tuple((*r, GONE) for r in ranges), now)
        now = sequence.deadline
    assert len(asked) < 20
    assert all(count <= 65_535 for ranges in asked for _, count in ranges)
    assert sum(count for _, count in sequence.take_holes()) == sequence.settled


def test_what_waits_too_long_to_be_asked_for_is_given_up():
    sequence = incoming()
    sequence.newest(10_000, 0.0, certain=True)
    asked, _ = run(sequence, until=PATIENCE_UNASKED - 1)
    assert 128 < asked[-1][1][0][0] < 2000
    run(sequence, until=PATIENCE_UNASKED + 60, begin=PATIENCE_UNASKED - 1)
    assert sequence.settled == 10_000
    assert sum(count for _, count in sequence.take_holes()) == 10_000


def test_many_gaps_are_asked_for_in_several_rounds():
    sequence = incoming()
    sequence.newest(10_000, 0.0, certain=True)
    sequence.expire(0.02)
    for number in range(1, 129):
        sequence.gone(((number, 1, GONE),), 0.02)
    for number in range(130, 1024, 2):
        sequence.take(number, number, 0.02)
    sequence.take_nacks()
    asked, _ = run(sequence, until=0.13, begin=0.02)
    assert max(len(ranges) for _, ranges in asked) == 64
    by_time = {at: sum(len(r) for t, r in asked if t == at) for at, _ in asked}
    assert max(by_time.values()) <= 256


def test_while_it_pauses_nothing_is_asked_for_and_nothing_given_up():
    sequence = incoming()
    sequence.take(3, "c", 0.0)
    sequence.expire(0.02)
    sequence.pause()
    assert sequence.deadline is None
    assert sequence.expire(100.0) == []
    sequence.take_nacks()
    sequence.resume(200.0)
    assert sequence.deadline == 200.0
    sequence.expire(200.0)
    assert sequence.take_nacks() == [((1, 2),)]
    asked, _ = run(sequence, until=300.0, begin=200.0)
    assert 200 + PATIENCE - 1 <= asked[-1][0] < 200 + PATIENCE


def test_without_gaps_there_is_nothing_to_resume():
    sequence = incoming()
    sequence.pause()
    sequence.resume(1.0)
    assert sequence.deadline is None


def test_nothing_is_given_up_while_the_relay_says_nothing():
    sequence = incoming()
    sequence.take(2, "b", 0.0)
    asked, items = run(sequence, until=25.0, silent=True)
    assert len(asked) > 10
    assert items == []
    assert sequence.take_doubt()
    asked, items = run(sequence, until=60.0, begin=25.0)
    assert len(asked) == 9
    assert items == ["b"]


# Without recovery.


def test_without_recovery_nothing_waits():
    sequence = incoming(recover=False)
    assert sequence.take(2, "b", 0.0) == ["b"]
    assert sequence.take(1, "a", 0.0) == ["a"]
    assert sequence.take(2, "b", 0.0) == []
    assert sequence.settled == 2


def test_without_recovery_what_is_missing_is_soon_lost():
    sequence = incoming(recover=False)
    sequence.take(2, "b", 0.0)
    asked, items = run(sequence, until=60.0)
    assert [at for at, _ in asked] == [0.02, 0.12]
    assert items == []
    assert sequence.take_holes() == [(1, 1)]
    assert sequence.settled == 2


# Giving up.


def test_another_beginning_gives_up_what_is_before_it():
    sequence = incoming()
    sequence.take(3, "c", 0.0)
    assert sequence.skip_to(3, 1.0) == ["c"]
    assert sequence.take_holes() == [(1, 2)]
    assert sequence.skip_to(10, 1.0) == []
    assert sequence.take_holes() == [(4, 6)]
    assert sequence.skip_to(5, 1.0) == []
    assert sequence.settled == 9
    assert sequence.take(10, "j", 1.0) == ["j"]


def test_all_can_be_given_up():
    sequence = Incoming(PRIVATE, 1, lambda: WAIT)
    sequence.take(2, "b", 0.0)
    sequence.take(4, "d", 0.0)
    assert sequence.give_up(0.0) == ["b", "d"]
    assert sequence.take_holes() == [(1, 1), (3, 1)]


# Bounds.


def test_a_number_from_too_far_ahead_is_not_believed_and_gives_reason_to_ask():
    sequence = incoming()
    assert not sequence.take_doubt()
    assert sequence.newest(FARTHEST + 1, 0.0) == []
    assert sequence.take_doubt()
    assert not sequence.take_doubt()
    assert sequence.take(FARTHEST + 1, "far", 0.0) == []
    assert sequence.take_doubt()
    assert sequence.deadline is None
    assert sequence.take(1, "a", 0.0) == ["a"]


def test_what_came_from_far_ahead_counts_once_the_relay_has_confirmed_it():
    sequence = incoming()
    sequence.take(5000, "far", 0.0, at_once=True)
    sequence.take(5001, "farther", 0.0)
    sequence.take(9000, "forged", 0.0)
    assert sequence.newest(4500, 0.0, certain=True) == ["far"]
    assert sequence.skip_to(5001, 0.0) == ["farther"]
    assert sequence.settled == 5001
    assert sequence.newest(9000, 0.0, certain=True) == []


def test_private_numbers_may_be_far_ahead():
    sequence = Incoming(PRIVATE, 1, lambda: WAIT)
    assert sequence.take(5000, "far", 0.0, at_once=True) == ["far"]
    assert not sequence.take_doubt()


def test_what_only_the_relay_can_have_said_is_believed():
    sequence = incoming()
    sequence.newest(2**64 - 1, 0.0, certain=True)
    run(sequence, until=600.0)
    assert sequence.settled == 2**64 - 1
    holes = sequence.take_holes()
    assert sum(count for _, count in holes) == 2**64 - 1
    assert len(holes) < 100


def test_too_many_items_held_give_up_the_oldest_gap():
    sequence = incoming()
    numbers = [n for n in range(2, MOST + 4) if n != 4]
    items = [item for n in numbers for item in sequence.take(n, n, 0.0)]
    assert items == [2, 3]
    assert sequence.take_holes() == [(1, 1)]
    assert sequence.settled == 3


def test_too_many_bytes_held_give_up_the_oldest_gap():
    sequence = incoming()
    size = MOST_BYTES // 4
    held = [sequence.take(n, n, 0.0, size) for n in (2, 3, 4, 5)]
    assert held == [[], [], [], []]
    assert sequence.take(7, 7, 0.0, 1) == [2, 3, 4, 5]
    assert sequence.take_holes() == [(1, 1)]
    assert sequence.take(6, 6, 0.0, size) == [6, 7]


def test_too_many_gaps_give_up_the_oldest():
    sequence = incoming()
    for n in range(2, 2 * MOST_GAPS + 4, 2):
        sequence.own(((n, 1),), 0.0)
    assert sequence.take_holes() == [(1, 1)]
    assert sequence.settled == 2
