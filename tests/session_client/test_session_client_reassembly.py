"""Messages are reassembled from their pieces, and lost if a piece is missing."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st
from session_client_arrivals import drained

from udprelay.protocol.wire.members import MemberKind
from udprelay.session_client.known_member import KnownMember
from udprelay.session_client.pieces import MAX_MESSAGE
from udprelay.session_client.reassembly import MAX_PARTIAL_BYTES, PIECE_TIMEOUT, Reassembly

ONLY, FIRST, MIDDLE, LAST = 0, 8, 12, 4
ALICE, BOB = b"alice", b"bob"
SENDER, OTHER = (
    KnownMember(number, nick, MemberKind.SESSION, bytes(16), trusted=True)
    for number, nick in enumerate(("Alice", "Bob"))
)


def test_a_message_of_one_piece_is_complete() -> None:
    reassembly = Reassembly()
    assert reassembly.add(ALICE, 1, ONLY, b"all", 0.0, SENDER) == b"all"
    assert reassembly.deadline == inf


def test_a_message_is_complete_with_its_last_piece() -> None:
    reassembly = Reassembly()
    assert reassembly.add(ALICE, 1, FIRST, b"a", 0.0, SENDER) is None
    assert reassembly.add(ALICE, 2, MIDDLE, b"b", 0.0, SENDER) is None
    assert reassembly.add(ALICE, 3, LAST, b"c", 0.0, SENDER) == b"abc"
    assert reassembly.deadline == inf
    assert drained(reassembly.lost) == []


def test_the_pieces_of_two_senders_may_alternate() -> None:
    reassembly = Reassembly()
    reassembly.add(ALICE, 1, FIRST, b"a", 0.0, SENDER)
    reassembly.add(BOB, 1, FIRST, b"1", 0.0, OTHER)
    assert reassembly.add(ALICE, 2, LAST, b"b", 0.0, SENDER) == b"ab"
    assert reassembly.add(BOB, 2, LAST, b"2", 0.0, OTHER) == b"12"


def test_a_piece_without_a_first_piece_is_dropped() -> None:
    reassembly = Reassembly()
    assert reassembly.add(ALICE, 2, MIDDLE, b"b", 0.0, SENDER) is None
    assert reassembly.add(ALICE, 3, LAST, b"c", 0.0, SENDER) is None
    assert reassembly.deadline == inf
    assert drained(reassembly.lost) == []


def test_a_gap_loses_the_message() -> None:
    reassembly = Reassembly()
    reassembly.add(ALICE, 1, FIRST, b"a", 0.0, SENDER)
    assert reassembly.add(ALICE, 3, LAST, b"c", 0.0, SENDER) is None
    assert drained(reassembly.lost) == [(SENDER, ALICE, 0)]
    assert drained(reassembly.lost) == []


def test_the_first_piece_of_another_message_loses_the_message() -> None:
    reassembly = Reassembly()
    reassembly.add(ALICE, 1, FIRST, b"a", 0.0, SENDER)
    assert reassembly.add(ALICE, 2, FIRST, b"b", 0.0, SENDER) is None
    assert reassembly.add(ALICE, 3, LAST, b"c", 0.0, SENDER) == b"bc"
    assert drained(reassembly.lost) == [(SENDER, ALICE, 0)]


def test_a_message_can_be_discarded() -> None:
    reassembly = Reassembly()
    reassembly.add(ALICE, 1, FIRST, b"a", 0.0, SENDER)
    assert reassembly.discard(ALICE)
    assert not reassembly.discard(ALICE)
    assert reassembly.add(ALICE, 2, LAST, b"b", 0.0, SENDER) is None
    assert drained(reassembly.lost) == []


def test_a_message_times_out_60_s_after_its_last_piece() -> None:
    reassembly = Reassembly()
    reassembly.add(ALICE, 1, FIRST, b"a", 0.0, SENDER)
    reassembly.add(BOB, 1, FIRST, b"b", 1.0, OTHER)
    reassembly.add(ALICE, 2, MIDDLE, b"b", 30.0, SENDER)
    assert reassembly.deadline == 1.0 + PIECE_TIMEOUT
    reassembly.expire(1.0 + PIECE_TIMEOUT)
    assert drained(reassembly.lost) == [(OTHER, BOB, 1)]
    assert reassembly.deadline == 30.0 + PIECE_TIMEOUT
    reassembly.expire(1000.0)
    assert drained(reassembly.lost) == [(SENDER, ALICE, 2)]
    assert reassembly.deadline == inf


def test_a_message_above_the_size_limit_is_lost() -> None:
    reassembly = Reassembly()
    reassembly.add(ALICE, 1, FIRST, bytes(MAX_MESSAGE), 0.0, SENDER)
    assert reassembly.add(ALICE, 2, LAST, b"", 0.0, SENDER) == bytes(MAX_MESSAGE)
    reassembly.add(ALICE, 3, FIRST, bytes(MAX_MESSAGE), 0.0, SENDER)
    assert reassembly.add(ALICE, 4, MIDDLE, b"b", 0.0, SENDER) is None
    assert drained(reassembly.lost) == [(SENDER, ALICE, 0)]
    assert reassembly.add(ALICE, 5, LAST, b"c", 0.0, SENDER) is None


def test_the_oldest_message_is_lost_above_the_limit_of_all() -> None:
    reassembly = Reassembly()
    senders = [str(number).encode() for number in range(MAX_PARTIAL_BYTES // MAX_MESSAGE)]
    for sender in senders:
        reassembly.add(sender, 1, FIRST, bytes(MAX_MESSAGE), 0.0, SENDER)
    assert drained(reassembly.lost) == [(SENDER, b"0", 1)]
    assert reassembly.add(b"1", 2, LAST, b"", 0.0, SENDER) == bytes(MAX_MESSAGE)


def test_empty_pieces_count_for_the_limit() -> None:
    reassembly = Reassembly()
    reassembly.add(ALICE, 1, FIRST, b"a", 0.0, SENDER)
    for own in range(2, 200_000):
        reassembly.add(ALICE, own, MIDDLE, b"", 0.0, SENDER)
    ((lost, _, _),) = reassembly.lost
    assert lost == SENDER


@given(st.lists(st.tuples(st.sampled_from([ALICE, BOB]), st.integers(1, 6)), max_size=20))
def test_messages_are_reassembled_as_they_were_split(messages: list[tuple[bytes, int]]) -> None:
    reassembly = Reassembly()
    owns = {ALICE: 0, BOB: 0}
    for index, (sender, pieces) in enumerate(messages):
        message = None
        for piece in range(pieces):
            owns[sender] += 1
            flags = (LAST if piece else 0) | (FIRST if piece + 1 < pieces else 0)
            assert message is None
            message = reassembly.add(sender, owns[sender], flags, b"%d " % index, 0.0, SENDER)
        assert message == b"%d " % index * pieces
    assert drained(reassembly.lost) == []
    assert reassembly.deadline == inf
