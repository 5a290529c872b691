"""The salts in CHALLENGE: they tell nobody whether a room exists, or has a key."""

from __future__ import annotations

import hmac

from udprelay.relay.rules import RelayRules


class Salts:
    """
    The salt of every room there could be.

    A room without a key has one that looks like any other. As those of rooms with a key stay the
    same when the relay is started again, so do the others, if there is any key.

    :param secret: 32 random bytes of the relay's run.
    """

    def __init__(self, rules: RelayRules, secret: bytes) -> None:
        self._rules = rules
        everywhere = (rules.room_defaults, *rules.rooms.values())
        configured = {one.access_key for one in everywhere if one.access_key is not None}
        known = b"".join(sorted(key.salt + key.key for key in configured)) or secret
        self._key = hmac.digest(known, b"udprelay salts", "sha256")

    def salt(self, room: str) -> bytes:
        """Return the 16 bytes for a room."""
        access_key = self._rules.room(room).access_key
        if access_key is not None:
            return access_key.salt
        return hmac.digest(self._key, room.encode(), "sha256")[:16]
