"""The datagrams of the room sequence and of the private sequence."""

from __future__ import annotations

import struct

from attrs import field, frozen

from udprelay.protocol.wire import cbor, fields
from udprelay.protocol.wire.datagram import Datagram, control
from udprelay.protocol.wire.entries import (
    ENTRIES,
    NOTICES,
    EntryBody,
    NoticeBody,
    read_body,
    write_body,
)
from udprelay.protocol.wire.header import (
    DOWN_PAYLOAD_OFFSET,
    FLAGS_OFFSET,
    HEADER_SIZE,
    ID,
    RELIABLE,
    Type,
    check_data,
    header,
    pack,
)

_NUMBERS = struct.Struct(">QII")


@frozen
class Data(Datagram):
    """
    A message to the room, or a piece of one.

    :param tag: room tag, 8 bytes.
    :param sequence: room sequence.
    :param number: of the sender.
    :param own: own sequence; 0 if the sender is a plain member or the console.
    """

    TYPE = Type.DATA

    tag: bytes = field(repr=False)
    flags: int
    sequence: int
    number: int
    own: int
    payload: bytes = field(repr=False)

    def encode(self) -> bytes:
        _check_room_data(self.flags, self.sequence, self.own, self.payload)
        numbers = pack(_NUMBERS, self.sequence, self.number, self.own)
        return header(Type.DATA, self.tag, self.flags) + numbers + self.payload

    @classmethod
    def decode(cls, datagram: bytes) -> Data:
        sequence, number, own, payload = _unpack(datagram)
        _check_room_data(datagram[FLAGS_OFFSET], sequence, own, payload)
        return cls(datagram[ID], datagram[FLAGS_OFFSET], sequence, number, own, payload)


@frozen
class Entry(Datagram):
    """
    A change of the roster, at its place in the room sequence.

    :param number: of the member that changes.
    :param body: None for an unknown kind, which has its place in the sequence, too.
    """

    TYPE = Type.ENTRY

    tag: bytes = field(repr=False)
    sequence: int
    number: int
    body: EntryBody | None

    def encode(self) -> bytes:
        numbers = pack(_NUMBERS, fields.sequence(self.sequence), self.number, 0)
        return control(Type.ENTRY, self.tag, write_body(self.body), numbers)

    @classmethod
    def decode(cls, datagram: bytes) -> Entry:
        sequence, number, zero, body = _unpack(datagram)
        if zero or not sequence:
            raise ValueError("invalid room sequence or own sequence")
        return cls(datagram[ID], sequence, number, read_body(cbor.decode(body), ENTRIES))


@frozen
class Private(Datagram):
    """
    A message to one member, or a piece of one.

    :param sequence: private sequence; 0 if it is not reliable.
    :param number: of the sender.
    :param own: own sequence, of reliable or of unreliable PRIVATE.
    """

    TYPE = Type.PRIVATE

    session_id: bytes = field(repr=False)
    flags: int
    sequence: int
    number: int
    own: int
    payload: bytes = field(repr=False)

    def encode(self) -> bytes:
        _check_private(self.flags, self.sequence, self.own, self.payload)
        numbers = pack(_NUMBERS, self.sequence, self.number, self.own)
        return header(Type.PRIVATE, self.session_id, self.flags) + numbers + self.payload

    @classmethod
    def decode(cls, datagram: bytes) -> Private:
        sequence, number, own, payload = _unpack(datagram)
        _check_private(datagram[FLAGS_OFFSET], sequence, own, payload)
        return cls(datagram[ID], datagram[FLAGS_OFFSET], sequence, number, own, payload)


@frozen
class Notice(Datagram):
    """
    A report from the relay to one member.

    :param sequence: private sequence.
    :param body: None for an unknown kind, which has its place in the sequence, too.
    """

    TYPE = Type.NOTICE

    session_id: bytes = field(repr=False)
    sequence: int
    body: NoticeBody | None

    def encode(self) -> bytes:
        numbers = pack(_NUMBERS, fields.sequence(self.sequence), 0, 0)
        return control(Type.NOTICE, self.session_id, write_body(self.body), numbers)

    @classmethod
    def decode(cls, datagram: bytes) -> Notice:
        sequence, number, own, body = _unpack(datagram)
        if number or own or not sequence:
            raise ValueError("invalid private sequence, or a number is not 0")
        return cls(datagram[ID], sequence, read_body(cbor.decode(body), NOTICES))


def _unpack(datagram: bytes) -> tuple[int, int, int, bytes]:
    """Return sequence, member number, own sequence, and the rest: at least one byte."""
    if len(datagram) <= DOWN_PAYLOAD_OFFSET:
        raise ValueError("truncated")
    sequence, number, own = _NUMBERS.unpack_from(datagram, HEADER_SIZE)
    return sequence, number, own, datagram[DOWN_PAYLOAD_OFFSET:]


def _check_room_data(flags: int, sequence: int, own: int, payload: bytes) -> None:
    fields.sequence(sequence)
    # Plain members and the console have no own sequence.
    if own or flags != RELIABLE:
        check_data(flags, own, payload)


def _check_private(flags: int, sequence: int, own: int, payload: bytes) -> None:
    check_data(flags, own, payload)
    if bool(sequence) != bool(flags & RELIABLE):
        raise ValueError("private sequence without RELIABLE, or RELIABLE without it")
