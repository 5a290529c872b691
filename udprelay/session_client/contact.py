"""Whether the relay is still there, and how far away it is."""

from __future__ import annotations

from math import inf

from udprelay.session_client.round_trip import RoundTrip

AGAIN = 1.0
"""Seconds after which a PING is repeated that nothing has followed."""
PATIENCE = 6
"""PINGs without a word from the relay before contact is lost."""
REFUSALS = 3
"""Those of them that ICMP errors have answered, before it is lost already."""
_MEASURED = 16


class Contact:
    """
    Decides when PINGs go, and when contact is lost.

    :param round_trip: learns from the PONGs.
    :ivar heard: when the relay was heard last.
    """

    def __init__(self, round_trip: RoundTrip) -> None:
        self.heard = -inf
        self._round_trip = round_trip
        self._keepalive = inf
        self._next_ping = inf
        self._last_ping = -inf
        # PINGs since the relay was heard, and how many of them have met an ICMP error.
        self._unanswered = 0
        self._refusals = 0
        self._refusable = False
        self._last_token = 0
        self._sent: dict[bytes, tuple[float, bool]] = {}
        self._pings: list[bytes] = []

    def begin(self, keepalive: float, now: float) -> None:
        """Watch over a session; with so many seconds between PINGs."""
        self._keepalive = keepalive
        self._last_ping = -inf
        self._sent.clear()
        self._pings.clear()
        self.hear(now)
        self._next_ping = now + keepalive

    def hear(self, now: float) -> None:
        """Take note of a datagram from the relay."""
        self.heard = now
        if self._unanswered:
            self._unanswered = 0
            self._refusals = 0
            self._next_ping = self._last_ping + self._keepalive

    def doubt(self, now: float) -> None:
        """Ask the relay now, unless it was asked just before."""
        if not self._unanswered:
            self._next_ping = min(self._next_ping, max(now, self._last_ping + AGAIN))

    def unreachable(self, now: float) -> bool:
        """Take note of an ICMP error; return whether contact is lost."""
        self.doubt(now)
        # One PING makes one error, and whatever else is sent makes others.
        if self._unanswered and self._refusable:
            self._refusable = False
            self._refusals += 1
        return self._refusals >= REFUSALS

    def ask(self, now: float) -> None:
        """Send a PING that the client's user wants."""
        self._ping(now, wanted=True)

    def pong(self, token: bytes, now: float) -> float | None:
        """Take a PONG; return the round trip in seconds if the user wants it."""
        sent, wanted = self._sent.pop(token, (None, False))
        if sent is None:
            return None
        self._round_trip.sample(now - sent)
        return now - sent if wanted else None

    def expire(self, now: float) -> bool:
        """Do what is due; return whether contact is lost."""
        if now < self._next_ping:
            return False
        if self._unanswered >= PATIENCE:
            return True
        self._ping(now, wanted=False)
        self._unanswered += 1
        self._refusable = True
        self._last_ping = now
        self._next_ping = now + AGAIN
        return False

    @property
    def deadline(self) -> float:
        """When to call :meth:`expire`."""
        return self._next_ping

    def take_pings(self) -> list[bytes]:
        """Return the tokens of the PINGs to be sent."""
        pings, self._pings = self._pings, []
        return pings

    def _ping(self, now: float, *, wanted: bool) -> None:
        self._last_token += 1
        token = self._last_token.to_bytes(8, "big")
        self._sent[token] = (now, wanted)
        if len(self._sent) > _MEASURED:
            del self._sent[next(iter(self._sent))]
        self._pings.append(token)
