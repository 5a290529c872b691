"""The bounded list of session members that have left a room."""

from __future__ import annotations

from udprelay.relay.session.room_log import MAX_REMEMBERED, Departed, DepartedSession


def test_a_departed_session_is_returned_once() -> None:
    departed = Departed()
    departed.add(b"anna", DepartedSession(7, 3, 1))
    assert departed.pop(b"anna") == DepartedSession(7, 3, 1)
    assert departed.pop(b"anna") is None


def test_an_unknown_identity_has_no_departed_session() -> None:
    assert Departed().pop(b"anna") is None


def test_the_last_departure_of_an_identity_counts() -> None:
    departed = Departed()
    departed.add(b"anna", DepartedSession(7, 3, 1))
    departed.add(b"anna", DepartedSession(9, 4, 1))
    assert departed.pop(b"anna") == DepartedSession(9, 4, 1)
    assert departed.pop(b"anna") is None


def test_only_the_last_1024_departures_are_remembered() -> None:
    departed = Departed()
    for number in range(2000):
        departed.add(b"%d" % number, DepartedSession(number + 1, 1, 1))
    assert MAX_REMEMBERED == 1024
    assert departed.pop(b"975") is None
    assert departed.pop(b"976") == DepartedSession(977, 1, 1)


def test_an_identity_that_leaves_again_is_the_newest() -> None:
    departed = Departed()
    departed.add(b"anna", DepartedSession(7, 3, 1))
    for number in range(MAX_REMEMBERED - 1):
        departed.add(b"%d" % number, DepartedSession(1, 1, 1))
    departed.add(b"anna", DepartedSession(8, 3, 1))
    departed.add(b"bert", DepartedSession(1, 1, 1))
    assert departed.pop(b"0") is None
    assert departed.pop(b"anna") == DepartedSession(8, 3, 1)
