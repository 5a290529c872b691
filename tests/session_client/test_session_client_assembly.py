"""Messages are put together from their pieces, and lost if a piece does not come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from udprelay.session_client.assembly import (
    LARGEST_MESSAGE,
    MOST_BYTES,
    PATIENCE,
    Assembly,
)

WHOLE, FIRST, MIDDLE, LAST = 0, 8, 12, 4
ALICE, BOB = b"alice", b"bob"


def test_a_message_in_one_piece_is_whole():
    assembly = Assembly()
    assert assembly.take(ALICE, 1, WHOLE, b"all", 0.0, "Alice") == b"all"
    assert assembly.deadline is None


def test_a_message_is_whole_with_its_last_piece():
    assembly = Assembly()
    assert assembly.take(ALICE, 1, FIRST, b"a", 0.0, "Alice") is None
    assert assembly.take(ALICE, 2, MIDDLE, b"b", 0.0, "Alice") is None
    assert assembly.take(ALICE, 3, LAST, b"c", 0.0, "Alice") == b"abc"
    assert assembly.deadline is None
    assert assembly.take_lost() == []


def test_the_pieces_of_senders_may_be_mixed():
    assembly = Assembly()
    assembly.take(ALICE, 1, FIRST, b"a", 0.0, "Alice")
    assembly.take(BOB, 1, FIRST, b"1", 0.0, "Bob")
    assert assembly.take(ALICE, 2, LAST, b"b", 0.0, "Alice") == b"ab"
    assert assembly.take(BOB, 2, LAST, b"2", 0.0, "Bob") == b"12"


def test_a_piece_that_continues_nothing_is_dropped():
    assembly = Assembly()
    assert assembly.take(ALICE, 2, MIDDLE, b"b", 0.0, "Alice") is None
    assert assembly.take(ALICE, 3, LAST, b"c", 0.0, "Alice") is None
    assert assembly.deadline is None
    assert assembly.take_lost() == []


def test_a_piece_that_does_not_follow_ends_the_message():
    assembly = Assembly()
    assembly.take(ALICE, 1, FIRST, b"a", 0.0, "Alice")
    assert assembly.take(ALICE, 3, LAST, b"c", 0.0, "Alice") is None
    assert assembly.take_lost() == ["Alice"]
    assert assembly.take_lost() == []


def test_the_beginning_of_another_message_ends_the_message():
    assembly = Assembly()
    assembly.take(ALICE, 1, FIRST, b"a", 0.0, "Alice")
    assert assembly.take(ALICE, 2, FIRST, b"b", 0.0, "Alice") is None
    assert assembly.take(ALICE, 3, LAST, b"c", 0.0, "Alice") == b"bc"
    assert assembly.take_lost() == ["Alice"]
    assert assembly.take_given_up() == []


def test_a_message_can_be_forgotten():
    assembly = Assembly()
    assembly.take(ALICE, 1, FIRST, b"a", 0.0, "Alice")
    assert assembly.broken(ALICE)
    assert not assembly.broken(ALICE)
    assert assembly.take(ALICE, 2, LAST, b"b", 0.0, "Alice") is None
    assert assembly.take_lost() == []


def test_a_message_is_lost_a_minute_after_its_last_piece():
    assembly = Assembly()
    assembly.take(ALICE, 1, FIRST, b"a", 0.0, "Alice")
    assembly.take(BOB, 1, FIRST, b"b", 1.0, "Bob")
    assembly.take(ALICE, 2, MIDDLE, b"b", 30.0, "Alice")
    assert assembly.deadline == 1.0 + PATIENCE
    assembly.expire(1.0 + PATIENCE)
    assert assembly.take_lost() == ["Bob"]
    assert assembly.take_given_up() == [(BOB, "Bob", 1)]
    assert assembly.take_given_up() == []
    assert assembly.deadline == 30.0 + PATIENCE
    assembly.expire(1000.0)
    assert assembly.take_lost() == ["Alice"]
    assert assembly.deadline is None


def test_a_message_has_a_largest_size():
    assembly = Assembly()
    assembly.take(ALICE, 1, FIRST, bytes(LARGEST_MESSAGE), 0.0, "Alice")
    assert assembly.take(ALICE, 2, LAST, b"", 0.0, "Alice") == bytes(LARGEST_MESSAGE)
    assembly.take(ALICE, 3, FIRST, bytes(LARGEST_MESSAGE), 0.0, "Alice")
    assert assembly.take(ALICE, 4, MIDDLE, b"b", 0.0, "Alice") is None
    assert assembly.take_lost() == ["Alice"]
    assert assembly.take(ALICE, 5, LAST, b"c", 0.0, "Alice") is None


def test_too_much_in_all_loses_the_oldest():
    assembly = Assembly()
    senders = [str(number).encode() for number in range(MOST_BYTES // LARGEST_MESSAGE)]
    for sender in senders:
        assembly.take(sender, 1, FIRST, bytes(LARGEST_MESSAGE), 0.0, sender.decode())
    assert assembly.take_lost() == ["0"]
    assert assembly.take_given_up() == [(b"0", "0", 1)]
    assert assembly.take(b"1", 2, LAST, b"", 0.0, "Alice") == bytes(LARGEST_MESSAGE)


def test_tiny_pieces_are_not_free():
    assembly = Assembly()
    assembly.take(ALICE, 1, FIRST, b"a", 0.0, "Alice")
    for own in range(2, 200_000):
        assembly.take(ALICE, own, MIDDLE, b"", 0.0, "Alice")
    assert assembly.take_lost() == ["Alice"]


@given(st.lists(st.tuples(st.sampled_from([ALICE, BOB]), st.integers(1, 6)), max_size=20))
def test_messages_come_out_as_they_were_cut(messages):
    assembly = Assembly()
    owns = {ALICE: 0, BOB: 0}
    for index, (sender, pieces) in enumerate(messages):
        whole = None
        for piece in range(pieces):
            owns[sender] += 1
            flags = (LAST if piece else 0) | (FIRST if piece + 1 < pieces else 0)
            assert whole is None
            whole = assembly.take(sender, owns[sender], flags, b"%d " % index, 0.0, "Alice")
        assert whole == b"%d " % index * pieces
    assert assembly.take_lost() == []
    assert assembly.deadline is None
