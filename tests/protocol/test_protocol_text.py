"""Peers' texts cannot control a terminal; harmless texts are unchanged."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udprelay.protocol.text import printable, printable_payload, without_line_break


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "",
        "Grüße, Žižek, naïve",
        "日本語",
        "مرحبا",
        "नमस्ते",
        "क्\u200dष",
        "\u0645\u06cc\u200c\u0634\u0648\u062f",
        "👩‍👩‍👧",
        "❤\ufe0f",
        "e\u0301",
        "back\\slash",
    ],
)
def test_harmless_text_is_unchanged(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("bell \x07", r"bell \x07"),
        ("\r\n\t\0", r"\r\n\t\x00"),
        ("\x7f", r"\x7f"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("\u2066a\u2069", r"\u2066a\u2069"),
        ("\u2028\u2029", r"\u2028\u2029"),
        ("\ufeff", r"\ufeff"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_control_characters_become_escapes(text: str, escaped: str) -> None:
    assert printable(text) == escaped


@given(st.text())
def test_no_text_has_control_characters_afterwards(text: str) -> None:
    categories = {unicodedata.category(c) for c in printable(text) if c not in "\u200c\u200d"}
    assert not categories & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(st.text())
def test_printable_text_is_unchanged(text: str) -> None:
    assert printable(printable(text)) == printable(text)


@pytest.mark.parametrize(
    ("payload", "line"),
    [
        (b"hello\n", "hello"),
        (b"hello\r\n", "hello"),
        (b"hello\n\n", r"hello\n"),
        (b"hello\r", r"hello\r"),
        (b"", ""),
        (b"\n", ""),
        (b"\xff\xfe binary", r"\xff\xfe binary"),
        ("é".encode("latin-1"), r"\xe9"),
        ("é".encode(), "é"),
        (b"\xed\xa0\x80", r"\xed\xa0\x80"),
    ],
)
def test_payload_becomes_one_line_without_its_line_break(payload: bytes, line: str) -> None:
    assert printable_payload(payload) == line


@given(st.binary())
def test_every_payload_becomes_one_line(payload: bytes) -> None:
    line = printable_payload(payload)
    assert "\n" not in line
    line.encode()


@given(st.binary())
def test_at_most_one_line_break_is_removed(payload: bytes) -> None:
    rest = without_line_break(payload)
    assert payload in (rest, rest + b"\n", rest + b"\r\n")
