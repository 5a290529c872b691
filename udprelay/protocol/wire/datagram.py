"""The base classes of datagrams."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, cast

from attrs import astuple, field, frozen

from udprelay.protocol.wire import cbor, fields
from udprelay.protocol.wire.fields import Keys
from udprelay.protocol.wire.header import (
    HEADER_SIZE,
    ID,
    MAX_CONTROL,
    Type,
    eight_bytes,
    header,
    pack,
    unpack,
)

if TYPE_CHECKING:
    from typing_extensions import Self


class Datagram(ABC):
    """A datagram as its fields."""

    __slots__ = ()

    @abstractmethod
    def encode(self) -> bytes:
        """
        Return the bytes of the datagram.

        :raises ValueError: if a field is invalid.
        """

    @classmethod
    @abstractmethod
    def decode(cls, datagram: bytes) -> Datagram:
        """
        Read a datagram.

        :param datagram: has a valid header of this type; DATA and PRIVATE check its flags here.
        :raises ValueError: if a field is invalid.
        :raises WireError: if the CBOR body is invalid.
        """


class Fixed(Datagram):
    """
    A datagram that is a header and fields of fixed sizes; the first field is the id.

    :cvar LAYOUT: of the fields after the header; ``8s`` is 8 bytes.
    """

    __slots__ = ()

    TYPE: ClassVar[Type]
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("")

    def encode(self) -> bytes:
        identifier, *values = astuple(cast(Any, self), recurse=False)
        checked = [eight_bytes(v) if isinstance(v, bytes) else v for v in values]
        return header(self.TYPE, identifier) + pack(self.LAYOUT, *checked)

    @classmethod
    def decode(cls, datagram: bytes) -> Self:
        decoded: Self = cast(Any, cls)(datagram[ID], *unpack(cls.LAYOUT, datagram))
        return decoded


class Control(Datagram):
    """A datagram that is a header and a CBOR map."""

    __slots__ = ()

    TYPE: ClassVar[Type]
    KEYS: ClassVar[Keys]

    @property
    @abstractmethod
    def identifier(self) -> bytes:
        """The id in the header."""

    def check(self) -> None:
        """
        Check the fields against each other.

        :raises ValueError: if they contradict each other.
        """

    def encode(self) -> bytes:
        self.check()
        return control(self.TYPE, self.identifier, self.KEYS.write(self))

    @classmethod
    def decode(cls, datagram: bytes) -> Self:
        # Subclasses have the fields that their keys name.
        decoded: Self = cast(Any, cls)(datagram[ID], **cls.KEYS.read(body_of(datagram)))
        decoded.check()
        return decoded


@frozen
class OfAttempt(Control):
    """
    A control datagram of the handshake.

    :param nonce: 8 random bytes, chosen by the client for this attempt.
    """

    nonce: bytes = field(repr=False)

    @property
    def identifier(self) -> bytes:
        return self.nonce


@frozen
class OfSession(Control):
    """
    A control datagram between the relay and one member.

    :param session_id: 8 random bytes, chosen by the relay.
    """

    session_id: bytes = field(repr=False)

    @property
    def identifier(self) -> bytes:
        return self.session_id


def control(kind: Type, identifier: bytes, body: dict[str, Any], between: bytes = b"") -> bytes:
    """
    Return a datagram with a CBOR body.

    :param between: the fields between header and body.
    :raises ValueError: if the datagram is larger than :data:`~.header.MAX_CONTROL`.
    """
    datagram = header(kind, identifier) + between + cbor.encode(body)
    if len(datagram) > MAX_CONTROL:
        raise ValueError(f"{len(datagram)} bytes, more than {MAX_CONTROL}")
    return datagram


def body_of(datagram: bytes, start: int = HEADER_SIZE) -> dict[str, Any]:
    """
    Return the CBOR body of a datagram.

    :raises WireError: see :func:`udprelay.protocol.wire.cbor.decode`.
    """
    return cbor.decode(datagram[start:])


def stream_of(datagram: bytes) -> int:
    """
    Return the stream of a NACK or GONE.

    :raises ValueError: if it is missing or invalid.
    """
    return fields.stream(datagram[HEADER_SIZE] if len(datagram) > HEADER_SIZE else None)
