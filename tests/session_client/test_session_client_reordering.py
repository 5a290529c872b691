"""Unconfirmed items: order and limits."""

from __future__ import annotations

from udprelay.session_client.reordering import (
    MAX_UNCONFIRMED,
    MAX_UNCONFIRMED_BYTES,
    Unconfirmed,
)


def test_unconfirmed_items_come_in_order_and_forged_ones_are_dropped() -> None:
    unconfirmed = Unconfirmed[str]()
    unconfirmed.add(9, "i", 1, True)
    unconfirmed.add(7, "g", 1, False)
    unconfirmed.add(7, "duplicate", 1, False)
    unconfirmed.add(20, "forged", 1, False)
    assert unconfirmed.pop_up_to(9) == [(7, "g", 1, False), (9, "i", 1, True)]
    assert unconfirmed.pop_up_to(100) == []


def test_the_unconfirmed_items_are_limited() -> None:
    unconfirmed = Unconfirmed[int]()
    for number in range(2 * MAX_UNCONFIRMED):
        unconfirmed.add(number, number, 1, False)
    assert len(unconfirmed.pop_up_to(2 * MAX_UNCONFIRMED)) == MAX_UNCONFIRMED
    unconfirmed.add(1, 1, MAX_UNCONFIRMED_BYTES, False)
    unconfirmed.add(2, 2, 1, False)
    assert len(unconfirmed.pop_up_to(2)) == 1
