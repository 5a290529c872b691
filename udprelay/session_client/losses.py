"""Losses: reported once to the client's user, and to the senders by MISSED."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from math import inf

from attrs import define

from udprelay.protocol.wire.ranges import MAX_MISSED_RANGES, MAX_RANGE_COUNT, Ranges
from udprelay.session_client.events import Event, Lost
from udprelay.session_client.known_member import KnownMember
from udprelay.session_client.settings import Statistics

ATTRIBUTION_TIMEOUT = 5.0
"""Seconds that a loss in the room sequence waits for its senders to become known."""
MISSED_INTERVAL = 0.1
"""Seconds from one MISSED to the next."""
MISSED_RETRY_INTERVAL = 1.0
"""Seconds from a MISSED without an answer to its retransmission."""
MAX_MISSED_TRIES = 10

_MAX_REPORTS = 1024
_TOKEN_PREFIX = b"missed"
_TOKEN_NUMBER_SIZE = 2


class Losses:
    """
    Combines losses in the room sequence and gaps in the senders' own sequences.

    Both show the same loss. A loss in the room sequence has a number of datagrams, but no
    senders. Gaps attribute it to senders; the rest is reported without a sender.

    :param emit: receives events.
    :param statistics: counts losses.
    :ivar reports: the losses to report to their senders.
    :ivar deadline: when to call :meth:`expire`.
    """

    def __init__(self, emit: Callable[[Event], None], statistics: Statistics) -> None:
        self._emit = emit
        self.statistics = statistics
        self._unattributed = 0
        self._reported_unattributed = 0
        self.deadline = inf
        self.reports = MissedReports()

    def add_unattributed(self, count: int, now: float) -> None:
        """Note that ``count`` datagrams of the room are lost."""
        self._unattributed += count
        self.deadline = min(self.deadline, now + ATTRIBUTION_TIMEOUT)

    def deduct_entries(self, count: int) -> None:
        """Note that ``count`` of them were entries: joins, leaves and new nicks."""
        self._unattributed = max(0, self._unattributed - count)

    def attribute(self, count: int, nick: str | None) -> int:
        """
        Note that ``count`` reliable datagrams of one sender are lost.

        :return: how many of them no loss in the room sequence explains.
        """
        attributed = min(count, self._unattributed)
        self._unattributed -= attributed
        # These were reported without a sender.
        reported = min(count - attributed, self._reported_unattributed)
        self._reported_unattributed -= reported
        self.report(count - reported, nick)
        return count - attributed - reported

    def report(self, count: int, nick: str | None) -> None:
        """Report a loss that is not noted elsewhere."""
        if count:
            self.statistics.lost += count
            self._emit(Lost(count, nick))

    def close(self) -> None:
        """Report what is unattributed: no more senders will become known."""
        self._reported_unattributed += self._unattributed
        self.report(self._unattributed, None)
        self._unattributed = 0
        self.deadline = inf

    def leave_room(self) -> None:
        """Close; later gaps have nothing to do with this room sequence."""
        self.close()
        self._reported_unattributed = 0

    def expire(self, now: float) -> None:
        """Close if a loss has waited for :data:`ATTRIBUTION_TIMEOUT`."""
        if self.deadline <= now:
            self.close()


@define
class _Report:
    """
    The losses of one sender.

    :param token: as in the PONG that acknowledges it; empty before it is sent.
    :param due: when to send it.
    """

    member: KnownMember
    ranges: list[tuple[int, int]]
    due: float = 0.0
    tries: int = 0
    token: bytes = b""


class MissedReports:
    """
    Reports to senders, retransmitted until the relay acknowledges them.

    New losses are added to the sender's report that has not been sent yet.
    """

    def __init__(self) -> None:
        self._pending: OrderedDict[bytes, _Report] = OrderedDict()
        self._sent: OrderedDict[bytes, _Report] = OrderedDict()
        self._last_token = 0
        self._next = 0.0
        self._contact_since_sent = True

    @property
    def deadline(self) -> float:
        """When :meth:`next_missed` should be called next."""
        oldest = next((report.due for report in self._sent.values()), inf)
        return self._next if self._pending else max(oldest, self._next)

    def add(self, member: KnownMember, last: int, count: int) -> None:
        """
        Note that ``count`` datagrams of a member are lost.

        :param last: the own sequence of the last of them.
        """
        # No sender remembers more than these.
        count = min(count, MAX_RANGE_COUNT)
        report = self._pending.setdefault(member.identity, _Report(member, []))
        report.ranges.append((last - count + 1, count))
        del report.ranges[:-MAX_MISSED_RANGES]
        while len(self._pending) + len(self._sent) > _MAX_REPORTS:
            (self._sent or self._pending).popitem(last=False)

    def note_contact(self) -> None:
        """Note that a datagram of the relay was received."""
        self._contact_since_sent = True

    def next_missed(
        self, members: Mapping[int, KnownMember], now: float, updating: bool
    ) -> tuple[int, Ranges, bytes] | None:
        """
        Return member number, own sequences and token of the MISSED to send now, if any.

        :param updating: the members are not complete.
        """
        report = self._pop_due(now)
        if report is None:
            return None
        number = _number_of(report.member, members)
        # A try counts only if the sender can be known and the relay answers.
        if number is None:
            report.tries += not updating
        else:
            report.tries += self._contact_since_sent
            self._contact_since_sent = False
        report.due = now + MISSED_RETRY_INTERVAL
        self._next = now + MISSED_INTERVAL
        if report.tries < MAX_MISSED_TRIES:
            self._sent[report.token] = report
        return None if number is None else (number, tuple(report.ranges), report.token)

    def acknowledge(self, token: bytes) -> None:
        """Note that the relay has received the MISSED with this token."""
        self._sent.pop(token, None)

    def _pop_due(self, now: float) -> _Report | None:
        if now < self._next:
            return None
        for token, report in self._sent.items():
            if report.due <= now:
                return self._sent.pop(token)
            break
        if not self._pending:
            return None
        report = self._pending.popitem(last=False)[1]
        self._last_token += 1
        number = self._last_token % 2 ** (8 * _TOKEN_NUMBER_SIZE)
        report.token = _TOKEN_PREFIX + number.to_bytes(_TOKEN_NUMBER_SIZE, "big")
        return report


def _number_of(member: KnownMember, members: Mapping[int, KnownMember]) -> int | None:
    """Return the member's present number; it has another one after a restart of the relay."""
    present = members.get(member.number)
    if present is not None and present.identity == member.identity:
        return member.number
    return next((n for n, m in members.items() if m.identity == member.identity), None)
