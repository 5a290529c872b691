"""One incoming sequence, compared with a simple model."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from math import inf
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from session_client_arrivals import drained, liveness

from udprelay.protocol.wire.ranges import Reason
from udprelay.session_client.incoming import ROOM, Incoming
from udprelay.session_client.settings import Statistics


class Model:
    """The missing and the buffered numbers, one by one."""

    def __init__(self) -> None:
        self.now = 0.0
        self.newest = 0
        self.missing: set[int] = set()
        self.buffered: set[int] = set()

    @property
    def settled(self) -> int:
        return min(self.missing) - 1 if self.missing else self.newest

    def note_newest(self, newest: int) -> None:
        self.missing |= set(range(self.newest + 1, newest + 1))
        self.newest = max(self.newest, newest)

    def settle(self, numbers: Iterable[int]) -> set[int]:
        settled = self.missing.intersection(numbers)
        self.missing -= settled
        return settled

    def deliverable(self) -> list[int]:
        due = sorted(number for number in self.buffered if number <= self.settled)
        self.buffered.difference_update(due)
        return due


class Both:
    """The model and the sequence, with the same input."""

    def __init__(self) -> None:
        self.model = Model()
        self.sequence = Incoming[int](ROOM, 1, liveness(), Statistics())
        self.now = 0.0
        self.lost: set[int] = set()
        self.ordered: list[int] = []

    def item(self, number: int) -> None:
        self.model.note_newest(number)
        self.model.buffered |= self.model.settle([number])
        self.check(self.sequence.receive(number, number, self.now))

    def at_once(self, number: int) -> None:
        self.model.note_newest(number)
        new = sorted(self.model.settle([number]))
        items = self.sequence.receive(number, number, self.now, at_once=True)
        assert items[: len(new)] == new
        self.check(items[len(new) :])

    def newest(self, number: int) -> None:
        self.model.note_newest(number)
        self.check(self.sequence.note_newest(number, self.now))

    def own(self, first: int, count: int) -> None:
        self.model.note_newest(first + count - 1)
        self.model.settle(range(first, first + count))
        self.check(self.sequence.settle_own(((first, count),), self.now))

    def gone(self, first: int, count: int) -> None:
        lost = self.model.settle(range(first, first + count))
        ranges = ((first, count, Reason.NOT_IN_HISTORY),)
        self.check(self.sequence.settle_gone(ranges, self.now), lost)

    def gone_unreliable(self, first: int, count: int) -> None:
        self.model.settle(range(first, first + count))
        self.check(self.sequence.settle_gone(((first, count, Reason.UNRELIABLE),), self.now))

    def skip(self, first: int) -> None:
        self.model.note_newest(first - 1)
        lost = self.model.settle(range(first))
        self.check(self.sequence.skip_to(first, self.now), lost)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.sequence.note_contact()
        items = self.sequence.expire(self.now)
        lost = self.drain_lost()
        assert self.model.settle(lost) == lost
        self.check_items(items)

    def resume(self) -> None:
        self.sequence.resume(self.now)
        self.check([])

    def drain_lost(self) -> set[int]:
        ranges = drained(self.sequence.lost)
        return {number for first, count in ranges for number in range(first, first + count)}

    def check(self, items: list[int], lost: Collection[int] = frozenset()) -> None:
        assert self.drain_lost() == lost
        self.check_items(items)

    def check_items(self, items: list[int]) -> None:
        assert items == self.model.deliverable()
        assert self.sequence.settled == self.model.settled
        assert (self.sequence.deadline == inf) == (not self.model.missing)
        for nack in drained(self.sequence.nacks):
            requested = [number for first, count in nack for number in range(first, first + count)]
            assert requested == sorted(set(requested))
            assert self.model.missing.issuperset(requested)
        self.ordered += items


Step = tuple[Any, ...]
"""A method of :class:`Both`, and its arguments."""


def step(
    method: Callable[..., None], *arguments: st.SearchStrategy[Any]
) -> st.SearchStrategy[Step]:
    return st.tuples(st.just(method), *arguments)


numbers, counts = st.integers(1, 40), st.integers(1, 6)
steps = st.lists(
    st.one_of(
        step(Both.item, numbers),
        step(Both.at_once, numbers),
        step(Both.newest, numbers),
        step(Both.own, numbers, counts),
        step(Both.gone, numbers, counts),
        step(Both.gone_unreliable, numbers, counts),
        step(Both.skip, numbers),
        step(Both.wait, st.floats(0, 3)),
        step(Both.resume),
    ),
    max_size=60,
)


@given(steps)
def test_a_sequence_behaves_like_its_model(steps: list[Step]) -> None:
    both = Both()
    for method, *arguments in steps:
        method(both, *arguments)
    assert both.ordered == sorted(set(both.ordered))
    while both.sequence.deadline < inf:
        both.wait(max(0.0, both.sequence.deadline - both.now))
    assert both.sequence.settled == both.model.newest
