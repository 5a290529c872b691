"""
Keys: who somebody is, what a passphrase comes to, and what proves that it is known.

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
_SIXTEEN = 16


class PassphraseError(ValueError):
    """A text that can be no passphrase; says why, and never quotes it."""


@frozen
class RoomKeys:
    """
    What a room's passphrase and salt come to.

    :param access: 32 bytes, known to members and to the relay.
    :param content: 32 bytes, known to members alone.
    """

    access: bytes = field(repr=False)
    content: bytes = field(repr=False)


def framed(value: bytes) -> bytes:
    """Return ``value`` behind its length (u16), so that two values in a row have one meaning."""
    return _LENGTH.pack(len(value)) + value


def expand(key: bytes, info: bytes) -> bytes:
    """Return 32 bytes of HKDF-Expand with SHA-256 (RFC 5869, 2.3)."""
    return HKDFExpand(SHA256(), 32, info).derive(key)


def identity(secret: bytes) -> bytes:
    """Return the identity, 16 bytes, of whoever has this resume secret."""
    return hashlib.sha256(b"udprelay identity" + secret).digest()[:_SIXTEEN]


def prepare_passphrase(text: str) -> str:
    """
    Return the form of a passphrase that is the same however it was typed (RFC 8265, 4.2).

    :param text: line breaks at its end do not belong to it.
    :raises PassphraseError: if there is none, or it has a character that none may have.
    """
    text = text.rstrip("\r\n")
    if not text:
        raise PassphraseError("the passphrase is empty")
    try:
        return _OPAQUE.enforce(text)
    except UnicodeEncodeError as error:
        where = error.start + 1
    # Outside the handler: the exception there has the passphrase, and would be its context.
    raise PassphraseError(f"the passphrase may not have its character {where}")


def derive(passphrase: str, salt: bytes) -> RoomKeys:
    """
    Return the keys of a room; takes a tenth of a second and 32 MiB, on purpose (RFC 7914).

    :param salt: 16 bytes, the room's.
    :raises PassphraseError: as :func:`prepare_passphrase`.
    """
    prepared = prepare_passphrase(passphrase).encode()
    master = Scrypt(salt, length=64, n=2**15, r=8, p=1).derive(prepared)
    return RoomKeys(expand(master, b"udprelay 1 access"), expand(master, b"udprelay 1 content"))


def proof(
    access_key: bytes, cookie: bytes, room: str, nick: str, nonce: bytes, identity: bytes
) -> bytes:
    """
    Return the 32 bytes that prove to the relay, in JOIN, that the passphrase is known.

    :param nick: as it stands in JOIN.
    """
    parts = (cookie, room.encode(), nick.encode(), nonce, identity)
    return _mac(access_key, b"udprelay 1 join", parts)


def badge(content_key: bytes, room: str, identity: bytes, nick: str) -> bytes:
    """
    Return the 16 bytes that prove to members that one of them has chosen this nick.

    :param nick: as :func:`udprelay.protocol.nick.normalise` returns it.
    """
    parts = (room.encode(), identity, nick.encode())
    return _mac(content_key, b"udprelay 1 badge", parts)[:_SIXTEEN]


def _mac(key: bytes, label: bytes, parts: tuple[bytes, ...]) -> bytes:
    return hmac.digest(key, label + b"".join(map(framed, parts)), "sha256")
