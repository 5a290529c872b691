"""How often something is done for one source prefix, whatever strangers send."""

from __future__ import annotations

from ipaddress import ip_address
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from udprelay.relay.budget import PrefixBudgets, prefix

KEY = b"k" * 32
SOURCE = ip_address("203.0.113.9")


@given(
    st.floats(0, 100),
    st.integers(1, 20),
    st.lists(st.floats(0, 10), max_size=60),
)
def test_never_more_than_the_burst_and_the_rate_allow(
    rate: float, burst: int, pauses: list[float]
) -> None:
    budgets = PrefixBudgets(KEY, rate, burst)
    taken = [now for now in accumulate(pauses, initial=500.0) if budgets.take(SOURCE, now)]
    for first, begin in enumerate(taken):
        for last, end in enumerate(taken[first:], first):
            assert last - first + 1 <= burst + rate * (end - begin) + 1e-6


def test_a_pause_fills_it_to_the_burst_and_no_further() -> None:
    budgets = PrefixBudgets(KEY, 1.0, 3)
    assert [budgets.take(SOURCE, 0.0) for _ in range(4)] == [True, True, True, False]
    assert [budgets.take(SOURCE, 1000.0) for _ in range(4)] == [True, True, True, False]


def test_a_refusal_costs_nothing() -> None:
    budgets = PrefixBudgets(KEY, 1.0, 1)
    assert budgets.take(SOURCE, 0.0)
    assert not any(budgets.take(SOURCE, tenth / 10) for tenth in range(1, 10))
    assert budgets.take(SOURCE, 1.0)


def test_a_clock_that_goes_back_gives_nothing() -> None:
    budgets = PrefixBudgets(KEY, 1.0, 1)
    assert budgets.take(SOURCE, 100.0)
    assert not budgets.take(SOURCE, 50.0)


def test_memory_does_not_grow_with_strangers() -> None:
    budgets = PrefixBudgets(KEY, 1.0, 1)
    before = len(budgets._tokens), len(budgets._updated)
    for number in range(20_000):
        budgets.take(ip_address(number + 2**24), 0.0)
    assert (len(budgets._tokens), len(budgets._updated)) == before


def test_who_shares_with_whom_hangs_on_the_key() -> None:
    def refused(key: bytes) -> set[int]:
        budgets = PrefixBudgets(key, 0.0, 1)
        numbers = range(2**24, 2**24 + 2000)
        return {number for number in numbers if not budgets.take(ip_address(number), 0.0)}

    assert refused(KEY) != refused(b"another")


def test_prefixes_of_the_two_families_are_never_the_same() -> None:
    assert prefix(ip_address("32.1.13.184")) != prefix(ip_address("2001:db8::"))
    assert len(prefix(SOURCE)) == 4
    assert len(prefix(ip_address("2001:db8::"))) == 7
