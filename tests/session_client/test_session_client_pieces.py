"""Slicing messages, acknowledged pieces, and the index of messages."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from udprelay.protocol.wire.header import CONTINUED, MORE
from udprelay.session_client.pieces import AcknowledgedPieces, Message, MessageIndex, Piece

KIB = 1024


def piece(own: int, size: int = 1) -> Piece:
    return Piece(own, own, 0, bytes(size), b"", 0.0)


def acknowledged(count: int, size: int = 1) -> AcknowledgedPieces:
    acknowledged = AcknowledgedPieces()
    for own in range(1, count + 1):
        acknowledged.append(piece(own, size), 0.0)
    return acknowledged


def test_a_small_message_is_one_piece_without_flags() -> None:
    assert Message(1, b"hello", b"", 0.0).slice_piece(1200) == (0, b"hello")


def test_a_message_of_the_largest_size_is_one_piece() -> None:
    assert Message(1, b"12345", b"", 0.0).slice_piece(5) == (0, b"12345")


def test_flags_distinguish_first_middle_and_last_piece() -> None:
    message = Message(1, b"abcde", b"", 0.0)
    pieces = [message.slice_piece(2) for _ in range(3)]
    assert pieces == [(MORE, b"ab"), (CONTINUED | MORE, b"cd"), (CONTINUED, b"e")]


@given(st.binary(min_size=1, max_size=500), st.integers(1, 600))
def test_pieces_join_to_the_message_and_match_the_count(payload: bytes, max_piece: int) -> None:
    message = Message(1, payload, b"", 0.0)
    expected = message.pieces_left(max_piece)
    pieces = []
    while not message.done:
        pieces.append(message.slice_piece(max_piece)[1])
    assert b"".join(pieces) == payload
    assert len(pieces) == expected
    assert message.pieces_left(max_piece) == 0


def test_payloads_are_not_in_the_repr() -> None:
    assert "secret" not in repr(Message(1, b"secret", b"", 0.0))
    assert "secret" not in repr(Piece(1, 1, 0, b"secret", b"", 0.0))


def test_the_last_1024_acknowledged_pieces_are_available() -> None:
    assert [p.own for p in acknowledged(1030).pop_from(0)] == list(range(7, 1031))


def test_one_mebibyte_of_acknowledged_pieces_is_available() -> None:
    assert len(acknowledged(300, 4 * KIB).pop_from(0)) == 256


def test_acknowledged_pieces_are_available_for_30_s() -> None:
    pieces = acknowledged(1)
    pieces.append(piece(2), 29.0)
    assert pieces.first == 1
    pieces.append(piece(3), 30.0)
    assert pieces.first == 2


def test_popped_pieces_are_removed() -> None:
    pieces = acknowledged(5)
    assert [p.own for p in pieces.pop_from(4)] == [4, 5]
    assert [p.own for p in pieces.pop_from(0)] == [1, 2, 3]
    assert pieces.first is None


def test_popped_pieces_free_space_for_others() -> None:
    pieces = acknowledged(256, 4 * KIB)
    pieces.pop_from(0)
    pieces.append(piece(257, 4 * KIB), 0.0)
    pieces.append(piece(258, 4 * KIB), 0.0)
    assert pieces.first == 257


def test_pieces_up_to_an_own_sequence_can_be_dropped() -> None:
    pieces = acknowledged(5)
    pieces.drop_to(3)
    assert pieces.first == 4


def test_dropping_twice_has_no_effect() -> None:
    pieces = acknowledged(1)
    pieces.drop_to(3)
    pieces.drop_to(3)
    assert pieces.first is None


def test_the_index_finds_each_message_of_ranges_once() -> None:
    index = MessageIndex()
    for own, message in enumerate([7, 7, 8, 9], start=1):
        index.add(own, message)
    assert index.find(((1, 3), (4, 65_535))) == [7, 8, 9]
    assert index.get(2) == 7


def test_the_index_has_the_last_4096_own_sequences() -> None:
    index = MessageIndex()
    for own in range(1, 4098):
        index.add(own, own)
    assert index.get(1) is None
    assert index.get(2) == 2
    assert len(index.find(((1, 65_535),))) == 4096


def test_a_message_can_be_removed_from_the_index() -> None:
    index = MessageIndex()
    for own, message in enumerate([7, 7, 8], start=1):
        index.add(own, message)
    index.remove(7)
    assert index.find(((1, 3),)) == [8]


def test_the_index_can_be_cleared() -> None:
    index = MessageIndex()
    index.add(1, 7)
    index.clear()
    assert index.get(1) is None
