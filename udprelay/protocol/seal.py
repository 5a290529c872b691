"""
Sealing: payloads that only members of a room with a passphrase can open or make.

See "Passphrase" in ``docs/protocol.rst``.
"""

from __future__ import annotations

import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from udprelay.protocol.keys import expand, length_prefixed
from udprelay.protocol.wire.header import RESUBMITTED, Type

SEAL_OVERHEAD = 16
"""Bytes that a seal adds to a payload."""

UNRELIABLE = 0
RELIABLE = 1
PRIVATE = 2
UNRELIABLE_PRIVATE = 3

_NONCE = struct.Struct("!B7xI")


class SealError(Exception):
    """A payload was not sealed by this member in this place."""


class Seal:
    """
    Seals and opens the payloads of one member of a room.

    :param content_key: 32 bytes, of the room.
    :param identity: 16 bytes, of the sender.
    :param room: its name.
    """

    __slots__ = ("_cipher", "_room")

    def __init__(self, content_key: bytes, identity: bytes, room: str) -> None:
        self._room = length_prefixed(room.encode())
        key = expand(content_key, b"udprelay 1 seal" + self._room + length_prefixed(identity))
        self._cipher = ChaCha20Poly1305(key)

    def seal(
        self, channel: int, own: int, flags: int, payload: bytes, receiver: bytes = b""
    ) -> bytes:
        """
        Seal a payload (RFC 8439). Two payloads must not have the same channel and own sequence.

        :param channel: :data:`UNRELIABLE`, :data:`RELIABLE`, :data:`PRIVATE` or
            :data:`UNRELIABLE_PRIVATE`.
        :param own: the sender's own sequence in that channel.
        :param flags: as in the datagram; RESUBMITTED is ignored.
        :param receiver: the receiver's identity, 16 bytes; empty for messages to the room.
        """
        associated = self._associated(channel, flags, receiver)
        return self._cipher.encrypt(_NONCE.pack(channel, own), payload, associated)

    def open(
        self, channel: int, own: int, flags: int, payload: bytes, receiver: bytes = b""
    ) -> bytes:
        """
        Open a sealed payload; the parameters are those of :meth:`seal`.

        :raises SealError: if any of them differs.
        """
        associated = self._associated(channel, flags, receiver)
        try:
            return self._cipher.decrypt(_NONCE.pack(channel, own), payload, associated)
        except InvalidTag:
            raise SealError from None

    def _associated(self, channel: int, flags: int, receiver: bytes) -> bytes:
        private = channel in (PRIVATE, UNRELIABLE_PRIVATE)
        kind = Type.PRIVATE_UP if private else Type.DATA_UP
        return bytes((kind, flags & ~RESUBMITTED)) + self._room + receiver
