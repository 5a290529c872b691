"""How much may be under way at once, and when to repeat it."""

from __future__ import annotations

from math import inf

from udprelay.session_client.pieces import Piece
from udprelay.session_client.round_trip import RoundTrip

LARGEST = 32
LEAST = 4


class Window:
    """The pieces that were sent, and neither acknowledged nor found to be overdue."""

    def __init__(self, round_trip: RoundTrip) -> None:
        self._round_trip = round_trip
        self._under_way: dict[int, Piece] = {}
        self._most = LARGEST
        self._acknowledged = 0
        self._shrunk = -inf

    def open(self) -> None:
        """Let as many go as there may ever be; nothing is under way."""
        self._under_way.clear()
        self._most = LARGEST
        self._acknowledged = 0

    @property
    def full(self) -> bool:
        """Whether nothing more may go now."""
        return len(self._under_way) >= self._most

    def __contains__(self, own: int) -> bool:
        return own in self._under_way

    def send(self, piece: Piece, now: float) -> None:
        """Count a piece that goes now, and set its timer."""
        piece.times += 1
        piece.sent = now
        piece.overdue = now + self._round_trip.after(piece.times)
        self._under_way[piece.own] = piece

    def remove(self, own: int) -> None:
        """Forget a piece that nobody waits for any more, or that is to be sent again."""
        self._under_way.pop(own, None)

    def widen(self, acknowledged: int) -> None:
        """Let one more go for each window that was acknowledged."""
        self._acknowledged += acknowledged
        if self._acknowledged >= self._most:
            self._acknowledged -= self._most
            self._most = min(LARGEST, self._most + 1)

    def take_overdue(self, now: float) -> list[Piece]:
        """Remove and return the pieces whose timers have run out; let fewer go because of them."""
        overdue = [piece for piece in self._under_way.values() if piece.overdue <= now]
        for piece in overdue:
            del self._under_way[piece.own]
        # What was sent together is lost together: that is one reason to go slower, not many.
        if overdue and now >= self._shrunk + self._round_trip.timeout:
            self._most = max(LEAST, self._most // 2)
            self._acknowledged = 0
            self._shrunk = now
        return overdue

    @property
    def deadline(self) -> float:
        """When the next timer runs out; infinite if nothing is under way."""
        return min((piece.overdue for piece in self._under_way.values()), default=inf)
