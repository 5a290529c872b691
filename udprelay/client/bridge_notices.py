"""
The notices of a bridge, and its counters.

Like the notices of :mod:`udprelay.client.notices`; ``docs/bridge.rst`` has the fields of all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from udprelay.client.channel import member_name
from udprelay.client.notices import Fields, Level, Notice

DROPPED_INTERVAL = 10.0
"""Seconds between two ``bridge.dropped`` notices with the same reason."""
TRAFFIC_INTERVAL = 60.0
"""Seconds between two ``bridge.traffic`` notices."""

# Why a datagram was dropped, for people, and the level of the notice.
_DROPPED = {
    "empty": ("an empty datagram is no message", Level.DETAIL),
    "too-large": ("larger than a datagram can be", Level.NORMAL),
    "stranger": ("not from the bridge's program", Level.NORMAL),
    "no-program": ("the program's address is not known yet", Level.DETAIL),
    "no-contact": ("no contact with the relay", Level.DETAIL),
    "absent": ("to a member that has left, or a plain one", Level.NORMAL),
    "unsent": ("the kernel could not send it", Level.NORMAL),
    "lost": ("lost in transit from the relay", Level.DETAIL),
}
DROP_REASONS = tuple(_DROPPED)
"""All values of ``reason`` in ``bridge.dropped``."""


def opened(local: str, program: str | None) -> Notice:
    """:param program: the program's address; ``None``: the source of the first datagram."""
    suffix = "" if program is None else f", the program is at {program}"
    fields: Fields = {"local": local, "program": program}
    return Notice("bridge.opened", f"the bridge is open at {local}{suffix}", fields)


def exposed(local: str) -> Notice:
    text = f"other machines may be able to send to the bridge at {local}"
    return Notice("bridge.exposed", text, {"local": local})


def unusable(address: str, reason: str, cause: str) -> Notice:
    """:param reason: the name of an error."""
    text = f"cannot use {address} for the bridge: {cause}"
    return Notice("bridge.unusable", text, {"local": address, "reason": reason}, Level.ERROR)


def member(number: int, nick: str | None, local: str) -> Notice:
    text = f"{member_name(nick, number)} is at {local}"
    fields: Fields = {"member": number, "nick": nick, "local": local}
    return Notice("bridge.member", text, fields)


def closed(nick: str | None, local: str) -> Notice:
    text = f"{nick or 'a member'} is no longer at {local}"
    fields: Fields = {"nick": nick, "local": local}
    return Notice("bridge.closed", text, fields)


def full(number: int, nick: str | None, local: str) -> Notice:
    text = f"no more sockets for members: {member_name(nick, number)} shares {local} with the room"
    fields: Fields = {"member": number, "nick": nick, "local": local}
    return Notice("bridge.full", text, fields)


def dropped(reason: str, count: int) -> Notice:
    """Report ``count`` datagrams since the last notice with this reason of DROP_REASONS."""
    cause, level = _DROPPED[reason]
    datagrams = "a datagram" if count == 1 else f"{count} datagrams"
    fields: Fields = {"reason": reason, "count": count}
    return Notice("bridge.dropped", f"{datagrams} dropped: {cause}", fields, level)


def traffic(to_room: int, to_program: int, lost: int) -> Notice:
    """:param lost: datagrams dropped for any reason."""
    text = f"datagrams to the room: {to_room}, to the program: {to_program}, dropped: {lost}"
    fields: Fields = {"to_room": to_room, "to_program": to_program, "dropped": lost}
    return Notice("bridge.traffic", text, fields, Level.DETAIL)


class BridgeCounters:
    """
    Counts datagrams and reports the counts.

    The first drop for a reason is reported at once, later ones every :data:`DROPPED_INTERVAL`.

    :ivar to_room: datagrams sent to the relay.
    :ivar to_program: datagrams sent to the program.
    """

    def __init__(self, clock: IReactorTime, notify: Callable[[Notice], None]) -> None:
        self.to_room = 0
        self.to_program = 0
        self._clock = clock
        self._notify = notify
        self._dropped: Counter[str] = Counter()
        self._reported: Counter[str] = Counter()
        self._last_traffic = (0, 0, 0)
        self._reports: dict[str, IDelayedCall] = {}
        self._traffic_report = clock.callLater(TRAFFIC_INTERVAL, self._report_traffic)

    def drop(self, reason: str, count: int = 1) -> None:
        """:param reason: one of :data:`DROP_REASONS`."""
        self._dropped[reason] += count
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
        count = self._dropped[reason] - self._reported[reason]
        if count:
            self._reported[reason] += count
            if not last:
                self._reports[reason] = self._clock.callLater(
                    DROPPED_INTERVAL, self._report_dropped, reason
                )
            self._notify(dropped(reason, count))

    def _report_traffic(self, last: bool = False) -> None:
        counts = (self.to_room, self.to_program, sum(self._dropped.values()))
        if counts != self._last_traffic:
            self._last_traffic = counts
            self._notify(traffic(*counts))
        if not last:
            self._traffic_report = self._clock.callLater(TRAFFIC_INTERVAL, self._report_traffic)
