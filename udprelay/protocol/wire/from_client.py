"""The datagrams that a member sends."""

from __future__ import annotations

import struct

from attrs import field, frozen

from udprelay.protocol.wire import fields
from udprelay.protocol.wire.datagram import Datagram, OfSession, stream_of
from udprelay.protocol.wire.fields import Key, Keys
from udprelay.protocol.wire.header import (
    HEADER,
    UP_DATA,
    Type,
    check_data,
    eight,
    header,
    pack,
    unpack,
)
from udprelay.protocol.wire.ranges import Ranges, missed, pack_ranges, unpack_ranges

_OWN = struct.Struct(">I")
_OWN_AND_RECEIVER = struct.Struct(">I16s")
_NUMBER = struct.Struct(">I")
_PING = struct.Struct(">8sQ")
_TOKEN = struct.Struct(">8s")


@frozen
class DataUp(Datagram):
    """
    A message to the room, or a piece of one.

    :param own: own sequence, of reliable or of unreliable DATA.
    """

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
        if len(datagram) <= UP_DATA:
            raise ValueError("no payload")
        (own,) = _OWN.unpack_from(datagram, HEADER)
        payload = datagram[UP_DATA:]
        check_data(datagram[5], own, payload)
        return cls(datagram[6:HEADER], datagram[5], own, payload)


@frozen
class PrivateUp(Datagram):
    """
    A message to one member, or a piece of one.

    :param own: own sequence, of reliable or of unreliable PRIVATE.
    :param receiver: the identity of that member, 16 bytes.
    """

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
        start = HEADER + _OWN_AND_RECEIVER.size
        if len(datagram) <= start:
            raise ValueError("no payload")
        own, receiver = _OWN_AND_RECEIVER.unpack_from(datagram, HEADER)
        payload = datagram[start:]
        check_data(datagram[5], own, payload)
        return cls(datagram[6:HEADER], datagram[5], own, receiver, payload)


@frozen
class Nack(Datagram):
    """
    The member lacks sequences of a stream.

    :param stream: 0 for the room sequence, 1 for the private sequence.
    :param ranges: 1 to 64.
    """

    session_id: bytes = field(repr=False)
    stream: int
    ranges: Ranges

    def encode(self) -> bytes:
        stream = bytes((fields.stream(self.stream),))
        return header(Type.NACK, self.session_id) + stream + pack_ranges(self.ranges)

    @classmethod
    def decode(cls, datagram: bytes) -> Nack:
        stream = stream_of(datagram)
        return cls(datagram[6:HEADER], stream, unpack_ranges(datagram[HEADER + 1 :]))


@frozen
class Ping(Datagram):
    """
    The member is there, and wants to know whether the relay is.

    :param token: 8 bytes, that PONG returns.
    :param settled: the last room sequence that the member has received, or counted as lost.
    """

    session_id: bytes = field(repr=False)
    token: bytes
    settled: int

    def encode(self) -> bytes:
        head = header(Type.PING, self.session_id)
        return head + pack(_PING, eight(self.token), self.settled)

    @classmethod
    def decode(cls, datagram: bytes) -> Ping:
        return cls(datagram[6:HEADER], *unpack(_PING, datagram))


@frozen
class Leave(Datagram):
    """The member leaves."""

    session_id: bytes = field(repr=False)

    def encode(self) -> bytes:
        return header(Type.LEAVE, self.session_id)

    @classmethod
    def decode(cls, datagram: bytes) -> Leave:
        if len(datagram) != HEADER:
            raise ValueError("bytes behind the header")
        return cls(datagram[6:])


@frozen
class RosterRequest(Datagram):
    """The member asks for members, from a number on."""

    session_id: bytes = field(repr=False)
    number: int

    def encode(self) -> bytes:
        return header(Type.ROSTER, self.session_id) + pack(_NUMBER, self.number)

    @classmethod
    def decode(cls, datagram: bytes) -> RosterRequest:
        return cls(datagram[6:HEADER], *unpack(_NUMBER, datagram))


@frozen
class NickRequest(OfSession):
    """
    The member asks for a new nick.

    :param request: a number that NICKED returns.
    :param badge: 16 bytes, with a passphrase.
    """

    TYPE = Type.NICK
    KEYS = Keys(
        request=Key("r", fields.u32),
        nick=Key("n", fields.asked_nick),
        badge=Key("b", fields.sixteen, needed=False),
    )

    request: int
    nick: str
    badge: bytes | None = None


@frozen
class PathResponse(Datagram):
    """The member returns the token of PATH-CHALLENGE, 8 bytes, from its new address."""

    session_id: bytes = field(repr=False)
    token: bytes = field(repr=False)

    def encode(self) -> bytes:
        return header(Type.PATH_RESPONSE, self.session_id) + eight(self.token)

    @classmethod
    def decode(cls, datagram: bytes) -> PathResponse:
        return cls(datagram[6:HEADER], *unpack(_TOKEN, datagram))


@frozen
class Missed(OfSession):
    """
    The member did not receive what another has sent.

    :param number: of that other.
    :param ranges: of its reliable own sequences, 1 to 32.
    :param token: what PONG is to return; None if nothing is to be answered.
    """

    TYPE = Type.MISSED
    KEYS = Keys(
        number=Key("m", fields.u32),
        ranges=Key("w", missed),
        token=Key("t", fields.eight, needed=False),
    )

    number: int
    ranges: Ranges
    token: bytes | None = None
