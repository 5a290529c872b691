"""Decoding any bytes raises only WireError; invalid datagrams are not encoded."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol_wire import (
    CLIENT_TYPES,
    DATAGRAMS,
    ID,
    RELAY_TYPES,
    WITH_PAYLOAD,
    any_datagram,
    decode,
)

from udprelay.protocol.wire import WireError, decode_from_client, decode_from_relay
from udprelay.protocol.wire.entries import JoinEntry, MissedNotice, NickEntry
from udprelay.protocol.wire.from_client import (
    DataUp,
    Leave,
    Missed,
    Nack,
    NickRequest,
    PathResponse,
    Ping,
    PrivateUp,
    RosterRequest,
)
from udprelay.protocol.wire.from_relay import (
    Ack,
    Bye,
    Gone,
    Heartbeat,
    Members,
    Nicked,
    PathChallenge,
    Pong,
    Waiting,
)
from udprelay.protocol.wire.header import HEADER_SIZE, MAX_CONTROL, PREFIX, SIGNATURE, Type
from udprelay.protocol.wire.joining import (
    Challenge,
    Hello,
    Join,
    Refused,
    Unknown,
    Versions,
    Welcome,
)
from udprelay.protocol.wire.members import MemberKind, MemberRecord
from udprelay.protocol.wire.sequenced import Data, Entry, Notice, Private

OF_ANY_LENGTH = (*WITH_PAYLOAD, Type.VERSIONS, Type.NACK, Type.ACK, Type.GONE, Type.PING)
"""Types whose truncated datagrams may be valid."""
EXACT = tuple(kind for kind in Type if kind not in (*WITH_PAYLOAD, Type.VERSIONS))

both_halves = pytest.mark.parametrize("read", [decode_from_client, decode_from_relay])


def head(kind: int, flags: int = 0, identifier: bytes = ID) -> bytes:
    return PREFIX + bytes((kind, flags)) + identifier


def refused(datagram: bytes) -> bool:
    """Return whether both halves refuse a datagram."""
    for read in (decode_from_client, decode_from_relay):
        with contextlib.suppress(WireError):
            read(datagram)
            return False
    return True


def decode_or_refuse(datagram: bytes) -> None:
    """Check that a decoded datagram can be encoded and decoded to the same."""
    for read in (decode_from_client, decode_from_relay):
        with contextlib.suppress(WireError):
            decoded = read(datagram)
            assert read(decoded.encode()) == decoded


# --- any bytes


@given(st.binary(max_size=100))
def test_any_bytes_are_decoded_or_refused(datagram: bytes) -> None:
    decode_or_refuse(datagram)


@given(st.binary(max_size=100))
def test_any_bytes_behind_the_signature_are_decoded_or_refused(rest: bytes) -> None:
    decode_or_refuse(PREFIX + rest)


@given(st.sampled_from(Type), st.sampled_from([0, 0, 0, 1, 3, 5, 31]), st.binary(max_size=120))
def test_any_bytes_behind_the_header_are_decoded_or_refused(
    kind: Type, flags: int, rest: bytes
) -> None:
    decode_or_refuse(head(kind, flags) + rest)


@given(any_datagram, st.data())
def test_a_datagram_with_a_changed_byte_is_decoded_or_refused(
    datagram: Any, data: st.DataObject
) -> None:
    changed = bytearray(datagram.encode())
    changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    decode_or_refuse(bytes(changed))


# --- headers


@both_halves
@pytest.mark.parametrize("size", range(HEADER_SIZE))
def test_a_truncated_header_is_refused(read: Any, size: int) -> None:
    with pytest.raises(WireError, match="no header"):
        read(head(Type.LEAVE)[:size])


@both_halves
@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_refused(read: Any, version: int) -> None:
    with pytest.raises(WireError, match="version"):
        read(SIGNATURE + bytes((version,)) + head(Type.LEAVE)[4:])


@both_halves
@pytest.mark.parametrize("at", range(3))
def test_another_signature_is_refused(read: Any, at: int) -> None:
    datagram = bytearray(head(Type.LEAVE))
    datagram[at] ^= 1
    with pytest.raises(WireError, match="no header"):
        read(bytes(datagram))


def test_the_signature_is_not_utf_8() -> None:
    with pytest.raises(UnicodeDecodeError):
        SIGNATURE.decode()


@both_halves
def test_unknown_types_are_refused(read: Any) -> None:
    for kind in set(range(256)) - set(Type):
        with pytest.raises(WireError, match="not for this half"):
            read(head(kind) + bytes(300))


@both_halves
def test_types_of_the_other_half_are_refused(read: Any) -> None:
    for kind in RELAY_TYPES if read is decode_from_client else CLIENT_TYPES:
        with pytest.raises(WireError, match="not for this half"):
            read(head(kind) + bytes(300))


# --- flags


@given(any_datagram)
def test_control_datagrams_with_flags_are_refused(datagram: Any) -> None:
    encoded = bytearray(datagram.encode())
    if encoded[4] not in WITH_PAYLOAD:
        for flags in range(1, 256):
            encoded[5] = flags
            assert refused(bytes(encoded))


FLAGS = [0, 2, *range(1, 32, 2)]


@pytest.mark.parametrize("flags", range(256))
def test_invalid_flags_are_refused(flags: int) -> None:
    private_sequence = bytes((0, 0, 0, 0, 0, 0, 0, flags & 1))
    datagrams = [
        head(Type.DATA_UP, flags) + bytes.fromhex("00000001") + b"text",
        head(Type.PRIVATE_UP, flags) + bytes.fromhex("00000001") + bytes(16) + b"text",
        head(Type.DATA, flags) + bytes.fromhex("0000000000000001 00000003 00000001") + b"text",
        head(Type.PRIVATE, flags)
        + private_sequence
        + bytes.fromhex("00000003 00000001")
        + b"text",
    ]
    assert [refused(datagram) for datagram in datagrams] == [flags not in FLAGS] * 4


# --- lengths


@given(any_datagram)
def test_a_truncated_datagram_is_refused_or_has_less_content(datagram: Any) -> None:
    encoded = datagram.encode()
    for size in range(len(encoded)):
        short = encoded[:size]
        if encoded[4] not in OF_ANY_LENGTH or size < HEADER_SIZE:
            assert refused(short)
        elif not refused(short):
            assert decode(short).encode() == short


@given(any_datagram.filter(lambda datagram: datagram.encode()[4] in EXACT), st.binary(min_size=1))
def test_bytes_behind_a_datagram_are_refused(datagram: Any, more: bytes) -> None:
    encoded = datagram.encode() + more
    if encoded[4] in OF_ANY_LENGTH and not refused(encoded):
        # The bytes are one more valid range, or the private sequence of PING.
        assert decode(encoded).encode() == encoded
    else:
        assert refused(encoded)


@pytest.mark.parametrize("kind", WITH_PAYLOAD)
def test_messages_without_a_payload_are_refused(kind: Type) -> None:
    up_to_payload = {
        Type.DATA_UP: "00000001",
        Type.PRIVATE_UP: "00000001" + "00" * 16,
        Type.DATA: "0000000000000001 00000003 00000001",
        Type.PRIVATE: "0000000000000001 00000003 00000001",
    }[kind]
    datagram = head(kind, 1) + bytes.fromhex(up_to_payload)
    assert refused(datagram)
    assert not refused(datagram + b"x")


@pytest.mark.parametrize("kind", WITH_PAYLOAD)
def test_messages_of_the_maximum_size_of_udp_are_valid(kind: Type) -> None:
    size = 65_507 - HEADER_SIZE - 20
    datagram = {
        Type.DATA_UP: DataUp(ID, 0, 1, bytes(size)),
        Type.PRIVATE_UP: PrivateUp(ID, 0, 1, bytes(16), bytes(size)),
        Type.DATA: Data(ID, 0, 1, 3, 1, bytes(size)),
        Type.PRIVATE: Private(ID, 0, 0, 3, 1, bytes(size)),
    }[kind]
    assert decode(datagram.encode()) == datagram


@pytest.mark.parametrize("kind", [kind for kind in Type if kind not in WITH_PAYLOAD])
def test_large_control_datagrams_are_refused(kind: Type) -> None:
    with pytest.raises(WireError, match=f"more than {MAX_CONTROL}"):
        decode(head(kind) + bytes(MAX_CONTROL - HEADER_SIZE + 1))


# --- fields of fixed size


@pytest.mark.parametrize(
    ("kind", "rest"),
    [
        (Type.DATA_UP, "00000000 78"),
        (Type.DATA_UP, "ffffffff 78"),
        (Type.PRIVATE_UP, "00000000 00000000000000000000000000000000 78"),
        (Type.PRIVATE_UP, "ffffffff 00000000000000000000000000000000 78"),
        (Type.NACK, "02 0000000000000001 0001"),
        (Type.NACK, "00"),
        (Type.DATA, "0000000000000000 00000003 00000001 78"),
        (Type.DATA, "0000000000000001 00000003 ffffffff 78"),
        (Type.ENTRY, "0000000000000000 00000003 00000000 a1616560"),
        (Type.ENTRY, "0000000000000001 00000003 00000001 a1616560"),
        (Type.PRIVATE, "0000000000000001 00000003 00000000 78"),
        (Type.PRIVATE, "0000000000000000 00000003 00000001 78"),
        (Type.NOTICE, "0000000000000000 00000000 00000000 a1616560"),
        (Type.NOTICE, "0000000000000001 00000003 00000000 a1616560"),
        (Type.NOTICE, "0000000000000001 00000000 00000001 a1616560"),
        (Type.ACK, "00000000 0000000000000000 00000001 0000000000000000"),
        (Type.ACK, "00000001 0000000000000000 00000000 0000000000000000"),
        (Type.GONE, "02 0000000000000001 0001 00"),
        (Type.GONE, "00 0000000000000001 0001 03"),
        (Type.GONE, "00"),
        (Type.VERSIONS, ""),
        (Type.VERSIONS, "00" * 17),
    ],
)
def test_numbers_out_of_bounds_are_refused(kind: Type, rest: str) -> None:
    flags = int(kind in WITH_PAYLOAD)
    identifier = bytes(8) if kind == Type.VERSIONS else ID
    assert refused(head(kind, flags, identifier) + bytes.fromhex(rest))


@pytest.mark.parametrize("flags", [0, 2, 3, 5, 17])
def test_data_without_own_sequence_is_reliable_and_nothing_else(flags: int) -> None:
    place = bytes.fromhex("0000000000000001 00000003 00000000")
    assert not refused(head(Type.DATA, 1) + place + b"hello")
    assert refused(head(Type.DATA, flags) + place + b"hello")


# --- encoding

GUEST = MemberRecord(3, "ann", MemberKind.PLAIN, b"", 0, b"")
LARGE = MemberRecord(3, "x" * 64, MemberKind.SESSION, b"i" * 16, 7, b"b" * 16)
SEVEN = ID[:7]
SECRET, COOKIE = b"s" * 16, b"c" * 20


def welcome(**changes: Any) -> Welcome:
    fields: dict[str, Any] = {
        "nonce": ID,
        "session_id": ID,
        "number": 3,
        "tag": ID,
        "newest": 9,
        "first": 10,
        "nick": "ann",
        "keepalive": 10_000,
        "idle": 45_000,
        "largest": 1200,
        "allowance": (0, 0),
        "next_own": (1, 1),
        "newest_private": 0,
        "members": (),
    }
    return Welcome(**(fields | changes))


@pytest.mark.parametrize(
    "datagram",
    [
        Hello(SEVEN, "lobby"),
        Hello(ID, "no room"),
        Hello(ID, "lobby", ()),
        Challenge(ID, b"", SECRET),
        Challenge(ID, COOKIE, b"salt"),
        Join(ID, COOKIE, "lobby", "x" * 257, SECRET),
        Join(ID, COOKIE, "lobby", "ann", SECRET, (0, 1)),
        Join(ID, COOKIE, "lobby", "ann", SECRET, proof=b"p" * 32),
        Join(ID, COOKIE, "lobby", "ann", SECRET, tag=ID),
        Join(ID, COOKIE, "lobby", "\ud800", SECRET),
        welcome(session_id=SEVEN),
        welcome(first=11),
        welcome(nick="x" * 65),
        welcome(allowance=(True, 0)),
        welcome(members=(LARGE,) * 12),
        welcome(members=(GUEST,) * 65),
        Refused(ID, "", "sentence", 0),
        Refused(ID, "room-full", "x" * 201, 0),
        Refused(ID, "room-full", "The room is full.", 2**32),
        Unknown(SEVEN),
        Versions(ID, ()),
        Versions(ID, (256,)),
        Versions(SEVEN, (1,)),
        DataUp(SEVEN, 1, 1, b"text"),
        DataUp(ID, 4, 1, b"text"),
        DataUp(ID, 32, 1, b"text"),
        DataUp(ID, 1, 0, b"text"),
        DataUp(ID, 1, 2**32 - 1, b"text"),
        DataUp(ID, 1, 1, b""),
        PrivateUp(ID, 1, 1, b"short", b"text"),
        PrivateUp(ID, 1, 0, SECRET, b"text"),
        Nack(ID, 0, ()),
        Nack(ID, 2, ((1, 1),)),
        Ping(ID, SEVEN, 0),
        Ping(ID, ID, 2**64),
        Ping(ID, ID, -1),
        Ping(ID, ID, 0, 2**64),
        Waiting(ID, (2**32,)),
        Waiting(ID, (1,) * 65),
        Leave(SEVEN),
        RosterRequest(ID, 2**32),
        NickRequest(ID, -1, "ann"),
        NickRequest(ID, 1, "ann", b"badge"),
        PathResponse(ID, SEVEN),
        Missed(ID, 3, ()),
        Missed(ID, 3, ((2**32 - 2, 2),)),
        Data(ID, 1, 0, 3, 1, b"text"),
        Data(ID, 0, 1, 3, 0, b"text"),
        Data(ID, 1, 1, 2**32, 1, b"text"),
        Entry(ID, 0, 3, None),
        Entry(ID, 2**64, 3, None),
        Entry(ID, 9, 3, JoinEntry("ann", MemberKind.PLAIN, SECRET, 0, b"")),
        Entry(ID, 9, 3, JoinEntry("ann", MemberKind.SESSION, b"", 0, b"")),
        Entry(ID, 9, 3, JoinEntry("ann", MemberKind.TARGET, b"", 0, b"")),
        Entry(ID, 9, 3, NickEntry("", b"")),
        Private(ID, 1, 0, 3, 1, b"text"),
        Private(ID, 0, 1, 3, 1, b"text"),
        Notice(ID, 0, None),
        Notice(ID, 9, MissedNotice(3, ())),
        Ack(ID, 0, 0, 1, 0),
        Ack(ID, 1, 0, 2**32, 0),
        Ack(ID, 1, 2**64, 1, 0),
        Ack(ID, 1, 0, 1, 0, ((2, 1), (1, 1))),
        Gone(ID, 0, ((1, 1, 3),)),
        Gone(ID, 2, ((1, 1, 0),)),
        Heartbeat(SEVEN, 1),
        Heartbeat(ID, 2**64),
        Pong(ID, SEVEN, 0, 0),
        Members(ID, 0, 0, (LARGE,) * 13),
        Members(ID, 0, 0, (GUEST,), -1),
        PathChallenge(ID, SEVEN),
        Bye(ID, "", "sentence", 0),
        Nicked(ID, 1, None),
        Nicked(ID, 1, "ann", "nick-taken", "sentence"),
        Nicked(ID, 1, "ann", sentence="sentence"),
    ],
)
def test_invalid_datagrams_are_not_encoded(datagram: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        datagram.encode()


def test_every_type_has_a_strategy() -> None:
    assert set(DATAGRAMS) == set(Type) == {*CLIENT_TYPES, *RELAY_TYPES}
