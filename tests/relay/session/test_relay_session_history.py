"""The newest datagrams of a room can be asked for again: so many, so large, so old."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from udprelay.relay.session.history import History


def history(*datagrams: bytes, count: int = 100, size: int = 10_000, age: float = 60.0) -> History:
    filled = History(count, size, age)
    for datagram in datagrams:
        filled.extend([datagram], 0.0)
    return filled


def all_kept(history: History) -> dict[int, bytes]:
    return dict(history.kept(1, history.newest))


class HistoryAgainstAList(RuleBasedStateMachine):
    """The model: every datagram ever said, with its sequence and its time."""

    @initialize(count=st.integers(0, 12), size=st.integers(0, 60), age=st.integers(0, 8))
    def begin(self, count: int, size: int, age: int) -> None:
        self.bounds = (count, size, age)
        self.history = History(count, size, age)
        self.now = 0
        self.newest = 0
        self.said: list[tuple[int, int, bytes]] = []
        self.evicted = 0

    @rule(lengths=st.lists(st.integers(0, 15), max_size=9))
    def extend(self, lengths: list[int]) -> None:
        datagrams = [bytes([self.newest % 256]) * length for length in lengths]
        self.history.extend(datagrams, self.now)
        for datagram in datagrams:
            self.newest += 1
            if datagram:
                self.said.append((self.newest, self.now, datagram))
        self.bound()

    @rule(count=st.integers(0, 100))
    def skip(self, count: int) -> None:
        self.history.skip(count)
        self.newest += count

    @rule(seconds=st.integers(0, 5))
    def wait(self, seconds: int) -> None:
        self.now += seconds
        self.history.expire(self.now)
        self.bound()

    def bound(self) -> None:
        count, size, age = self.bounds
        while self.said and (
            len(self.said) > count
            or sum(len(datagram) for *_, datagram in self.said) > size
            or self.said[0][1] + age <= self.now
        ):
            self.evicted = self.said.pop(0)[0]

    @invariant()
    def the_same_is_kept(self) -> None:
        kept = [(sequence, datagram) for sequence, _, datagram in self.said]
        history = self.history
        assert list(history.kept(1, self.newest)) == kept
        assert (len(history), history.size) == (len(kept), sum(len(d) for _, d in kept))
        assert (history.first, history.newest) == (self.evicted + 1, self.newest)
        assert history.deadline == (self.said[0][1] + self.bounds[2] if self.said else None)

    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        kept = {sequence: datagram for sequence, _, datagram in self.said}
        first = data.draw(st.integers(0, self.newest + 2))
        last = data.draw(st.integers(first, self.newest + 2))
        here = range(self.evicted + 1, self.newest + 1)
        assert self.history.get(first) == (kept.get(first, b"") if first in here else None)
        between = [(s, d) for s, d in kept.items() if first <= s <= last]
        assert list(self.history.kept(first, last)) == between

    @rule(count=st.integers(-1, 14))
    def begin_of_the_last(self, count: int) -> None:
        last = self.said[max(len(self.said) - count, 0) :]
        begin = last[0][0] if last else self.newest + 1
        assert self.history.sequence_of_last(count) == begin


TestHistoryAgainstAList = HistoryAgainstAList.TestCase


def test_sequences_begin_at_one() -> None:
    fresh = History(10, 1000, 60.0)
    assert (fresh.first, fresh.newest) == (1, 0)
    fresh.extend([b"one", b"two"], 0.0)
    assert (fresh.first, fresh.newest) == (1, 2)
    assert fresh.get(1) == b"one"


def test_no_more_than_the_count_is_kept() -> None:
    assert all_kept(history(b"a", b"b", b"c", count=2)) == {2: b"b", 3: b"c"}


def test_no_more_than_the_size_is_kept() -> None:
    assert all_kept(history(b"aaaa", b"bbb", b"ccc", size=6)) == {2: b"bbb", 3: b"ccc"}


def test_a_batch_is_cut_where_the_bounds_are() -> None:
    filled = History(3, 1000, 60.0)
    filled.extend([b"a", b"b"], 0.0)
    filled.extend([b"c", b"d"], 0.0)
    assert all_kept(filled) == {2: b"b", 3: b"c", 4: b"d"}


def test_what_is_larger_than_the_history_is_not_kept() -> None:
    filled = history(b"small", b"l" * 100, size=10)
    assert (all_kept(filled), filled.first, filled.newest) == ({}, 3, 2)


def test_no_datagram_is_kept_longer_than_the_age() -> None:
    filled = History(10, 1000, 60.0)
    filled.extend([b"a"], 0.0)
    filled.extend([b"b"], 1.0)
    assert filled.deadline == 60.0
    filled.expire(59.9)
    assert filled.get(1) == b"a"
    filled.expire(60.0)
    assert (filled.get(1), filled.get(2), filled.deadline) == (None, b"b", 61.0)


def test_in_a_silent_room_memory_is_freed_when_the_age_is_over() -> None:
    filled = history(*[b"x" * 100] * 64)
    assert filled.deadline is not None
    filled.expire(filled.deadline)
    assert (len(filled), filled.size, filled.deadline) == (0, 0, None)
    assert (filled.first, filled.newest) == (65, 64)


def test_what_is_unreliable_has_a_sequence_and_is_not_kept() -> None:
    filled = History(10, 1000, 60.0)
    filled.extend([b"", b"a", b"", b"", b"b", b""], 0.0)
    assert all_kept(filled) == {2: b"a", 5: b"b"}
    assert (filled.newest, len(filled)) == (6, 2)
    assert [filled.get(sequence) for sequence in (1, 3, 6)] == [b"", b"", b""]


def test_a_stream_does_not_push_out_what_is_reliable() -> None:
    filled = history(b"hello", count=2)
    filled.skip(1_000_000)
    assert filled.get(1) == b"hello"
    assert filled.get(1_000_001) == b""


def test_nothing_reliable_has_gone_from_a_room_that_had_nothing() -> None:
    filled = History(10, 1000, 60.0)
    filled.skip(5)
    filled.expire(1e9)
    assert (filled.first, filled.get(1), filled.get(6)) == (1, b"", None)


def test_any_range_may_be_asked_for() -> None:
    filled = history(b"a", b"b", count=1)
    filled.skip(2**40)
    assert list(filled.kept(0, 2**64 - 1)) == [(2, b"b")]


def test_the_caller_may_use_its_list_again() -> None:
    batch = [b"a", b"b"]
    filled = History(10, 1000, 60.0)
    filled.extend(batch, 0.0)
    batch.clear()
    assert filled.get(2) == b"b"


@given(st.integers(1, 200), st.integers(1, 70))
def test_a_full_history_stays_full(count: int, batch: int) -> None:
    filled = History(count, 10**6, 60.0)
    for _ in range(3 + count // batch):
        filled.extend([b"datagram"] * batch, 0.0)
    assert len(filled) == count
    assert filled.first == filled.newest - count + 1
