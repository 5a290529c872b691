"""Seals and badges of a client with a passphrase."""

from __future__ import annotations

from functools import lru_cache
from hmac import compare_digest

from udprelay.protocol.keys import RoomKeys, badge, identity
from udprelay.protocol.seal import PRIVATE, UNRELIABLE_PRIVATE, Seal

_MAX_SEALS = 1024


class Sealing:
    """
    Seals and opens payloads, makes and verifies badges.

    :ivar secret: the client's resume secret.
    :ivar identity: the client's identity.
    :ivar keys: the room's keys; None until they are known, and without a passphrase.
    """

    def __init__(self, room: str, secret: bytes) -> None:
        self.change_identity(secret)
        self.keys: RoomKeys | None = None
        self._room = room
        # Deriving a sender's key costs more than opening a payload.
        self._seal_of = lru_cache(_MAX_SEALS)(self._derive_seal)

    def change_identity(self, secret: bytes) -> None:
        """Take on the identity of another resume secret."""
        self.secret, self.identity = secret, identity(secret)

    def set_keys(self, keys: RoomKeys) -> None:
        """Seal and open with these keys from now on."""
        if keys != self.keys:
            self.keys = keys
            self._seal_of.cache_clear()

    def seal(self, stream: int, own: int, flags: int, payload: bytes, receiver: bytes) -> bytes:
        """Return the payload sealed by the client; parameters as for :class:`Seal`."""
        return self._seal_of(self.identity).seal(stream, own, flags, payload, receiver)

    def open(self, sender: bytes, stream: int, own: int, flags: int, payload: bytes) -> bytes:
        """
        Return what the member with the identity ``sender`` sealed for the room or the client.

        :raises SealError: if the seal is wrong.
        """
        receiver = self.identity if stream in (PRIVATE, UNRELIABLE_PRIVATE) else b""
        return self._seal_of(sender).open(stream, own, flags, payload, receiver)

    def badge(self, nick: str) -> bytes | None:
        """Return the client's badge for a nick; None without keys."""
        if self.keys is None:
            return None
        return badge(self._content_key, self._room, self.identity, nick)

    def verify_badge(self, sender: bytes, nick: str, shown: bytes) -> bool:
        """Return whether ``shown`` is the badge of ``sender`` for the nick."""
        return compare_digest(shown, badge(self._content_key, self._room, sender, nick))

    @property
    def _content_key(self) -> bytes:
        if self.keys is None:
            raise RuntimeError("there are no keys yet")
        return self.keys.content

    def _derive_seal(self, sender: bytes) -> Seal:
        return Seal(self._content_key, sender, self._room)
