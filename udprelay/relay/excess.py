"""Which members exceed what they are allowed: those to be told, and those that keep doing so."""

from __future__ import annotations

from attrs import define

from udprelay.relay.drops import DropReason
from udprelay.relay.room import Member

TELL_INTERVAL = 5.0
"""Seconds after which a member is told again, at least."""
MAX_MEMBERS = 1024
"""Members of which this is known; beyond that, those known longest are forgotten."""
OWN_LIMITS = frozenset(
    (DropReason.MEMBER_LIMIT, DropReason.MEMBER_OUTPUT, DropReason.CONTROL_RATE)
)
"""The reasons that a member is to blame for alone."""

_SECOND = 1.0


@define(eq=False)
class _Record:
    """
    What a member has sent beyond its limits.

    :ivar present: datagrams in the second that began at ``since``; ``before``, in the one before.
    :ivar untold: datagrams since the member was told.
    """

    since: float
    present: int = 0
    before: int = 0
    untold: int = 0
    reason: DropReason = DropReason.MEMBER_LIMIT
    told_at: float = -TELL_INTERVAL

    def roll(self, now: float) -> None:
        """Begin another second, if it is time."""
        if now >= self.since + _SECOND:
            self.before = self.present if now < self.since + 2 * _SECOND else 0
            self.present, self.since = 0, now


class Excess:
    """
    What members send beyond their limits.

    :ivar to_tell: members that are to be told now; the owner tells them.
    """

    def __init__(self) -> None:
        self._records: dict[Member, _Record] = {}
        self.to_tell: dict[Member, None] = {}

    def __len__(self) -> int:
        return len(self._records)

    def note(self, member: Member, reason: DropReason, number: int, now: float) -> None:
        """Note that datagrams of a member were dropped."""
        record = self._records.get(member)
        if record is None:
            if len(self._records) >= MAX_MEMBERS:
                self.forget(next(iter(self._records)))
            record = self._records[member] = _Record(now)
        record.roll(now)
        if reason in OWN_LIMITS:
            record.present += number
        record.untold += number
        record.reason = reason
        if now >= record.told_at + TELL_INTERVAL:
            self.to_tell[member] = None

    def tell(self, now: float) -> list[tuple[Member, DropReason, int]]:
        """Return who is to be told, the last reason, and how many datagrams were dropped."""
        told = []
        for member in self.to_tell:
            record = self._records[member]
            told.append((member, record.reason, record.untold))
            record.untold, record.told_at = 0, now
        self.to_tell.clear()
        return told

    def present(self, member: Member, now: float) -> int:
        """Return how many datagrams exceeded limits of its own, in the present second."""
        record = self._records.get(member)
        if record is None:
            return 0
        record.roll(now)
        return record.present

    def flooders(self, now: float) -> dict[Member, int]:
        """
        Return the members that exceed limits of their own.

        Each has the number of its datagrams that were dropped in the present second or the one
        before, whichever is larger; a member that stays within its limits is not among them.
        """
        flooders = {}
        for member, record in self._records.items():
            record.roll(now)
            if record.present or record.before:
                flooders[member] = max(record.present, record.before)
        return flooders

    def forget(self, member: Member) -> None:
        """Forget a member that has left."""
        self._records.pop(member, None)
        self.to_tell.pop(member, None)
