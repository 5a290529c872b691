"""Deadlines come due in order; what is removed is let go."""

from __future__ import annotations

import weakref
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from udprelay.relay.deadlines import Deadlines, Ticket


class Item:
    """Something that can be referred to weakly."""


def test_items_are_due_by_deadline_and_then_in_the_order_in_which_they_were_added() -> None:
    deadlines = Deadlines[str]()
    for deadline, item in ((2.0, "b"), (1.0, "a"), (2.0, "c"), (9.0, "d")):
        deadlines.add(deadline, item)
    assert list(deadlines.due(5.0, 100)) == ["a", "b", "c"]
    assert (deadlines.next, len(deadlines)) == (9.0, 1)


def test_without_items_nothing_is_due() -> None:
    deadlines = Deadlines[str]()
    assert (deadlines.next, list(deadlines.due(1e9, 100))) == (inf, [])


def test_a_limited_number_of_entries_is_looked_at() -> None:
    deadlines = Deadlines[int]()
    tickets = [deadlines.add(1.0, item) for item in range(5)]
    deadlines.remove(tickets[1])
    assert list(deadlines.due(1.0, 3)) == [0, 2]
    assert list(deadlines.due(1.0, 3)) == [3, 4]


def test_what_is_removed_is_not_kept_alive() -> None:
    deadlines, items = Deadlines[Item](), [Item() for _ in range(10)]
    tickets = [deadlines.add(float(number), item) for number, item in enumerate(items)]
    references = [weakref.ref(item) for item in items]
    deadlines.remove(tickets[7])
    del items
    assert [number for number, one in enumerate(references) if one() is None] == [7]


def test_what_was_due_is_not_kept_alive_by_its_ticket() -> None:
    deadlines, item = Deadlines[Item](), Item()
    reference = weakref.ref(item)
    ticket = deadlines.add(1.0, item)
    assert list(deadlines.due(1.0, 1)) == [item]
    del item
    assert reference() is None
    deadlines.remove(ticket)
    assert len(deadlines) == 0


def test_when_all_are_removed_there_is_no_deadline() -> None:
    deadlines = Deadlines[int]()
    for ticket in [deadlines.add(1.0, item) for item in range(100)]:
        deadlines.remove(ticket)
    assert (deadlines.next, len(deadlines)) == (inf, 0)


@given(st.lists(st.tuples(st.floats(0, 9), st.booleans()), max_size=40))
def test_all_that_are_not_removed_are_due_once(entries: list[tuple[float, bool]]) -> None:
    deadlines = Deadlines[int]()
    removed: list[Ticket] = []
    for number, (deadline, stays) in enumerate(entries):
        ticket = deadlines.add(deadline, number)
        if not stays:
            removed.append(ticket)
    for ticket in removed:
        deadlines.remove(ticket)
        deadlines.remove(ticket)
    expected = sorted((at, number) for number, (at, stays) in enumerate(entries) if stays)
    assert len(deadlines) == len(expected)
    assert list(deadlines.due(9.0, 1000)) == [number for _, number in expected]
    assert (len(deadlines), deadlines.next) == (0, inf)
