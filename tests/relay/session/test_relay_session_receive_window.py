"""Each own sequence is taken once, in order, whatever way the datagrams came."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from udprelay.relay.session.receive_window import WINDOW, ReceiveWindow


def item(own: int) -> bytes:
    """A different number of bytes for each, so that the accounting is seen."""
    return b"%d" % own * (own % 7 + 1)


def window(next_own: int = 1) -> ReceiveWindow[bytes]:
    return ReceiveWindow(next_own, len)


class Model:
    """What has come, as a set; nothing clever."""

    def __init__(self, next_own: int) -> None:
        self.next = next_own
        self.early: set[int] = set()

    def take(self, own: int) -> list[bytes]:
        if self.next <= own <= self.next + WINDOW:
            self.early.add(own)
        return self.in_order()

    def skip_to(self, own: int) -> list[bytes]:
        given_up = sorted(early for early in self.early if early < own)
        self.early -= set(given_up)
        self.next = max(self.next, own)
        return [item(early) for early in given_up] + self.in_order()

    def in_order(self) -> list[bytes]:
        items = []
        while self.next in self.early:
            self.early.remove(self.next)
            items.append(item(self.next))
            self.next += 1
        return items


arrivals = st.lists(
    st.tuples(st.sampled_from(["take", "take", "take", "take", "skip_to"]), st.integers(-3, 70)),
    max_size=200,
)


@given(st.integers(1, 2**32 - 300), arrivals)
@example(1, [("take", 2), ("take", 1)])
def test_any_order_with_any_duplicates_is_put_right(
    next_own: int, arrivals: list[tuple[str, int]]
) -> None:
    real, model = window(next_own), Model(next_own)
    for what, offset in arrivals:
        own = model.next + offset
        taken = real.take(own, item(own)) if what == "take" else real.skip_to(own)
        assert taken == (model.take(own) if what == "take" else model.skip_to(own))
        assert real.next == model.next
        assert real.held_bytes == sum(len(item(early)) for early in model.early)
        assert real.bitmap == sum(1 << early - model.next - 1 for early in model.early)


@given(st.permutations(range(1, WINDOW + 2)))
def test_a_window_in_any_order_comes_out_whole(order: list[int]) -> None:
    real = window()
    taken = [item for own in order for item in real.take(own, item_of(own))]
    assert taken == [item_of(own) for own in range(1, WINDOW + 2)]
    assert (real.next, real.held_bytes, real.bitmap) == (WINDOW + 2, 0, 0)


def item_of(own: int) -> bytes:
    return bytes([own])


def test_what_is_in_order_comes_out_at_once() -> None:
    real = window()
    assert [real.take(own, item(own)) for own in (1, 2)] == [[item(1)], [item(2)]]
    assert (real.next, real.held_bytes) == (3, 0)


def test_what_is_early_waits_and_is_told() -> None:
    real = window()
    assert real.take(3, b"three") == []
    assert (real.next, real.bitmap, real.held_bytes) == (1, 0b10, 5)


def test_what_is_the_last_bit_of_the_bitmap_is_kept_and_what_is_farther_is_not() -> None:
    real = window(10)
    assert real.take(75, b"farther") == []
    assert (real.bitmap, real.held_bytes) == (0, 0)
    real.take(74, b"last")
    assert real.bitmap == 1 << 63


def test_what_has_come_before_is_dropped() -> None:
    real = window()
    real.take(1, b"one")
    real.take(3, b"three")
    assert real.take(1, b"one") == []
    assert real.take(3, b"three, longer") == []
    assert real.held_bytes == 5
    assert real.take(2, b"two") == [b"two", b"three"]


def test_a_gap_that_is_given_up_holds_up_nothing() -> None:
    real = window()
    for own in (2, 4, 6, 7, 9):
        real.take(own, item(own))
    assert real.skip_to(6) == [item(2), item(4), item(6), item(7)]
    assert (real.next, real.bitmap) == (8, 0b1)


def test_giving_up_what_has_come_changes_nothing() -> None:
    real = window(5)
    assert real.skip_to(3) == []
    assert real.next == 5


def test_items_are_whatever_the_caller_likes() -> None:
    real = ReceiveWindow[tuple[int, bytes]](1, lambda pair: len(pair[1]))
    real.take(2, (7, b"four"))
    assert real.held_bytes == 4
