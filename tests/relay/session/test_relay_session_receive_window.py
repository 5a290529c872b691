"""The receive window: each own sequence is accepted once, and items come out in order."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reachable import footprint
from udprelay.protocol.wire.header import EARLY_WINDOW
from udprelay.relay.session.sequences import ReceiveWindow


def item(own: int) -> bytes:
    """Return an item; sizes differ, so that an accounting error shows."""
    return b"%d" % own * (own % 7 + 1)


def window(next_own: int = 1) -> ReceiveWindow[bytes]:
    return ReceiveWindow(next_own, len)


def receive(real: ReceiveWindow[bytes], own: int, item: bytes) -> list[bytes]:
    """Store an item; return those that are in order then."""
    real.store(own, item)
    return in_order(real)


def skip_to(real: ReceiveWindow[bytes], own: int) -> list[bytes]:
    """Skip to a sequence; return the items before it, and those that are in order then."""
    return real.skip_to(own) + in_order(real)


def in_order(real: ReceiveWindow[bytes]) -> list[bytes]:
    items = []
    while real.first is not None:
        items.append(real.pop())
    return items


class Model:
    """The model: a set of the own sequences received early."""

    def __init__(self, next_own: int) -> None:
        self.next = next_own
        self.early: set[int] = set()

    def receive(self, own: int) -> list[bytes]:
        if self.next <= own <= self.next + EARLY_WINDOW:
            self.early.add(own)
        return self.in_order()

    def receive_run(self, first: int, count: int) -> bool:
        if first != self.next or self.early:
            return False
        self.next += count
        return True

    def skip_to(self, own: int) -> list[bytes]:
        skipped = sorted(early for early in self.early if early < own)
        self.early -= set(skipped)
        self.next = max(self.next, own)
        return [item(early) for early in skipped] + self.in_order()

    def in_order(self) -> list[bytes]:
        items = []
        while self.next in self.early:
            self.early.remove(self.next)
            items.append(item(self.next))
            self.next += 1
        return items


arrivals = st.lists(
    st.tuples(
        st.sampled_from(["receive", "receive", "receive", "receive", "skip_to", "receive_run"]),
        st.integers(-3, 70),
    ),
    max_size=200,
)


@given(st.integers(1, 2**32 - 300), arrivals)
@example(1, [("receive", 2), ("receive", 1)])
def test_any_order_with_any_duplicates_matches_the_model(
    next_own: int, arrivals: list[tuple[str, int]]
) -> None:
    real, model = window(next_own), Model(next_own)
    for what, offset in arrivals:
        own = model.next + offset
        if what == "receive_run":
            assert real.receive_run(own, 2) == model.receive_run(own, 2)
        else:
            items = receive(real, own, item(own)) if what == "receive" else skip_to(real, own)
            assert items == (model.receive(own) if what == "receive" else model.skip_to(own))
        assert real.next == model.next
        assert real.buffered_bytes == sum(len(item(early)) for early in model.early)
        assert real.bitmap == sum(1 << early - model.next - 1 for early in model.early)


@given(st.permutations(range(1, EARLY_WINDOW + 2)))
def test_a_full_window_in_any_order_comes_out_in_order(order: list[int]) -> None:
    real = window()
    items = [one for own in order for one in receive(real, own, item_of(own))]
    assert items == [item_of(own) for own in range(1, EARLY_WINDOW + 2)]
    assert (real.next, real.buffered_bytes, real.bitmap) == (EARLY_WINDOW + 2, 0, 0)


def item_of(own: int) -> bytes:
    return bytes([own])


def test_an_item_in_order_is_returned_at_once() -> None:
    real = window()
    assert [receive(real, own, item(own)) for own in (1, 2)] == [[item(1)], [item(2)]]
    assert (real.next, real.buffered_bytes) == (3, 0)


def test_a_run_in_order_is_received_at_once() -> None:
    real = window(5)
    assert real.receive_run(5, 3)
    assert (real.next, real.bitmap, real.buffered_bytes) == (8, 0, 0)
    assert receive(real, 7, item(7)) == []
    assert receive(real, 8, item(8)) == [item(8)]


@pytest.mark.parametrize("first", [4, 6])
def test_a_run_that_is_not_next_is_not_received(first: int) -> None:
    real = window(5)
    assert not real.receive_run(first, 3)
    assert (real.next, real.bitmap) == (5, 0)


@pytest.mark.parametrize("early", [6, 60])
def test_no_run_is_received_while_an_item_is_early(early: int) -> None:
    real = window(5)
    receive(real, early, item(early))
    assert not real.receive_run(5, 3)
    assert (real.next, real.bitmap) == (5, 1 << early - 6)


def test_runs_are_received_again_when_nothing_is_early_any_more() -> None:
    real = window()
    receive(real, 2, item(2))
    receive(real, 1, item(1))
    assert real.receive_run(3, 2)
    receive(real, 9, item(9))
    skip_to(real, 10)
    assert real.receive_run(10, 64)
    assert real.next == 74


def test_an_item_that_is_next_can_wait() -> None:
    real = window()
    assert real.store(1, b"one")
    assert real.store(3, b"three")
    assert (real.next, real.first, real.bitmap, real.buffered_bytes) == (1, b"one", 0b10, 8)
    assert not real.receive_run(1, 1)
    assert (real.pop(), real.first, real.next, real.bitmap) == (b"one", None, 2, 0b1)


@pytest.mark.parametrize(("own", "stored"), [(4, False), (5, True), (69, True), (70, False)])
def test_only_what_is_in_the_window_is_stored_once(own: int, stored: bool) -> None:
    real = window(5)
    assert [real.store(own, b"item") for _ in range(2)] == [stored, False]


def test_an_early_item_is_buffered_and_shown_in_the_bitmap() -> None:
    real = window()
    assert receive(real, 3, b"three") == []
    assert (real.next, real.bitmap, real.buffered_bytes) == (1, 0b10, 5)


def test_an_item_beyond_the_last_bit_of_the_bitmap_is_dropped() -> None:
    real = window(10)
    assert receive(real, 75, b"farther") == []
    assert (real.bitmap, real.buffered_bytes) == (0, 0)
    receive(real, 74, b"last")
    assert real.bitmap == 1 << 63


def test_a_duplicate_is_dropped() -> None:
    real = window()
    receive(real, 1, b"one")
    receive(real, 3, b"three")
    assert receive(real, 1, b"one") == []
    assert receive(real, 3, b"three, longer") == []
    assert real.buffered_bytes == 5
    assert receive(real, 2, b"two") == [b"two", b"three"]


def test_skipping_a_gap_releases_the_items_behind_it() -> None:
    real = window()
    for own in (2, 4, 6, 7, 9):
        receive(real, own, item(own))
    assert skip_to(real, 6) == [item(2), item(4), item(6), item(7)]
    assert (real.next, real.bitmap) == (8, 0b1)


def test_skipping_to_an_earlier_sequence_changes_nothing() -> None:
    real = window(5)
    assert skip_to(real, 3) == []
    assert real.next == 5


def test_items_that_were_early_leave_no_memory() -> None:
    real = window()
    for own in range(EARLY_WINDOW + 1, 0, -1):
        receive(real, own, item(own))
    assert footprint(real) == footprint(window())


def test_items_may_be_of_any_type() -> None:
    real = ReceiveWindow[tuple[int, bytes]](1, lambda pair: len(pair[1]))
    real.store(2, (7, b"four"))
    assert real.buffered_bytes == 4
