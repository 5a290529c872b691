"""One incoming sequence: order, gaps, NACKs, and losses."""

from __future__ import annotations

from math import inf
from typing import Generic, TypeVar

from udprelay.protocol.wire.ranges import (
    MAX_RANGE_COUNT,
    MAX_RANGES,
    Ranges,
    Reason,
    ReasonedRanges,
)
from udprelay.session_client.liveness import Liveness
from udprelay.session_client.reordering import Gap, Gaps, ReorderBuffer, Unconfirmed
from udprelay.session_client.settings import Statistics

T = TypeVar("T")

ROOM = 0
PRIVATE = 1

MAX_GAPS = 4096
MAX_AHEAD = 1024
"""Numbers by which a datagram that room members can forge may be ahead of the newest one."""

FIRST_NACK_DELAY = 0.02
"""Seconds from noticing a gap to the first NACK."""
OWN_GAP_PERIOD = 1.0
"""Seconds after an unreliable datagram in which a gap may be the client's own."""
OWN_GAP_DELAY = 0.05
"""Seconds more before the first NACK in that period: ACK may fill the gap."""
MAX_NACKS = 10
"""NACKs without an answer before a number is lost, but see :data:`RECOVERY_TIMEOUT`."""
MAX_NACKS_UNRECOVERED = 2
"""The same without recovery; enough to learn of own gaps and to get most entries."""
NACK_BACKOFF = 1.5
MAX_NACK_INTERVAL = 1.0
"""Seconds between two NACKs, unless the retransmission timeout is longer."""
RECOVERY_TIMEOUT = 30.0
"""Seconds from noticing a gap to its loss, at least."""
UNREQUESTED_TIMEOUT = 90.0
"""The same for a gap that the NACK window has kept from being requested."""
NACK_WINDOW = 128
"""Missing numbers requested at once."""

_MAX_RANGES_PER_ROUND = 4 * MAX_RANGES
_MAX_NACK_WINDOW = MAX_RANGES * MAX_RANGE_COUNT


class Incoming(Generic[T]):
    """
    The room sequence, or the private sequence, of one session.

    :param stream: :data:`ROOM` or :data:`PRIVATE`, as in NACK.
    :param first: the first number of the sequence.
    :param liveness: has the retransmission timeout; sends a PING when contact or the newest
        number need confirmation.
    :param statistics: counts duplicates, repaired items, and unreliable ones that are missing.
    :param recover: reliable items wait behind gaps. If false, every item is deliverable at once
        and gaps are lost early.
    :param first_nack_delay: seconds from noticing a gap to the first NACK.
    :ivar lost: the lost ranges, as pairs of first number and count; the owner removes them.
    :ivar nacks: the ranges to request, for one NACK each; the owner removes them.
    :ivar deadline: when to call :meth:`expire`.
    """

    def __init__(
        self,
        stream: int,
        first: int,
        liveness: Liveness,
        statistics: Statistics,
        recover: bool = True,
        first_nack_delay: float = FIRST_NACK_DELAY,
    ) -> None:
        self.stream = stream
        self.liveness = liveness
        self.statistics = statistics
        self.lost: list[tuple[int, int]] = []
        self.nacks: list[Ranges] = []
        self.deadline = inf
        self._recover = recover
        self._first_nack_delay = first_nack_delay
        self._max_nacks = MAX_NACKS if recover else MAX_NACKS_UNRECOVERED
        self._recovery_timeout = RECOVERY_TIMEOUT if recover else 0.0
        self._gaps = Gaps(first - 1)
        self._unconfirmed = Unconfirmed[T]()
        self._buffer = ReorderBuffer[T]()
        self._window = NACK_WINDOW
        self._own_until = -inf
        self._contact_since_nack = True

    @property
    def settled(self) -> int:
        """The number up to which each is received, not needed, or lost."""
        return self._gaps.settled

    def receive(
        self, sequence: int, item: T, now: float, size: int = 0, at_once: bool = False
    ) -> list[T]:
        """
        Receive an item; return the items deliverable now, in order.

        :param size: its bytes in the reorder buffer.
        :param at_once: it is deliverable before those in front of it.
        """
        gaps = self._gaps
        if sequence > gaps.newest:
            if not self._is_plausible(sequence):
                self.liveness.probe(now)
                self._unconfirmed.add(sequence, item, size, at_once)
                return []
            if sequence > gaps.newest + 1:
                self._add_gap(sequence - 1, now)
            gaps.newest = sequence
        else:
            filled = self._fill(sequence, sequence + 1, now)
            if not filled:
                self.statistics.duplicates += 1
                return []
            self.statistics.repaired += filled[0].tries > 0
        if at_once or not self._recover:
            return [item, *self._deliverable()]
        if not gaps and not self._buffer:
            return [item]
        self._buffer.add(sequence, item, size)
        return self._enforce_limits()

    def note_newest(self, sequence: int, now: float, confirmed: bool = False) -> list[T]:
        """
        Note the newest number; return the items deliverable now.

        :param confirmed: only the relay can have sent the number.
        """
        if not confirmed and not self._is_plausible(sequence):
            self.liveness.probe(now)
        elif sequence > self._gaps.newest:
            self._add_gap(sequence, now)
        items = self._enforce_limits()
        if confirmed:
            unconfirmed = self._unconfirmed.pop_up_to(self._gaps.newest + MAX_AHEAD)
            for early, item, size, at_once in unconfirmed:
                items += self.receive(early, item, now, size, at_once)
        return items

    def note_contact(self) -> None:
        """Note that a datagram of the relay was received."""
        self._contact_since_nack = True

    def note_unreliable_sent(self, now: float) -> None:
        """Note that the client has sent an unreliable datagram; it has a number, too."""
        self._own_until = now + OWN_GAP_PERIOD

    def settle_own(self, ranges: Ranges, now: float) -> list[T]:
        """Settle the client's own datagrams; return the items deliverable now."""
        for first, count in ranges:
            end = first + count
            if end - 1 > self._gaps.newest:
                self._add_gap(end - 1, now)
            self._fill(first, end, now)
        return self._enforce_limits()

    def settle_gone(self, ranges: ReasonedRanges, now: float) -> list[T]:
        """Settle the numbers that GONE reports; return the items deliverable now."""
        for first, count, reason in ranges:
            filled = self._fill(first, first + count, now)
            if reason == Reason.UNRELIABLE:
                self.statistics.lost += sum(gap.count for gap in filled)
            elif reason == Reason.NOT_IN_HISTORY:
                self._lose(filled)
                # Larger requests find the start of the relay's history sooner.
                self._window = min(2 * self._window, _MAX_NACK_WINDOW)
        return self._deliverable()

    def skip_to(self, first: int, now: float) -> list[T]:
        """Lose all gaps before ``first``; return the items deliverable now."""
        if first - 1 > self._gaps.newest:
            self._add_gap(first - 1, now)
        self._lose(self._fill(0, first, now))
        return self._deliverable()

    def give_up(self, now: float) -> list[T]:
        """Lose all gaps; return the buffered items."""
        return self.skip_to(self._gaps.newest + 1, now)

    def pause(self) -> None:
        """Request and lose nothing until :meth:`resume`."""
        self.deadline = inf

    def resume(self, now: float) -> None:
        """Request all gaps as if they were noticed now."""
        self._gaps.requested = 0
        for gap in self._gaps:
            gap.noticed = gap.due = now
            gap.tries = 0
        self.deadline = now if self._gaps else inf

    def expire(self, now: float) -> list[T]:
        """Request the gaps that are due, and lose old ones; return the items deliverable now."""
        if now < self.deadline:
            return []
        for gap in [gap for gap in self._gaps if self._is_lost(gap, now)]:
            self._lose(self._fill(gap.first, gap.end, now))
        self._add_nacks(now)
        return self._deliverable()

    def _is_plausible(self, sequence: int) -> bool:
        # Private datagrams carry the session id, which other members do not know.
        return self.stream == PRIVATE or sequence - self._gaps.newest <= MAX_AHEAD

    def _add_gap(self, newest: int, now: float) -> None:
        due = now + self._first_nack_delay + (OWN_GAP_DELAY if now < self._own_until else 0.0)
        self._gaps.extend(newest, now, due)
        self.deadline = min(self.deadline, due)

    def _fill(self, first: int, end: int, now: float) -> list[Gap]:
        gaps = self._gaps
        filled = gaps.fill(first, end)
        if not gaps:
            self.deadline = inf
            self._window = NACK_WINDOW
        elif filled and gaps.requested <= self._window // 2:
            # The NACK window has space again for gaps that were not requested.
            pending = next((gap for gap in gaps if not gap.tries), None)
            if pending is not None:
                self.deadline = min(self.deadline, max(pending.due, now))
        return filled

    def _lose(self, gaps: list[Gap]) -> None:
        self.lost += [(gap.first, gap.count) for gap in gaps]

    def _is_lost(self, gap: Gap, now: float) -> bool:
        if not gap.tries:
            return now >= gap.noticed + UNREQUESTED_TIMEOUT
        # During an outage nothing is lost: after it, another relay may have the datagrams.
        return (
            gap.tries >= self._max_nacks
            and now >= max(gap.due, gap.noticed + self._recovery_timeout)
            and self._contact_since_nack
        )

    def _add_nacks(self, now: float) -> None:
        gaps = self._gaps
        space = self._window - gaps.requested if gaps.requested <= self._window // 2 else 0
        timeout, contact = self.liveness.round_trip.timeout, self._contact_since_nack
        ranges: list[tuple[int, int]] = []
        deadlines: list[float] = []
        at = 0
        while at < len(gaps):
            gap = gaps[at]
            if gap.due <= now and (gap.tries or space) and len(ranges) < _MAX_RANGES_PER_ROUND:
                if not gap.tries:
                    gaps.split(at, space)
                    gap = gaps[at]
                    gaps.requested += gap.count
                    space -= gap.count
                interval = timeout * NACK_BACKOFF**gap.tries
                gap.due = now + min(interval, max(timeout, MAX_NACK_INTERVAL))
                gap.tries += contact or not gap.tries
                self._contact_since_nack = False
                if not contact:
                    self.liveness.probe(now)
                ranges += gap.ranges
                deadlines.append(gap.due)
            elif gap.tries or space:
                deadlines.append(max(gap.due, now + FIRST_NACK_DELAY))
            else:
                deadlines.append(gap.noticed + UNREQUESTED_TIMEOUT)
            at += 1
        self.deadline = min(deadlines, default=inf)
        self.nacks += [
            tuple(ranges[start : start + MAX_RANGES])
            for start in range(0, len(ranges), MAX_RANGES)
        ]

    def _deliverable(self) -> list[T]:
        return self._buffer.pop_up_to(self._gaps.settled)

    def _enforce_limits(self) -> list[T]:
        """Lose the oldest gaps while a limit is exceeded; return the items deliverable now."""
        items = self._deliverable()
        while self._buffer.is_over_limit or len(self._gaps) > MAX_GAPS:
            oldest = self._gaps[0]
            self._lose(self._gaps.fill(oldest.first, oldest.end))
            items += self._deliverable()
        return items
