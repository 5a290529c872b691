"""The pace that a relay allows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udprelay.session_client.allowance import Allowance


def allowed(datagrams: int, size: int) -> Allowance:
    allowance = Allowance()
    allowance.allow(datagrams, size, 0.0)
    return allowance


def spent(allowance: Allowance, size: int, now: float) -> int:
    """Send as much as is allowed at once; return how many datagrams that was."""
    count = 0
    while allowance.ready(now) and count < 10_000:
        allowance.spend(size, now)
        count += 1
    return count


def test_without_limits_everything_may_go_at_once() -> None:
    allowance = allowed(0, 0)
    assert spent(allowance, 1200, 1.0) == 10_000
    assert allowance.when == 1.0


def test_what_a_quarter_of_a_second_allows_may_go_at_once_and_one_on_credit() -> None:
    assert spent(allowed(100, 0), 1200, 0.0) == 26


def test_as_much_as_is_allowed_may_go_each_second() -> None:
    allowance = allowed(100, 0)
    spent(allowance, 1, 0.0)
    assert sum(spent(allowance, 1, tick / 10) for tick in range(1, 11)) == 100


def test_bytes_are_limited_too() -> None:
    allowance = allowed(0, 1000)
    spent(allowance, 100, 0.0)
    assert sum(spent(allowance, 100, tick / 10) for tick in range(1, 11)) == 10


def test_the_largest_datagram_goes_through_the_smallest_allowance() -> None:
    allowance = allowed(1, 100)
    assert spent(allowance, 1200, 0.0) == 1
    assert spent(allowance, 1200, allowance.when) == 1


def test_what_does_not_wait_leaves_a_debt_of_a_second_at_most() -> None:
    allowance = allowed(10, 0)
    for _ in range(1000):
        allowance.spend(1, 0.0)
    assert allowance.when == pytest.approx(1.0)


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.lists(st.integers(1, 65_507), min_size=1))
def test_it_is_ready_when_it_says(datagrams: int, size: int, sizes: list[int]) -> None:
    allowance = allowed(datagrams, size)
    for one in sizes:
        allowance.spend(one, 0.0)
    assert allowance.ready(allowance.when)
