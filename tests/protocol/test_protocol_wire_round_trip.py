"""Encoded datagrams are decoded to the same, by the half that they are for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from protocol_wire import CLASSES, CLIENT_TYPES, DATAGRAMS, ID, any_control, any_datagram, decode

from udprelay.protocol.wire import WireError, decode_from_client, decode_from_relay
from udprelay.protocol.wire.from_client import DataUp, Ping
from udprelay.protocol.wire.from_relay import PathChallenge
from udprelay.protocol.wire.header import (
    DOWN_PAYLOAD_OFFSET,
    HEADER_SIZE,
    MAX_CONTROL,
    MIN_HELLO,
    PREFIX,
    UP_PAYLOAD_OFFSET,
    Type,
)
from udprelay.protocol.wire.joining import Challenge, Hello, Join, Welcome
from udprelay.protocol.wire.sequenced import Data, Entry, Notice, Private


@given(any_datagram)
def test_datagram_is_decoded_as_it_was_encoded(datagram: Any) -> None:
    assert decode(datagram.encode()) == datagram


@given(any_datagram)
def test_decoded_datagram_is_encoded_to_the_same_bytes(datagram: Any) -> None:
    assert decode(datagram.encode()).encode() == datagram.encode()


@given(any_datagram)
def test_every_datagram_begins_with_a_header(datagram: Any) -> None:
    encoded = datagram.encode()
    first_field = getattr(datagram, datagram.__match_args__[0])
    assert encoded[:4] == PREFIX == b"\xfdUR\x01"
    assert CLASSES[Type(encoded[4])] is type(datagram)
    assert encoded[5] == getattr(datagram, "flags", 0)
    assert encoded[6:HEADER_SIZE] == first_field


@given(any_datagram)
def test_the_other_half_refuses_it(datagram: Any) -> None:
    encoded = datagram.encode()
    other = decode_from_relay if encoded[4] in CLIENT_TYPES else decode_from_client
    with pytest.raises(WireError, match="not for this half"):
        other(encoded)


@given(any_control)
def test_control_datagrams_are_small(datagram: Any) -> None:
    assert len(datagram.encode()) <= MAX_CONTROL


@given(DATAGRAMS[Type.HELLO])
def test_hello_is_padded_to_its_minimum_size(hello: Hello) -> None:
    size = len(hello.encode())
    assert size >= MIN_HELLO
    assert size == MIN_HELLO or len(hello.room.encode()) > 100


def test_hello_is_valid_for_room_names_of_any_size() -> None:
    # No padding in CBOR makes these three exactly 200 bytes long.
    padded = {150: 201, 175: 201, 176: 202}
    for size in range(24, 256):
        hello = Hello(ID, "\U00020000" * (size // 4) + ("", "x", "é", "猫")[size % 4])
        assert decode(hello.encode()) == hello
        assert len(hello.encode()) == max(padded.get(size, MIN_HELLO), HEADER_SIZE + 9 + size)


@given(DATAGRAMS[Type.HELLO], DATAGRAMS[Type.CHALLENGE])
def test_a_challenge_is_never_larger_than_a_hello(hello: Hello, challenge: Challenge) -> None:
    assert len(challenge.encode()) <= len(hello.encode())


def test_payloads_begin_at_their_offsets() -> None:
    up = DataUp(ID, 1, 1, b"hello").encode()
    down = Data(ID, 1, 1, 3, 1, b"hello").encode()
    assert up[UP_PAYLOAD_OFFSET:] == down[DOWN_PAYLOAD_OFFSET:] == b"hello"


def test_a_datagram_has_the_bytes_of_the_specification() -> None:
    assert Ping(ID, b"abcdefgh", 258).encode() == (
        b"\xfd\x55\x52\x01\x13\x00" + b"12345678" + b"abcdefgh" + b"\0\0\0\0\0\0\1\2"
    )


def test_secrets_and_payloads_are_not_in_the_representation() -> None:
    secret = b"MARKED"
    shown = [
        DataUp(secret, 1, 1, secret),
        Join(secret, secret, "room", "nick", secret, (1, 1), secret, None, secret),
        Welcome(secret, secret, 3, secret, 0, 1, "ann", 1, 1, 1200, (0, 0), (1, 1), 0, ()),
        Data(secret, 1, 1, 3, 1, secret),
        Private(secret, 1, 1, 3, 1, secret),
        PathChallenge(secret, secret),
    ]
    assert "MARKED" not in repr(shown)


@pytest.mark.parametrize("e", ["", "later", "JOIN", "missed" * 30])
def test_an_entry_of_an_unknown_kind_has_its_place(e: str) -> None:
    known = Entry(ID, 9, 3, None).encode()
    later = known.replace(b"\x61e\x60", b"\x61e\x78" + bytes((len(e),)) + e.encode())
    assert decode_from_relay(later) == Entry(ID, 9, 3, None)


@pytest.mark.parametrize("e", ["", "later", "MISSED", "join"])
def test_a_notice_of_an_unknown_kind_has_its_place(e: str) -> None:
    known = Notice(ID, 9, None).encode()
    later = known.replace(b"\x61e\x60", b"\x61e\x78" + bytes((len(e),)) + e.encode())
    assert decode_from_relay(later) == Notice(ID, 9, None)
