"""The fields of CBOR bodies and their bounds, checked in both directions."""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from functools import cache
from typing import Annotated, Any, TypeVar, get_origin, get_type_hints

from attrs import frozen

from udprelay.protocol.wire.header import MAX_OWN, MAX_U32, MAX_U64

T = TypeVar("T")
Read = Callable[[Any], T]
"""Converts a decoded CBOR value to that of an attribute, or raises :exc:`ValueError`."""

_ROOM = re.compile(r"[\w.-]{1,64}")


def number(maximum: int, minimum: int = 0) -> Read[int]:
    """Return a check for numbers within bounds."""

    def read(value: Any) -> int:
        # bool is an int for isinstance.
        if type(value) is not int or not minimum <= value <= maximum:
            raise ValueError(f"not a number from {minimum} to {maximum}")
        return value

    return read


def octets(lengths: Container[int]) -> Read[bytes]:
    """Return a check for byte strings with one of these lengths."""

    def read(value: Any) -> bytes:
        if type(value) is not bytes or len(value) not in lengths:
            raise ValueError("not a byte string of a valid length")
        return value

    return read


def text(maximum: int, minimum: int = 0) -> Read[str]:
    """Return a check for texts by their bytes in UTF-8."""

    def read(value: Any) -> str:
        if type(value) is not str or not minimum <= len(value.encode()) <= maximum:
            raise ValueError(f"not a text of {minimum} to {maximum} bytes")
        return value

    return read


def items(read_one: Read[T], minimum: int, maximum: int) -> Read[tuple[T, ...]]:
    """Return a check for lists, given that of one item."""

    def read(value: Any) -> tuple[T, ...]:
        if type(value) not in (list, tuple) or not minimum <= len(value) <= maximum:
            raise ValueError(f"not a list of {minimum} to {maximum} items")
        return tuple(map(read_one, value))

    return read


def boolean(value: Any) -> bool:
    """Check a truth value."""
    if type(value) is not bool:
        raise ValueError("neither true nor false")
    return value


def room(value: Any) -> str:
    """Check the name of a room."""
    if type(value) is not str or _ROOM.fullmatch(value) is None:
        raise ValueError("not the name of a room")
    return value


u32 = number(MAX_U32)
u64 = number(MAX_U64)
sequence = number(MAX_U64, minimum=1)
own = number(MAX_OWN, minimum=1)
stream = number(1)
owns = items(own, 2, 2)
eight = octets((8,))
sixteen = octets((16,))
sixteen_or_none = octets((0, 16))
code = text(200, minimum=1)
sentence = text(200)
nick = text(64, minimum=1)
asked_nick = text(256)
"""A requested nick: an invalid one has to be decoded to be refused."""


@frozen
class Key:
    """
    The key of an attribute in a CBOR map, as in ``Annotated[int, Key("m", u32)]``.

    :param name: one or two letters.
    :param read: checks and converts a value.
    :param write: converts an attribute to a value; None: they are the same.
    :param needed: whether the key is mandatory; without an optional one the attribute is None.
    """

    name: str
    read: Read[Any]
    write: Callable[[Any], Any] | None = None
    needed: bool = True


@cache
def _keys(kind: type) -> dict[str, Key]:
    """Return the key of each attribute that has one."""
    hints = get_type_hints(kind, include_extras=True).items()
    return {name: hint.__metadata__[0] for name, hint in hints if get_origin(hint) is Annotated}


def read_map(kind: type, body: dict[str, Any]) -> dict[str, Any]:
    """
    Return the attributes of a class that a CBOR map has.

    :raises ValueError: if a key is missing or a value is invalid.
    """
    attributes: dict[str, Any] = {}
    for attribute, key in _keys(kind).items():
        if key.name in body:
            attributes[attribute] = _checked(key, body[key.name])
        elif key.needed:
            raise ValueError(f"no key {key.name!r}")
        else:
            attributes[attribute] = None
    return attributes


def write_map(source: Any) -> dict[str, Any]:
    """
    Return the attributes of ``source`` that have a key, by their keys.

    :raises ValueError: if a value is invalid.
    """
    body: dict[str, Any] = {}
    for attribute, key in _keys(source.__class__).items():
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
