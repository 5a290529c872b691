"""What can be given with an option, read and checked."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError

from udprelay.protocol.endpoint import parse_host_port
from udprelay.protocol.nick import NickError, normalise
from udprelay.protocol.wire import fields

Address = tuple[str, int]
"""A host, by name or address, and a UDP port."""

DEFAULT_PORT = 6000
SHORTEST_KEEPALIVE = 0.1


def peer(text: str) -> Address:
    try:
        return parse_host_port(text, DEFAULT_PORT)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def program(text: str) -> Address:
    try:
        return parse_host_port(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def local(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if port == "0":
        # Nobody's port: any will do.
        return program(f"{host}{colon}1")[0], 0
    return program(text)


def room(text: str) -> str:
    try:
        return fields.room(text)
    except ValueError:
        raise ArgumentTypeError(
            f"{text!r} is no name of a room (1 to 64 letters, digits, '-', '_' and '.')"
        ) from None


def nick(text: str) -> str:
    try:
        return normalise(text)
    except NickError as error:
        raise ArgumentTypeError(f"{text!r}: {error}") from None


def wait(text: str) -> float:
    seconds = _number(text)
    if not seconds >= 0:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds (0 or more)")
    return seconds


def interval(text: str) -> float:
    seconds = _number(text)
    if not SHORTEST_KEEPALIVE <= seconds < math.inf:
        raise ArgumentTypeError(
            f"{text!r} is not a number of seconds ({SHORTEST_KEEPALIVE} or more)"
        )
    return seconds


def count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20) or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a number of messages (1 or more)")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
