"""
Sealing: payloads that only members of a room with a passphrase can read or make.

See "Passphrase" in ``docs/protocol.rst``.
"""

from __future__ import annotations

import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from udprelay.protocol.keys import expand, framed

OVERHEAD = 16
"""Bytes by which a sealed payload is longer."""

UNRELIABLE = 0
RELIABLE = 1
PRIVATE = 2
UNRELIABLE_PRIVATE = 3

_NONCE = struct.Struct("!B7xI")
_DATA, _PRIVATE_DATA = 0x10, 0x11
_AGAIN = 16


class SealError(Exception):
    """A payload was not sealed so by a member of the room."""


class Seal:
    """
    Seals and opens what one member of one room sends.

    :param content_key: the room's.
    :param identity: the sender's.
    :param room: its name.
    """

    __slots__ = ("_cipher", "_room")

    def __init__(self, content_key: bytes, identity: bytes, room: str) -> None:
        self._room = framed(room.encode())
        key = expand(content_key, b"udprelay 1 seal" + self._room + framed(identity))
        self._cipher = ChaCha20Poly1305(key)

    def seal(
        self, stream: int, own: int, flags: int, payload: bytes, receiver: bytes = b""
    ) -> bytes:
        """
        Return the payload, sealed (RFC 8439); never call it for two payloads of one place.

        :param stream: :data:`UNRELIABLE`, :data:`RELIABLE`, :data:`PRIVATE` or
            :data:`UNRELIABLE_PRIVATE`.
        :param own: the sender's own sequence in that stream.
        :param flags: as in the datagram; AGAIN makes no difference.
        :param receiver: the receiver's identity, if the stream is one of private messages.
        """
        associated = self._associated(stream, flags, receiver)
        return self._cipher.encrypt(_NONCE.pack(stream, own), payload, associated)

    def open(
        self, stream: int, own: int, flags: int, payload: bytes, receiver: bytes = b""
    ) -> bytes:
        """
        Return what was sealed; parameters as for :meth:`seal`.

        :raises SealError: if anything differs from what was sealed.
        """
        associated = self._associated(stream, flags, receiver)
        try:
            return self._cipher.decrypt(_NONCE.pack(stream, own), payload, associated)
        except InvalidTag:
            raise SealError from None

    def _associated(self, stream: int, flags: int, receiver: bytes) -> bytes:
        kind = _PRIVATE_DATA if stream in (PRIVATE, UNRELIABLE_PRIVATE) else _DATA
        return bytes((kind, flags & ~_AGAIN)) + self._room + receiver
