"""What one member may send, or be sent again, in a second."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from udprelay.relay.session.allowance import Allowance


def test_zero_is_no_limit() -> None:
    allowance = Allowance(0, 0)
    assert all(allowance.take(1000, 10**9, 0.0) for _ in range(100))


def test_a_second_of_datagrams_may_come_at_once() -> None:
    allowance = Allowance(3, 0)
    assert [allowance.take(1, 10**9, 5.0) for _ in range(4)] == [True, True, True, False]


def test_a_second_of_bytes_may_come_at_once() -> None:
    allowance = Allowance(0, 1000)
    assert [allowance.take(1, 400, 5.0) for _ in range(3)] == [True, True, False]
    assert allowance.take(1, 200, 5.0)


def test_both_limits_hold() -> None:
    allowance = Allowance(2, 1000)
    assert [allowance.take(1, size, 5.0) for size in (900, 200, 50, 10)] == [
        True,
        False,
        True,
        False,
    ]


def test_a_refusal_costs_nothing() -> None:
    allowance = Allowance(1, 100)
    assert allowance.take(1, 60, 0.0)
    assert not any(allowance.take(1, 1, tenth / 10) for tenth in range(1, 10))
    assert allowance.take(1, 100, 1.0)


def test_a_clock_that_stands_still_or_goes_back_gives_nothing() -> None:
    allowance = Allowance(1, 0)
    assert allowance.take(1, 1, 100.0)
    assert not allowance.take(1, 1, 100.0)
    assert not allowance.take(1, 1, 50.0)
    assert not allowance.take(1, 1, 100.5)
    assert allowance.take(1, 1, 101.0)


def test_a_pause_gives_a_second_and_no_more() -> None:
    allowance = Allowance(2, 0)
    allowance.take(2, 1, 0.0)
    assert [allowance.take(1, 1, 1000.0) for _ in range(3)] == [True, True, False]


def test_a_datagram_larger_than_a_second_passes_and_is_paid_for() -> None:
    allowance = Allowance(0, 100)
    assert allowance.take(1, 1200, 0.0)
    assert not allowance.take(1, 1, 11.0)
    assert allowance.take(1, 1, 11.5)
    assert not allowance.take(1, 1200, 11.9)
    assert allowance.take(1, 1200, 13.0)


def test_less_than_one_in_a_second_is_possible() -> None:
    allowance = Allowance(0.5, 0)
    taken = [second for second in range(8) if allowance.take(1, 1, float(second))]
    assert taken == [0, 2, 4, 6]


@given(
    st.integers(1, 20),
    st.integers(100, 5000),
    st.lists(st.tuples(st.floats(0, 2), st.integers(1, 100)), max_size=60),
)
def test_never_more_than_one_second_ahead(
    rate: int, bandwidth: int, sends: list[tuple[float, int]]
) -> None:
    allowance = Allowance(rate, bandwidth)
    times = accumulate((pause for pause, _ in sends), initial=0.0)
    taken = [
        (now, size)
        for now, (_, size) in zip(times, sends, strict=False)
        if allowance.take(1, size, now)
    ]
    for first, (begin, _) in enumerate(taken):
        for last, (end, _) in enumerate(taken[first:], first):
            span = taken[first : last + 1]
            assert len(span) <= rate * (end - begin + 1) + 1e-6
            assert sum(size for _, size in span) <= bandwidth * (end - begin + 1) + 1e-6
