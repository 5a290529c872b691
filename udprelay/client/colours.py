"""A colour for each nick, the same at every time and place."""

from __future__ import annotations

from zlib import crc32

from udprelay.protocol.nick import comparable

# Those that can be read on a light and on a dark background.
_COLOURS = ("ansired", "ansigreen", "ansiyellow", "ansiblue", "ansimagenta", "ansicyan")
_STYLES = (*_COLOURS, *(f"{colour} bold" for colour in _COLOURS))


def style_of(nick: str) -> str:
    """Return the style for a nick as the relay tells it."""
    return _STYLES[crc32(comparable(nick).encode()) % len(_STYLES)]
