"""Texts of peers made safe for a terminal, and input split into lines in bounded memory."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import zip_longest

from attrs import frozen

# Joiners are invisible but harmless, and emoji and Indic scripts need them.
_JOINERS = "\u200c\u200d"
# Control, format (bidirectional overrides among them), surrogate, line and paragraph separators.
_UNSAFE_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))

_LINE_BREAK = re.compile(rb"(\r?\n)")
_CONTROLS = bytes((*range(ord("\n")), *range(ord("\n") + 1, 0x20), 0x7F))
"""The control characters of ASCII but ``\\n``."""


@lru_cache(maxsize=4096)
def _escape(character: str) -> str:
    if unicodedata.category(character) not in _UNSAFE_CATEGORIES or character in _JOINERS:
        return character
    return character.encode("unicode_escape").decode("ascii")


def printable(text: str) -> str:
    """
    Return ``text`` with escapes for all characters that could control a terminal.

    >>> printable("bell \\x07")
    'bell \\\\x07'
    """
    # Stricter than the categories: most texts in any language need no second look.
    if text.isprintable():
        return text
    return "".join(map(_escape, text))


def printable_payload(payload: bytes) -> str:
    """
    Return a payload as one line for a terminal.

    One final line break, as ``nc`` sends it, is removed. Bytes that are not UTF-8 become
    ``\\xNN``, control characters their escapes.
    """
    return printable(without_line_break(payload).decode("utf-8", "backslashreplace"))


def without_line_break(payload: bytes) -> bytes:
    """Return ``payload`` without one final ``\\n`` or ``\\r\\n``."""
    if payload.endswith(b"\r\n"):
        return payload[:-2]
    return payload.removesuffix(b"\n")


def is_one_line(data: bytes | bytearray, size: int) -> bool:
    """
    Return whether each datagram is printable ASCII, and at most its last byte is ``\\n``.

    :param data: datagrams of ``size`` bytes, of which the last may be shorter.
    """
    if not data.isascii() or len(data.translate(None, _CONTROLS)) < len(data):
        return False
    ends = data[size - 1 :: size] + (data[-1:] if len(data) % size else b"")
    return data.count(b"\n") == ends.count(b"\n")


def with_label(payload: bytes, label: bytes, limit: int) -> bytes | None:
    """
    Return a payload with ``label`` before each of its lines, for people.

    Lines end with ``\\n`` or ``\\r\\n``. Everything else that could begin a line or control
    a terminal is escaped, as :func:`printable_payload` does.

    :return: None if that has more than ``limit`` bytes.
    """
    # Escaping is slow: what gets too long by it is not escaped first. Each byte that is not UTF-8
    # gets three more, each control character at least one.
    text = payload.decode("utf-8", "ignore")
    raw = len(payload) - len(text.encode())
    controls = len(payload) - len(payload.translate(None, _CONTROLS)) - payload.count(b"\r\n")
    if len(payload) + 3 * raw + controls + payload.count(b"\n") * len(label) > limit:
        return None
    parts = _LINE_BREAK.split(payload)
    texts, breaks = parts[::2], parts[1::2]
    if breaks and not texts[-1]:
        del texts[-1]
    labelled = b"".join(
        label + printable(text.decode("utf-8", "backslashreplace")).encode() + line_break
        for text, line_break in zip_longest(texts, breaks, fillvalue=b"")
    )
    return labelled if len(labelled) <= limit else None


@frozen
class Line:
    """
    One line of input.

    :param number: counted from 1.
    :param length: bytes, without the line break.
    :param content: the bytes, without the line break; None if there are too many.
    """

    number: int
    length: int
    content: bytes | None


class LineSplitter:
    """
    Splits chunks into lines that end with ``\\n`` or ``\\r\\n``.

    :param max_length: bytes of a line; a longer one is skipped and counted.
    """

    def __init__(self, max_length: int) -> None:
        self._max_length = max_length
        self._number = 0
        self._content = bytearray()
        self._length = 0
        self._last = b""

    def feed(self, chunk: bytes) -> list[Line]:
        """Return the lines that end in this chunk."""
        *ended, rest = chunk.split(b"\n")
        lines = []
        for piece in ended:
            self._add(piece)
            lines.append(self._pop_line(1 if self._last == b"\r" else 0))
        self._add(rest)
        return lines

    def end(self) -> list[Line]:
        """Return the last line if it had no line break."""
        return [self._pop_line(0)] if self._length else []

    def _add(self, piece: bytes) -> None:
        if not piece:
            return
        self._length += len(piece)
        self._last = piece[-1:]
        # One byte more than the limit, as the last one may be the \r of the line break.
        if self._length <= self._max_length + 1:
            self._content += piece
        else:
            self._content.clear()

    def _pop_line(self, line_break: int) -> Line:
        self._number += 1
        length = self._length - line_break
        content = bytes(self._content[:length]) if length <= self._max_length else None
        self._content.clear()
        self._length = 0
        self._last = b""
        return Line(self._number, length, content)
