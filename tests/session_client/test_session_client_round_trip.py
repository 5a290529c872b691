"""How long to wait for an answer (RFC 6298)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udprelay.session_client.round_trip import RoundTrip


def after(*samples: float) -> RoundTrip:
    round_trip = RoundTrip()
    for sample in samples:
        round_trip.sample(sample)
    return round_trip


def test_nothing_is_known_before_the_first_sample() -> None:
    round_trip = RoundTrip()
    assert (round_trip.smoothed, round_trip.variation, round_trip.timeout) == (None, None, 0.5)


def test_the_first_sample_counts_as_it_is_and_varies_by_half() -> None:
    round_trip = after(0.2)
    assert (round_trip.smoothed, round_trip.variation) == (0.2, 0.1)
    assert round_trip.timeout == pytest.approx(0.6)


def test_later_samples_count_an_eighth_and_their_distance_a_quarter() -> None:
    round_trip = after(0.2, 0.4)
    assert round_trip.variation == pytest.approx(0.75 * 0.1 + 0.25 * 0.2)
    assert round_trip.smoothed == pytest.approx(0.875 * 0.2 + 0.125 * 0.4)


def test_the_timeout_is_never_shorter_than_100_ms() -> None:
    assert after(*[0.001] * 50).timeout == 0.1


def test_the_timeout_is_never_longer_than_4_s() -> None:
    assert after(30).timeout == 4.0


@pytest.mark.parametrize(("times", "seconds"), [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (5, 4.0)])
def test_the_timeout_doubles_with_each_repetition_up_to_4_s(times: int, seconds: float) -> None:
    assert RoundTrip().after(times) == seconds


@given(st.lists(st.floats(0, 1e6), max_size=20), st.integers(1, 10_000))
def test_timeouts_stay_between_100_ms_and_4_s(samples: list[float], times: int) -> None:
    assert 0.1 <= after(*samples).after(times) <= 4.0
