"""The history of a room: bounded in number, bytes and age."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from reachable import footprint
from udprelay.relay.session.history import History
from udprelay.segments import runs_by_source


def history(*datagrams: bytes, count: int = 100, size: int = 10_000, age: float = 60.0) -> History:
    filled = History(count, size, age)
    for datagram in datagrams:
        extend(filled, [datagram], 0.0)
    return filled


def extend(history: History, datagrams: list[bytes], now: float) -> None:
    """Store datagrams; skip the empty ones."""
    for _, segments in runs_by_source((0, datagram) for datagram in datagrams):
        if segments.size:
            history.extend(segments, now)
        else:
            history.newest += 1


def all_stored(history: History) -> dict[int, bytes]:
    return dict(history.stored(1, history.newest))


class HistoryAgainstAList(RuleBasedStateMachine):
    """The model: a list of the stored datagrams, each with its sequence and time."""

    @initialize(count=st.integers(0, 12), size=st.integers(0, 60), age=st.integers(0, 8))
    def begin(self, count: int, size: int, age: int) -> None:
        self.bounds = (count, size, age)
        self.history = History(count, size, age)
        self.now = 0
        self.newest = 0
        self.stored: list[tuple[int, int, bytes]] = []
        self.evicted = 0

    @rule(lengths=st.lists(st.integers(0, 15), max_size=9))
    def extend(self, lengths: list[int]) -> None:
        datagrams = [bytes([self.newest % 256]) * length for length in lengths]
        extend(self.history, datagrams, self.now)
        for datagram in datagrams:
            self.newest += 1
            if datagram:
                self.stored.append((self.newest, self.now, datagram))
        self.bound()

    @rule(count=st.integers(0, 100))
    def skip(self, count: int) -> None:
        self.history.newest += count
        self.newest += count

    @rule(seconds=st.integers(0, 5))
    def wait(self, seconds: int) -> None:
        self.now += seconds
        self.history.expire(self.now)
        self.bound()

    def bound(self) -> None:
        count, size, age = self.bounds
        while self.stored and (
            len(self.stored) > count
            or sum(len(datagram) for *_, datagram in self.stored) > size
            or self.stored[0][1] + age <= self.now
        ):
            self.evicted = self.stored.pop(0)[0]

    @invariant()
    def the_same_datagrams_are_stored(self) -> None:
        stored = [(sequence, datagram) for sequence, _, datagram in self.stored]
        history = self.history
        assert list(history.stored(1, self.newest)) == stored
        assert (history.first, history.newest) == (self.evicted + 1, self.newest)

    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        stored = {sequence: datagram for sequence, _, datagram in self.stored}
        first = data.draw(st.integers(0, self.newest + 2))
        last = data.draw(st.integers(first, self.newest + 2))
        between = [(s, d) for s, d in stored.items() if first <= s <= last]
        assert list(self.history.stored(first, last)) == between

    @rule(count=st.integers(-1, 14))
    def begin_of_the_last(self, count: int) -> None:
        last = self.stored[max(len(self.stored) - count, 0) :]
        begin = last[0][0] if last else self.newest + 1
        assert self.history.sequence_of_last(count) == begin


TestHistoryAgainstAList = HistoryAgainstAList.TestCase


def test_sequences_begin_at_1() -> None:
    fresh = History(10, 1000, 60.0)
    assert (fresh.first, fresh.newest) == (1, 0)
    extend(fresh, [b"one", b"two"], 0.0)
    assert (fresh.first, fresh.newest) == (1, 2)
    assert all_stored(fresh) == {1: b"one", 2: b"two"}


def test_the_number_of_stored_datagrams_is_bounded() -> None:
    assert all_stored(history(b"a", b"b", b"c", count=2)) == {2: b"b", 3: b"c"}


def test_the_bytes_of_stored_datagrams_are_bounded() -> None:
    assert all_stored(history(b"aaaa", b"bbb", b"ccc", size=6)) == {2: b"bbb", 3: b"ccc"}


def test_the_oldest_datagrams_of_a_batch_are_removed_one_by_one() -> None:
    filled = History(3, 1000, 60.0)
    extend(filled, [b"a", b"b"], 0.0)
    extend(filled, [b"c", b"d"], 0.0)
    assert all_stored(filled) == {2: b"b", 3: b"c", 4: b"d"}


def test_a_datagram_larger_than_the_history_is_not_stored() -> None:
    filled = history(b"small", b"l" * 100, size=10)
    assert (all_stored(filled), filled.first, filled.newest) == ({}, 3, 2)


def test_a_datagram_is_stored_until_its_maximum_age() -> None:
    filled = History(10, 1000, 60.0)
    extend(filled, [b"a"], 0.0)
    extend(filled, [b"b"], 1.0)
    filled.expire(59.9)
    assert all_stored(filled) == {1: b"a", 2: b"b"}
    filled.expire(60.0)
    assert all_stored(filled) == {2: b"b"}


def test_expired_datagrams_use_no_memory() -> None:
    filled = history(b"x")
    filled.expire(60.0)
    empty = footprint(filled)
    extend(filled, [b"x" * 100] * 64, 60.0)
    filled.expire(120.0)
    assert (all_stored(filled), footprint(filled).objects) == ({}, empty.objects)
    assert (filled.first, filled.newest) == (66, 65)


def test_unreliable_datagrams_have_sequences_and_are_not_stored() -> None:
    filled = History(10, 1000, 60.0)
    extend(filled, [b"", b"a", b"", b"", b"b", b""], 0.0)
    assert all_stored(filled) == {2: b"a", 5: b"b"}
    assert (filled.first, filled.newest) == (1, 6)


def test_unreliable_datagrams_remove_no_reliable_ones() -> None:
    filled = history(b"hello", count=2)
    filled.newest += 1_000_000
    assert all_stored(filled) == {1: b"hello"}
    assert (filled.first, filled.newest) == (1, 1_000_001)


def test_a_room_without_reliable_datagrams_has_lost_none() -> None:
    filled = History(10, 1000, 60.0)
    filled.newest += 5
    filled.expire(1e9)
    assert (filled.first, filled.newest) == (1, 5)


def test_a_range_may_have_any_length() -> None:
    filled = history(b"a", b"b", count=1)
    filled.newest += 2**40
    assert list(filled.stored(0, 2**64 - 1)) == [(2, b"b")]


@given(st.integers(1, 200), st.integers(1, 70))
def test_a_full_history_stores_the_maximum_number(count: int, batch: int) -> None:
    filled = History(count, 10**6, 60.0)
    for _ in range(3 + count // batch):
        extend(filled, [b"datagram"] * batch, 0.0)
    assert len(all_stored(filled)) == count
    assert filled.first == filled.newest - count + 1
