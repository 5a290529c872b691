"""
Identities, the keys of rooms with a passphrase, proofs and badges.

See "Passphrase" in ``docs/protocol.rst``.
"""

from __future__ import annotations

import hashlib
import hmac
import struct

from attrs import field, frozen
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from precis_i18n import get_profile

_OPAQUE = get_profile("OpaqueString")
_LENGTH = struct.Struct("!H")
_TRUNCATED = 16


class PassphraseError(ValueError):
    """A passphrase is invalid; the message says why and never quotes it."""


@frozen
class RoomKeys:
    """
    The keys derived from the passphrase and salt of a room.

    :param access: 32 bytes, known to the members and the relay.
    :param content: 32 bytes, known to the members alone.
    """

    access: bytes = field(repr=False)
    content: bytes = field(repr=False)


def length_prefixed(value: bytes) -> bytes:
    """Return ``value`` behind its length (u16), which makes concatenation unambiguous."""
    return _LENGTH.pack(len(value)) + value


def expand(key: bytes, info: bytes) -> bytes:
    """Return 32 bytes of HKDF-Expand with SHA-256 (RFC 5869, 2.3)."""
    return HKDFExpand(SHA256(), 32, info).derive(key)


def identity(secret: bytes) -> bytes:
    """Return the identity, 16 bytes, that belongs to a resume secret."""
    return hashlib.sha256(b"udprelay identity" + secret).digest()[:_TRUNCATED]


def prepare_passphrase(text: str) -> str:
    """
    Return the normalised form of a passphrase (RFC 8265, 4.2).

    :param text: line breaks at its end are ignored.
    :raises PassphraseError: if it is empty or has a character that is not allowed.
    """
    text = text.rstrip("\r\n")
    if not text:
        raise PassphraseError("the passphrase is empty")
    try:
        return _OPAQUE.enforce(text)
    except UnicodeEncodeError as error:
        position = error.start + 1
    # Outside the handler, as the handled exception quotes the passphrase in a traceback.
    raise PassphraseError(f"character {position} of the passphrase is not allowed")


def derive(passphrase: str, salt: bytes) -> RoomKeys:
    """
    Derive the keys of a room; takes 0.1 s and 32 MiB, which slows guessing down (RFC 7914).

    :param salt: 16 bytes.
    :raises PassphraseError: as :func:`prepare_passphrase`.
    """
    prepared = prepare_passphrase(passphrase).encode()
    master = Scrypt(salt, length=64, n=2**15, r=8, p=1).derive(prepared)
    return RoomKeys(expand(master, b"udprelay 1 access"), expand(master, b"udprelay 1 content"))


def proof(
    access_key: bytes, cookie: bytes, room: str, nick: str, nonce: bytes, identity: bytes
) -> bytes:
    """
    Return the proof for JOIN, 32 bytes, that the client knows the passphrase.

    :param nick: as in JOIN.
    """
    parts = (cookie, room.encode(), nick.encode(), nonce, identity)
    return _mac(access_key, b"udprelay 1 join", parts)


def badge(content_key: bytes, room: str, identity: bytes, nick: str) -> bytes:
    """
    Return the badge, 16 bytes, which proves to members that one of them has chosen this nick.

    :param nick: as :func:`udprelay.protocol.nick.normalise` returns it.
    """
    parts = (room.encode(), identity, nick.encode())
    return _mac(content_key, b"udprelay 1 badge", parts)[:_TRUNCATED]


def _mac(key: bytes, label: bytes, parts: tuple[bytes, ...]) -> bytes:
    return hmac.digest(key, label + b"".join(map(length_prefixed, parts)), "sha256")
