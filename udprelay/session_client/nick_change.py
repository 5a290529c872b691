"""A new nick for somebody who is a member already."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from udprelay.protocol.wire.from_client import NickRequest
from udprelay.protocol.wire.from_relay import Nicked
from udprelay.session_client.repeats import Repeats

PAUSES = (1.0,) * 6


class NickChange:
    """
    Asks for one nick at a time; the last one that the client's user wants.

    :ivar nick: that is wanted; None if there is no request.
    """

    def __init__(self) -> None:
        self.nick: str | None = None
        self._request = 0
        self._repeats: Repeats | None = None

    def want(self, nick: str) -> None:
        """Want a nick; it is asked for as soon as :meth:`ask` is called."""
        self._request += 1
        self.nick = nick
        self._repeats = None

    def ask(self, session_id: bytes, badge: Callable[[str], bytes | None], now: float) -> None:
        """Ask for the nick that is wanted, if one is; ``badge`` makes the badge of a nick."""
        if self.nick is not None:
            request = NickRequest(session_id, self._request, self.nick, badge(self.nick))
            self._repeats = Repeats(request.encode(), PAUSES, now)

    def wait(self) -> None:
        """Ask no more until the next session."""
        self._repeats = None

    def answered(self, nicked: Nicked) -> bool:
        """Take an answer; return whether it is the one to the last request."""
        if self.nick is None or nicked.request != self._request:
            return False
        self._done()
        return True

    def take(self, now: float) -> list[bytes]:
        """Return what is to be sent now."""
        return [] if self._repeats is None else self._repeats.take(now)

    def gives_up(self) -> bool:
        """Return whether nobody has answered; the request is over then."""
        if self._repeats is None or not self._repeats.over:
            return False
        self._done()
        return True

    @property
    def deadline(self) -> float:
        """When to call :meth:`take` and :meth:`gives_up`."""
        return inf if self._repeats is None else self._repeats.deadline

    def _done(self) -> None:
        self.nick = None
        self._repeats = None
