"""The datagrams that a member sends; the session id is 8 random bytes, chosen by the relay."""

from __future__ import annotations

import struct
from typing import Annotated

from attrs import field, frozen

from udprelay.protocol.wire import cbor, fields
from udprelay.protocol.wire.datagram import Control, Datagram, Fixed, OfStream
from udprelay.protocol.wire.fields import Key
from udprelay.protocol.wire.header import (
    FLAGS_OFFSET,
    HEADER_SIZE,
    ID,
    UP_PAYLOAD_OFFSET,
    Type,
    check_data,
    eight_bytes,
    header,
    pack,
)
from udprelay.protocol.wire.ranges import RANGE, Ranges, read_missed

_OWN = struct.Struct(">I")
_OWN_AND_RECEIVER = struct.Struct(">I16s")
_PING = struct.Struct(">8sQ")
_SETTLED = struct.Struct(">Q")
_PING_SIZES = HEADER_SIZE + _PING.size, HEADER_SIZE + _PING.size + _SETTLED.size
"""Bytes of PING, without and with the private sequence."""


@frozen
class DataUp(Datagram):
    """
    A message to the room, or a piece of one.

    :param own: own sequence, of reliable or of unreliable DATA.
    """

    TYPE = Type.DATA_UP

    session_id: bytes = field(repr=False)
    flags: int
    own: int
    payload: bytes = field(repr=False)

    def encode(self) -> bytes:
        check_data(self.flags, self.own, self.payload)
        head = header(Type.DATA_UP, self.session_id, self.flags)
        return head + _OWN.pack(self.own) + self.payload

    @classmethod
    def decode(cls, datagram: bytes) -> DataUp:
        if len(datagram) <= UP_PAYLOAD_OFFSET:
            raise ValueError("no payload")
        (own,) = _OWN.unpack_from(datagram, HEADER_SIZE)
        payload = datagram[UP_PAYLOAD_OFFSET:]
        check_data(datagram[FLAGS_OFFSET], own, payload)
        return cls(datagram[ID], datagram[FLAGS_OFFSET], own, payload)


@frozen
class PrivateUp(Datagram):
    """
    A message to one member, or a piece of one.

    :param own: own sequence, of reliable or of unreliable PRIVATE.
    :param receiver: the identity of that member, 16 bytes.
    """

    TYPE = Type.PRIVATE_UP

    session_id: bytes = field(repr=False)
    flags: int
    own: int
    receiver: bytes
    payload: bytes = field(repr=False)

    def encode(self) -> bytes:
        check_data(self.flags, self.own, self.payload)
        fields.sixteen(self.receiver)
        head = header(Type.PRIVATE_UP, self.session_id, self.flags)
        return head + _OWN_AND_RECEIVER.pack(self.own, self.receiver) + self.payload

    @classmethod
    def decode(cls, datagram: bytes) -> PrivateUp:
        start = HEADER_SIZE + _OWN_AND_RECEIVER.size
        if len(datagram) <= start:
            raise ValueError("no payload")
        own, receiver = _OWN_AND_RECEIVER.unpack_from(datagram, HEADER_SIZE)
        payload = datagram[start:]
        check_data(datagram[FLAGS_OFFSET], own, payload)
        return cls(datagram[ID], datagram[FLAGS_OFFSET], own, receiver, payload)


@frozen
class Nack(OfStream):
    """
    The member asks for sequence numbers that it has not received.

    :param stream: 0 for the room sequence, 1 for the private sequence.
    :param ranges: 1 to 64.
    """

    TYPE = Type.NACK
    LAYOUT = RANGE

    session_id: bytes = field(repr=False)
    stream: int
    ranges: Ranges


@frozen
class Ping(Datagram):
    """
    A keepalive, which PONG answers.

    :param token: 8 bytes, which PONG returns.
    :param settled: the room sequence up to which the member has settled all.
    :param settled_private: the same of its private sequence; None if the relay does not ask for
        it.
    """

    TYPE = Type.PING

    session_id: bytes = field(repr=False)
    token: bytes
    settled: int
    settled_private: int | None = None

    def encode(self) -> bytes:
        fixed = pack(_PING, eight_bytes(self.token), self.settled)
        private = self.settled_private
        last = b"" if private is None else pack(_SETTLED, private)
        return header(Type.PING, self.session_id) + fixed + last

    @classmethod
    def decode(cls, datagram: bytes) -> Ping:
        size = len(datagram)
        if size not in _PING_SIZES:
            raise ValueError(f"{size} bytes instead of {_PING_SIZES[0]} or {_PING_SIZES[1]}")
        token, settled = _PING.unpack_from(datagram, HEADER_SIZE)
        settled_private = None
        if size == _PING_SIZES[1]:
            (settled_private,) = _SETTLED.unpack_from(datagram, _PING_SIZES[0])
        return cls(datagram[ID], token, settled, settled_private)


@frozen
class Leave(Fixed):
    """The member leaves."""

    TYPE = Type.LEAVE

    session_id: bytes = field(repr=False)


@frozen
class RosterRequest(Fixed):
    """The member asks for the roster, from a member number on."""

    TYPE = Type.ROSTER
    LAYOUT = struct.Struct(">I")

    session_id: bytes = field(repr=False)
    number: int


@frozen
class NickRequest(Control):
    """
    The member asks for a new nick.

    :param request: a number, which NICKED returns.
    :param badge: 16 bytes, if the room has a passphrase.
    """

    TYPE = Type.NICK
    MAX_ITEMS = cbor.MAX_ITEMS_OF_CLIENT

    session_id: bytes = field(repr=False)
    request: Annotated[int, Key("r", fields.u32)]
    nick: Annotated[str, Key("n", fields.asked_nick)]
    badge: Annotated[bytes | None, Key("b", fields.sixteen, needed=False)] = None


@frozen
class PathResponse(Fixed):
    """The member returns the 8-byte token of PATH-CHALLENGE from its new address."""

    TYPE = Type.PATH_RESPONSE
    LAYOUT = struct.Struct("8s")

    session_id: bytes = field(repr=False)
    token: bytes = field(repr=False)


@frozen
class Missed(Control):
    """
    The member has not received some messages of another one.

    :param number: of the sender.
    :param ranges: 1 to 32 ranges of the sender's reliable own sequences.
    :param token: 8 bytes, which PONG returns; without it there is no answer.
    """

    TYPE = Type.MISSED
    MAX_ITEMS = cbor.MAX_ITEMS_OF_CLIENT

    session_id: bytes = field(repr=False)
    number: Annotated[int, Key("m", fields.u32)]
    ranges: Annotated[Ranges, Key("w", read_missed)]
    token: Annotated[bytes | None, Key("t", fields.eight, needed=False)] = None
