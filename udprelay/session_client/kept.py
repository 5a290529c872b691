"""What was acknowledged not long ago: a relay that dies may not have passed it on."""

from __future__ import annotations

from collections import deque

from udprelay.session_client.pieces import Piece

MOST = 1024
MOST_BYTES = 2**20
AGE = 30.0
"""Seconds of the session, after the acknowledgement."""
AGE_AT_ALL = 150.0


class Kept:
    """Pieces in the order of their own sequences, without gaps."""

    def __init__(self) -> None:
        self._pieces: deque[tuple[float, Piece]] = deque()
        self._bytes = 0

    def append(self, piece: Piece, now: float) -> None:
        """Keep a piece that was acknowledged just now."""
        self._pieces.append((now, piece))
        self._bytes += len(piece.payload)
        while len(self._pieces) > MOST or self._bytes > MOST_BYTES:
            self._drop()
        self.expire(now - AGE)

    def expire(self, before: float) -> None:
        """Drop what was acknowledged before that time."""
        while self._pieces and self._pieces[0][0] <= before:
            self._drop()

    def drop_to(self, own: int) -> None:
        """Drop the piece with this own sequence, and what was sent before it."""
        while self._pieces and self._pieces[0][1].own <= own:
            self._drop()

    def take_from(self, own: int) -> list[Piece]:
        """Return the pieces from this own sequence on, in order; they are kept no longer."""
        taken: list[Piece] = []
        while self._pieces and self._pieces[-1][1].own >= own:
            piece = self._pieces.pop()[1]
            self._bytes -= len(piece.payload)
            taken.append(piece)
        return taken[::-1]

    @property
    def first(self) -> int | None:
        """The own sequence of the first piece, if there is one."""
        return self._pieces[0][1].own if self._pieces else None

    def _drop(self) -> None:
        self._bytes -= len(self._pieces.popleft()[1].payload)
