"""
The challenge for plain members: a code that only the owner of an address can send back.

The relay keeps no state for a challenged address: the code is a MAC over the address and the
time. A code has eight characters of Crockford's base 32 in lower case. It begins with a digit and
a letter, so that few words look like a code.
"""

from __future__ import annotations

import hmac
import re

from udprelay.protocol.endpoint import Endpoint

_DIGITS = "0123456789"
_LETTERS = "abcdefghjkmnpqrstvwxyz"
_ALPHABET = _DIGITS + _LETTERS
_MISREAD = str.maketrans("OoIiLl", "001111")

BUCKET = 60.0
"""Seconds for which codes are the same; a code is valid in its bucket and in the next."""

# From the most helpful to the smallest: a datagram gets the first one that is smaller than three
# times its own size. Sent back whole, none of them is accepted, or every echo service would
# become a member. So the smallest, the code alone, is in upper case, and a code in upper case is
# accepted only with a line break.
_FORMS = ("udprelay: to join, send this code: {}\n", "to join send {}\n", "send {}\n")
_CODE = f"[0-9][{_LETTERS}][{_ALPHABET}]{{6}}"
_CHALLENGE = re.compile(
    (
        f"(?:udprelay: to join, send this code: |to join send |send ){_CODE}\\s*|{_CODE.upper()}"
    ).encode()
)
_MAX_CHALLENGE = len(_FORMS[0]) + 8


def code(secret: bytes, listener: str, address: Endpoint, now: float) -> str:
    """Return the code that proves ``address`` to ``listener``, to send now."""
    bucket = int(now // BUCKET)
    message = f"{listener}\0{address}\0{bucket}".encode()
    number = int.from_bytes(hmac.digest(secret, message, "sha256")[:8], "big")
    characters = []
    for alphabet in (_DIGITS, _LETTERS, *[_ALPHABET] * 6):
        number, index = divmod(number, len(alphabet))
        characters.append(alphabet[index])
    return "".join(characters)


def proves(secret: bytes, listener: str, address: Endpoint, payload: bytes, now: float) -> bool:
    """Return whether ``payload`` is a valid code for ``address``, as typed by a person."""
    if len(payload) > 16 or is_challenge(payload):
        return False
    typed = payload.strip().decode("ascii", "replace").translate(_MISREAD).lower().encode()
    return any(
        hmac.compare_digest(typed, code(secret, listener, address, when).encode())
        for when in (now, now - BUCKET)
    )


def is_challenge(payload: bytes) -> bool:
    """Return whether ``payload`` is a challenge of a relay."""
    return len(payload) <= _MAX_CHALLENGE and _CHALLENGE.fullmatch(payload) is not None


def challenge(code: str, received: int) -> bytes | None:
    """
    Return the challenge for a datagram of ``received`` bytes.

    It is smaller than three times the received datagram, so that a forged source address gains
    nothing; there is none for one or two bytes.
    """
    for form in _FORMS:
        text = form.format(code).encode()
        if len(text) < 3 * received:
            return text
    return code.upper().encode() if len(code) < 3 * received else None
