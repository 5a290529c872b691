"""The gate: what a member may send is decided here, before anything is decoded."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Protocol

from udprelay.relay.allowance import DEPTH, EXEMPT, ROUNDING_ERROR, Allowance
from udprelay.relay.census import Census
from udprelay.relay.drops import DropReason
from udprelay.relay.excess import Excess
from udprelay.relay.output import Output
from udprelay.relay.room import Member
from udprelay.relay.rules import Limits
from udprelay.relay.shares import RESERVE, Budget, Usage

PER_DELIVERY = 200
"""
Bytes that each delivery counts for besides its payload: headers, and that small deliveries cost
the relay almost as much as large ones.
"""


class Charge(IntEnum):
    """What the gate is asked for."""

    NOTHING = 0
    CONTROL = 1
    """Control datagrams, and empty ones."""
    PRIVATE = 2
    """Payloads for one member."""
    PAYLOAD = 3
    """Payloads for the room."""


_CONTROL, _PAYLOAD = Charge.CONTROL, Charge.PAYLOAD
_ERROR = ROUNDING_ERROR


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

    Each run is charged to the allowance of its member, then to the budgets of its room and of the
    relay. Members in ``exempt_networks`` are charged for nothing.

    :ivar rules: for all members, besides.
    :ivar excess: the members of which something was dropped.
    :ivar flooders: those that keep exceeding limits of their own, see
        :meth:`~udprelay.relay.excess.Excess.flooders`.
    """

    def __init__(self, output: Output, limits: Limits, census: Census) -> None:
        self._output = output
        self._budget = Budget(limits.output)
        self._usage = Usage()
        self._exempt_networks = limits.exempt_networks
        self.rules: Sequence[Rule] = ()
        self.excess = Excess()
        self.flooders = self.excess.flooders
        census.add("tables.excess", self.excess.__len__)
        census.add("tables.shares", self._usage.__len__)

    def accept(
        self,
        member: Member,
        count: int,
        size: int,
        each: int,
        now: float,
        charge: Charge = _PAYLOAD,
    ) -> int:
        """
        Return how many datagrams of a run are accepted, from the first on; count the others.

        :param size: bytes in all, without what surrounds the payloads of a session member.
        :param each: bytes of the first, likewise; the last may be shorter.
        """
        allowance = member.allowance or self.follow(member)
        if charge is _CONTROL:
            accepted = count
            if allowance is not EXEMPT:
                accepted = allowance.charge_control(count, now)
                self._limit(member, DropReason.CONTROL_RATE, count - accepted, now)
        elif allowance is EXEMPT:
            accepted = count
        else:
            room, budget = member.room, self._budget
            receivers = room.population - 1 if charge is _PAYLOAD else 1
            output = (size + count * PER_DELIVERY) * receivers
            # What all senders do, in one place: calls would take most of the time.
            own, prices, start, end = room.budget, allowance.prices, now - DEPTH, now + _ERROR
            datagrams, octets, sent = allowance.datagrams, allowance.bytes, allowance.output
            paid, paid_by_all = own.paid, budget.paid
            datagrams = (datagrams if datagrams > start else start) + count * prices.datagram
            octets = (octets if octets > start else start) + size * prices.byte
            sent = (sent if sent > start else start) + output * prices.output
            paid = (paid if paid > start else start) + output * own.price
            paid_by_all = (paid_by_all if paid_by_all > start else start) + output * budget.price
            if datagrams <= end and octets <= end and sent <= end:
                accepted = count
                allowance.datagrams, allowance.bytes, allowance.output = datagrams, octets, sent
                if paid <= now - RESERVE and paid_by_all <= now - RESERVE:
                    own.paid, budget.paid = paid, paid_by_all
                else:
                    accepted = self._share(member, count, output // count, now)
            else:
                output = (each + PER_DELIVERY) * receivers
                accepted = self._charge_some(allowance, member, count, each, output, now)
        for rule in self.rules:
            if accepted:
                before = accepted
                control = charge is _CONTROL
                accepted = rule.accept(member, before, size * before // count, now, control)
                if accepted < before:
                    self._output.drop_from(member, rule.reason, now, before - accepted)
        return accepted

    def follow(self, member: Member) -> Allowance:
        """Return the allowance of a member that sends for the first time, or has moved."""
        endpoint, allowance = member.endpoint, member.allowance
        if endpoint is not None and any(endpoint.ip in net for net in self._exempt_networks):
            allowance = EXEMPT
        elif allowance is None or allowance is EXEMPT:
            allowance = Allowance(member.room.prices)
        member.allowance = allowance
        return allowance

    def _charge_some(
        self, allowance: Allowance, member: Member, count: int, each: int, output: int, now: float
    ) -> int:
        """Return how many datagrams of a run are accepted that are not all allowed."""
        accepted, reason = allowance.charge_some(count, each, output, now)
        self._limit(member, reason, count - accepted, now)
        return self._share(member, accepted, output, now) if accepted else 0

    def _share(self, member: Member, count: int, each: int, now: float) -> int:
        """Return how many of a member's datagrams fit fair shares of both budgets."""
        room, budget, usage = member.room, self._budget, self._usage
        used = room.usage.look_up(member.number, now)
        usage.look_up(room.name, now)
        users = room.usage.users
        in_room = room.budget.fair(used, users, count, each, now)
        self._limit(member, DropReason.ROOM_OUTPUT, count - in_room, now)
        accepted = budget.fair(used, users * usage.users, in_room, each, now)
        self._limit(member, DropReason.RELAY_OUTPUT, in_room - accepted, now)
        size = accepted * each
        for one, of, user in (
            (room.budget, room.usage, member.number),
            (budget, usage, room.name),
        ):
            one.charge(size, now)
            of.add(user, size)
        return accepted

    def _limit(self, member: Member, reason: DropReason, number: int, now: float) -> None:
        if number:
            self._output.drop_from(member, reason, now, number)
            self.excess.note(member, reason, number, now)

    def forget(self, member: Member) -> None:
        """Forget a member that has left."""
        self.excess.forget(member)
        member.room.usage.forget(member.number)
        if not member.room.population:
            self._usage.forget(member.room.name)
