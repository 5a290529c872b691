"""Round-trip times, the retransmission timeout (RFC 6298), and the send window."""

from __future__ import annotations

from math import inf, ldexp

from udprelay.session_client.pieces import Piece

FIRST_TIMEOUT = 0.5
MIN_TIMEOUT = 0.1
MAX_TIMEOUT = 4.0
MAX_WINDOW = 32
MIN_WINDOW = 4


class RoundTripEstimator:
    """
    Estimates the round-trip time from samples.

    :ivar smoothed: seconds; None before the first sample.
    :ivar variation: seconds; None before the first sample.
    """

    def __init__(self) -> None:
        self.smoothed: float | None = None
        self.variation: float | None = None

    def add_sample(self, seconds: float) -> None:
        """Add the round trip of a datagram that was sent once only (RFC 6298, section 3)."""
        if self.smoothed is None or self.variation is None:
            self.smoothed, self.variation = seconds, seconds / 2
            return
        # Section 2.3: the variation first, from the mean before this sample.
        self.variation += (abs(self.smoothed - seconds) - self.variation) / 4
        self.smoothed += (seconds - self.smoothed) / 8

    @property
    def timeout(self) -> float:
        """The retransmission timeout in seconds, without backoff."""
        if self.smoothed is None or self.variation is None:
            return FIRST_TIMEOUT
        return min(max(MIN_TIMEOUT, self.smoothed + 4 * self.variation), MAX_TIMEOUT)

    def backoff(self, transmissions: int) -> float:
        """Return the timeout after so many transmissions, in seconds (section 5.5)."""
        # 2**6 times the smallest timeout exceeds the largest.
        return min(ldexp(self.timeout, min(transmissions - 1, 6)), MAX_TIMEOUT)


class SendWindow:
    """
    How many pieces may be in flight, and when each is retransmitted.

    In flight are those that are sent, and neither acknowledged nor found to be lost.
    """

    def __init__(self, round_trip: RoundTripEstimator) -> None:
        self._round_trip = round_trip
        self._in_flight: dict[int, Piece] = {}
        self._size = MAX_WINDOW
        self._acknowledged = 0
        self._shrunk_at = -inf

    def reset(self) -> None:
        """Open the window fully, with nothing in flight."""
        self._in_flight.clear()
        self._size = MAX_WINDOW
        self._acknowledged = 0

    @property
    def full(self) -> bool:
        """Whether no more pieces may be sent now."""
        return len(self._in_flight) >= self._size

    def __contains__(self, own: int) -> bool:
        return own in self._in_flight

    def add(self, piece: Piece, now: float) -> None:
        """Count a transmission now and start its timer."""
        piece.transmissions += 1
        piece.sent_at = now
        piece.retransmit_at = now + self._round_trip.backoff(piece.transmissions)
        self._in_flight[piece.own] = piece

    def remove(self, own: int) -> None:
        """Remove the piece with this own sequence, if it is in flight."""
        self._in_flight.pop(own, None)

    def widen(self, acknowledged: int) -> None:
        """Count acknowledged pieces; each full window of them adds one piece."""
        self._acknowledged += acknowledged
        if self._acknowledged >= self._size:
            self._acknowledged -= self._size
            self._size = min(MAX_WINDOW, self._size + 1)

    def pop_timed_out(self, now: float) -> list[Piece]:
        """Remove and return the pieces whose timers have ended; halve the window for them."""
        timed_out = [piece for piece in self._in_flight.values() if piece.retransmit_at <= now]
        for piece in timed_out:
            del self._in_flight[piece.own]
        # Pieces that were sent together are lost together: one reason to slow down, not many.
        if timed_out and now >= self._shrunk_at + self._round_trip.timeout:
            self._size = max(MIN_WINDOW, self._size // 2)
            self._acknowledged = 0
            self._shrunk_at = now
        return timed_out

    @property
    def deadline(self) -> float:
        """When the next timer ends; infinite with nothing in flight."""
        return min((piece.retransmit_at for piece in self._in_flight.values()), default=inf)
