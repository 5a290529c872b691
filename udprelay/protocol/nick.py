"""Nicks: the profile Nickname of PRECIS (RFC 8266), within the bounds of the protocol."""

from __future__ import annotations

import re

from precis_i18n import get_profile

MOST_CHARACTERS = 32
MOST_BYTES = 64

# Four are more than compose to any one character; spaces may be left out, too.
_MOST_TYPED = 4 * MOST_CHARACTERS
_TOO_LONG = f"A nick has at most {MOST_CHARACTERS} characters, and {MOST_BYTES} bytes as UTF-8."
_SHOWN = get_profile("NicknameCasePreserved")
_COMPARED = get_profile("NicknameCaseMapped")
_RESERVED = re.compile(r"console|guest-\d+")


class NickError(ValueError):
    """A text that is no nick; says why in a sentence for people."""


def normalise(text: str) -> str:
    """
    Return the nick as it is shown, and as badges have it (RFC 8266, 2.3).

    :raises NickError: if the text is no nick. Nothing else is raised, whatever the text.
    """
    if len(text) > _MOST_TYPED:
        raise NickError(_TOO_LONG)
    nick = _enforced(text)
    if len(nick) > MOST_CHARACTERS or len(nick.encode()) > MOST_BYTES:
        raise NickError(_TOO_LONG)
    return nick


def comparable(nick: str) -> str:
    """
    Return what two nicks have in common if they count as the same (RFC 8266, 2.4).

    :param nick: as :func:`normalise` returned it.
    """
    return _COMPARED.enforce(nick)


def is_reserved(nick: str) -> bool:
    """
    Return whether a nick, or one that counts as the same, belongs to the relay.

    :param nick: as :func:`normalise` returned it.
    """
    return _RESERVED.fullmatch(comparable(nick)) is not None


def _enforced(text: str) -> str:
    try:
        nick = _SHOWN.enforce(text)
        # Lower case may break a rule about neighbours that upper case does not.
        _COMPARED.enforce(nick)
    except UnicodeEncodeError as error:
        raise NickError(_sentence(error)) from None
    return nick


def _sentence(error: UnicodeEncodeError) -> str:
    if error.reason == "DISALLOWED/empty":
        return "A nick has at least one character."
    character = ord(error.object[error.start])
    return f"The character U+{character:04X} is not allowed in a nick, or not at its place."
