"""Limits on datagrams and bytes per second."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udprelay.protocol.token_bucket import TokenBucket

NO_LIMIT = (0, 0)


def bucket(datagrams: float, size: float, seconds: float = 1.0) -> TokenBucket:
    """Return a bucket with the tokens of ``seconds``."""
    return TokenBucket((datagrams, size), (datagrams * seconds, size * seconds))


def consumed(limit: TokenBucket, size: int, now: float) -> int:
    """Consume until there is a debt; return the number of datagrams, at most 10,000."""
    count = 0
    while not limit.in_debt(now) and count < 10_000:
        limit.consume(size, now)
        count += 1
    return count


# Datagrams that are delayed or rejected.


def test_without_limits_everything_passes() -> None:
    limit = TokenBucket(NO_LIMIT, NO_LIMIT)
    assert all(limit.try_consume(10**6, 0.0) for _ in range(100))


def test_a_full_bucket_passes_its_datagrams() -> None:
    limit = bucket(3, 0)
    assert [limit.try_consume(100, 5.0) for _ in range(4)] == [True, True, True, False]


def test_a_full_bucket_passes_its_bytes() -> None:
    limit = bucket(0, 300)
    assert [limit.try_consume(100, 5.0) for _ in range(4)] == [True, True, True, False]


def test_a_long_pause_only_fills_the_bucket() -> None:
    limit = bucket(3, 0)
    assert limit.consume_up_to(3, 0, 0.0) == 3
    assert limit.consume_up_to(9, 0, 1000.0) == 3


def test_a_rejected_datagram_consumes_nothing() -> None:
    limit = bucket(1, 1000)
    assert limit.try_consume(500, 0.0)
    assert not limit.try_consume(500, 0.5)
    assert limit.try_consume(1000, 1.0)


def test_a_datagram_larger_than_the_bucket_passes_when_it_is_full() -> None:
    assert bucket(0, 100).try_consume(1200, 0.0)


def test_a_datagram_larger_than_the_bucket_is_paid_for_afterwards() -> None:
    limit = bucket(0, 100)
    limit.try_consume(1200, 0.0)
    assert not limit.try_consume(1, 11.0)
    assert limit.try_consume(1, 11.5)


def test_a_datagram_larger_than_the_bucket_waits_until_it_is_full() -> None:
    limit = bucket(0, 100)
    limit.try_consume(50, 0.0)
    assert not limit.try_consume(1200, 0.4)
    assert limit.try_consume(1200, 0.5)


def test_both_limits_hold() -> None:
    limit = bucket(2, 1000)
    passed = [limit.try_consume(size, 5.0) for size in (900, 200, 50, 10)]
    assert passed == [True, False, True, False]


def test_a_limit_may_be_below_one_datagram_per_second() -> None:
    limit = bucket(0.5, 0)
    assert [second for second in range(8) if limit.try_consume(1, second)] == [0, 2, 4, 6]


def test_a_clock_that_steps_back_adds_no_tokens() -> None:
    limit = bucket(1, 0)
    assert limit.try_consume(0, 100.0)
    assert not limit.try_consume(0, 50.0)
    assert not limit.try_consume(0, 100.5)


def test_asking_for_a_token_consumes_none() -> None:
    limit = bucket(1, 0)
    assert all(limit.has_token(0.0) for _ in range(10))
    limit.try_consume(0, 0.0)
    assert not limit.has_token(0.5)
    assert limit.has_token(1.0)


@given(
    st.floats(0.1, 100),
    st.floats(100, 5000),
    st.floats(1, 5),
    st.lists(st.tuples(st.floats(0, 10), st.integers(1, 100)), max_size=60),
)
def test_no_interval_exceeds_burst_and_rate(
    rate: float, bandwidth: float, seconds: float, sends: list[tuple[float, int]]
) -> None:
    limit = bucket(rate, bandwidth, seconds)
    times = accumulate((pause for pause, _ in sends), initial=500.0)
    passed = [
        (now, size)
        for now, (_, size) in zip(times, sends, strict=False)
        if limit.try_consume(size, now)
    ]
    for first, (begin, _) in enumerate(passed):
        for last, (end, _) in enumerate(passed[first:], first):
            interval = passed[first : last + 1]
            allowed = end - begin + seconds
            assert len(interval) <= max(1, rate * seconds) + rate * (end - begin) + 1e-6
            assert sum(size for _, size in interval) <= bandwidth * allowed + 1e-6


# Datagrams that always pass and leave a debt.


def test_without_limits_there_is_no_debt() -> None:
    limit = TokenBucket(NO_LIMIT, NO_LIMIT)
    assert consumed(limit, 1200, 1.0) == 10_000
    assert limit.available_at == 1.0


def test_the_last_datagram_passes_on_credit() -> None:
    assert consumed(bucket(100, 0, seconds=0.25), 1200, 0.0) == 26


def test_each_second_passes_the_datagrams_of_the_rate() -> None:
    limit = bucket(100, 0, seconds=0.25)
    consumed(limit, 1, 0.0)
    assert sum(consumed(limit, 1, tick / 10) for tick in range(1, 11)) == 100


def test_each_second_passes_the_bytes_of_the_bandwidth() -> None:
    limit = bucket(0, 1000, seconds=0.25)
    consumed(limit, 100, 0.0)
    assert sum(consumed(limit, 100, tick / 10) for tick in range(1, 11)) == 10


def test_time_pays_the_debt_before_the_next_datagram() -> None:
    limit = bucket(1, 0)
    for now in (0.0, 1.0, 2.0):
        limit.consume(1, now)
    assert not limit.in_debt(2.0)


def test_the_largest_datagram_passes_the_lowest_limit() -> None:
    limit = bucket(1, 100, seconds=0.25)
    assert consumed(limit, 1200, 0.0) == 1
    assert consumed(limit, 1200, limit.available_at) == 1


def test_the_debt_is_one_second_at_most() -> None:
    limit = bucket(10, 0, seconds=0.25)
    for _ in range(1000):
        limit.consume(1, 0.0)
    assert limit.available_at == pytest.approx(1.0)


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.lists(st.integers(1, 65_507), min_size=1))
def test_the_debt_is_paid_at_the_time_announced(
    datagrams: int, size: int, sizes: list[int]
) -> None:
    limit = bucket(datagrams, size, seconds=0.25)
    for one in sizes:
        limit.consume(one, 0.0)
    assert not limit.in_debt(limit.available_at)
