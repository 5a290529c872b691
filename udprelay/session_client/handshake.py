"""How a client becomes a member: HELLO, CHALLENGE, keys, JOIN, WELCOME."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from math import inf

from udprelay.protocol.keys import RoomKeys, proof
from udprelay.protocol.nick import MOST_CHARACTERS, NickError, normalise
from udprelay.protocol.wire.joining import Challenge, Hello, Join
from udprelay.session_client.repeats import Repeats
from udprelay.session_client.sealing import Sealing
from udprelay.session_client.settings import Settings

_PAUSES = (*(0.25,) * 4, *(0.5,) * 4)
# So many that a network has to be very bad, or a relay away, for none to be answered in 10 s.
GREETING_PAUSES = (*_PAUSES, *(1.0,) * 7, 2.0)
"""Seconds between HELLOs; then 4 s each time."""
JOINING_PAUSES = (*_PAUSES, 1.0, 1.0)
"""Seconds between JOINs; after the last one it takes another HELLO."""
COOKIE_AGE = 30.0
"""Seconds that a cookie is good for, at least."""
_LAST_SUFFIX = 9
_KNOWN_SALTS = 4


class Handshake:
    """
    What an attempt to join is made of; the next one uses what is still good.

    :param sealing: gets the room's keys as they are known.
    :param secret: the resume secret.
    :ivar nonce: of the attempt; nothing before the first.
    :ivar nick: that the client wants.
    :ivar salt: the room's, if it is known.
    """

    def __init__(
        self,
        settings: Settings,
        sealing: Sealing,
        secret: bytes,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self.nonce = b""
        self.nick = settings.nick
        self.secret = secret
        self.salt = b""
        self._settings = settings
        self._sealing = sealing
        self._random_bytes = random_bytes
        self._keys: OrderedDict[bytes, RoomKeys] = OrderedDict()
        self._cookie = b""
        self._cookie_since = 0.0
        self._repeats: Repeats | None = None
        # The others are made of the one that was wanted first, not of each other.
        self._base = settings.nick
        self._others: Iterator[str] | None = None

    def want(self, nick: str) -> None:
        """Want another nick from now on."""
        self.nick = self._base = nick

    def greet(self, now: float) -> None:
        """Make an attempt: HELLO."""
        self.nonce = self._random_bytes(8)
        hello = Hello(self.nonce, self._settings.room).encode()
        self._repeats = Repeats(hello, chain(GREETING_PAUSES, repeat(4.0)), now)

    def challenged(self, challenge: Challenge, now: float) -> None:
        """Take the cookie and the salt; HELLO is answered."""
        self._repeats = None
        self._cookie, self._cookie_since = challenge.cookie, now
        self.salt = challenge.salt

    def know(self, salt: bytes, keys: RoomKeys) -> None:
        """Take what was computed for a salt."""
        self._keys[salt] = keys
        if len(self._keys) > _KNOWN_SALTS:
            self._keys.popitem(last=False)

    def has_keys(self) -> bool:
        """Return whether there are the keys for the salt, and use them from now on."""
        keys = self._keys.get(self.salt)
        if keys is not None:
            self._sealing.use(keys)
        return keys is not None

    def has_cookie(self, now: float) -> bool:
        """Return whether the cookie is still good."""
        return now < self._cookie_since + COOKIE_AGE

    def join(
        self, own: tuple[int, int], tag: bytes | None, settled: int | None, now: float
    ) -> None:
        """
        Send JOIN from now on.

        :param own: first own sequences of the session.
        :param tag: of the last session, if there was one.
        :param settled: the last room sequence that the client has settled in it.
        """
        shown = None
        keys = self._sealing.keys if self._settings.keyed else None
        if keys is not None:
            identity, room = self._sealing.identity, self._settings.room
            shown = proof(keys.access, self._cookie, room, self.nick, self.nonce, identity)
        join = Join(
            nonce=self.nonce,
            cookie=self._cookie,
            room=self._settings.room,
            nick=self.nick,
            secret=self.secret,
            own=own,
            proof=shown,
            badge=self._sealing.badge(self.nick),
            tag=tag,
            settled=settled,
        )
        self._repeats = Repeats(join.encode(), JOINING_PAUSES, now)

    def take_other_nick(self) -> bool:
        """Want the next nick like the one that is taken, in a new attempt, if there is one."""
        if self._others is None:
            self._others = _others(self._base, self.nick)
        following = next(self._others, None)
        if following is None:
            return False
        self.nick = following
        # An answer to the last JOIN may still be under way.
        self.nonce = self._random_bytes(8)
        return True

    def welcomed(self, nick: str, now: float) -> float | None:
        """Take WELCOME, with the client's nick; return the round trip if JOIN was sent once."""
        repeats, self._repeats = self._repeats, None
        self.nick = nick
        self._others = None
        return now - repeats.sent if repeats is not None and repeats.times == 1 else None

    def stop(self) -> None:
        """Send nothing more."""
        self._repeats = None

    def take(self, now: float) -> list[bytes]:
        """Return what is to be sent now."""
        return [] if self._repeats is None else self._repeats.take(now)

    @property
    def over(self) -> bool:
        """Whether nobody has answered for so long that it takes a new attempt."""
        return self._repeats is not None and self._repeats.over

    @property
    def deadline(self) -> float:
        """When to call :meth:`take`."""
        return inf if self._repeats is None else self._repeats.deadline


def _others(nick: str, taken: str) -> Iterator[str]:
    for number in range(2, _LAST_SUFFIX + 1):
        suffix = f"-{number}"
        try:
            other = normalise(nick[: MOST_CHARACTERS - len(suffix)] + suffix)
        except NickError:
            # It has so many bytes that the suffix is too much; so are the others.
            return
        if other != taken:
            yield other
