"""What to ask the relay about the roster, one question at a time."""

from __future__ import annotations

from math import inf

FIRST_REPEAT = 0.25
"""Seconds until a question is asked again: who leaves before the answer is never named."""
REPEAT = 1.0
"""Seconds between two times later on; they double until then."""
INTERVAL = 2.0
"""Seconds between two times that all members are asked for, at least."""
_MOST_WANTED = 64


class Questions:
    """
    Asks for all members, page by page, after each hole in the room sequence, and for single ones.

    :ivar first_round: the members are asked for the first time in this room.
    """

    def __init__(self) -> None:
        self.first_round = False
        self._cursor: int | None = None
        self._least = 0
        self._round_at: float | None = None
        self._round_least = 0
        self._last_round = -inf
        self._wanted: dict[int, None] = {}
        self._open: int | None = None
        self._asked = -inf
        self._pause = FIRST_REPEAT

    @property
    def in_doubt(self) -> bool:
        """Whether the members are asked for, or are to be."""
        return self._cursor is not None or self._round_at is not None

    @property
    def deadline(self) -> float | None:
        """When :meth:`ask` should be called next, if nothing is answered until then."""
        return self._round_at if self._open is None else self._asked + self._pause

    def begin(self, more_from: int | None, least: int) -> None:
        """
        Forget all, in another room; ask for the members from a number on, if there are more.

        :param least: the room sequence as of which the first of them are known.
        """
        self._cursor = more_from
        self.first_round = more_from is not None
        self._least = least
        self._round_at = None
        self._last_round = -inf
        self._wanted.clear()
        self._open = None

    def resume(self) -> None:
        """Ask the open question again at once."""
        self._asked = -inf

    def ask_all(self, least: int, now: float) -> None:
        """Ask for all members, as they are at a room sequence at least."""
        self._round_least = max(self._round_least, least) if self._round_at is not None else least
        if self._round_at is None:
            self._round_at = max(now, self._last_round + INTERVAL)

    def want(self, number: int) -> None:
        """Ask for one member."""
        if len(self._wanted) < _MOST_WANTED and number != self._open:
            self._wanted[number] = None

    def unwant(self, number: int) -> None:
        """Ask no more for this member."""
        self._wanted.pop(number, None)
        if number == self._open and number != self._cursor:
            self._open = None

    def ask(self, now: float) -> int | None:
        """Return the number to send ROSTER with now, if it is time for that."""
        if self._open is None:
            self._open = self._next(now)
            self._pause = FIRST_REPEAT
        elif now < self._asked + self._pause:
            return None
        else:
            self._pause = min(2 * self._pause, REPEAT)
        self._asked = now
        return self._open

    def answered(self, first: int, more_from: int | None, newest: int) -> bool:
        """Take an answer; return whether it is one to the open question, and recent enough."""
        if first != self._open or newest < self._least:
            return False
        self._open = None
        self._wanted.pop(first, None)
        if first == self._cursor:
            # A relay whose pages lead back would be asked for ever.
            self._cursor = more_from if more_from is not None and more_from > first else None
            self.first_round = self.first_round and self._cursor is not None
        return True

    def _next(self, now: float) -> int | None:
        for number in self._wanted:
            del self._wanted[number]
            return number
        if self._cursor is None and self._round_at is not None and self._round_at <= now:
            self._cursor, self._least = 0, self._round_least
            self._round_at, self._last_round = None, now
        return self._cursor
