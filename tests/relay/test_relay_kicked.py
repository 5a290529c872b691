"""Who was put out stays out of that room for a while."""

from __future__ import annotations

from udprelay.relay.kicked import Kicked


def test_a_room_is_closed_to_somebody_for_a_time() -> None:
    kicked = Kicked(60.0)
    kicked.add("lobby", "anna", 100.0)
    assert kicked.seconds_left("lobby", "anna", 100.0) == 60.0
    assert kicked.seconds_left("lobby", "anna", 159.0) == 1.0
    assert kicked.seconds_left("lobby", "anna", 160.0) == 0.0


def test_other_rooms_and_others_are_not_concerned() -> None:
    kicked = Kicked(60.0)
    kicked.add("lobby", "anna", 100.0)
    assert kicked.seconds_left("attic", "anna", 100.0) == 0.0
    assert kicked.seconds_left("lobby", "bert", 100.0) == 0.0


def test_the_last_time_counts() -> None:
    kicked = Kicked(60.0)
    kicked.add("lobby", "anna", 100.0)
    kicked.add("lobby", "bert", 120.0)
    kicked.add("lobby", "anna", 140.0)
    assert kicked.seconds_left("lobby", "anna", 190.0) == 10.0
    assert kicked.seconds_left("lobby", "bert", 190.0) == 0.0


def test_the_list_is_bounded_and_empties_itself() -> None:
    kicked = Kicked(60.0)
    for number in range(2000):
        kicked.add("lobby", number, 100.0)
    assert len(kicked) == 1024
    assert kicked.seconds_left("lobby", 975, 100.0) == 0.0
    assert kicked.seconds_left("lobby", 976, 100.0) == 60.0
    kicked.seconds_left("lobby", 0, 160.0)
    assert len(kicked) == 0
