"""Whether the relay answers, and how fast."""

from __future__ import annotations

from math import inf

from udprelay.session_client.round_trip import RoundTripEstimator

PING_RETRY_INTERVAL = 1.0
"""Seconds after which an unanswered PING is followed by another."""
MAX_UNANSWERED_PINGS = 6
"""Consecutive PINGs without any datagram from the relay before contact is lost."""
MAX_ICMP_ERRORS = 3
"""Unanswered PINGs with an ICMP error after which contact is lost at once."""
_MAX_TIMED_PINGS = 16


class Liveness:
    """
    Decides when PINGs are sent and when contact is lost.

    :ivar round_trip: gets samples from the PONGs.
    :ivar last_heard: when the last datagram came from the relay.
    :ivar pings: the tokens of the PINGs to send; the owner removes them.
    :ivar answered: when the newest PING was sent that the relay has answered.
    :ivar deadline: when to call :meth:`expire`.
    """

    def __init__(self, round_trip: RoundTripEstimator) -> None:
        self.last_heard = -inf
        self.answered = -inf
        self.round_trip = round_trip
        self.pings: list[bytes] = []
        self.deadline = inf
        self._keepalive = inf
        self._last_ping = -inf
        # PINGs since the relay was heard, and how many of them have met an ICMP error.
        self._unanswered = 0
        self._icmp_errors = 0
        self._error_counts = False
        self._last_token = 0
        self._sent: dict[bytes, tuple[float, bool]] = {}

    def start_session(self, keepalive: float, now: float) -> None:
        """Watch a session with so many seconds between PINGs."""
        self._keepalive = keepalive
        self._last_ping = -inf
        self._sent.clear()
        self.pings.clear()
        self.hear(now)
        self.deadline = now + keepalive

    def hear(self, now: float) -> None:
        """Record a datagram from the relay."""
        self.last_heard = now
        if self._unanswered:
            self._unanswered = 0
            self._icmp_errors = 0
            self.deadline = self._last_ping + self._keepalive

    def probe(self, now: float) -> None:
        """Send a PING now, or as soon as the retry interval allows."""
        if not self._unanswered:
            self.deadline = min(self.deadline, max(now, self._last_ping + PING_RETRY_INTERVAL))

    def receive_icmp_error(self, now: float) -> bool:
        """Receive an ICMP error; return whether contact is lost."""
        self.probe(now)
        # Each PING counts one error at most: other datagrams cause errors too.
        if self._unanswered and self._error_counts:
            self._error_counts = False
            self._icmp_errors += 1
        return self._icmp_errors >= MAX_ICMP_ERRORS

    def ping(self, now: float, *, by_user: bool = True) -> None:
        """Send a PING, for the user or to see whether the relay answers."""
        self._last_token += 1
        token = self._last_token.to_bytes(8, "big")
        self._sent[token] = (now, by_user)
        if len(self._sent) > _MAX_TIMED_PINGS:
            del self._sent[next(iter(self._sent))]
        self.pings.append(token)

    def receive_pong(self, token: bytes, now: float) -> float | None:
        """Receive a PONG; return the round trip in seconds if the PING was the user's."""
        sent_at, by_user = self._sent.pop(token, (None, False))
        if sent_at is None:
            return None
        self.answered = max(self.answered, sent_at)
        self.round_trip.add_sample(now - sent_at)
        return now - sent_at if by_user else None

    def expire(self, now: float) -> bool:
        """Send a PING if it is due; return whether contact is lost."""
        if now < self.deadline:
            return False
        if self._unanswered >= MAX_UNANSWERED_PINGS:
            return True
        self.ping(now, by_user=False)
        self._unanswered += 1
        self._error_counts = True
        self._last_ping = now
        self.deadline = now + PING_RETRY_INTERVAL
        return False
