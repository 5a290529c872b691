"""What the relay numbers: the datagrams of the room sequence and of the private sequence."""

from __future__ import annotations

import struct

from attrs import field, frozen

from udprelay.protocol.wire import fields
from udprelay.protocol.wire.datagram import Datagram, body_of, control
from udprelay.protocol.wire.entries import (
    EntryBody,
    NoticeBody,
    read_entry,
    read_notice,
    write_entry,
    write_notice,
)
from udprelay.protocol.wire.header import (
    DOWN_DATA,
    HEADER,
    RELIABLE,
    Type,
    check_data,
    header,
    pack,
)

_PLACE = struct.Struct(">QII")


@frozen
class Data(Datagram):
    """
    What somebody has said in the room.

    :param tag: room tag, 8 bytes.
    :param sequence: room sequence.
    :param number: of the member that has sent it.
    :param own: its own sequence; 0 for plain members and for the console.
    """

    tag: bytes = field(repr=False)
    flags: int
    sequence: int
    number: int
    own: int
    payload: bytes = field(repr=False)

    def encode(self) -> bytes:
        _check_room_data(self.flags, self.sequence, self.own, self.payload)
        place = pack(_PLACE, self.sequence, self.number, self.own)
        return header(Type.DATA, self.tag, self.flags) + place + self.payload

    @classmethod
    def decode(cls, datagram: bytes) -> Data:
        sequence, number, own, payload = _placed(datagram)
        _check_room_data(datagram[5], sequence, own, payload)
        return cls(datagram[6:HEADER], datagram[5], sequence, number, own, payload)


@frozen
class Entry(Datagram):
    """
    A change of the roster, at its place in the room sequence.

    :param number: of the member that changes.
    :param body: ``None`` for a change of a later kind: it takes its place all the same.
    """

    tag: bytes = field(repr=False)
    sequence: int
    number: int
    body: EntryBody | None

    def encode(self) -> bytes:
        place = pack(_PLACE, fields.sequence(self.sequence), self.number, 0)
        return control(Type.ENTRY, self.tag, write_entry(self.body), place)

    @classmethod
    def decode(cls, datagram: bytes) -> Entry:
        sequence, number, zero, _ = _placed(datagram)
        if zero or not sequence:
            raise ValueError("no room sequence, or an own sequence")
        return cls(datagram[6:HEADER], sequence, number, read_entry(body_of(datagram, DOWN_DATA)))


@frozen
class Private(Datagram):
    """
    What somebody has said to this member alone.

    :param sequence: private sequence; 0 if it is not reliable.
    :param number: of the member that has sent it.
    :param own: its own sequence, of reliable or of unreliable PRIVATE.
    """

    session_id: bytes = field(repr=False)
    flags: int
    sequence: int
    number: int
    own: int
    payload: bytes = field(repr=False)

    def encode(self) -> bytes:
        _check_private(self.flags, self.sequence, self.own, self.payload)
        place = pack(_PLACE, self.sequence, self.number, self.own)
        return header(Type.PRIVATE, self.session_id, self.flags) + place + self.payload

    @classmethod
    def decode(cls, datagram: bytes) -> Private:
        sequence, number, own, payload = _placed(datagram)
        _check_private(datagram[5], sequence, own, payload)
        return cls(datagram[6:HEADER], datagram[5], sequence, number, own, payload)


@frozen
class Notice(Datagram):
    """
    What the relay tells this member alone.

    :param sequence: private sequence.
    :param body: ``None`` for a notice of a later kind: it takes its place all the same.
    """

    session_id: bytes = field(repr=False)
    sequence: int
    body: NoticeBody | None

    def encode(self) -> bytes:
        place = pack(_PLACE, fields.sequence(self.sequence), 0, 0)
        return control(Type.NOTICE, self.session_id, write_notice(self.body), place)

    @classmethod
    def decode(cls, datagram: bytes) -> Notice:
        sequence, number, own, _ = _placed(datagram)
        if number or own or not sequence:
            raise ValueError("no private sequence, or numbers that are not 0")
        return cls(datagram[6:HEADER], sequence, read_notice(body_of(datagram, DOWN_DATA)))


def _placed(datagram: bytes) -> tuple[int, int, int, bytes]:
    """Return sequence, member number, own sequence, and what follows: at least a byte."""
    if len(datagram) <= DOWN_DATA:
        raise ValueError("cut short")
    sequence, number, own = _PLACE.unpack_from(datagram, HEADER)
    return sequence, number, own, datagram[DOWN_DATA:]


def _check_room_data(flags: int, sequence: int, own: int, payload: bytes) -> None:
    fields.sequence(sequence)
    # Of plain members and of the console: they have no own sequence.
    if own or flags != RELIABLE:
        check_data(flags, own, payload)


def _check_private(flags: int, sequence: int, own: int, payload: bytes) -> None:
    check_data(flags, own, payload)
    if bool(sequence) != bool(flags & RELIABLE):
        raise ValueError("a private sequence without RELIABLE, or RELIABLE without one")
