"""Nicks: the profile Nickname of PRECIS (RFC 8266), with the bounds of the protocol."""

from __future__ import annotations

import re
from functools import lru_cache
from unicodedata import normalize

from precis_i18n import get_profile

MAX_CHARACTERS = 32
_MAX_BYTES = 64
# Normalising makes a text shorter, but no four characters compose to one.
_MAX_TYPED = 4 * MAX_CHARACTERS
_TOO_LONG = f"A nick has at most {MAX_CHARACTERS} characters, and {_MAX_BYTES} bytes in UTF-8."
_CASE_PRESERVED = get_profile("NicknameCasePreserved")
_CASE_MAPPED = get_profile("NicknameCaseMapped")
# What the profile maps to a space. It looks at each character, which takes microseconds.
_SPACES = re.compile("[ \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+")
_RESERVED = re.compile(r"console|guest-\d+")


class NickError(ValueError):
    """A nick is invalid; the message is a sentence for people."""


def normalise(text: str) -> str:
    """
    Return a nick as members and badges use it (RFC 8266, 2.3).

    :raises NickError: if the nick is invalid.
    """
    if len(text) > _MAX_TYPED:
        raise NickError(_TOO_LONG)
    try:
        nick = _preserve_case(text)
        # Lower case may break a rule about neighbours that upper case does not.
        comparable(nick)
    except UnicodeEncodeError as error:
        raise NickError(_sentence(error)) from None
    if len(nick) > MAX_CHARACTERS or len(nick.encode()) > _MAX_BYTES:
        raise NickError(_TOO_LONG)
    return nick


def _preserve_case(text: str) -> str:
    if text.isascii() and text.isprintable() and not text.isspace() and text:
        # All printable characters of ASCII are valid, and only spaces are mapped.
        return " ".join(text.split())
    # The same nick in less characters, if it may be one.
    text = _SPACES.sub(" ", normalize("NFC", text)).strip(" ")
    if len(normalize("NFKC", text)) > MAX_CHARACTERS:
        raise NickError(_TOO_LONG)
    enforced: str = _CASE_PRESERVED.enforce(text)
    return enforced


@lru_cache(maxsize=16)
def comparable(nick: str) -> str:
    """
    Return the form in which equal nicks are equal (RFC 8266, 2.4).

    It is cached, as whoever gives a nick asks for it several times.

    :param nick: as :func:`normalise` returned it.
    """
    if nick.isascii():
        return nick.lower()
    form: str = _CASE_MAPPED.enforce(nick)
    return form


def is_reserved(nick: str) -> bool:
    """
    Return whether a nick, or one that is equal to it, belongs to the relay.

    :param nick: as :func:`normalise` returned it.
    """
    return _RESERVED.fullmatch(comparable(nick)) is not None


def _sentence(error: UnicodeEncodeError) -> str:
    if error.reason == "DISALLOWED/empty":
        return "The nick is empty."
    character = ord(error.object[error.start])
    return f"The character U+{character:04X} is not allowed in a nick, or not at this position."
