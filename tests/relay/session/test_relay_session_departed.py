"""Who comes back goes on with its own sequences where it was."""

from __future__ import annotations

from udprelay.relay.session.departed import REMEMBERED, Departed, Left


def test_who_has_left_is_known_once() -> None:
    departed = Departed()
    departed.remember(b"anna", Left(7, 3, 1))
    assert departed.take(b"anna") == Left(7, 3, 1)
    assert departed.take(b"anna") is None


def test_who_was_never_here_is_not_known() -> None:
    assert Departed().take(b"anna") is None


def test_the_last_time_counts() -> None:
    departed = Departed()
    departed.remember(b"anna", Left(7, 3, 1))
    departed.remember(b"anna", Left(9, 4, 1))
    assert len(departed) == 1
    assert departed.take(b"anna") == Left(9, 4, 1)


def test_the_last_to_leave_are_remembered() -> None:
    departed = Departed()
    for number in range(2000):
        departed.remember(b"%d" % number, Left(number + 1, 1, 1))
    assert len(departed) == REMEMBERED == 1024
    assert departed.take(b"975") is None
    assert departed.take(b"976") == Left(977, 1, 1)


def test_who_leaves_again_is_among_the_last() -> None:
    departed = Departed()
    departed.remember(b"anna", Left(7, 3, 1))
    for number in range(REMEMBERED - 1):
        departed.remember(b"%d" % number, Left(1, 1, 1))
    departed.remember(b"anna", Left(8, 3, 1))
    departed.remember(b"bert", Left(1, 1, 1))
    assert departed.take(b"0") is None
    assert departed.take(b"anna") == Left(8, 3, 1)
