"""The header of every datagram: signature, version, type, flags and id."""

from __future__ import annotations

import struct
from enum import IntEnum

SIGNATURE = b"\xfdUR"
VERSION = 1
PREFIX = SIGNATURE + bytes((VERSION,))

TYPE_OFFSET = 4
FLAGS_OFFSET = 5
HEADER_SIZE = 14
"""Bytes."""
ID = slice(6, HEADER_SIZE)
"""The id in a header."""
OWN_SIZE = 4
"""Bytes of the own sequence, the first field of DATA from a client."""
UP_PAYLOAD_OFFSET = HEADER_SIZE + OWN_SIZE
"""Bytes in front of the payload of DATA from a client."""
DOWN_PAYLOAD_OFFSET = 30
"""Bytes in front of the payload of DATA and PRIVATE from a relay."""

MAX_CONTROL = 1232
"""Bytes of a datagram that is neither DATA nor PRIVATE."""
MIN_HELLO = 200
"""Bytes of a HELLO."""

MAX_U32 = 2**32 - 1
MAX_U64 = 2**64 - 1
MAX_OWN = MAX_U32 - 1
"""The last own sequence: the one after it still fits its field."""
EARLY_WINDOW = 64
"""Own sequences after the next one that a relay accepts early: the bits of the bitmap in ACK."""

RELIABLE = 1
SEALED = 2
CONTINUED = 4
MORE = 8
RESUBMITTED = 16

_FLAGS = frozenset((0, SEALED, *(flags for flags in range(32) if flags & RELIABLE)))


class WireError(Exception):
    """A datagram breaks a rule of the protocol; the message says which."""


class Type(IntEnum):
    """Types of datagrams: the handshake below 0x10, a member's below 0x20, to a member above."""

    HELLO = 0x01
    CHALLENGE = 0x02
    JOIN = 0x03
    WELCOME = 0x04
    REFUSED = 0x05
    UNKNOWN = 0x06
    VERSIONS = 0x07

    DATA_UP = 0x10
    PRIVATE_UP = 0x11
    NACK = 0x12
    PING = 0x13
    LEAVE = 0x14
    ROSTER = 0x15
    NICK = 0x16
    PATH_RESPONSE = 0x17
    MISSED = 0x18

    DATA = 0x20
    ENTRY = 0x21
    PRIVATE = 0x22
    NOTICE = 0x23
    ACK = 0x24
    GONE = 0x25
    HEARTBEAT = 0x26
    PONG = 0x27
    MEMBERS = 0x28
    PATH_CHALLENGE = 0x29
    BYE = 0x2A
    NICKED = 0x2B
    WAITING = 0x2C


def header(kind: Type, identifier: bytes, flags: int = 0) -> bytes:
    """
    Return a header.

    :param identifier: 8 bytes: nonce, session id or room tag, by type.
    :raises ValueError: if ``identifier`` has another length.
    """
    return b"%b%c%c%b" % (PREFIX, kind, flags, eight_bytes(identifier))


def eight_bytes(value: bytes) -> bytes:
    """
    Return ``value``; ``struct`` would silently truncate or pad it.

    :raises ValueError: if ``value`` has another length.
    """
    if len(value) != 8:
        raise ValueError(f"{len(value)} bytes instead of 8")
    return value


def pack(layout: struct.Struct, *values: int | bytes) -> bytes:
    """
    Pack numbers.

    :raises ValueError: if a number does not fit its field.
    """
    try:
        return layout.pack(*values)
    except struct.error as error:
        raise ValueError(str(error)) from error


def check_data(flags: int, own: int, payload: bytes) -> None:
    """
    Check the fields that DATA and PRIVATE have in common.

    :raises ValueError: if the flags, the own sequence or the payload are invalid.
    """
    if flags not in _FLAGS:
        raise ValueError(f"invalid flags {flags:#x}")
    if not 0 < own <= MAX_OWN:
        raise ValueError(f"invalid own sequence {own}")
    if not payload:
        raise ValueError("empty payload")
