"""The gate: what a member may send is decided here, before anything is decoded."""

from __future__ import annotations

from collections.abc import Sequence
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

    :ivar rules: for all members, besides the allowance that each may have (``member_rate``,
        ``member_bandwidth``).
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self.rules: Sequence[Rule] = ()

    def accept(
        self, member: Member, count: int, size: int, now: float, control: bool = False
    ) -> int:
        """
        Return how many datagrams of a run are accepted, from the first on; count the others.

        :param size: bytes in all, without what surrounds the payloads of a session member.
        :param control: whether they are control datagrams or empty.
        """
        accepted = count
        if member.allowance is not None and not control:
            accepted = member.allowance.consume_up_to(count, size, now)
            self._drop(member, DropReason.MEMBER_LIMIT, count - accepted, now)
        for rule in self.rules:
            if accepted:
                before = accepted
                accepted = rule.accept(member, before, size * before // count, now, control)
                self._drop(member, rule.reason, before - accepted, now)
        return accepted

    def _drop(self, member: Member, reason: DropReason, number: int, now: float) -> None:
        if number:
            self._output.drop_from(member, reason, now, number)
