"""What nobody has confirmed is kept for a while, and not too much of it."""

from __future__ import annotations

from udprelay.session_client.unconfirmed import MOST, MOST_BYTES, Unconfirmed


def test_it_comes_out_in_order_and_the_rest_is_dropped():
    unconfirmed = Unconfirmed[str]()
    unconfirmed.keep(9, "i", 1, True)
    unconfirmed.keep(7, "g", 1, False)
    unconfirmed.keep(7, "again", 1, False)
    unconfirmed.keep(20, "forged", 1, False)
    assert unconfirmed.take_up_to(9) == [(7, "g", 1, False), (9, "i", 1, True)]
    assert unconfirmed.take_up_to(100) == []


def test_only_so_many_are_kept():
    unconfirmed = Unconfirmed[int]()
    for number in range(2 * MOST):
        unconfirmed.keep(number, number, 1, False)
    assert len(unconfirmed.take_up_to(2 * MOST)) == MOST
    unconfirmed.keep(1, 1, MOST_BYTES, False)
    unconfirmed.keep(2, 2, 1, False)
    assert len(unconfirmed.take_up_to(2)) == 1
