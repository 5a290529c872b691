"""Option values: valid ones are read, invalid ones refused."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udprelay.config import values
from udprelay.protocol.access_key import AccessKey


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


whole = values.whole_number(1, 100)
number = values.number(0, 10)
duration = values.duration(0.1, 86_400)
size = values.size(0, 1024**3)
colour = values.one_of(Colour)


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (whole, "1", 1),
        (whole, "100", 100),
        (whole, "007", 7),
        (number, "0", 0.0),
        (number, "10", 10.0),
        (number, "0.5", 0.5),
        (duration, "90", 90.0),
        (duration, "0.5", 0.5),
        (duration, "250ms", 0.25),
        (duration, "90s", 90.0),
        (duration, "5m", 300.0),
        (duration, "5 M", 300.0),
        (duration, "1.5h", 5400.0),
        (duration, "1h 30m", 5400.0),
        (duration, "1h30m5s", 5405.0),
        (duration, "1d", 86_400.0),
        (size, "0", 0),
        (size, "65536", 65_536),
        (size, "1b", 1),
        (size, "64 KiB", 65_536),
        (size, "64kib", 65_536),
        (size, "10M", 10 * 1024**2),
        (size, "10 MB", 10_000_000),
        (size, "1.5k", 1536),
        (size, "1GiB", 1024**3),
        (values.dscp, "0", 0),
        (values.dscp, "63", 63),
        (values.dscp, "ef", 46),
        (values.dscp, "CS0", 0),
        (values.dscp, "CS5", 40),
        (values.dscp, "AF11", 10),
        (values.dscp, "AF43", 38),
        (values.dscp, "LE", 1),
        (values.boolean, "yes", True),
        (values.boolean, "True", True),
        (values.boolean, "ON", True),
        (values.boolean, "1", True),
        (values.boolean, "no", False),
        (values.boolean, "False", False),
        (values.boolean, "off", False),
        (values.boolean, "0", False),
        (colour, "red", Colour.RED),
        (colour, "BLUE", Colour.BLUE),
        (values.interface, "::", "::"),
        (values.interface, "[::1]", "::1"),
        (values.interface, "0.0.0.0", "0.0.0.0"),
        (values.interface, "2001:DB8:0::1", "2001:db8::1"),
        (values.interface, "fe80::1%eth0", "fe80::1%eth0"),
        (values.path, "", ""),
        (values.path, "/var/log/üben 1.log", "/var/log/üben 1.log"),
        (values.room_name, "lobby", "lobby"),
        (values.room_name, "a-b_c.9", "a-b_c.9"),
        (values.room_name, "Küche", "Küche"),
        (values.room_name, "x" * 64, "x" * 64),
        (values.network, "10.0.0.0/8", ip_network("10.0.0.0/8")),
        (values.network, "10.0.0.1", ip_network("10.0.0.1/32")),
        (values.network, "fd00::/8", ip_network("fd00::/8")),
        (values.access_key, "", None),
        (
            values.access_key,
            f"{'0A' * 16}:{'fF' * 32}",
            AccessKey(b"\x0a" * 16, b"\xff" * 32),
        ),
    ],
)
def test_valid_value_is_read(read: Callable[[str], Any], text: str, value: object) -> None:
    found = read(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("read", "texts", "why"),
    [
        (
            whole,
            ["", "0", "101", "-1", "+5", "1.0", "1e1", "ten", "1_0", "\u0661", "9" * 30],
            "must be a whole number from 1 to 100",
        ),
        (
            number,
            ["", "10.1", "-1", "1.", ".5", "nan", "inf", "1e1", "9" * 400, "\u0661"],
            "must be a number from 0 to 10",
        ),
        (
            duration,
            [
                "",
                "0",
                "50ms",
                "2d",
                "-5m",
                "5 minutes",
                "1h 30",
                "1h30",
                "90 5",
                "m",
                "1.5.5s",
                "inf",
            ],
            "must be a duration from 100ms to 1d, such as 90s, 5m or 1h 30m",
        ),
        (
            size,
            ["", "-1", "2 GiB", "1 bananas", "0 bananas", "1e3", "KiB", "9" * 400, "\u0661"],
            "must be a size from 0 to 1073741824 bytes, such as 64 KiB",
        ),
        (
            values.dscp,
            ["", "64", "184", "-1", "0x2e", "1.0", "AF14", "AF51", "CS8", "voice", "\u0661"],
            "must be a number from 0 to 63, or a name such as EF, CS5 or AF41",
        ),
        (values.boolean, ["", "maybe", "2", "y"], "must be yes or no"),
        (colour, ["", "green", "RED "], "must be one of red, blue"),
        (
            values.interface,
            ["", "eth0", "localhost", "[::1", "10.0.0.0/8", "1.2.3"],
            "must be an IP address, such as ::, 0.0.0.0 or 192.0.2.1",
        ),
        (
            values.path,
            ["a\0b", "a\nb", "a\x1b"],
            "must be a path without line breaks and control characters",
        ),
        (
            values.room_name,
            ["", "a b", "a/b", "*", "x" * 65, "a:b", "\x1b", "\u202e"],
            "must be 1 to 64 letters, digits, '-', '_' and '.'",
        ),
    ],
)
def test_invalid_value_is_refused_with_what_is_valid(
    read: Callable[[str], object], texts: list[str], why: str
) -> None:
    for text in texts:
        with pytest.raises(ValueError, match=r".") as error:
            read(text)
        assert str(error.value) == why, text


@pytest.mark.parametrize(
    ("read", "text", "words"),
    [
        (values.network, "10.0.0.1/8", ["'10.0.0.1/8'", "host bits", "10.0.0.0/8"]),
        (values.network, "everywhere", ["'everywhere'", "not a network"]),
        (values.network, "10.0.0.0/33", ["'10.0.0.0/33'"]),
    ],
)
def test_invalid_network_is_named_with_the_reason(
    read: Callable[[str], object], text: str, words: list[str]
) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        read(text)
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0ms"),
        (0.25, "250ms"),
        (1.0, "1s"),
        (90.0, "90s"),
        (300.0, "5m"),
        (5400.0, "90m"),
        (7200.0, "2h"),
        (86_400.0, "1d"),
        (1.5, "1.5s"),
    ],
)
def test_duration_is_formatted_in_the_largest_unit(seconds: float, text: str) -> None:
    assert values.show_duration(seconds) == text


@given(st.integers(1, 10**6))
def test_formatted_duration_is_read(seconds: int) -> None:
    assert values.duration(0, 10**6)(values.show_duration(seconds)) == seconds


READERS = [
    whole,
    number,
    duration,
    size,
    values.dscp,
    values.boolean,
    colour,
    values.interface,
    values.path,
    values.room_name,
    values.network,
    values.access_key,
]


@given(st.sampled_from(READERS), st.text(max_size=20))
def test_any_text_is_read_or_refused(read: Callable[[str], object], text: str) -> None:
    with suppress(ValueError):
        read(text)
