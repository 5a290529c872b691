"""Whether the relay is still there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udprelay.session_client.contact import Contact
from udprelay.session_client.round_trip import RoundTrip

KEEPALIVE = 10.0


@pytest.fixture
def round_trip() -> RoundTrip:
    return RoundTrip()


@pytest.fixture
def contact(round_trip: RoundTrip) -> Contact:
    contact = Contact(round_trip)
    contact.begin(KEEPALIVE, 0.0)
    return contact


def pinged(contact: Contact, until: float) -> list[float]:
    """Let time pass; return when PINGs went."""
    times: list[float] = []
    while contact.deadline <= until:
        now = contact.deadline
        assert not contact.expire(now)
        times += [now for _ in contact.take_pings()]
    return times


def lost_at(contact: Contact) -> float:
    while not contact.expire(contact.deadline):
        contact.take_pings()
    return contact.deadline


def test_a_ping_goes_each_keepalive(contact: Contact) -> None:
    assert pinged(contact, 10.0) == [10.0]
    contact.hear(10.1)
    assert pinged(contact, 20.0) == [20.0]


def test_a_ping_without_an_answer_is_followed_by_one_each_second(contact: Contact) -> None:
    assert pinged(contact, 13.0) == [10.0, 11.0, 12.0, 13.0]
    contact.hear(13.1)
    assert pinged(contact, 23.0) == [23.0]


def test_a_ping_without_an_answer_is_repeated_each_second(contact: Contact) -> None:
    assert pinged(contact, 13.0) == [10.0, 11.0, 12.0, 13.0]
    contact.hear(13.1)
    assert pinged(contact, 23.0) == [23.0]


def test_contact_is_lost_after_six_pings(contact: Contact) -> None:
    assert lost_at(contact) == 16.0


def test_a_ping_goes_at_once_when_there_is_doubt(contact: Contact) -> None:
    contact.doubt(3.0)
    assert pinged(contact, 6.0) == [3.0, 4.0, 5.0, 6.0]


def test_contact_is_lost_after_six_pings_in_doubt(contact: Contact) -> None:
    contact.doubt(3.0)
    assert lost_at(contact) == 9.0


def test_doubt_is_not_counted_twice(contact: Contact) -> None:
    contact.doubt(3.0)
    pinged(contact, 5.0)
    contact.doubt(5.5)
    assert lost_at(contact) == 9.0


def test_doubt_does_not_ask_more_than_once_a_second(contact: Contact) -> None:
    contact.doubt(3.0)
    pinged(contact, 3.0)
    contact.hear(3.1)
    contact.doubt(3.2)
    assert pinged(contact, 4.0) == [4.0]


def test_any_word_from_the_relay_ends_doubt(contact: Contact) -> None:
    contact.doubt(3.0)
    pinged(contact, 5.0)
    contact.hear(5.5)
    assert pinged(contact, 15.0) == [15.0]


def test_whoever_was_busy_elsewhere_asks_before_contact_is_lost(contact: Contact) -> None:
    assert not contact.expire(100.0)
    assert len(contact.take_pings()) == 1
    assert lost_at(contact) == 106.0


def test_contact_is_not_lost_while_the_relay_is_heard(contact: Contact) -> None:
    for second in range(100):
        contact.hear(float(second))
        pinged(contact, float(second))
    assert contact.heard == 99.0


def test_an_icmp_error_makes_doubt(contact: Contact) -> None:
    assert not contact.unreachable(3.0)
    assert pinged(contact, 3.0) == [3.0]


def test_contact_is_lost_when_three_pings_in_a_row_meet_icmp_errors(contact: Contact) -> None:
    contact.unreachable(3.0)
    for second in (3.0, 4.0):
        pinged(contact, second)
        assert not contact.unreachable(second + 0.1)
    pinged(contact, 5.0)
    assert contact.unreachable(5.1)


def test_many_icmp_errors_at_once_count_as_one(contact: Contact) -> None:
    contact.unreachable(3.0)
    pinged(contact, 3.0)
    assert not any(contact.unreachable(3.1) for _ in range(100))


def test_icmp_errors_before_the_relay_was_heard_do_not_count(contact: Contact) -> None:
    for second in (3.0, 4.0):
        contact.unreachable(second)
        pinged(contact, second)
        contact.unreachable(second)
    contact.hear(4.5)
    contact.unreachable(4.6)
    pinged(contact, 4.6)
    assert not contact.unreachable(4.7)


def test_a_pong_is_a_round_trip(contact: Contact, round_trip: RoundTrip) -> None:
    contact.expire(10.0)
    (token,) = contact.take_pings()
    assert contact.pong(token, 10.25) is None
    assert round_trip.smoothed == 0.25


def test_a_pong_to_the_user_tells_the_round_trip(contact: Contact) -> None:
    contact.ask(3.0)
    (token,) = contact.take_pings()
    assert contact.pong(token, 3.25) == 0.25


def test_a_second_pong_with_the_same_token_tells_nothing(contact: Contact) -> None:
    contact.ask(3.0)
    (token,) = contact.take_pings()
    contact.pong(token, 3.25)
    assert contact.pong(token, 4.0) is None


@pytest.mark.parametrize("token", [bytes(8), b"whatever"])
def test_a_pong_that_was_not_asked_for_is_no_round_trip(
    contact: Contact, round_trip: RoundTrip, token: bytes
) -> None:
    assert contact.pong(token, 3.0) is None
    assert round_trip.smoothed is None


def test_only_the_last_sixteen_pings_are_waited_for(
    contact: Contact, round_trip: RoundTrip
) -> None:
    for _ in range(17):
        contact.ask(1.0)
    first, second, *_ = contact.take_pings()
    contact.pong(first, 2.0)
    assert round_trip.smoothed is None
    contact.pong(second, 2.0)
    assert round_trip.smoothed == 1.0


def test_a_new_session_forgets_what_was(contact: Contact, round_trip: RoundTrip) -> None:
    contact.ask(1.0)
    (token,) = contact.take_pings()
    contact.doubt(1.0)
    contact.begin(KEEPALIVE, 50.0)
    assert contact.pong(token, 51.0) is None
    assert contact.deadline == 60.0


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["hear", "doubt", "unreachable", "ask", "expire"]),
            st.floats(0, 30),
        )
    )
)
def test_its_next_deadline_is_always_still_to_come(steps: list[tuple[str, float]]) -> None:
    contact = Contact(RoundTrip())
    contact.begin(KEEPALIVE, 0.0)
    now = 0.0
    for step, later in steps:
        now += later
        getattr(contact, step)(now)
        if contact.expire(now):
            break
        assert contact.deadline > now
