"""What is encoded is decoded to the same, on the side that it is for and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from protocol_wire import CLASSES, CLIENT_TYPES, DATAGRAMS, ID, any_control, any_datagram, decode

from udprelay.protocol.wire import WireError, decode_from_client, decode_from_relay
from udprelay.protocol.wire.from_client import DataUp, Ping
from udprelay.protocol.wire.from_relay import Data, Entry, Notice, PathChallenge, Private
from udprelay.protocol.wire.header import (
    DOWN_DATA,
    HEADER,
    LARGEST_CONTROL,
    LEAST_HELLO,
    PREFIX,
    UP_DATA,
    Type,
)
from udprelay.protocol.wire.joining import Challenge, Hello, Join, Welcome


@settings(max_examples=1000)
@given(any_datagram)
def test_what_is_encoded_is_decoded_to_the_same(datagram: Any) -> None:
    assert decode(datagram.encode()) == datagram


@given(any_datagram)
def test_the_same_is_encoded_to_the_same_bytes(datagram: Any) -> None:
    assert decode(datagram.encode()).encode() == datagram.encode()


@given(any_datagram)
def test_all_have_the_same_header(datagram: Any) -> None:
    encoded = datagram.encode()
    assert encoded[:4] == PREFIX == b"\xfdUR\x01"
    assert CLASSES[Type(encoded[4])] is type(datagram)
    assert encoded[5] == getattr(datagram, "flags", 0)
    first_field = getattr(datagram, type(datagram).__match_args__[0])
    assert encoded[6:HEADER] == first_field


@given(any_datagram)
def test_the_other_side_takes_none_of_it(datagram: Any) -> None:
    encoded = datagram.encode()
    other = decode_from_relay if encoded[4] in CLIENT_TYPES else decode_from_client
    with pytest.raises(WireError, match="not for this side"):
        other(encoded)


@given(any_control)
def test_what_is_no_message_is_small(datagram: Any) -> None:
    assert len(datagram.encode()) <= LARGEST_CONTROL


@given(DATAGRAMS[Type.HELLO])
def test_hello_is_padded_to_just_what_it_needs(hello: Hello) -> None:
    assert len(hello.encode()) == LEAST_HELLO


@given(DATAGRAMS[Type.HELLO], DATAGRAMS[Type.CHALLENGE])
def test_a_challenge_is_never_larger_than_a_hello(hello: Hello, challenge: Challenge) -> None:
    assert len(challenge.encode()) <= len(hello.encode())


def test_payloads_begin_where_the_relay_looks_for_them() -> None:
    up = DataUp(ID, 1, 1, b"hello").encode()
    down = Data(ID, 1, 1, 3, 1, b"hello").encode()
    assert up[UP_DATA:] == down[DOWN_DATA:] == b"hello"


def test_a_datagram_has_the_bytes_of_the_specification() -> None:
    assert Ping(ID, b"abcdefgh", 258).encode() == (
        b"\xfd\x55\x52\x01\x13\x00" + b"12345678" + b"abcdefgh" + b"\0\0\0\0\0\0\1\2"
    )


def test_what_others_must_not_know_is_not_shown() -> None:
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
def test_an_entry_of_a_later_kind_still_takes_its_place(e: str) -> None:
    known = Entry(ID, 9, 3, None).encode()
    later = known.replace(b"\x61e\x60", b"\x61e\x78" + bytes((len(e),)) + e.encode())
    assert decode_from_relay(later) == Entry(ID, 9, 3, None)


@pytest.mark.parametrize("e", ["", "later", "MISSED", "join"])
def test_a_notice_of_a_later_kind_still_takes_its_place(e: str) -> None:
    known = Notice(ID, 9, None).encode()
    later = known.replace(b"\x61e\x60", b"\x61e\x78" + bytes((len(e),)) + e.encode())
    assert decode_from_relay(later) == Notice(ID, 9, None)
