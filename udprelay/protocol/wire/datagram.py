"""The base classes of datagrams."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, cast

from udprelay.protocol.wire import cbor, fields
from udprelay.protocol.wire.header import (
    HEADER_SIZE,
    ID,
    MAX_CONTROL,
    Type,
    eight_bytes,
    header,
    pack,
)
from udprelay.protocol.wire.ranges import Ranges, ReasonedRanges, pack_ranges, unpack_ranges

if TYPE_CHECKING:
    from typing_extensions import Self


class Datagram(ABC):
    """A datagram as its fields; the first one is the id in the header."""

    __slots__ = ()

    TYPE: ClassVar[Type]

    @abstractmethod
    def encode(self) -> bytes:
        """
        Return the bytes of the datagram.

        :raises ValueError: if a field is invalid.
        """

    @classmethod
    @abstractmethod
    def decode(cls, datagram: bytes) -> Self:
        """
        Read a datagram.

        :param datagram: has a valid header of this type; DATA and PRIVATE check its flags here.
        :raises ValueError: if a field is invalid.
        :raises WireError: if the CBOR body is invalid.
        """

    def _values(self) -> list[Any]:
        # Twice as fast as astuple().
        return [getattr(self, name) for name in cast(Any, self).__match_args__]


class Fixed(Datagram):
    """
    A datagram that is a header and fields of fixed sizes.

    :cvar LAYOUT: of the fields after the header; ``8s`` is 8 bytes.
    """

    __slots__ = ()

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("")

    def encode(self) -> bytes:
        identifier, *values = self._values()
        checked = [eight_bytes(v) if isinstance(v, bytes) else v for v in values]
        return header(self.TYPE, identifier) + pack(self.LAYOUT, *checked)

    @classmethod
    def decode(cls, datagram: bytes) -> Self:
        size = HEADER_SIZE + cls.LAYOUT.size
        if len(datagram) != size:
            raise ValueError(f"{len(datagram)} bytes instead of {size}")
        values = cls.LAYOUT.unpack_from(datagram, HEADER_SIZE)
        decoded: Self = cast(Any, cls)(datagram[ID], *values)
        return decoded


class OfStream(Datagram):
    """A datagram that is a header, a stream, and ranges of its sequence numbers."""

    __slots__ = ()

    LAYOUT: ClassVar[struct.Struct]
    """Of one range."""
    session_id: bytes
    stream: int
    ranges: Ranges | ReasonedRanges

    def encode(self) -> bytes:
        head = header(self.TYPE, self.session_id) + bytes((fields.stream(self.stream),))
        return head + pack_ranges(self.ranges, self.LAYOUT)

    @classmethod
    def decode(cls, datagram: bytes) -> Self:
        stream = fields.stream(datagram[HEADER_SIZE] if len(datagram) > HEADER_SIZE else None)
        ranges = unpack_ranges(datagram[HEADER_SIZE + 1 :], cls.LAYOUT)
        decoded: Self = cast(Any, cls)(datagram[ID], stream, ranges)
        return decoded


class Control(Datagram):
    """
    A datagram that is a header and a CBOR map; its attributes have keys.

    :cvar MAX_ITEMS: in the map.
    """

    __slots__ = ()

    MAX_ITEMS: ClassVar[int] = cbor.MAX_ITEMS

    def check(self) -> None:
        """
        Check the fields against each other.

        :raises ValueError: if they contradict each other.
        """

    def encode(self) -> bytes:
        self.check()
        return control(self.TYPE, self._values()[0], fields.write_map(self))

    @classmethod
    def decode(cls, datagram: bytes) -> Self:
        body = cbor.decode(datagram[HEADER_SIZE:], cls.MAX_ITEMS)
        decoded: Self = cast(Any, cls)(datagram[ID], **fields.read_map(cls, body))
        decoded.check()
        return decoded


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
