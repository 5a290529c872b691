"""One sequence as it comes in: put in order, gaps asked for, each number settled once."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Generic, TypeVar

from udprelay.protocol.wire.ranges import (
    MOST_IN_RANGE,
    MOST_RANGES,
    Ranges,
    Reason,
    ReasonedRanges,
)
from udprelay.session_client.gaps import Gap, Gaps
from udprelay.session_client.held import Held
from udprelay.session_client.unconfirmed import Unconfirmed

T = TypeVar("T")

ROOM = 0
PRIVATE = 1

MOST_GAPS = 4096
FARTHEST = 1024
"""Numbers by which a datagram that many know how to make may be ahead of all before it."""

FIRST_QUESTION = 0.02
SENT_LATELY = 1.0
"""Seconds after an unreliable datagram in which what is missing may be the client's own."""
OWN_TOLD = 0.05
"""Seconds for the relay to tell so; what is missing is asked for so much later."""
QUESTIONS = 10
"""After so many without an answer a number is given up, but not before :data:`PATIENCE`."""
QUESTIONS_UNRECOVERED = 2
"""Enough to learn what was the client's own, and to get most entries."""
GROWTH = 1.5
LONGEST_WAIT = 1.0
"""Seconds between two questions, unless an answer takes longer."""
PATIENCE = 30.0
"""Seconds from noticing that a number is missing to giving it up."""
PATIENCE_UNASKED = 90.0
"""The same for one that could not be asked for, as others before it were not answered."""
MOST_ASKED = 128

# One round of questions: what is beyond it is asked for a little later.
_MOST_RANGES_AT_ONCE = 4 * MOST_RANGES
_FARTHEST_ASKED = MOST_RANGES * MOST_IN_RANGE


class Incoming(Generic[T]):
    """
    The room sequence, or the private one, of one session.

    After each call, :meth:`take_holes` and :meth:`take_nacks` have what it led to.

    :param stream: :data:`ROOM` or :data:`PRIVATE`, as NACK has it.
    :param first: the first number that is to come.
    :param wait: returns the retransmission timeout, in seconds.
    :param recover: let what is reliable wait for what is missing before it. If not, all is
        deliverable at once, and what is missing is soon given up.
    :param first_question: seconds from noticing that something is missing to asking for it, if
        it can't be the client's own.
    :ivar stream: as given.
    :ivar duplicates: items that had come before, or came too late.
    :ivar repaired: items that came after they were asked for.
    :ivar unkept: numbers that were missing, and unreliable, so nobody has them.
    """

    def __init__(
        self,
        stream: int,
        first: int,
        wait: Callable[[], float],
        recover: bool = True,
        first_question: float = FIRST_QUESTION,
    ) -> None:
        self.stream = stream
        self.duplicates = 0
        self.repaired = 0
        self.unkept = 0
        self._wait = wait
        self._recover = recover
        self._first_question = first_question
        self._enough_questions = QUESTIONS if recover else QUESTIONS_UNRECOVERED
        self._patience = PATIENCE if recover else 0.0
        self._gaps = Gaps(first - 1)
        self._unconfirmed = Unconfirmed[T]()
        self._held = Held[T]()
        self._holes: list[tuple[int, int]] = []
        self._questions: list[Ranges] = []
        self._window = MOST_ASKED
        self._due: float | None = None
        self._own_until = -inf
        self._paused = False
        self._heard = True
        self._in_doubt = False

    @property
    def settled(self) -> int:
        """The number up to which each has come, needs not come, or is lost."""
        return self._gaps.settled

    @property
    def deadline(self) -> float | None:
        """When :meth:`expire` should be called next."""
        return None if self._paused else self._due

    def take(
        self, sequence: int, item: T, now: float, size: int = 0, at_once: bool = False
    ) -> list[T]:
        """
        Take an item; return what is deliverable now, in order.

        :param size: bytes that it takes up while it is held.
        :param at_once: it is deliverable without those before it.
        """
        gaps = self._gaps
        if sequence > gaps.newest:
            if not self._is_near(sequence):
                self._in_doubt = True
                self._unconfirmed.keep(sequence, item, size, at_once)
                return []
            if sequence > gaps.newest + 1:
                self._notice(sequence - 1, now)
            gaps.newest = sequence
        else:
            filled = self._fill(sequence, sequence + 1, now)
            if not filled:
                self.duplicates += 1
                return []
            self.repaired += filled[0].tries > 0
        if at_once or not self._recover:
            return [item, *self._deliverable()]
        if not gaps and not self._held:
            return [item]
        self._held.keep(sequence, item, size)
        return self._bounded()

    def newest(self, sequence: int, now: float, certain: bool = False) -> list[T]:
        """
        Note what the newest number is.

        :param certain: only the relay can have said so.
        :return: what is deliverable: it was confirmed by that, or too much is missing.
        """
        if not certain and not self._is_near(sequence):
            self._in_doubt = True
        elif sequence > self._gaps.newest:
            self._notice(sequence, now)
        items = self._bounded()
        if certain:
            confirmed = self._unconfirmed.take_up_to(self._gaps.newest + FARTHEST)
            for number, item, size, at_once in confirmed:
                items += self.take(number, item, now, size, at_once)
        return items

    def take_doubt(self) -> bool:
        """Return, once, whether the relay should be asked whether it is there, and how far."""
        doubt, self._in_doubt = self._in_doubt, False
        return doubt

    def hear(self) -> None:
        """Note that something has come from the relay: it may well be there to be asked."""
        self._heard = True

    def sent(self, now: float) -> None:
        """Note that the client has sent something unreliable, which gets a number, too."""
        self._own_until = now + SENT_LATELY

    def own(self, ranges: Ranges, now: float) -> list[T]:
        """Settle what the client itself has sent; return what is deliverable now."""
        for first, count in ranges:
            end = first + count
            if end - 1 > self._gaps.newest:
                self._notice(end - 1, now)
            self._fill(first, end, now)
        return self._bounded()

    def gone(self, ranges: ReasonedRanges, now: float) -> list[T]:
        """Settle what will not come, by reason; return what is deliverable now."""
        for first, count, reason in ranges:
            filled = self._fill(first, first + count, now)
            if reason == Reason.UNRELIABLE:
                self.unkept += sum(gap.count for gap in filled)
            elif reason == Reason.NOT_KEPT:
                self._holes_at(filled)
                # A history has an end: larger questions find it sooner.
                self._window = min(2 * self._window, _FARTHEST_ASKED)
        return self._deliverable()

    def skip_to(self, first: int, now: float) -> list[T]:
        """Give up all before ``first``; return what is deliverable now."""
        if first - 1 > self._gaps.newest:
            self._notice(first - 1, now)
        self._holes_at(self._fill(0, first, now))
        return self._deliverable()

    def give_up(self, now: float) -> list[T]:
        """Give up all that is missing; return what was held."""
        return self.skip_to(self._gaps.newest + 1, now)

    def pause(self) -> None:
        """Ask for nothing and give up nothing until :meth:`resume`."""
        self._paused = True

    def resume(self, now: float) -> None:
        """Begin again to ask for what is missing."""
        self._paused = False
        self._gaps.asked = 0
        for gap in self._gaps:
            gap.noticed = gap.due = now
            gap.tries = 0
        self._due = now if self._gaps else None

    def expire(self, now: float) -> list[T]:
        """Ask for what is due, and give up what was asked for often enough; return as above."""
        if self._paused or self._due is None or now < self._due:
            return []
        for gap in [gap for gap in self._gaps if self._hopeless(gap, now)]:
            self._holes_at(self._fill(gap.first, gap.end, now))
        self._ask(now)
        return self._deliverable()

    def take_holes(self) -> list[tuple[int, int]]:
        """Return ``(first, count)`` of what was lost for good since the last call."""
        holes, self._holes = self._holes, []
        return holes

    def take_nacks(self) -> list[Ranges]:
        """Return what to ask for now, for one NACK each."""
        questions, self._questions = self._questions, []
        return questions

    def _is_near(self, sequence: int) -> bool:
        # What is private has the id of the session in front, which nobody else knows.
        return self.stream == PRIVATE or sequence - self._gaps.newest <= FARTHEST

    def _notice(self, newest: int, now: float) -> None:
        due = now + self._first_question + (OWN_TOLD if now < self._own_until else 0.0)
        self._gaps.notice(newest, now, due)
        self._wake(due)

    def _wake(self, due: float) -> None:
        if self._due is None or due < self._due:
            self._due = due

    def _fill(self, first: int, end: int, now: float) -> list[Gap]:
        gaps = self._gaps
        filled = gaps.fill(first, end)
        if not gaps:
            self._due = None
            self._window = MOST_ASKED
        elif filled and gaps.asked <= self._window // 2:
            # Whatever waits for others to be answered can be asked for now.
            waiting = next((gap for gap in gaps if not gap.tries), None)
            if waiting is not None:
                self._wake(max(waiting.due, now))
        return filled

    def _holes_at(self, gaps: list[Gap]) -> None:
        self._holes += [(gap.first, gap.count) for gap in gaps]

    def _hopeless(self, gap: Gap, now: float) -> bool:
        if not gap.tries:
            return now >= gap.noticed + PATIENCE_UNASKED
        # A relay that says nothing at all may be another one soon, which has it.
        return (
            gap.tries >= self._enough_questions
            and now >= max(gap.due, gap.noticed + self._patience)
            and self._heard
        )

    def _ask(self, now: float) -> None:
        gaps = self._gaps
        room = self._window - gaps.asked if gaps.asked <= self._window // 2 else 0
        wait, heard = self._wait(), self._heard
        ranges: list[tuple[int, int]] = []
        following: list[float] = []
        at = 0
        while at < len(gaps):
            gap = gaps[at]
            if gap.due <= now and (gap.tries or room) and len(ranges) < _MOST_RANGES_AT_ONCE:
                if not gap.tries:
                    gaps.split(at, room)
                    gap = gaps[at]
                    gaps.asked += gap.count
                    room -= gap.count
                gap.due = now + min(wait * GROWTH**gap.tries, max(wait, LONGEST_WAIT))
                gap.tries += heard or not gap.tries
                self._heard = False
                self._in_doubt = self._in_doubt or not heard
                ranges += gap.ranges
                following.append(gap.due)
            elif gap.tries or room:
                following.append(max(gap.due, now + FIRST_QUESTION))
            else:
                following.append(gap.noticed + PATIENCE_UNASKED)
            at += 1
        self._due = min(following, default=None)
        self._questions += [
            tuple(ranges[start : start + MOST_RANGES])
            for start in range(0, len(ranges), MOST_RANGES)
        ]

    def _deliverable(self) -> list[T]:
        return self._held.take_up_to(self._gaps.settled)

    def _bounded(self) -> list[T]:
        """Return what is deliverable, after giving up the oldest gaps if too much is kept."""
        items = self._deliverable()
        while self._held.is_too_much or len(self._gaps) > MOST_GAPS:
            oldest = self._gaps[0]
            self._holes.append((oldest.first, oldest.count))
            self._gaps.fill(oldest.first, oldest.end)
            items += self._deliverable()
        return items
