"""One sequence against a model of it that is too slow to use."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from udprelay.protocol.wire.ranges import Reason
from udprelay.session_client.incoming import ROOM, Incoming


class Model:
    """What is missing and what is held, number by number."""

    def __init__(self):
        self.now = 0.0
        self.newest = 0
        self.missing = set()
        self.held = set()
        self.holes = set()

    @property
    def settled(self):
        return min(self.missing) - 1 if self.missing else self.newest

    def notice(self, newest):
        self.missing |= set(range(self.newest + 1, newest + 1))
        self.newest = max(self.newest, newest)

    def settle(self, numbers):
        settled = self.missing.intersection(numbers)
        self.missing -= settled
        return settled

    def deliverable(self):
        due = sorted(number for number in self.held if number <= self.settled)
        self.held.difference_update(due)
        return due


class Both:
    """The model, and what is to do the same."""

    def __init__(self):
        self.model = Model()
        self.sequence = Incoming(ROOM, 1, lambda: 0.1)
        self.now = 0.0
        self.lost = set()
        self.ordered = []

    def item(self, number):
        self.model.notice(number)
        self.model.held |= self.model.settle([number])
        self.check(self.sequence.take(number, number, self.now))

    def at_once(self, number):
        self.model.notice(number)
        new = sorted(self.model.settle([number]))
        taken = self.sequence.take(number, number, self.now, at_once=True)
        assert taken[: len(new)] == new
        self.check(taken[len(new) :])

    def newest(self, number):
        self.model.notice(number)
        self.check(self.sequence.newest(number, self.now))

    def own(self, first, count):
        self.model.notice(first + count - 1)
        self.model.settle(range(first, first + count))
        self.check(self.sequence.own(((first, count),), self.now))

    def gone(self, first, count):
        lost = self.model.settle(range(first, first + count))
        ranges = ((first, count, Reason.NOT_KEPT),)
        self.check(self.sequence.gone(ranges, self.now), lost)

    def unkept(self, first, count):
        self.model.settle(range(first, first + count))
        self.check(self.sequence.gone(((first, count, Reason.UNRELIABLE),), self.now))

    def skip(self, first):
        self.model.notice(first - 1)
        lost = self.model.settle(range(first))
        self.check(self.sequence.skip_to(first, self.now), lost)

    def wait(self, seconds):
        self.now += seconds
        self.sequence.hear()
        items = self.sequence.expire(self.now)
        holes = self.holes()
        assert self.model.settle(holes) == holes
        self.check_items(items)

    def resume(self):
        self.sequence.resume(self.now)
        self.check([])

    def holes(self):
        holes = self.sequence.take_holes()
        return {number for first, count in holes for number in range(first, first + count)}

    def check(self, items, lost=frozenset()):
        assert self.holes() == lost
        self.check_items(items)

    def check_items(self, items):
        assert items == self.model.deliverable()
        assert self.sequence.settled == self.model.settled
        assert (self.sequence.deadline is None) == (not self.model.missing)
        for nack in self.sequence.take_nacks():
            asked = [number for first, count in nack for number in range(first, first + count)]
            assert asked == sorted(set(asked))
            assert self.model.missing.issuperset(asked)
        self.ordered += items


def step(method, *arguments):
    return st.tuples(st.just(method), *arguments)


numbers, counts = st.integers(1, 40), st.integers(1, 6)
steps = st.lists(
    st.one_of(
        step(Both.item, numbers),
        step(Both.at_once, numbers),
        step(Both.newest, numbers),
        step(Both.own, numbers, counts),
        step(Both.gone, numbers, counts),
        step(Both.unkept, numbers, counts),
        step(Both.skip, numbers),
        step(Both.wait, st.floats(0, 3)),
        step(Both.resume),
    ),
    max_size=60,
)


@given(steps)
def test_each_number_is_settled_once_and_items_come_in_order(steps):
    both = Both()
    for method, *arguments in steps:
        method(both, *arguments)
    assert both.ordered == sorted(set(both.ordered))
    while both.sequence.deadline is not None:
        both.wait(max(0.0, both.sequence.deadline - both.now))
    assert both.sequence.settled == both.model.newest
