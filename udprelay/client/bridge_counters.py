"""Counts the datagrams of a bridge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from attrs import evolve
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from udprelay.client.notices import Level, Notice

DROPPED_INTERVAL = 10.0
"""Seconds between two ``bridge.dropped`` notices with the same reason."""
TRAFFIC_INTERVAL = 60.0
"""Seconds between two ``bridge.traffic`` notices."""

DROPPED = {
    "empty": ("an empty datagram is no message", Level.DETAIL),
    "too-large": ("larger than a datagram can be", Level.NORMAL),
    "stranger": ("not from the bridge's program", Level.NORMAL),
    "no-program": ("the program's address is not known yet", Level.DETAIL),
    "no-contact": ("no contact with the relay", Level.DETAIL),
    "absent": ("to a member that has left, or a plain one", Level.NORMAL),
    "unsent": ("the kernel could not send it", Level.NORMAL),
    "lost": ("lost in transit from the relay", Level.DETAIL),
}
"""The reasons in ``bridge.dropped``, each with its meaning for people and the notice's level."""


class BridgeCounters:
    """
    Counts datagrams and reports the counts.

    The first drop for a reason is reported at once, later ones every :data:`DROPPED_INTERVAL`.

    :ivar traffic: the fields of ``bridge.traffic``.
    """

    def __init__(self, clock: IReactorTime, notify: Callable[[Notice], None]) -> None:
        self.traffic = {"to_room": 0, "to_program": 0, "dropped": 0}
        self._reported_traffic = dict(self.traffic)
        self._clock = clock
        self._notify = notify
        self._unreported: Counter[str] = Counter()
        self._reports: dict[str, IDelayedCall] = {}
        self._traffic_report = clock.callLater(TRAFFIC_INTERVAL, self._report_traffic)

    def drop(self, reason: str, count: int = 1) -> None:
        """:param reason: one of :data:`DROPPED`."""
        self.traffic["dropped"] += count
        self._unreported[reason] += count
        if reason not in self._reports:
            self._report_dropped(reason)

    def close(self) -> None:
        """Report all counts."""
        self._traffic_report.cancel()
        for report in self._reports.values():
            report.cancel()
        for reason in tuple(self._reports):
            self._report_dropped(reason, last=True)
        self._report_traffic(last=True)

    def _report_dropped(self, reason: str, last: bool = False) -> None:
        self._reports.pop(reason, None)
        if count := self._unreported.pop(reason, 0):
            if not last:
                self._reports[reason] = self._clock.callLater(
                    DROPPED_INTERVAL, self._report_dropped, reason
                )
            cause, level = DROPPED[reason]
            what = "a datagram" if count == 1 else f"{count} datagrams"
            notice = Notice.of(
                "bridge.dropped", reason=reason, count=count, what=what, cause=cause
            )
            self._notify(evolve(notice, level=level))

    def _report_traffic(self, last: bool = False) -> None:
        if self.traffic != self._reported_traffic:
            self._reported_traffic = dict(self.traffic)
            self._notify(Notice.of("bridge.traffic", **self.traffic))
        if not last:
            self._traffic_report = self._clock.callLater(TRAFFIC_INTERVAL, self._report_traffic)
