"""What members say is kept until it is known who they are, but not for long."""

from __future__ import annotations

from session_client_arrivals import says

from udprelay.session_client.unknown_senders import MOST_BYTES, PATIENCE, Strangers


def test_what_a_member_says_is_kept_in_order():
    strangers = Strangers()
    first, second, other = says(1, 7, 1), says(2, 7, 2), says(3, 8, 1)
    for datagram in (first, second, other):
        strangers.keep(datagram, 0.0)
    assert strangers.numbers == [7, 8]
    assert strangers.first(7) is first
    assert strangers.take(7) == [first, second]
    assert 7 not in strangers
    assert 8 in strangers


def test_it_is_due_after_a_while():
    strangers = Strangers()
    assert strangers.deadline is None
    strangers.keep(says(1, 7, 1), 0.0)
    strangers.keep(says(2, 8, 1), 1.0)
    strangers.keep(says(3, 7, 2), 1.5)
    assert strangers.deadline == PATIENCE
    assert strangers.due(PATIENCE) == [7]
    assert strangers.due(PATIENCE + 1) == [7, 8]


def test_too_much_is_due_at_once_the_oldest_first():
    strangers = Strangers()
    payload = bytes(MOST_BYTES // 2)
    strangers.keep(says(1, 7, 1, payload), 0.0)
    assert strangers.due(0.0) == []
    strangers.keep(says(2, 8, 1, payload), 0.0)
    assert strangers.due(0.0) == [7]
    strangers.take(7)
    assert strangers.due(0.0) == []


def test_it_can_be_dropped():
    strangers = Strangers()
    strangers.keep(says(1, 7, 1, bytes(MOST_BYTES)), 0.0)
    strangers.clear()
    assert strangers.numbers == []
    strangers.keep(says(1, 7, 1), 0.0)
    assert strangers.due(0.0) == []
