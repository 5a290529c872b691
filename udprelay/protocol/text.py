"""Peers' texts and payloads, made safe for a terminal."""

import unicodedata

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
