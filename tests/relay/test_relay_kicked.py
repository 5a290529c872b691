"""The bounded list of addresses and identities that a room refuses after a kick."""

from __future__ import annotations

from udprelay.relay.admission import Kicked


def test_a_key_is_refused_for_the_kick_time() -> None:
    kicked = Kicked(60.0)
    kicked.add("lobby", "anna", 100.0)
    assert kicked.seconds_left("lobby", "anna", 100.0) == 60.0
    assert kicked.seconds_left("lobby", "anna", 159.0) == 1.0
    assert kicked.seconds_left("lobby", "anna", 160.0) == 0.0


def test_other_rooms_and_other_keys_are_not_refused() -> None:
    kicked = Kicked(60.0)
    kicked.add("lobby", "anna", 100.0)
    assert kicked.seconds_left("attic", "anna", 100.0) == 0.0
    assert kicked.seconds_left("lobby", "bert", 100.0) == 0.0


def test_another_kick_restarts_the_kick_time() -> None:
    kicked = Kicked(60.0)
    kicked.add("lobby", "anna", 100.0)
    kicked.add("lobby", "bert", 120.0)
    kicked.add("lobby", "anna", 140.0)
    assert kicked.seconds_left("lobby", "anna", 190.0) == 10.0
    assert kicked.seconds_left("lobby", "bert", 190.0) == 0.0


def test_a_full_list_drops_the_oldest_keys() -> None:
    kicked = Kicked(60.0)
    for number in range(2000):
        kicked.add("lobby", number, 100.0)
    assert kicked.seconds_left("lobby", 975, 100.0) == 0.0
    assert kicked.seconds_left("lobby", 976, 100.0) == 60.0


def test_a_key_that_is_kicked_again_is_the_newest() -> None:
    kicked = Kicked(60.0)
    for number in (*range(1024), 0, 1024):
        kicked.add("lobby", number, 100.0)
    assert kicked.seconds_left("lobby", 0, 100.0) == 60.0
    assert kicked.seconds_left("lobby", 1, 100.0) == 0.0
