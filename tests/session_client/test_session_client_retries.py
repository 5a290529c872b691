"""A datagram that is retried until it is answered."""

from __future__ import annotations

from itertools import repeat
from math import inf

from udprelay.session_client.retries import Retries


def times(retries: Retries, until: float) -> list[float]:
    """Return when the datagram is sent."""
    sent = []
    while retries.deadline <= until:
        now = retries.deadline
        sent += [now for _ in retries.drain_datagrams(now)]
    return sent


def test_the_datagram_is_sent_at_once_and_after_each_interval_but_the_last() -> None:
    retries = Retries(b"x", (1.0, 2.0, 3.0), 10.0)
    assert times(retries, 100.0) == [10.0, 11.0, 13.0]


def test_retries_are_exhausted_after_the_last_interval() -> None:
    retries = Retries(b"x", (1.0, 2.0), 10.0)
    times(retries, 12.0)
    assert not retries.exhausted
    assert (retries.drain_datagrams(13.0), retries.exhausted, retries.deadline) == ([], True, inf)


def test_intervals_may_be_infinite() -> None:
    assert len(times(Retries(b"x", repeat(1.0), 0.0), 1000.0)) == 1001


def test_the_datagram_is_not_sent_before_the_deadline() -> None:
    retries = Retries(b"x", (1.0,), 10.0)
    assert (retries.drain_datagrams(9.0), retries.transmissions) == ([], 0)
    assert (retries.drain_datagrams(10.5), retries.transmissions, retries.sent_at) == (
        [b"x"],
        1,
        10.5,
    )
