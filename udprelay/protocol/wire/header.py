"""What every datagram begins with: signature, version, type, flags and id."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Any

SIGNATURE = b"\xfdUR"
VERSION = 1
PREFIX = SIGNATURE + bytes((VERSION,))

HEADER = 14
"""Bytes of the header that all datagrams have."""
OWN_SIZE = 4
"""Bytes of the own sequence, which DATA has in front of the payload."""
UP_DATA = HEADER + OWN_SIZE
"""Bytes in front of the payload of DATA from a client."""
DOWN_DATA = 30
"""Bytes in front of the payload of DATA from a relay."""
FLAGS_AT = 5
"""Where in the header the flags are."""

LARGEST_CONTROL = 1232
"""Bytes in the largest datagram that is neither DATA nor PRIVATE."""
LEAST_HELLO = 200
"""Bytes in the smallest HELLO."""

U32 = 2**32 - 1
U64 = 2**64 - 1
LARGEST_OWN = U32 - 1
"""The last own sequence: the one that is expected after it still fits its field."""

RELIABLE = 1
SEALED = 2
CONTINUED = 4
MORE = 8
AGAIN = 16

_FLAGS = frozenset((0, SEALED, *(flags for flags in range(32) if flags & RELIABLE)))


class WireError(Exception):
    """A datagram that the protocol does not allow, with what is wrong with it."""


class Type(IntEnum):
    """The type of a datagram. Those of the handshake are below 0x10, a member's below 0x20."""

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


def header(kind: Type, identifier: bytes, flags: int = 0) -> bytes:
    """
    Return the 14 bytes that all datagrams begin with.

    :param identifier: 8 bytes: nonce, session id or room tag, by type.
    :raises ValueError: if it has another length.
    """
    return b"%b%c%c%b" % (PREFIX, kind, flags, eight(identifier))


def eight(value: bytes) -> bytes:
    """
    Return ``value``, which a format like ``8s`` would cut or fill up without a word.

    :raises ValueError: if it hasn't 8 bytes.
    """
    if len(value) != 8:
        raise ValueError(f"{len(value)} bytes instead of 8")
    return value


def pack(layout: struct.Struct, *values: int | bytes) -> bytes:
    """
    Pack numbers.

    :raises ValueError: if one does not fit its field.
    """
    try:
        return layout.pack(*values)
    except struct.error as error:
        raise ValueError(str(error)) from error


def unpack(layout: struct.Struct, datagram: bytes) -> tuple[Any, ...]:
    """
    Unpack what is behind the header, all of it.

    :raises ValueError: if the datagram is shorter or longer.
    """
    if len(datagram) != HEADER + layout.size:
        raise ValueError(f"{len(datagram)} bytes instead of {HEADER + layout.size}")
    return layout.unpack_from(datagram, HEADER)


def check_data(flags: int, own: int, payload: bytes) -> None:
    """
    Check what DATA and PRIVATE have in common.

    :raises ValueError: on flags that don't go together, no own sequence, or an empty payload.
    """
    if flags not in _FLAGS:
        raise ValueError(f"flags {flags:#x} don't go together")
    if not 0 < own <= LARGEST_OWN:
        raise ValueError(f"{own} is no own sequence")
    if not payload:
        raise ValueError("an empty payload")
