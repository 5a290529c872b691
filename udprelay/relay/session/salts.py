"""The salts in CHALLENGE: they do not reveal whether a room exists or has a key."""

from __future__ import annotations

import hmac

from udprelay.relay.rules import RelayRules


class Salts:
    """
    The salt of every possible room.

    A room without a key has a salt that looks like any other. Salts of rooms with a key survive
    a restart of the relay, so the others do too, if any room has a key.

    :param secret: 32 random bytes of the relay's run.
    """

    def __init__(self, rules: RelayRules, secret: bytes) -> None:
        self._rules = rules
        rooms = (rules.room_defaults, *rules.rooms.values())
        configured = {room.access_key for room in rooms if room.access_key is not None}
        seed = b"".join(sorted(key.salt + key.key for key in configured)) or secret
        self._key = hmac.digest(seed, b"udprelay salts", "sha256")

    def salt(self, room: str) -> bytes:
        """Return the 16 bytes for a room."""
        access_key = self._rules.room(room).access_key
        if access_key is not None:
            return access_key.salt
        return hmac.digest(self._key, room.encode(), "sha256")[:16]
