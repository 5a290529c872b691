"""Texts of peers made safe for a terminal, and input split into lines in bounded memory."""

from __future__ import annotations

import unicodedata

from attrs import frozen

# Joiners are invisible but harmless, and emoji and Indic scripts need them.
_JOINERS = "\u200c\u200d"
# Control, format (bidirectional overrides among them), surrogate, line and paragraph separators.
_UNSAFE_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))


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
    if text.isascii() and text.isprintable():
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
