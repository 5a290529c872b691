"""The entries of a room are kept apart from its messages."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from relay_driver import BERT
from relay_session import Client, SessionRelay, joined, session_rules

from udprelay.protocol.wire.from_client import Leave
from udprelay.protocol.wire.from_relay import Gone
from udprelay.protocol.wire.ranges import Reason
from udprelay.protocol.wire.sequenced import Data, Entry
from udprelay.relay.session.entry_history import MAX_SIZE, EntryHistory

steps = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 20), st.integers(0, 4)))


@given(steps, st.integers(0, 8), st.integers(0, 60), st.integers(0, 50), st.integers(0, 50))
def test_it_has_the_newest_within_its_limits(
    added: list[tuple[int, int, int]], count: int, size: int, first: int, last: int
) -> None:
    history, sequence, now, removed = EntryHistory(count, size, 5.0), 0, 0, 0
    model: list[tuple[int, bytes, int]] = []
    for step, length, seconds in added:
        sequence, now = sequence + step, now + seconds
        history.append(sequence, b"x" * length, now)
        model.append((sequence, b"x" * length, now))
        while model and (
            len(model) > count
            or sum(len(entry) for _, entry, _ in model) > size
            or model[0][2] + 5.0 <= now
        ):
            removed = model.pop(0)[0]
    wanted = [(n, entry) for n, entry, _ in model if first <= n <= last]
    assert [*history.stored(first, last)] == wanted
    assert (history.first, len(history)) == (removed + 1, len(model))
    assert history.size == sum(len(entry) for _, entry, _ in model)
    assert history.total == sum(length for _, length, _ in added)


def test_a_large_history_has_no_more_than_256_kib() -> None:
    history = EntryHistory(10_000, 2**30, 60.0)
    for sequence in range(1, 2000):
        history.append(sequence, b"x" * 1000, 0.0)
    assert MAX_SIZE - 1000 < history.size <= MAX_SIZE


def come_and_go(relay: SessionRelay, times: int) -> None:
    for _ in range(times):
        visitor = Client(relay, "10.9.9.9:9", "visitor")
        visitor.join()
        visitor.send(Leave(visitor.id).encode())


def test_who_comes_and_goes_pushes_out_no_message() -> None:
    relay = SessionRelay(session_rules(room={"history": 4}))
    anna, bert = joined(relay, "anna", "bert")
    anna.send_data(b"hello")
    come_and_go(relay, 20)
    assert [answer.payload for answer in bert.nack((3, 1)) if isinstance(answer, Data)] == [
        b"hello"
    ]


def test_messages_push_out_no_entry() -> None:
    relay = SessionRelay(session_rules(room={"history": 4}))
    (anna,) = joined(relay, "anna")
    Client(relay, BERT, "bert").join()
    for _ in range(20):
        anna.send_data(b"x")
    assert [type(answer) for answer in anna.nack((2, 1))] == [Entry]


def test_entries_that_have_left_the_history_are_gone() -> None:
    relay = SessionRelay(session_rules(room={"history": 4}))
    (anna,) = joined(relay, "anna")
    come_and_go(relay, 4)
    (answer,) = [one for one in anna.nack((2, 8)) if isinstance(one, Gone)]
    assert answer.ranges == ((2, 4, Reason.NOT_IN_HISTORY),)


def test_entries_leave_the_history_of_a_silent_room() -> None:
    relay = SessionRelay(session_rules(room={"session_timeout": 1000.0}))
    (anna,) = joined(relay, "anna")
    Client(relay, BERT, "bert").join()
    assert relay.hub.census.read()["history.datagrams"] == 2
    relay.wait(131)
    census = relay.hub.census.read()
    assert (census["history.datagrams"], census["history.bytes"]) == (0, 0)
    assert len(anna.nack((2, 1))) == 1
