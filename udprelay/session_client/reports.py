"""What senders are told of what a client has not received from them, until the relay has it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from attrs import define

from udprelay.protocol.wire.ranges import MOST_IN_RANGE, MOST_MISSED, Ranges
from udprelay.session_client.known_member import KnownMember

INTERVAL = 0.1
"""Seconds from one MISSED to the next."""
AGAIN = 1.0
"""Seconds after which a MISSED that is not answered is sent again."""
MOST_TRIES = 10
_MOST = 1024
_TOKEN = b"missed"
_NUMBER = 2


@define
class _Report:
    """
    What is told to one member.

    :param token: what the answer has; none before it is sent first.
    :param due: when it is sent, for the first time or again.
    """

    member: KnownMember
    ranges: list[tuple[int, int]]
    due: float = 0.0
    tries: int = 0
    token: bytes = b""


class Reports:
    """
    Tells each sender once, repeats that until the relay answers, and finds who has come back.

    What is new is put together with what has not been sent yet, for each sender.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[bytes, _Report] = OrderedDict()
        self._sent: OrderedDict[bytes, _Report] = OrderedDict()
        self._last_token = 0
        self._next = 0.0
        self._heard = True

    def __len__(self) -> int:
        return len(self._waiting) + len(self._sent)

    def add(self, member: KnownMember, last: int, count: int) -> None:
        """
        Note that a member is to be told that ``count`` of its datagrams did not arrive.

        :param last: the own sequence of the last of them.
        """
        # Nobody keeps so many that the earliest of them would still mean anything.
        count = min(count, MOST_IN_RANGE)
        report = self._waiting.setdefault(member.identity, _Report(member, []))
        report.ranges.append((last - count + 1, count))
        del report.ranges[:-MOST_MISSED]
        while len(self) > _MOST:
            (self._sent or self._waiting).popitem(last=False)

    @property
    def deadline(self) -> float | None:
        """When :meth:`take` should be called next."""
        if self._waiting:
            return self._next
        for report in self._sent.values():
            return max(report.due, self._next)
        return None

    def hear(self) -> None:
        """Note that something has come from the relay."""
        self._heard = True

    def take(
        self, members: Mapping[int, KnownMember], now: float, in_doubt: bool = False
    ) -> tuple[int, Ranges, bytes] | None:
        """
        Return member number, own sequences and token of the next MISSED, if it is time.

        :param in_doubt: there may be more members than those.
        """
        report = self._due(now)
        if report is None:
            return None
        number = _number_of(report.member, members)
        # What can't be sent yet, and what a relay that says nothing does not answer, is not in
        # vain.
        if number is None:
            report.tries += not in_doubt
        else:
            report.tries += self._heard
            self._heard = False
        report.due = now + AGAIN
        self._next = now + INTERVAL
        if report.tries < MOST_TRIES:
            self._sent[report.token] = report
        return None if number is None else (number, tuple(report.ranges), report.token)

    def answered(self, token: bytes) -> None:
        """Note that the relay has the MISSED with this token."""
        self._sent.pop(token, None)

    def _due(self, now: float) -> _Report | None:
        """Return what is to be sent now; it is in no table then."""
        if now < self._next:
            return None
        for token, report in self._sent.items():
            if report.due <= now:
                return self._sent.pop(token)
            break
        if not self._waiting:
            return None
        report = self._waiting.popitem(last=False)[1]
        self._last_token += 1
        report.token = _TOKEN + (self._last_token % 2 ** (8 * _NUMBER)).to_bytes(_NUMBER, "big")
        return report


def _number_of(member: KnownMember, members: Mapping[int, KnownMember]) -> int | None:
    """Return the number that somebody has now: another one, after the relay was restarted."""
    now = members.get(member.number)
    if now is not None and now.identity == member.identity:
        return member.number
    return next((n for n, m in members.items() if m.identity == member.identity), None)
