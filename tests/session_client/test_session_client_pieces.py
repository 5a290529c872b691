"""Messages that are cut into pieces, and pieces that are kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from udprelay.protocol.wire.header import CONTINUED, MORE
from udprelay.session_client.kept import Kept
from udprelay.session_client.origins import Origins
from udprelay.session_client.pieces import Message, Piece

KIB = 1024


def piece(own: int, size: int = 1) -> Piece:
    return Piece(own, own, 0, bytes(size), b"", 0.0)


def kept(count: int, size: int = 1) -> Kept:
    kept = Kept()
    for own in range(1, count + 1):
        kept.append(piece(own, size), 0.0)
    return kept


def test_a_small_message_is_one_piece_without_flags() -> None:
    assert Message(1, b"hello", b"", 0.0).next_piece(1200) == (0, b"hello")


def test_a_message_of_exactly_one_payload_is_one_piece() -> None:
    assert Message(1, b"12345", b"", 0.0).next_piece(5) == (0, b"12345")


def test_flags_tell_first_middle_and_last_piece() -> None:
    message = Message(1, b"abcde", b"", 0.0)
    pieces = [message.next_piece(2) for _ in range(3)]
    assert pieces == [(MORE, b"ab"), (CONTINUED | MORE, b"cd"), (CONTINUED, b"e")]


@given(st.binary(min_size=1, max_size=500), st.integers(1, 600))
def test_pieces_make_up_the_message_and_are_as_many_as_foretold(payload: bytes, room: int) -> None:
    message = Message(1, payload, b"", 0.0)
    expected = message.pieces_left(room)
    pieces = []
    while not message.done:
        pieces.append(message.next_piece(room)[1])
    assert b"".join(pieces) == payload
    assert len(pieces) == expected
    assert message.pieces_left(room) == 0


def test_a_message_in_memory_is_not_shown_when_it_is_printed() -> None:
    assert "secret" not in repr(Message(1, b"secret", b"", 0.0))
    assert "secret" not in repr(Piece(1, 1, 0, b"secret", b"", 0.0))


def test_1024_pieces_are_kept() -> None:
    assert [p.own for p in kept(1030).take_from(0)] == list(range(7, 1031))


def test_a_mebibyte_is_kept() -> None:
    assert len(kept(300, 4 * KIB).take_from(0)) == 256


def test_pieces_are_kept_for_30_s_of_the_session() -> None:
    pieces = kept(1)
    pieces.append(piece(2), 29.0)
    assert pieces.first == 1
    pieces.append(piece(3), 30.0)
    assert pieces.first == 2


def test_what_is_taken_is_no_longer_kept() -> None:
    pieces = kept(5)
    assert [p.own for p in pieces.take_from(4)] == [4, 5]
    assert [p.own for p in pieces.take_from(0)] == [1, 2, 3]
    assert pieces.first is None


def test_what_was_taken_makes_room_for_others() -> None:
    pieces = kept(256, 4 * KIB)
    pieces.take_from(0)
    pieces.append(piece(257, 4 * KIB), 0.0)
    pieces.append(piece(258, 4 * KIB), 0.0)
    assert pieces.first == 257


def test_pieces_up_to_one_can_be_dropped() -> None:
    pieces = kept(5)
    pieces.drop_to(3)
    assert pieces.first == 4


def test_nothing_kept_can_be_dropped_again() -> None:
    pieces = kept(1)
    pieces.drop_to(3)
    pieces.drop_to(3)
    assert pieces.first is None


def test_origins_tell_the_messages_of_ranges_once_each() -> None:
    origins = Origins()
    for own, message in enumerate([7, 7, 8, 9], start=1):
        origins.add(own, message)
    assert origins.of(((1, 3), (4, 65_535))) == [7, 8, 9]
    assert origins.get(2) == 7


def test_origins_know_the_last_4096_own_sequences() -> None:
    origins = Origins()
    for own in range(1, 4098):
        origins.add(own, own)
    assert origins.get(1) is None
    assert origins.get(2) == 2
    assert len(origins.of(((1, 65_535),))) == 4096


def test_origins_can_forget_a_message() -> None:
    origins = Origins()
    for own, message in enumerate([7, 7, 8], start=1):
        origins.add(own, message)
    origins.forget(7)
    assert origins.of(((1, 3),)) == [8]


def test_origins_can_forget_everything() -> None:
    origins = Origins()
    origins.add(1, 7)
    origins.clear()
    assert origins.get(1) is None
