"""One incoming sequence: order, gaps, NACKs, losses and limits."""

from __future__ import annotations

from itertools import pairwise
from math import inf

import pytest
from session_client_arrivals import drained, liveness

from udprelay.protocol.wire.ranges import Ranges
from udprelay.session_client.incoming import (
    MAX_AHEAD,
    MAX_GAPS,
    PRIVATE,
    RECOVERY_TIMEOUT,
    ROOM,
    UNREQUESTED_TIMEOUT,
    Incoming,
)
from udprelay.session_client.reordering import MAX_BUFFERED, MAX_BUFFERED_BYTES
from udprelay.session_client.settings import Statistics

Item = str | int

TIMEOUT = 0.1
NOT_IN_HISTORY, UNRELIABLE, OWN = 0, 1, 2


def incoming(first: int = 1, recover: bool = True) -> Incoming[Item]:
    return Incoming(ROOM, first, liveness(), Statistics(), recover)


def expire_until(
    sequence: Incoming[Item], until: float, begin: float = 0.0, silent: bool = False
) -> tuple[list[tuple[float, Ranges]], list[Item]]:
    """Expire at each deadline; return the NACKs with their times, and the deliverable items."""
    nacks: list[tuple[float, Ranges]] = []
    items: list[Item] = []
    now = begin
    while sequence.deadline <= until:
        assert sequence.deadline >= now
        now = sequence.deadline
        if not silent:
            sequence.note_contact()
        items += sequence.expire(now)
        nacks += [(round(now, 3), ranges) for ranges in drained(sequence.nacks)]
    return nacks, items


# Order.


def test_items_in_order_are_deliverable_at_once() -> None:
    sequence = incoming()
    assert sequence.receive(1, "a", 0.0) == ["a"]
    assert sequence.receive(2, "b", 0.0) == ["b"]
    assert sequence.settled == 2
    assert sequence.deadline == inf


def test_items_behind_a_gap_wait() -> None:
    sequence = incoming()
    assert sequence.receive(3, "c", 0.0) == []
    assert sequence.receive(2, "b", 0.0) == []
    assert sequence.settled == 0
    assert sequence.receive(1, "a", 0.0) == ["a", "b", "c"]
    assert sequence.settled == 3


def test_unreliable_items_do_not_wait_behind_a_gap() -> None:
    sequence = incoming()
    assert sequence.receive(2, "b", 0.0, at_once=True) == ["b"]
    assert sequence.settled == 0
    assert sequence.receive(3, "c", 0.0) == []
    assert sequence.receive(1, "a", 0.0) == ["a", "c"]


def test_a_sequence_begins_at_its_first_number() -> None:
    sequence = incoming(first=100)
    assert sequence.settled == 99
    assert sequence.receive(99, "old", 0.0) == []
    assert sequence.receive(100, "new", 0.0) == ["new"]
    assert sequence.statistics.duplicates == 1


@pytest.mark.parametrize("duplicate", [1, 3])
def test_duplicates_are_dropped(duplicate: int) -> None:
    sequence = incoming()
    sequence.receive(1, "a", 0.0)
    sequence.receive(3, "c", 0.0)
    assert sequence.receive(duplicate, "duplicate", 0.0) == []
    assert sequence.statistics.duplicates == 1
    assert sequence.receive(2, "b", 0.0) == ["b", "c"]


def test_the_clients_own_numbers_fill_gaps() -> None:
    sequence = incoming()
    assert sequence.receive(3, "c", 0.0) == []
    assert sequence.settle_own(((1, 2),), 0.0) == ["c"]
    assert sequence.settle_own(((4, 1), (6, 2)), 0.0) == []
    assert sequence.settled == 4
    assert sequence.receive(5, "e", 0.0) == ["e"]
    assert sequence.settled == 7
    assert drained(sequence.lost) == []


def test_numbers_that_are_gone_are_lost() -> None:
    sequence = incoming()
    sequence.receive(6, "f", 0.0)
    assert sequence.settle_gone(((1, 2, NOT_IN_HISTORY), (4, 2, NOT_IN_HISTORY)), 0.0) == []
    assert drained(sequence.lost) == [(1, 2), (4, 2)]
    assert drained(sequence.lost) == []
    assert sequence.receive(3, "c", 0.0) == ["c", "f"]


def test_only_missing_numbers_can_be_lost() -> None:
    sequence = incoming()
    sequence.receive(2, "b", 0.0)
    assert sequence.settle_gone(((1, 9, NOT_IN_HISTORY),), 0.0) == ["b"]
    assert drained(sequence.lost) == [(1, 1)]
    assert sequence.receive(3, "c", 0.0) == ["c"]


def test_unreliable_and_own_numbers_are_not_reported_as_lost() -> None:
    sequence = incoming()
    sequence.receive(4, "d", 0.0)
    assert sequence.settle_gone(((1, 2, UNRELIABLE), (3, 1, OWN)), 0.0) == ["d"]
    assert drained(sequence.lost) == []
    assert sequence.statistics.lost == 2


def test_an_item_is_dropped_after_its_loss() -> None:
    sequence = incoming()
    sequence.receive(2, "b", 0.0)
    sequence.settle_gone(((1, 1, NOT_IN_HISTORY),), 0.0)
    assert sequence.receive(1, "a", 0.0) == []
    assert sequence.statistics.duplicates == 1


# NACKs.


def test_a_gap_is_requested_after_20_ms() -> None:
    sequence = incoming()
    sequence.receive(3, "c", 5.0)
    assert sequence.deadline == 5.02
    assert sequence.expire(5.01) == []
    assert drained(sequence.nacks) == []
    sequence.expire(5.02)
    assert drained(sequence.nacks) == [((1, 2),)]
    assert drained(sequence.nacks) == []


def test_a_gap_that_may_be_the_clients_own_is_requested_50_ms_later() -> None:
    sequence = incoming()
    sequence.note_unreliable_sent(4.0)
    sequence.receive(3, "c", 4.9)
    assert sequence.deadline == pytest.approx(4.97)
    sequence.settle_own(((1, 2),), 4.95)
    assert sequence.deadline == inf
    sequence.receive(5, "e", 5.0)
    assert sequence.deadline == 5.02


def test_reordered_items_are_not_requested() -> None:
    sequence = incoming()
    sequence.receive(2, "b", 0.0)
    sequence.receive(1, "a", 0.01)
    assert sequence.deadline == inf
    sequence.expire(0.02)
    assert drained(sequence.nacks) == []


def test_a_gap_is_requested_with_backoff_for_30_s_and_then_lost() -> None:
    sequence = incoming()
    sequence.receive(2, "b", 0.0)
    nacks, items = expire_until(sequence, until=60.0)
    times = [at for at, _ in nacks]
    intervals = [later - earlier for earlier, later in pairwise(times)]
    assert intervals == pytest.approx([0.1 * 1.5**n for n in range(6)] + [1.0] * 27, abs=0.002)
    assert times[-1] < RECOVERY_TIMEOUT <= times[-1] + 1
    assert {ranges for _, ranges in nacks} == {((1, 1),)}
    assert items == ["b"]
    assert drained(sequence.lost) == [(1, 1)]
    assert sequence.settled == 2


def test_with_a_long_timeout_a_gap_is_requested_ten_times() -> None:
    sequence = Incoming[Item](ROOM, 1, liveness(30.0), Statistics())
    sequence.receive(2, "b", 0.0)
    nacks, items = expire_until(sequence, until=60.0)
    assert [at for at, _ in nacks] == pytest.approx([0.02 + 4 * n for n in range(10)])
    assert items == ["b"]


def test_the_newest_number_reveals_a_gap_at_the_end() -> None:
    sequence = incoming()
    assert sequence.note_newest(2, 0.0) == []
    sequence.expire(0.02)
    assert drained(sequence.nacks) == [((1, 2),)]
    assert sequence.note_newest(1, 0.03) == []
    assert sequence.receive(1, "a", 0.04) == ["a"]
    assert sequence.receive(2, "b", 0.04) == ["b"]
    assert sequence.statistics.repaired == 2


def test_a_gap_that_grows_before_its_first_request_stays_one() -> None:
    sequence = incoming()
    sequence.note_newest(1, 0.0)
    sequence.note_newest(3, 0.01)
    sequence.expire(0.02)
    assert drained(sequence.nacks) == [((1, 3),)]
    sequence.note_newest(4, 0.03)
    sequence.expire(0.05)
    assert drained(sequence.nacks) == [((4, 1),)]


def test_the_parts_of_a_gap_are_requested_in_one_nack() -> None:
    sequence = incoming()
    sequence.note_newest(5, 0.0)
    sequence.expire(0.02)
    sequence.receive(3, "c", 0.03)
    drained(sequence.nacks)
    sequence.expire(0.13)
    assert drained(sequence.nacks) == [((1, 2), (4, 2))]


def test_a_nack_has_at_most_64_ranges() -> None:
    sequence = incoming()
    for number in range(2, 202, 2):
        sequence.receive(number, number, 0.0)
    sequence.expire(0.02)
    first, second = drained(sequence.nacks)
    assert first == tuple((number, 1) for number in range(1, 129, 2))
    assert second == tuple((number, 1) for number in range(129, 201, 2))


def test_a_large_gap_is_requested_in_parts_from_its_start() -> None:
    sequence = incoming()
    sequence.note_newest(1000, 0.0)
    sequence.expire(0.02)
    assert drained(sequence.nacks) == [((1, 128),)]
    for number in range(1, 64):
        sequence.receive(number, number, 0.03)
    assert sequence.deadline == pytest.approx(0.12)
    sequence.receive(64, 64, 0.03)
    assert sequence.deadline == 0.03
    sequence.expire(0.03)
    assert drained(sequence.nacks) == [((129, 64),)]


def test_the_nack_window_grows_while_the_history_does_not_reach_back() -> None:
    sequence = incoming()
    sequence.note_newest(1_000_000, 0.0, confirmed=True)
    nacks = []
    now: float | None = 0.02
    while sequence.settled < 900_000:
        assert now is not None
        sequence.expire(now)
        for ranges in drained(sequence.nacks):
            nacks.append(ranges)
            sequence.settle_gone(tuple((*r, NOT_IN_HISTORY) for r in ranges), now)
        now = sequence.deadline
    assert len(nacks) < 20
    assert all(count <= 65_535 for ranges in nacks for _, count in ranges)
    assert sum(count for _, count in drained(sequence.lost)) == sequence.settled


def test_a_gap_that_is_never_requested_is_lost_after_90_s() -> None:
    sequence = incoming()
    sequence.note_newest(10_000, 0.0, confirmed=True)
    nacks, _ = expire_until(sequence, until=UNREQUESTED_TIMEOUT - 1)
    assert 128 < nacks[-1][1][0][0] < 2000
    expire_until(sequence, until=UNREQUESTED_TIMEOUT + 60, begin=UNREQUESTED_TIMEOUT - 1)
    assert sequence.settled == 10_000
    assert sum(count for _, count in drained(sequence.lost)) == 10_000


def test_many_gaps_are_requested_in_several_rounds() -> None:
    sequence = incoming()
    sequence.note_newest(10_000, 0.0, confirmed=True)
    sequence.expire(0.02)
    for number in range(1, 129):
        sequence.settle_gone(((number, 1, NOT_IN_HISTORY),), 0.02)
    for number in range(130, 1024, 2):
        sequence.receive(number, number, 0.02)
    drained(sequence.nacks)
    nacks, _ = expire_until(sequence, until=0.13, begin=0.02)
    assert max(len(ranges) for _, ranges in nacks) == 64
    by_time = {at: sum(len(r) for t, r in nacks if t == at) for at, _ in nacks}
    assert max(by_time.values()) <= 256


def test_nothing_is_requested_or_lost_during_a_pause() -> None:
    sequence = incoming()
    sequence.receive(3, "c", 0.0)
    sequence.expire(0.02)
    sequence.pause()
    deadline = sequence.deadline
    assert deadline == inf
    assert sequence.expire(100.0) == []
    drained(sequence.nacks)
    sequence.resume(200.0)
    assert sequence.deadline == 200.0
    sequence.expire(200.0)
    assert drained(sequence.nacks) == [((1, 2),)]
    nacks, _ = expire_until(sequence, until=300.0, begin=200.0)
    assert 200 + RECOVERY_TIMEOUT - 1 <= nacks[-1][0] < 200 + RECOVERY_TIMEOUT


def test_without_gaps_there_is_no_deadline_after_a_pause() -> None:
    sequence = incoming()
    sequence.pause()
    sequence.resume(1.0)
    assert sequence.deadline == inf


def test_nothing_is_lost_during_an_outage() -> None:
    sequence = incoming()
    sequence.receive(2, "b", 0.0)
    nacks, items = expire_until(sequence, until=25.0, silent=True)
    assert len(nacks) > 10
    assert items == []
    assert sequence.liveness.deadline < 1.0
    nacks, items = expire_until(sequence, until=60.0, begin=25.0)
    assert len(nacks) == 9
    assert items == ["b"]


# Without recovery.


def test_without_recovery_items_do_not_wait() -> None:
    sequence = incoming(recover=False)
    assert sequence.receive(2, "b", 0.0) == ["b"]
    assert sequence.receive(1, "a", 0.0) == ["a"]
    assert sequence.receive(2, "b", 0.0) == []
    assert sequence.settled == 2


def test_without_recovery_a_gap_is_lost_after_two_requests() -> None:
    sequence = incoming(recover=False)
    sequence.receive(2, "b", 0.0)
    nacks, items = expire_until(sequence, until=60.0)
    assert [at for at, _ in nacks] == [0.02, 0.12]
    assert items == []
    assert drained(sequence.lost) == [(1, 1)]
    assert sequence.settled == 2


# Losses.


def test_skipping_loses_the_gaps_before_the_new_start() -> None:
    sequence = incoming()
    sequence.receive(3, "c", 0.0)
    assert sequence.skip_to(3, 1.0) == ["c"]
    assert drained(sequence.lost) == [(1, 2)]
    assert sequence.skip_to(10, 1.0) == []
    assert drained(sequence.lost) == [(4, 6)]
    assert sequence.skip_to(5, 1.0) == []
    assert sequence.settled == 9
    assert sequence.receive(10, "j", 1.0) == ["j"]


def test_giving_up_loses_all_gaps() -> None:
    sequence = Incoming[Item](PRIVATE, 1, liveness(), Statistics())
    sequence.receive(2, "b", 0.0)
    sequence.receive(4, "d", 0.0)
    assert sequence.give_up(0.0) == ["b", "d"]
    assert drained(sequence.lost) == [(1, 1), (3, 1)]


# Limits.


def test_a_number_far_ahead_is_not_believed_and_needs_a_ping() -> None:
    for far_ahead in (
        lambda sequence: sequence.note_newest(MAX_AHEAD + 1, 5.0),
        lambda sequence: sequence.receive(MAX_AHEAD + 1, "far", 5.0),
    ):
        sequence = incoming()
        assert sequence.liveness.deadline == inf
        assert far_ahead(sequence) == []
        assert sequence.liveness.deadline == 5.0
        assert sequence.deadline == inf
        assert sequence.receive(1, "a", 5.0) == ["a"]


def test_an_item_far_ahead_counts_after_confirmation() -> None:
    sequence = incoming()
    sequence.receive(5000, "far", 0.0, at_once=True)
    sequence.receive(5001, "farther", 0.0)
    sequence.receive(9000, "forged", 0.0)
    assert sequence.note_newest(4500, 0.0, confirmed=True) == ["far"]
    assert sequence.skip_to(5001, 0.0) == ["farther"]
    assert sequence.settled == 5001
    assert sequence.note_newest(9000, 0.0, confirmed=True) == []


def test_private_numbers_may_be_far_ahead() -> None:
    sequence = Incoming[Item](PRIVATE, 1, liveness(), Statistics())
    assert sequence.receive(5000, "far", 0.0, at_once=True) == ["far"]
    assert sequence.liveness.deadline == inf


def test_a_confirmed_number_is_believed() -> None:
    sequence = incoming()
    sequence.note_newest(2**64 - 1, 0.0, confirmed=True)
    expire_until(sequence, until=600.0)
    assert sequence.settled == 2**64 - 1
    lost = drained(sequence.lost)
    assert sum(count for _, count in lost) == 2**64 - 1
    assert len(lost) < 100


def test_too_many_buffered_items_lose_the_oldest_gap() -> None:
    sequence = incoming()
    numbers = [n for n in range(2, MAX_BUFFERED + 4) if n != 4]
    items = [item for n in numbers for item in sequence.receive(n, n, 0.0)]
    assert items == [2, 3]
    assert drained(sequence.lost) == [(1, 1)]
    assert sequence.settled == 3


def test_too_many_buffered_bytes_lose_the_oldest_gap() -> None:
    sequence = incoming()
    size = MAX_BUFFERED_BYTES // 4
    deliverable = [sequence.receive(n, n, 0.0, size) for n in (2, 3, 4, 5)]
    assert deliverable == [[], [], [], []]
    assert sequence.receive(7, 7, 0.0, 1) == [2, 3, 4, 5]
    assert drained(sequence.lost) == [(1, 1)]
    assert sequence.receive(6, 6, 0.0, size) == [6, 7]


def test_too_many_gaps_lose_the_oldest() -> None:
    sequence = incoming()
    for n in range(2, 2 * MAX_GAPS + 4, 2):
        sequence.settle_own(((n, 1),), 0.0)
    assert drained(sequence.lost) == [(1, 1)]
    assert sequence.settled == 2
