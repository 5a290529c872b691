"""How a client joins: HELLO, CHALLENGE, keys, JOIN, WELCOME."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from math import inf

from udprelay.protocol.keys import RoomKeys, proof
from udprelay.protocol.nick import MAX_CHARACTERS, NickError, normalise
from udprelay.protocol.wire.joining import Challenge, Hello, Join
from udprelay.session_client.retries import NEVER, Retries
from udprelay.session_client.sealing import Sealing
from udprelay.session_client.settings import Settings

_FIRST_INTERVALS = (*(0.25,) * 4, *(0.5,) * 4)
# Frequent enough that 10 s without an answer mean a very bad network or no relay.
HELLO_INTERVALS = (*_FIRST_INTERVALS, *(1.0,) * 7, 2.0)
"""Seconds between HELLOs; 4 s after these."""
JOIN_INTERVALS = (*_FIRST_INTERVALS, 1.0, 1.0)
"""Seconds between JOINs; after the last interval the client sends another HELLO."""
COOKIE_LIFETIME = 30.0
"""Seconds for which the relay accepts a cookie, at least."""
NO_ANSWER_INTERVAL = 5.0
"""Seconds of unanswered attempts between two reports."""
MIN_JOIN_INTERVAL = 1.0
"""Seconds from one WELCOME to the next HELLO, so that a relay that forgets is not flooded."""
_MAX_SUFFIX = 9
_MAX_KNOWN_KEYS = 4


class Handshake:
    """
    Attempts to join, with the cookie and keys of earlier attempts if they are valid.

    :param sealing: gets the keys of the room.
    :ivar nonce: of the attempt; empty before the first.
    :ivar nick: the nick that JOIN asks for.
    :ivar retries: sends HELLO or JOIN; once JOIN is exhausted, another attempt must begin.
    :ivar trying_since: when the first unanswered attempt began.
    :ivar retry_at: when the next attempt begins.
    :ivar report_at: when to report that the relay does not answer.
    """

    def __init__(
        self,
        settings: Settings,
        sealing: Sealing,
        random_bytes: Callable[[int], bytes],
        now: float,
    ) -> None:
        self.nonce = b""
        self.nick = settings.nick
        self.retries = NEVER
        self.trying_since = now
        self.retry_at = inf
        self.report_at = inf
        self._joined_at = -inf
        self._salt = b""
        self._settings = settings
        self._sealing = sealing
        self._random_bytes = random_bytes
        self._keys: OrderedDict[bytes, RoomKeys] = OrderedDict()
        self._cookie = b""
        self._cookie_since = 0.0
        # Alternatives derive from the user's nick, not from each other.
        self._user_nick = settings.nick
        self._alternatives: Iterator[str] | None = None

    def set_nick(self, nick: str) -> None:
        """Ask for another nick from now on."""
        self.nick = self._user_nick = nick

    def begin(self, milliseconds: int, now: float) -> bool:
        """Begin to try after the relay's delay; return whether that is now."""
        # Jitter, so that not all clients that were sent away come back at once.
        jitter = int.from_bytes(self._random_bytes(2), "big") / 0xFFFF
        delay = milliseconds / 1000 * (1 + jitter / 2)
        self.retry_at = max(now + delay, self._joined_at + MIN_JOIN_INTERVAL)
        if self.retry_at > now:
            return False
        self.trying_since = now
        self.report_at = now + NO_ANSWER_INTERVAL
        return True

    def pop_report(self, now: float) -> bool:
        """Return whether to report now that the relay does not answer."""
        if now < self.report_at:
            return False
        self.report_at = now + NO_ANSWER_INTERVAL
        return True

    def send_hello(self, now: float) -> None:
        """Begin an attempt: send HELLO until it is answered."""
        self.nonce = self._random_bytes(8)
        hello = Hello(self.nonce, self._settings.room).encode()
        self.retries = Retries(hello, chain(HELLO_INTERVALS, repeat(4.0)), now)

    def receive_challenge(self, challenge: Challenge, now: float) -> None:
        """Receive the cookie and the salt."""
        self.retries = NEVER
        self._cookie, self._cookie_since = challenge.cookie, now
        self._salt = challenge.salt

    def add_keys(self, salt: bytes, keys: RoomKeys) -> None:
        """Add the keys for a salt."""
        self._keys[salt] = keys
        if len(self._keys) > _MAX_KNOWN_KEYS:
            self._keys.popitem(last=False)

    def select_keys(self) -> bool:
        """Seal with the keys for the salt from now on; return whether they are known."""
        keys = self._keys.get(self._salt)
        if keys is not None:
            self._sealing.set_keys(keys)
        return keys is not None

    def has_cookie(self, now: float) -> bool:
        """Return whether the cookie is still valid."""
        return now < self._cookie_since + COOKIE_LIFETIME

    def send_join(
        self, own: tuple[int, int], tag: bytes | None, settled: int | None, now: float
    ) -> None:
        """
        Send JOIN until it is answered.

        :param own: the first own sequences of the session, for the room and private.
        :param tag: of the last session's room, if there was one.
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
            secret=self._sealing.secret,
            own=own,
            proof=shown,
            badge=self._sealing.badge(self.nick),
            tag=tag,
            settled=settled,
            reports=True if self._settings.recover else None,
        )
        self.retries = Retries(join.encode(), JOIN_INTERVALS, now)

    def try_next_nick(self) -> bool:
        """Try the next alternative nick in a new attempt; return False if all are used up."""
        if self._alternatives is None:
            self._alternatives = _alternatives(self._user_nick, self.nick)
        following = next(self._alternatives, None)
        if following is None:
            return False
        self.nick = following
        # An answer to the last JOIN may still be in flight.
        self.nonce = self._random_bytes(8)
        return True

    def receive_welcome(self, nick: str, now: float) -> float | None:
        """
        Receive the client's nick; the attempt has succeeded.

        :return: the round trip in seconds; None if JOIN was retransmitted.
        """
        join, self.retries = self.retries, NEVER
        self.nick = nick
        self._joined_at = now
        self._alternatives = None
        return now - join.sent_at if join.transmissions == 1 else None


def _alternatives(nick: str, taken: str) -> Iterator[str]:
    for number in range(2, _MAX_SUFFIX + 1):
        suffix = f"-{number}"
        try:
            alternative = normalise(nick[: MAX_CHARACTERS - len(suffix)] + suffix)
        except NickError:
            # A nick with so many bytes is too long with any suffix.
            return
        if alternative != taken:
            yield alternative
