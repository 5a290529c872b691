"""Bounds of the fields in control datagrams, checked when reading and when writing."""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from typing import Any, TypeVar

from attrs import frozen

from udprelay.protocol.wire.header import LARGEST_OWN, U32, U64

T = TypeVar("T")
Read = Callable[[Any], T]
"""Returns a value as it is kept, from what CBOR has, or raises :exc:`ValueError`."""

_ROOM = re.compile(r"[\w.-]{1,64}")


def number(most: int, least: int = 0) -> Read[int]:
    """Return the check of a number."""

    def read(value: Any) -> int:
        # bool is an int for isinstance.
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"no number from {least} to {most}")
        return value

    return read


def octets(lengths: Container[int]) -> Read[bytes]:
    """Return the check of a byte string with one of these lengths."""

    def read(value: Any) -> bytes:
        if type(value) is not bytes or len(value) not in lengths:
            raise ValueError("no byte string, or one of a wrong length")
        return value

    return read


def text(most: int, least: int = 0) -> Read[str]:
    """Return the check of a text with so many bytes in UTF-8."""

    def read(value: Any) -> str:
        if type(value) is not str or not least <= len(value.encode()) <= most:
            raise ValueError(f"no text of {least} to {most} bytes")
        return value

    return read


def items(read_one: Read[T], least: int, most: int) -> Read[tuple[T, ...]]:
    """Return the check of a list whose items are all alike."""

    def read(value: Any) -> tuple[T, ...]:
        if type(value) not in (list, tuple) or not least <= len(value) <= most:
            raise ValueError(f"no list of {least} to {most} items")
        return tuple(map(read_one, value))

    return read


def room(value: Any) -> str:
    """Check a room's name."""
    if type(value) is not str or _ROOM.fullmatch(value) is None:
        raise ValueError("no name of a room")
    return value


u32 = number(U32)
u64 = number(U64)
sequence = number(U64, least=1)
own = number(LARGEST_OWN, least=1)
stream = number(1)
owns = items(own, 2, 2)
eight = octets((8,))
sixteen = octets((16,))
sixteen_or_none = octets((0, 16))
code = text(200, least=1)
sentence = text(200)
nick = text(64, least=1)
asked_nick = text(256)
"""Of a client that asks: what is no nick is refused, and so has to be read."""


@frozen
class Key:
    """
    A key of a CBOR map.

    :param name: one or two letters.
    :param read: what its value has to be.
    :param write: makes of an attribute what CBOR is to have; ``None``: it is that already.
    :param needed: whether it has to be there; the attribute is ``None`` if it isn't.
    """

    name: str
    read: Read[Any]
    write: Callable[[Any], Any] | None = None
    needed: bool = True


class Keys:
    """
    The keys of one kind of map, by the attribute that each is for.

    :param keys: attributes of the class that the map is read to.
    """

    def __init__(self, **keys: Key) -> None:
        self._keys = keys

    def read(self, body: dict[str, Any]) -> dict[str, Any]:
        """
        Return the attributes.

        :raises ValueError: if a key is missing, or its value is not what it has to be.
        """
        attributes: dict[str, Any] = {}
        for attribute, key in self._keys.items():
            if key.name in body:
                attributes[attribute] = _checked(key, body[key.name])
            elif key.needed:
                raise ValueError(f"no key {key.name!r}")
            else:
                attributes[attribute] = None
        return attributes

    def write(self, source: object) -> dict[str, Any]:
        """
        Return the map with the attributes of ``source``.

        :raises ValueError: if a value is not what it has to be.
        """
        body: dict[str, Any] = {}
        for attribute, key in self._keys.items():
            value = getattr(source, attribute)
            if value is None and not key.needed:
                continue
            if key.write is not None:
                value = key.write(value)
            _checked(key, value)
            body[key.name] = value
        return body


def _checked(key: Key, value: Any) -> Any:
    try:
        return key.read(value)
    except ValueError as error:
        raise ValueError(f"key {key.name!r}: {error}") from error
