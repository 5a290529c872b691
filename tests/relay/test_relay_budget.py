"""Token buckets for sources, in tables of fixed size."""

from __future__ import annotations

from ipaddress import ip_address
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from reachable import footprint
from udprelay.protocol.endpoint import endpoint
from udprelay.relay.budget import SourceBudgets, full_address, prefix

KEY = b"k" * 32
SOURCE = prefix(ip_address("203.0.113.9"))


@given(
    st.floats(0, 100),
    st.integers(1, 20),
    st.lists(st.floats(0, 10), max_size=60),
)
def test_no_interval_has_more_tokens_than_burst_and_rate_allow(
    rate: float, burst: int, pauses: list[float]
) -> None:
    budgets = SourceBudgets(KEY, rate, burst)
    passed = [now for now in accumulate(pauses, initial=500.0) if budgets.try_consume(SOURCE, now)]
    for first, begin in enumerate(passed):
        for last, end in enumerate(passed[first:], first):
            assert last - first + 1 <= burst + rate * (end - begin) + 1e-6


def test_a_pause_refills_a_bucket_up_to_the_burst() -> None:
    budgets = SourceBudgets(KEY, 1.0, 3)
    assert [budgets.try_consume(SOURCE, 0.0) for _ in range(4)] == [True, True, True, False]
    assert [budgets.try_consume(SOURCE, 1000.0) for _ in range(4)] == [True, True, True, False]


def test_a_rejected_attempt_consumes_nothing() -> None:
    budgets = SourceBudgets(KEY, 1.0, 1)
    assert budgets.try_consume(SOURCE, 0.0)
    assert not any(budgets.try_consume(SOURCE, tenth / 10) for tenth in range(1, 10))
    assert budgets.try_consume(SOURCE, 1.0)


def test_asking_for_a_token_consumes_nothing() -> None:
    budgets = SourceBudgets(KEY, 1.0, 1)
    assert all(budgets.has_token(SOURCE, 0.0) for _ in range(10))
    budgets.try_consume(SOURCE, 0.0)
    assert not budgets.has_token(SOURCE, 0.0)


def test_a_clock_that_steps_back_adds_no_tokens() -> None:
    budgets = SourceBudgets(KEY, 1.0, 1)
    assert budgets.try_consume(SOURCE, 100.0)
    assert not budgets.try_consume(SOURCE, 50.0)


def test_memory_does_not_grow_with_the_number_of_prefixes() -> None:
    budgets = SourceBudgets(KEY, 1.0, 1)
    before = footprint(budgets)
    for number in range(20_000):
        budgets.try_consume(prefix(ip_address(number + 2**24)), 0.0)
    assert footprint(budgets) == before


def test_the_key_decides_which_prefixes_share_a_bucket() -> None:
    def rejected(key: bytes) -> set[int]:
        budgets = SourceBudgets(key, 0.0, 1)
        numbers = range(2**24, 2**24 + 2000)
        sources = {number: prefix(ip_address(number)) for number in numbers}
        return {n for n, source in sources.items() if not budgets.try_consume(source, 0.0)}

    assert rejected(KEY) != rejected(b"another")


def test_prefixes_of_the_two_families_differ() -> None:
    assert prefix(ip_address("32.1.13.184")) != prefix(ip_address("2001:db8::"))
    assert len(SOURCE) == 4
    assert len(prefix(ip_address("2001:db8::"))) == 7


def test_a_full_address_has_the_port() -> None:
    assert full_address(endpoint("203.0.113.9", 258)) == bytes([203, 0, 113, 9, 1, 2])
