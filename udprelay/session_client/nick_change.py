"""The request for another nick during a session."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from udprelay.protocol.wire.from_client import NickRequest
from udprelay.protocol.wire.from_relay import Nicked
from udprelay.session_client.retries import Retries

NICK_RETRY_INTERVALS = (1.0,) * 6
"""Seconds between NICKs; after the last interval the request fails."""


class NickChange:
    """Requests one nick at a time, the latest one that the user wants."""

    def __init__(self) -> None:
        self._nick: str | None = None
        self._request = 0
        self._retries: Retries | None = None

    def request(self, nick: str) -> None:
        """Set the nick that :meth:`send` requests."""
        self._request += 1
        self._nick = nick
        self._retries = None

    def send(self, session_id: bytes, badge: Callable[[str], bytes | None], now: float) -> None:
        """
        Send NICK, if there is a request.

        :param badge: returns the badge for a nick.
        """
        if self._nick is not None:
            request = NickRequest(session_id, self._request, self._nick, badge(self._nick))
            self._retries = Retries(request.encode(), NICK_RETRY_INTERVALS, now)

    def suspend(self) -> None:
        """Send nothing until the next session."""
        self._retries = None

    def receive_nicked(self, nicked: Nicked) -> bool:
        """Receive an answer; return whether it ends the request."""
        if self._nick is None or nicked.request != self._request:
            return False
        self._end()
        return True

    def drain_datagrams(self, now: float) -> list[bytes]:
        """Return what to send now."""
        return [] if self._retries is None else self._retries.drain_datagrams(now)

    def pop_timeout(self) -> bool:
        """Return whether the request has timed out; it ends then."""
        if self._retries is None or not self._retries.exhausted:
            return False
        self._end()
        return True

    @property
    def deadline(self) -> float:
        """When to call :meth:`drain_datagrams` and :meth:`pop_timeout`."""
        return inf if self._retries is None else self._retries.deadline

    def _end(self) -> None:
        self._nick = None
        self._retries = None
