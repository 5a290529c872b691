"""Rate-limited reports of what contradicts the passphrase."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from math import inf

from attrs import define

from udprelay.session_client.events import Distrusted, Event

REPORT_INTERVAL = 10.0
"""Seconds between two reports of one reason and member."""
_MAX_REPORTED = 1024


@define
class _Reported:
    until: float
    nick: str | None
    unreported: int = 0


class Suspicions:
    """
    Reports each reason and member at once, then its count every :data:`REPORT_INTERVAL`.

    :param emit: receives events.
    """

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        # In the order in which their intervals end.
        self._reported: OrderedDict[tuple[str, int], _Reported] = OrderedDict()

    def add(self, reason: str, number: int, nick: str | None, now: float, count: int = 1) -> None:
        """
        Add a suspicion.

        :param reason: as in :class:`Distrusted`.
        :param number: the sender's member number, according to the relay.
        :param nick: its nick; None if it is not known.
        """
        self.expire(now)
        reported = self._reported.get((reason, number))
        if reported is not None:
            reported.unreported += count
            return
        if len(self._reported) >= _MAX_REPORTED:
            self._end_first(now)
        self._report(reason, number, nick, count, now)

    @property
    def deadline(self) -> float:
        """When :meth:`expire` should be called next."""
        return next((reported.until for reported in self._reported.values()), inf)

    def expire(self, now: float) -> None:
        """Report what was added in the intervals that have ended."""
        while self.deadline <= now:
            self._end_first(now)

    def _end_first(self, now: float) -> None:
        (reason, number), reported = self._reported.popitem(last=False)
        if reported.unreported:
            self._report(reason, number, reported.nick, reported.unreported, now)

    def _report(self, reason: str, number: int, nick: str | None, count: int, now: float) -> None:
        self._emit(Distrusted(reason, number, nick, count))
        self._reported[reason, number] = _Reported(now + REPORT_INTERVAL, nick)
