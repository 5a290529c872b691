"""Messages wait for their senders to become known, with a timeout and a limit."""

from __future__ import annotations

from math import inf

from session_client_arrivals import message

from udprelay.session_client.dispatcher import MAX_WAITING_BYTES, ROSTER_TIMEOUT, UnknownSenders


def test_messages_are_kept_in_order_by_sender() -> None:
    senders = UnknownSenders()
    first, second, other = message(1, 7, 1), message(2, 7, 2), message(3, 8, 1)
    for datagram in (first, second, other):
        senders.add(datagram, 0.0)
    assert senders.numbers == [7, 8]
    assert senders.first(7) is first
    assert senders.pop(7) == [first, second]
    assert 7 not in senders
    assert 8 in senders


def test_a_sender_is_due_after_the_timeout() -> None:
    senders = UnknownSenders()
    deadline = senders.deadline
    assert deadline == inf
    senders.add(message(1, 7, 1), 0.0)
    senders.add(message(2, 8, 1), 1.0)
    senders.add(message(3, 7, 2), 1.5)
    assert senders.deadline == ROSTER_TIMEOUT
    assert senders.due(ROSTER_TIMEOUT) == [7]
    assert senders.due(ROSTER_TIMEOUT + 1) == [7, 8]


def test_above_the_limit_the_oldest_sender_is_due() -> None:
    senders = UnknownSenders()
    payload = bytes(MAX_WAITING_BYTES // 2)
    senders.add(message(1, 7, 1, payload), 0.0)
    assert senders.due(0.0) == []
    senders.add(message(2, 8, 1, payload), 0.0)
    assert senders.due(0.0) == [7]
    senders.pop(7)
    assert senders.due(0.0) == []


def test_all_messages_can_be_dropped() -> None:
    senders = UnknownSenders()
    senders.add(message(1, 7, 1, bytes(MAX_WAITING_BYTES)), 0.0)
    senders.clear()
    assert senders.numbers == []
    senders.add(message(1, 7, 1), 0.0)
    assert senders.due(0.0) == []
