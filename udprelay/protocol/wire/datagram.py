"""What the classes of datagrams have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, cast

from attrs import field, frozen

from udprelay.protocol.wire import cbor, fields
from udprelay.protocol.wire.fields import Keys
from udprelay.protocol.wire.header import HEADER, LARGEST_CONTROL, Type, header

if TYPE_CHECKING:
    from typing_extensions import Self


class Datagram(ABC):
    """A datagram, by its fields."""

    __slots__ = ()

    @abstractmethod
    def encode(self) -> bytes:
        """
        Return the datagram.

        :raises ValueError: if it would not be valid.
        """

    @classmethod
    @abstractmethod
    def decode(cls, datagram: bytes) -> Datagram:
        """
        Read a datagram.

        :param datagram: with a header that is right, but for the flags if there is a payload.
        :raises ValueError: if what follows is not valid.
        :raises WireError: likewise.
        """


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
        Check what no key can tell by itself.

        :raises ValueError: if there are values that don't go together.
        """

    def encode(self) -> bytes:
        self.check()
        return control(self.TYPE, self.identifier, self.KEYS.write(self))

    @classmethod
    def decode(cls, datagram: bytes) -> Self:
        # Subclasses have the fields that their keys name.
        read: Self = cast(Any, cls)(datagram[6:HEADER], **cls.KEYS.read(body_of(datagram)))
        read.check()
        return read


@frozen
class OfAttempt(Control):
    """
    A control datagram of the handshake.

    :param nonce: 8 random bytes that the client has chosen for this attempt.
    """

    nonce: bytes = field(repr=False)

    @property
    def identifier(self) -> bytes:
        return self.nonce


@frozen
class OfSession(Control):
    """
    A control datagram between the relay and one member.

    :param session_id: 8 random bytes that the relay has chosen.
    """

    session_id: bytes = field(repr=False)

    @property
    def identifier(self) -> bytes:
        return self.session_id


def control(kind: Type, identifier: bytes, body: dict[str, Any], between: bytes = b"") -> bytes:
    """
    Return a datagram with a CBOR map.

    :param between: what stands between the header and the map.
    :raises ValueError: if it is too large.
    """
    datagram = header(kind, identifier) + between + cbor.encode(body)
    if len(datagram) > LARGEST_CONTROL:
        raise ValueError(f"{len(datagram)} bytes, more than {LARGEST_CONTROL}")
    return datagram


def body_of(datagram: bytes, start: int = HEADER) -> dict[str, Any]:
    """
    Return the CBOR map of a datagram.

    :raises WireError: see :func:`udprelay.protocol.wire.cbor.decode`.
    """
    return cbor.decode(datagram[start:])


def stream_of(datagram: bytes) -> int:
    """
    Return the stream that NACK and GONE have behind their header.

    :raises ValueError: if there is none, or no such stream.
    """
    return fields.stream(datagram[HEADER] if len(datagram) > HEADER else None)
