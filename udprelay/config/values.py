"""
Readers of option values.

Each raises ValueError with a message that says what is valid.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Literal, TypeVar

from udprelay.protocol.access_key import AccessKey
from udprelay.protocol.endpoint import (
    IPAddress,
    IPNetwork,
    canonical,
    host_port,
    parse_host_port,
)
from udprelay.relay.option import Form, Option
from udprelay.relay.rules import LOCAL

E = TypeVar("E", bound=Enum)

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "": 1.0}
_NUMBER = r"(\d+(?:\.\d+)?)"
_DURATION = re.compile(rf"{_NUMBER}|(?:{_NUMBER}\s*(?:ms|s|m|h|d)\s*)+", re.ASCII)
_DURATION_PART = re.compile(rf"{_NUMBER}\s*(ms|s|m|h|d|)", re.ASCII)
_BYTES = {"": 1, "b": 1, "kib": 1024, "mib": 1024**2, "gib": 1024**3}
_BYTES |= {"k": 1024, "m": 1024**2, "g": 1024**3, "kb": 1000, "mb": 1000**2, "gb": 1000**3}
_SIZE = re.compile(rf"{_NUMBER}\s*([a-z]*)", re.ASCII)
_BOOLEANS = dict.fromkeys(("yes", "true", "on", "1"), True)
_BOOLEANS |= dict.fromkeys(("no", "false", "off", "0"), False)
_CODEPOINTS = {"DF": 0, "BE": 0, "LE": 1, "EF": 46, "VOICE-ADMIT": 44}
# RFC 2474, 4.2.2; RFC 2597, 6.
_CODEPOINTS |= {f"CS{n}": 8 * n for n in range(8)}
_CODEPOINTS |= {f"AF{n}{drop}": 8 * n + 2 * drop for n in range(1, 5) for drop in range(1, 4)}
_LIMITED_BROADCAST = IPv4Address("255.255.255.255")
_IPV4_MAPPED = IPv6Network("::ffff:0:0/96")
_ROOM_NAME = re.compile(r"[\w.\-]{1,64}")


def whole_number(minimum: int, maximum: int) -> Callable[[str], int]:
    """Return a reader of whole numbers within bounds."""

    def read(text: str) -> int:
        if not re.fullmatch(r"\d{1,18}", text, re.ASCII) or not minimum <= int(text) <= maximum:
            raise ValueError(f"must be a whole number from {minimum} to {maximum}")
        return int(text)

    return read


def number(minimum: float, maximum: float) -> Callable[[str], float]:
    """Return a reader of numbers within bounds."""

    def read(text: str) -> float:
        if re.fullmatch(r"\d{1,12}(\.\d+)?", text, re.ASCII) is None:
            value = minimum - 1
        else:
            value = float(text)
        if not minimum <= value <= maximum:
            raise ValueError(f"must be a number from {minimum:.12g} to {maximum:.12g}")
        return value

    return read


def duration(minimum: float, maximum: float) -> Callable[[str], float]:
    """Return a reader of durations (``90``, ``5m``, ``1h 30m``, ``250ms``) in seconds."""

    def read(text: str) -> float:
        lower, seconds = text.lower(), -1.0
        if _DURATION.fullmatch(lower):
            parts = _DURATION_PART.findall(lower)
            seconds = sum(float(amount) * _SECONDS[unit] for amount, unit in parts)
        if not minimum <= seconds <= maximum:
            raise ValueError(
                f"must be a duration from {show_duration(minimum)} to {show_duration(maximum)}, "
                "such as 90s, 5m or 1h 30m"
            )
        return seconds

    return read


def show_duration(seconds: float) -> str:
    """Format a duration in the largest unit that gives a whole number."""
    for unit in ("d", "h", "m", "s"):
        if seconds >= _SECONDS[unit] and seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:.0f}{unit}"
    return f"{seconds * 1000:.0f}ms" if seconds < 1 else f"{seconds:g}s"


def size(minimum: int, maximum: int) -> Callable[[str], int]:
    """Return a reader of sizes (``65536``, ``64 KiB``, ``10M``) in bytes."""

    def read(text: str) -> int:
        match = _SIZE.fullmatch(text.lower())
        value = float(match[1]) * _BYTES[match[2]] if match and match[2] in _BYTES else -1
        if not minimum <= value <= maximum:
            raise ValueError(f"must be a size from {minimum} to {maximum} bytes, such as 64 KiB")
        return int(value)

    return read


def dscp(text: str) -> int:
    """Read a differentiated services codepoint: its number, or its name (IANA registry)."""
    value = _CODEPOINTS.get(text.upper(), -1)
    if re.fullmatch(r"\d{1,3}", text, re.ASCII):
        value = int(text)
    if not 0 <= value <= 63:
        raise ValueError("must be a number from 0 to 63, or a name such as EF, CS5 or AF41")
    return value


def boolean(text: str) -> bool:
    """Read ``yes``/``no``, ``true``/``false``, ``on``/``off``, ``1``/``0``."""
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise ValueError("must be yes or no") from None


def one_of(choices: type[E]) -> Callable[[str], E]:
    """Return a reader of the values of an enumeration."""

    def read(text: str) -> E:
        try:
            return choices(text.lower())
        except ValueError:
            names = ", ".join(str(choice.value) for choice in choices)
            raise ValueError(f"must be one of {names}") from None

    return read


def interface(text: str) -> str:
    """Read the numeric address of an interface; ``::`` is all of them, IPv4 and IPv6."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        ip = ip_address(bare)
    except ValueError:
        raise ValueError("must be an IP address, such as ::, 0.0.0.0 or 192.0.2.1") from None
    if canonical(ip) is not ip:
        raise ValueError(f"is an IPv4 address in IPv6 notation; write {canonical(ip)}")
    if ip.is_multicast or ip == _LIMITED_BROADCAST:
        raise ValueError("must be an address of this machine, not of a group of machines")
    if isinstance(ip, IPv6Address) and ip.is_link_local != (ip.scope_id is not None):
        if ip.scope_id is None:
            raise ValueError(f"needs the name of its network interface, as in {ip}%eth0")
        raise ValueError("must have no %: only link-local addresses belong to one interface")
    return str(ip)


def room_name(text: str) -> str:
    """Read the name of a room: 1 to 64 letters, digits, ``-``, ``_`` and ``.``."""
    if _ROOM_NAME.fullmatch(text) is None:
        raise ValueError("must be 1 to 64 letters, digits, '-', '_' and '.'")
    return text


def path(text: str) -> str:
    """Read the path of a file."""
    if not text.isprintable():
        raise ValueError("must be a path without line breaks and control characters")
    return text


def network(text: str) -> IPNetwork | Literal["local"]:
    """Read a network in CIDR notation, or ``local``."""
    if text.lower() == LOCAL:
        return LOCAL
    try:
        found = ip_network(text)
    except ValueError as error:
        raise ValueError(
            f"{text!r} is not a network ({error}); write networks as 10.0.0.0/8, fd00::/8, or "
            "local"
        ) from None
    if isinstance(found, IPv6Network) and found.subnet_of(_IPV4_MAPPED):
        prefix = found.prefixlen - _IPV4_MAPPED.prefixlen
        raise ValueError(
            f"{text!r} has IPv4 addresses in IPv6 notation and matches none; "
            f"write {canonical(found.network_address)}/{prefix}"
        )
    if found.is_multicast:
        raise ValueError(f"{text!r} matches none: nobody sends from the address of a group")
    return found


def target(text: str) -> tuple[str, int]:
    """Read the ``HOST:PORT`` of a target."""
    host, port = parse_host_port(text)
    ip = numeric(host)
    if ip is not None and ip.is_unspecified:
        loopback = "127.0.0.1" if ip.version == 4 else "::1"
        raise ValueError(
            f"{host!r} is not an address to send to; write {host_port(loopback, port)} "
            "for a program on this machine"
        )
    if ip == _LIMITED_BROADCAST:
        raise ValueError(f"{host!r} is a broadcast address; write the address of one machine")
    if isinstance(ip, IPv6Address) and ip.is_link_local and ip.scope_id is None:
        raise ValueError(f"{host!r} needs the name of a network interface, as in [{host}%eth0]")
    return host, port


def numeric(host: str) -> IPAddress | None:
    """Return the address that ``host`` is, in its own notation; None if it is a name."""
    try:
        return canonical(ip_address(host))
    except ValueError:
        return None


def access_key(text: str) -> AccessKey | None:
    """Read ``SALT:KEY``, both in hexadecimal; an empty text is no key."""
    return AccessKey.parse(text) if text else None


LISTS: Mapping[Form, Callable[[str], Any]] = {
    Form.NETWORKS: network,
    Form.TARGETS: target,
}
"""Readers of the items of lists, which are separated by commas or white space."""

_WITHOUT_BOUNDS: Mapping[Form, Callable[[str], Any]] = {
    Form.YES_OR_NO: boolean,
    Form.DSCP: dscp,
    Form.INTERFACE: interface,
    Form.ROOM: room_name,
    Form.ACCESS_KEY: access_key,
    Form.PATH: path,
    **LISTS,
}


def reader(option: Option) -> Callable[[str], Any]:
    """Return the reader of an option's values, or of the items of its list."""
    minimum, maximum = option.minimum, option.maximum
    match option.form:
        case Form.CHOICE:
            return one_of(type(option.default))
        case Form.COUNT:
            return whole_number(int(minimum), int(maximum))
        case Form.NUMBER:
            return number(minimum, maximum)
        case Form.DURATION:
            return duration(minimum, maximum)
        case Form.SIZE:
            return size(int(minimum), int(maximum))
    return _WITHOUT_BOUNDS[option.form]
