"""
Cookies and path tokens, which prove an address before the relay keeps anything for it; salts.

A cookie is for one attempt: it has the nonce of its HELLO, and makes one member only.

Both are MACs under the secret of the relay's run over what they are valid for. Each field of the
input follows its length, so that different fields never give the same input.
"""

from __future__ import annotations

import hmac
from ipaddress import IPv6Address
from itertools import takewhile

from udprelay.protocol.endpoint import Endpoint
from udprelay.protocol.keys import length_prefixed
from udprelay.relay.bounded_dict import BoundedDict
from udprelay.relay.rules import RelayRules

BUCKET = 30.0
"""Seconds for which cookies are the same; one is valid in its bucket and in the next."""

COOKIE = 28
"""Bytes of a cookie: the number of its bucket (4), the nonce of HELLO (8), the MAC (16)."""

_NONCE = slice(4, 12)

PATH_BUCKET = 60.0
"""Seconds for which path tokens are the same; one is valid in its bucket and in the next."""

_PATH_TOKEN = 8
_MAX_USED = 16_384


class Cookies:
    """
    Makes and checks the cookies of CHALLENGE and JOIN.

    :param secret: 32 random bytes of the relay's run.
    """

    def __init__(self, secret: bytes) -> None:
        # Not the secret itself: the codes for plain members are MACs under that.
        self._key = hmac.digest(secret, b"udprelay cookies", "sha256")

    def make(self, listener: str, address: Endpoint, room: str, nonce: bytes, now: float) -> bytes:
        """Return the cookie for ``address``, ``room`` and the nonce of a HELLO at a listener."""
        mac = _mac(self._key, int(now // BUCKET), listener, address, nonce + room.encode())
        return (_number(now) + nonce + mac)[:COOKIE]

    def valid(
        self, cookie: bytes, listener: str, address: Endpoint, room: str, now: float
    ) -> bool:
        """Return whether ``cookie`` was made for these in this time bucket or the previous one."""
        return any(
            hmac.compare_digest(cookie, self.make(listener, address, room, cookie[_NONCE], when))
            for when in (now, now - BUCKET)
            if cookie[:4] == _number(when)
        )


def path_token(
    secret: bytes, session_id: bytes, address: Endpoint, listener: str, now: float
) -> bytes:
    """Return the token, 8 bytes, that proves that a session is at ``address``."""
    key = hmac.digest(secret, b"udprelay paths", "sha256")
    return _mac(key, int(now // PATH_BUCKET), listener, address, session_id)[:_PATH_TOKEN]


def proves_path(
    token: bytes,
    secret: bytes,
    session_id: bytes,
    address: Endpoint,
    listener: str,
    now: float,
) -> bool:
    """Return whether ``token`` was made for these in this time bucket or the previous one."""
    return any(
        hmac.compare_digest(token, path_token(secret, session_id, address, listener, when))
        for when in (now, now - PATH_BUCKET)
    )


def _number(now: float) -> bytes:
    return (int(now // BUCKET) & 0xFFFFFFFF).to_bytes(4, "big")


def _mac(key: bytes, bucket: int, listener: str, address: Endpoint, holder: bytes) -> bytes:
    # Not over the address as text, which takes twice as long as the MAC: a flood of HELLOs pays
    # for it.
    ip = address.ip
    scope = (ip.scope_id or "").encode() if isinstance(ip, IPv6Address) else b""
    time, port = bucket.to_bytes(8, "big", signed=True), address.port.to_bytes(2, "big")
    fields = (time, holder, listener.encode(), ip.packed, port, scope)
    return hmac.digest(key, b"".join(map(length_prefixed, fields)), "sha256")


class UsedCookies:
    """The cookies that have made a member, with its identity; a bounded list."""

    def __init__(self) -> None:
        self._used: BoundedDict[bytes, tuple[bytes, float]] = BoundedDict(_MAX_USED)

    def __len__(self) -> int:
        return len(self._used)

    def add(self, cookie: bytes, identity: bytes, now: float) -> None:
        """Add a cookie, which has been valid until now."""
        self._used[cookie] = identity, now + 2 * BUCKET

    def admits(self, cookie: bytes, identity: bytes, is_member: bool) -> bool:
        """
        Return whether a cookie may be used: for the first time, or in a JOIN that was sent again.

        :param is_member: whether the identity is a member now.
        """
        user = self._used.get(cookie)
        return user is None or (is_member and user[0] == identity)

    def expire(self, now: float) -> None:
        """Forget those that are not valid any more."""
        # In the order of their times.
        for cookie in list(takewhile(lambda one: self._used[one][1] <= now, self._used)):
            del self._used[cookie]
        if not self._used:
            # A dict does not shrink otherwise.
            self._used.clear()


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
