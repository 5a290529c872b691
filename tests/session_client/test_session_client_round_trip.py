"""Round-trip times and the retransmission timeout (RFC 6298)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udprelay.session_client.round_trip import RoundTripEstimator


def after(*samples: float) -> RoundTripEstimator:
    round_trip = RoundTripEstimator()
    for sample in samples:
        round_trip.add_sample(sample)
    return round_trip


def test_nothing_is_known_before_the_first_sample() -> None:
    round_trip = RoundTripEstimator()
    assert (round_trip.smoothed, round_trip.variation, round_trip.timeout) == (None, None, 0.5)


def test_the_first_sample_is_the_mean_and_half_of_it_the_variation() -> None:
    round_trip = after(0.2)
    assert (round_trip.smoothed, round_trip.variation) == (0.2, 0.1)
    assert round_trip.timeout == pytest.approx(0.6)


def test_later_samples_have_weights_of_an_eighth_and_a_quarter() -> None:
    round_trip = after(0.2, 0.4)
    assert round_trip.variation == pytest.approx(0.75 * 0.1 + 0.25 * 0.2)
    assert round_trip.smoothed == pytest.approx(0.875 * 0.2 + 0.125 * 0.4)


def test_the_timeout_is_at_least_100_ms() -> None:
    assert after(*[0.001] * 50).timeout == 0.1


def test_the_timeout_is_at_most_4_s() -> None:
    assert after(30).timeout == 4.0


@pytest.mark.parametrize(
    ("transmissions", "seconds"), [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (5, 4.0)]
)
def test_the_timeout_doubles_with_each_transmission_up_to_4_s(
    transmissions: int, seconds: float
) -> None:
    assert RoundTripEstimator().backoff(transmissions) == seconds


@given(st.lists(st.floats(0, 1e6), max_size=20), st.integers(1, 10_000))
def test_timeouts_stay_between_100_ms_and_4_s(samples: list[float], transmissions: int) -> None:
    assert 0.1 <= after(*samples).backoff(transmissions) <= 4.0
