"""Peers' texts cannot control a terminal; harmless texts are unchanged."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udprelay.protocol.text import (
    is_one_line,
    printable,
    printable_payload,
    with_label,
    without_line_break,
)

# What some program takes for the end of a line, or for a way back to its beginning.
LINE_BREAKS = ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
LIMIT = 1000


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


@pytest.mark.parametrize(
    ("payload", "labelled"),
    [
        (b"hi", b"ada: hi"),
        (b"hi\n", b"ada: hi\n"),
        (b"hi\r\n", b"ada: hi\r\n"),
        (b"\n", b"ada: \n"),
        (b"", b"ada: "),
        (b"hi\nbob: I resign\n", b"ada: hi\nada: bob: I resign\n"),
        (b"hi\r\nbob: no\r\n", b"ada: hi\r\nada: bob: no\r\n"),
        (b"\nbob: no", b"ada: \nada: bob: no"),
        (b"hi\n\n", b"ada: hi\nada: \n"),
        (b"hi\rbob: no", rb"ada: hi\rbob: no"),
        (b"hi\r", rb"ada: hi\r"),
        (b"hi\n\rbob: no", b"ada: hi\nada: \\rbob: no"),
        (b"a\x1b[2Kb\tc\x00", rb"ada: a\x1b[2Kb\tc\x00"),
        ("a\u2028b\x85c\u202ed\x9b".encode(), rb"ada: a\u2028b\x85c\u202ed\x9b"),
        (b"ada\xe9\x85bob: no\x9b1m", rb"ada: ada\xe9\x85bob: no\x9b1m"),
        ("Grüße 👩‍👧\n".encode(), "ada: Grüße 👩‍👧\n".encode()),
    ],
)
def test_each_line_has_the_label(payload: bytes, labelled: bytes) -> None:
    assert with_label(payload, b"ada: ", LIMIT) == labelled


@given(st.lists(st.one_of(st.sampled_from(["bob: no", *LINE_BREAKS]), st.text(max_size=3))))
def test_no_text_makes_a_line_without_the_label(parts: list[str]) -> None:
    labelled = with_label("".join(parts).encode(errors="surrogatepass"), b"ada: ", LIMIT)
    assert labelled is not None
    lines = labelled.decode().splitlines()
    assert all(line.startswith("ada: ") for line in lines)
    assert all(line.isprintable() or printable(line) == line for line in lines)


@given(st.binary())
def test_no_bytes_make_a_line_without_the_label(payload: bytes) -> None:
    labelled = with_label(payload, b"ada: ", LIMIT)
    assert labelled is not None
    assert all(line.startswith("ada: ") for line in labelled.decode().splitlines())


@pytest.mark.parametrize("payload", [b"x" * 6, b"\n" * 6, b"\x00" * 2])
def test_a_payload_can_be_too_long_with_its_label(payload: bytes) -> None:
    whole = with_label(payload, b"ada: ", LIMIT)
    assert whole is not None
    assert with_label(payload, b"ada: ", len(whole)) == whole
    assert with_label(payload, b"ada: ", len(whole) - 1) is None


@given(
    st.integers(1, 4),
    st.lists(st.sampled_from([b"a", b"~", b"\n", b"\r", b"\x7f", b"\xc3", b" "]), min_size=1),
)
def test_datagrams_of_one_line_need_the_label_at_their_beginning_only(
    size: int, parts: list[bytes]
) -> None:
    data = b"".join(parts)
    payloads = [data[start : start + size] for start in range(0, len(data), size)]
    whole = is_one_line(data, size)
    if whole:
        assert all(with_label(one, b"ada: ", LIMIT) == b"ada: " + one for one in payloads)
    assert (
        whole == all(one.removesuffix(b"\n").decode("latin-1").isprintable() for one in payloads)
        or not data.isascii()
    )
    assert is_one_line(bytearray(data), size) == whole
