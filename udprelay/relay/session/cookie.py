"""
Cookies and path tokens, which prove an address before the relay keeps anything for it; salts.

Tokens are MACs under the secret of the relay's run over what they are valid for. Each field of
the input follows its length, so that different fields never give the same input.
"""

from __future__ import annotations

import hmac
from ipaddress import IPv6Address

from udprelay.protocol.endpoint import Endpoint
from udprelay.relay.rules import RelayRules

BUCKET = 30.0
"""Seconds for which cookies are the same; one is valid in its bucket and in the next."""

COOKIE = 20
"""Bytes of a cookie: the number of its bucket (4), then the MAC (16)."""

PATH_BUCKET = 60.0
"""Seconds for which path tokens are the same; one is valid in its bucket and in the next."""

_PATH_TOKEN = 8


class Cookies:
    """
    Makes and checks the cookies of CHALLENGE and JOIN.

    :param secret: 32 random bytes of the relay's run.
    """

    def __init__(self, secret: bytes) -> None:
        # Not the secret itself: the codes for plain members are MACs under that.
        self._key = hmac.digest(secret, b"udprelay cookies", "sha256")
        self._bucket = 0
        self._keys = (self._bucket_key(0), self._bucket_key(-1))

    def make(self, listener: str, address: Endpoint, room: str, now: float) -> bytes:
        """Return the cookie, 20 bytes, for ``address`` and ``room`` at a listener."""
        current, _ = self._keys_at(now)
        return _cookie(current, self._bucket, listener, address, room)

    def valid(
        self, cookie: bytes, listener: str, address: Endpoint, room: str, now: float
    ) -> bool:
        """Return whether ``cookie`` was made for these in this time bucket or the previous one."""
        keys = self._keys_at(now)
        return any(
            hmac.compare_digest(cookie, _cookie(key, bucket, listener, address, room))
            for key, bucket in zip(keys, (self._bucket, self._bucket - 1), strict=True)
            if cookie[:4] == _number(bucket)
        )

    def _keys_at(self, now: float) -> tuple[bytes, bytes]:
        """Return the keys of the current and the previous bucket."""
        bucket = int(now // BUCKET)
        if bucket != self._bucket:
            self._bucket = bucket
            self._keys = (self._bucket_key(bucket), self._bucket_key(bucket - 1))
        return self._keys

    def _bucket_key(self, bucket: int) -> bytes:
        return hmac.digest(self._key, bucket.to_bytes(8, "big", signed=True), "sha256")


def path_token(
    secret: bytes, session_id: bytes, address: Endpoint, listener: str, now: float
) -> bytes:
    """Return the token, 8 bytes, that proves that a session is at ``address``."""
    return _path_token(secret, session_id, address, listener, int(now // PATH_BUCKET))


def proves_path(
    token: bytes,
    secret: bytes,
    session_id: bytes,
    address: Endpoint,
    listener: str,
    now: float,
) -> bool:
    """Return whether ``token`` was made for these in this time bucket or the previous one."""
    bucket = int(now // PATH_BUCKET)
    return any(
        hmac.compare_digest(token, _path_token(secret, session_id, address, listener, one))
        for one in (bucket, bucket - 1)
    )


def _path_token(
    secret: bytes, session_id: bytes, address: Endpoint, listener: str, bucket: int
) -> bytes:
    key = hmac.digest(secret, b"udprelay paths", "sha256")
    message = _fields(_number(bucket), session_id, listener.encode(), *_address(address))
    return hmac.digest(key, message, "sha256")[:_PATH_TOKEN]


def _cookie(key: bytes, bucket: int, listener: str, address: Endpoint, room: str) -> bytes:
    number = _number(bucket)
    message = _fields(number, listener.encode(), room.encode(), *_address(address))
    return number + hmac.digest(key, message, "sha256")[: COOKIE - len(number)]


def _number(bucket: int) -> bytes:
    return (bucket & 0xFFFFFFFF).to_bytes(4, "big")


def _address(address: Endpoint) -> tuple[bytes, bytes, bytes]:
    # Not as text, which takes twice as long as the MAC: a flood of HELLOs pays for it.
    ip = address.ip
    scope = (ip.scope_id or "").encode() if isinstance(ip, IPv6Address) else b""
    return ip.packed, address.port.to_bytes(2, "big"), scope


def _fields(*fields: bytes) -> bytes:
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)


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
