"""The values of options, parsed and checked."""

from __future__ import annotations

import getpass
import math
from argparse import ArgumentTypeError

from udprelay.protocol.endpoint import parse_host_port
from udprelay.protocol.nick import NickError, is_reserved, normalise
from udprelay.protocol.wire import fields

Address = tuple[str, int]
"""A host, by name or address, and a UDP port."""

DEFAULT_PORT = 6000
DEFAULT_ROOM = "lobby"
DEFAULT_NICK = "somebody"
"""The nick if the login name cannot be one."""
MIN_KEEPALIVE = 0.1
"""Seconds of the shortest ``--keepalive``."""


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
        # The parser rejects port 0, here any free port.
        return program(f"{host}{colon}1")[0], 0
    return program(text)


def room(text: str) -> str:
    try:
        return fields.room(text)
    except ValueError:
        raise ArgumentTypeError(
            f"invalid room name {text!r} (1 to 64 letters, digits, '-', '_' and '.')"
        ) from None


def nick(text: str) -> str:
    try:
        return normalise(text)
    except NickError as error:
        raise ArgumentTypeError(f"{text!r}: {error}") from None


def login_nick() -> str:
    """Return the login name if it can be a nick, else :data:`DEFAULT_NICK`."""
    try:
        login = normalise(getpass.getuser())
    except (KeyError, OSError, NickError):
        # The user has no name, as in a container with an arbitrary user id (before 3.13:
        # KeyError).
        return DEFAULT_NICK
    return DEFAULT_NICK if is_reserved(login) else login


def wait(text: str) -> float:
    seconds = _number(text)
    if not seconds >= 0:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds (0 or more)")
    return seconds


def interval(text: str) -> float:
    seconds = _number(text)
    if not MIN_KEEPALIVE <= seconds < math.inf:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds ({MIN_KEEPALIVE} or more)")
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
