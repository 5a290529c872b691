"""Whether the relay is alive."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_client_arrivals import drained

from udprelay.session_client.liveness import Liveness
from udprelay.session_client.round_trip import RoundTripEstimator

KEEPALIVE = 10.0


@pytest.fixture
def round_trip() -> RoundTripEstimator:
    return RoundTripEstimator()


@pytest.fixture
def liveness(round_trip: RoundTripEstimator) -> Liveness:
    liveness = Liveness(round_trip)
    liveness.start_session(KEEPALIVE, 0.0)
    return liveness


def ping_times(liveness: Liveness, until: float) -> list[float]:
    """Let time pass; return when PINGs were sent."""
    times: list[float] = []
    while liveness.deadline <= until:
        now = liveness.deadline
        assert not liveness.expire(now)
        times += [now for _ in drained(liveness.pings)]
    return times


def contact_lost_at(liveness: Liveness) -> float:
    while not liveness.expire(liveness.deadline):
        drained(liveness.pings)
    return liveness.deadline


def test_a_ping_is_sent_at_each_keepalive(liveness: Liveness) -> None:
    assert ping_times(liveness, 10.0) == [10.0]
    liveness.hear(10.1)
    assert ping_times(liveness, 20.0) == [20.0]


def test_an_unanswered_ping_is_followed_by_one_each_second(liveness: Liveness) -> None:
    assert ping_times(liveness, 13.0) == [10.0, 11.0, 12.0, 13.0]
    liveness.hear(13.1)
    assert ping_times(liveness, 23.0) == [23.0]


def test_contact_is_lost_after_six_pings(liveness: Liveness) -> None:
    assert contact_lost_at(liveness) == 16.0


def test_a_probe_is_a_ping_at_once(liveness: Liveness) -> None:
    liveness.probe(3.0)
    assert ping_times(liveness, 6.0) == [3.0, 4.0, 5.0, 6.0]


def test_contact_is_lost_after_six_pings_from_the_probe_on(liveness: Liveness) -> None:
    liveness.probe(3.0)
    assert contact_lost_at(liveness) == 9.0


def test_a_probe_during_unanswered_pings_has_no_effect(liveness: Liveness) -> None:
    liveness.probe(3.0)
    ping_times(liveness, 5.0)
    liveness.probe(5.5)
    assert contact_lost_at(liveness) == 9.0


def test_probes_send_one_ping_per_second_at_most(liveness: Liveness) -> None:
    liveness.probe(3.0)
    ping_times(liveness, 3.0)
    liveness.hear(3.1)
    liveness.probe(3.2)
    assert ping_times(liveness, 4.0) == [4.0]


def test_any_datagram_from_the_relay_ends_the_probe(liveness: Liveness) -> None:
    liveness.probe(3.0)
    ping_times(liveness, 5.0)
    liveness.hear(5.5)
    assert ping_times(liveness, 15.0) == [15.0]


def test_after_a_pause_of_the_program_it_pings_before_contact_is_lost(liveness: Liveness) -> None:
    assert not liveness.expire(100.0)
    assert len(drained(liveness.pings)) == 1
    assert contact_lost_at(liveness) == 106.0


def test_contact_is_not_lost_while_the_relay_is_heard(liveness: Liveness) -> None:
    for second in range(100):
        liveness.hear(float(second))
        ping_times(liveness, float(second))
    assert liveness.last_heard == 99.0


def test_an_icmp_error_causes_a_probe(liveness: Liveness) -> None:
    assert not liveness.receive_icmp_error(3.0)
    assert ping_times(liveness, 3.0) == [3.0]


def test_icmp_errors_to_three_consecutive_pings_lose_contact(liveness: Liveness) -> None:
    liveness.receive_icmp_error(3.0)
    for second in (3.0, 4.0):
        ping_times(liveness, second)
        assert not liveness.receive_icmp_error(second + 0.1)
    ping_times(liveness, 5.0)
    assert liveness.receive_icmp_error(5.1)


def test_many_icmp_errors_at_once_count_as_one(liveness: Liveness) -> None:
    liveness.receive_icmp_error(3.0)
    ping_times(liveness, 3.0)
    assert not any(liveness.receive_icmp_error(3.1) for _ in range(100))


def test_a_datagram_from_the_relay_resets_the_icmp_errors(liveness: Liveness) -> None:
    for second in (3.0, 4.0):
        liveness.receive_icmp_error(second)
        ping_times(liveness, second)
        liveness.receive_icmp_error(second)
    liveness.hear(4.5)
    liveness.receive_icmp_error(4.6)
    ping_times(liveness, 4.6)
    assert not liveness.receive_icmp_error(4.7)


def test_a_pong_gives_a_round_trip(liveness: Liveness, round_trip: RoundTripEstimator) -> None:
    liveness.expire(10.0)
    (token,) = drained(liveness.pings)
    assert liveness.receive_pong(token, 10.25) is None
    assert round_trip.smoothed == 0.25


def test_a_pong_to_the_user_returns_the_round_trip(liveness: Liveness) -> None:
    liveness.ping(3.0)
    (token,) = drained(liveness.pings)
    assert liveness.receive_pong(token, 3.25) == 0.25


def test_a_second_pong_with_the_same_token_is_ignored(liveness: Liveness) -> None:
    liveness.ping(3.0)
    (token,) = drained(liveness.pings)
    liveness.receive_pong(token, 3.25)
    assert liveness.receive_pong(token, 4.0) is None


@pytest.mark.parametrize("token", [bytes(8), b"unknown!"])
def test_a_pong_with_an_unknown_token_gives_no_round_trip(
    liveness: Liveness, round_trip: RoundTripEstimator, token: bytes
) -> None:
    assert liveness.receive_pong(token, 3.0) is None
    assert round_trip.smoothed is None


def test_only_the_last_16_pings_are_timed(
    liveness: Liveness, round_trip: RoundTripEstimator
) -> None:
    for _ in range(17):
        liveness.ping(1.0)
    first, second, *_ = drained(liveness.pings)
    liveness.receive_pong(first, 2.0)
    assert round_trip.smoothed is None
    liveness.receive_pong(second, 2.0)
    assert round_trip.smoothed == 1.0


def test_a_new_session_resets_pings(liveness: Liveness, round_trip: RoundTripEstimator) -> None:
    liveness.ping(1.0)
    (token,) = drained(liveness.pings)
    liveness.probe(1.0)
    liveness.start_session(KEEPALIVE, 50.0)
    assert liveness.receive_pong(token, 51.0) is None
    assert liveness.deadline == 60.0


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["hear", "probe", "receive_icmp_error", "ping", "expire"]),
            st.floats(0, 30),
        )
    )
)
def test_the_deadline_is_always_in_the_future(steps: list[tuple[str, float]]) -> None:
    liveness = Liveness(RoundTripEstimator())
    liveness.start_session(KEEPALIVE, 0.0)
    now = 0.0
    for step, later in steps:
        now += later
        getattr(liveness, step)(now)
        if liveness.expire(now):
            break
        assert liveness.deadline > now
