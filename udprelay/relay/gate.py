"""The gate: what a member may send is decided here, before anything is decoded."""

from __future__ import annotations

from typing import Protocol

from udprelay.relay.drops import DropReason
from udprelay.relay.output import Output
from udprelay.relay.room import Member


class Rule(Protocol):
    """
    A rule for all that members send.

    :ivar reason: for which the others are dropped.
    """

    reason: DropReason

    def accept(self, member: Member, count: int, size: int, now: float, control: bool) -> int:
        """Return how many of ``count`` datagrams with ``size`` bytes in all are accepted."""


class Gate:
    """
    Accepts what members send: payloads and control datagrams, of plain and session members.

    :param rules: are asked one after the other.
    """

    def __init__(self, output: Output, *rules: Rule) -> None:
        self._output = output
        self.rules = rules

    def accept(
        self, member: Member, count: int, size: int, now: float, control: bool = False
    ) -> int:
        """
        Return how many datagrams of a run are accepted, from the first on; count the others.

        :param size: bytes in all, without what surrounds the payloads of a session member.
        :param control: whether they are control datagrams or empty.
        """
        accepted = count
        for rule in self.rules:
            within = rule.accept(member, accepted, size * accepted // count, now, control)
            if within < accepted:
                self._output.drop_from(member, rule.reason, now, accepted - within)
                if not within:
                    return 0
                accepted = within
        return accepted


class Allowances:
    """Limits what each member may send per second (``member_rate``, ``member_bandwidth``)."""

    reason = DropReason.MEMBER_LIMIT

    def accept(self, member: Member, count: int, size: int, now: float, control: bool) -> int:
        """Return how many datagrams are within the member's allowance; control datagrams are."""
        if member.allowance is None or control:
            return count
        return member.allowance.consume_up_to(count, size, now)
