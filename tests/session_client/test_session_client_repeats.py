"""A datagram that is repeated until there is an answer."""

from __future__ import annotations

from itertools import repeat
from math import inf

from udprelay.session_client.repeats import Repeats


def times(repeats: Repeats, until: float) -> list[float]:
    """Return when it is sent."""
    sent = []
    while repeats.deadline <= until:
        now = repeats.deadline
        sent += [now for _ in repeats.take(now)]
    return sent


def test_it_is_sent_at_once_and_after_each_pause_but_the_last() -> None:
    repeats = Repeats(b"x", (1.0, 2.0, 3.0), 10.0)
    assert times(repeats, 100.0) == [10.0, 11.0, 13.0]


def test_it_is_over_after_the_last_pause() -> None:
    repeats = Repeats(b"x", (1.0, 2.0), 10.0)
    times(repeats, 12.0)
    assert not repeats.over
    assert (repeats.take(13.0), repeats.over, repeats.deadline) == ([], True, inf)


def test_pauses_may_have_no_end() -> None:
    assert len(times(Repeats(b"x", repeat(1.0), 0.0), 1000.0)) == 1001


def test_it_is_not_sent_before_its_time() -> None:
    repeats = Repeats(b"x", (1.0,), 10.0)
    assert (repeats.take(9.0), repeats.times) == ([], 0)
    assert (repeats.take(10.5), repeats.times, repeats.sent) == ([b"x"], 1, 10.5)
