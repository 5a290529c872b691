"""What one member may send, and what the relay may send because of it, per second."""

from __future__ import annotations

from math import inf

from attrs import frozen

from udprelay.relay.drops import DropReason
from udprelay.relay.rules import RoomRules

DEPTH = 1.0
"""Seconds: as much may be sent at once as in this time."""

ROUNDING_ERROR = 1e-6


def seconds(rate: float) -> float:
    """Return the seconds that one unit takes of a limit; of 0, which is none, it takes nothing."""
    return 1 / rate if rate else 0.0


@frozen
class Prices:
    """What a datagram, a byte, a byte sent to others and a control datagram take, in seconds."""

    datagram: float
    byte: float
    output: float
    control: float


def prices(rules: RoomRules) -> Prices:
    """Return the prices of all members of a room."""
    return Prices(
        seconds(rules.member_rate),
        seconds(rules.member_bandwidth),
        seconds(rules.member_output),
        seconds(rules.control_rate),
    )


class Allowance:
    """
    What one member may send.

    For each limit there is one number: the time until which what was sent is paid for, if it is
    sent at the rate that is allowed (the generic cell rate algorithm, ITU-T I.371). It may be as
    late as now, and is never earlier than :data:`DEPTH` before. A datagram that needs more than
    is allowed at once passes if nothing was sent for so long, and leaves a debt. The gate charges
    for runs that are allowed as a whole.

    :ivar prices: those of its room.
    :ivar datagrams: until when is paid for datagrams; ``bytes``, ``output``, ``control`` likewise.
    """

    __slots__ = ("bytes", "control", "datagrams", "output", "prices")

    def __init__(self, of: Prices) -> None:
        self.prices = of
        # Nothing is used up when a clock begins at 0.
        self.datagrams = self.bytes = self.output = self.control = -DEPTH

    def charge_some(
        self, count: int, each: int, each_output: int, now: float
    ) -> tuple[int, DropReason]:
        """
        Charge for as many datagrams of one size as are allowed.

        :return: their number, and the reason for which the others are not.
        """
        price = self.prices
        fit = fitting(self.datagrams, price.datagram, now)
        fit_output = fitting(self.output, each_output * price.output, now)
        fit = min(fit, fitting(self.bytes, each * price.byte, now))
        accepted = int(min(count, fit, fit_output))
        self.datagrams = later(self.datagrams, accepted * price.datagram, now)
        self.bytes = later(self.bytes, accepted * each * price.byte, now)
        self.output = later(self.output, accepted * each_output * price.output, now)
        limited = fit <= fit_output
        return accepted, DropReason.MEMBER_LIMIT if limited else DropReason.MEMBER_OUTPUT

    def charge_control(self, count: int, now: float) -> int:
        """Charge for control datagrams; return how many are allowed."""
        price = self.prices.control
        accepted = int(min(count, fitting(self.control, price, now)))
        self.control = later(self.control, accepted * price, now)
        return accepted


EXEMPT = Allowance(Prices(0.0, 0.0, 0.0, 0.0))
"""The allowance of members without limits."""


def later(paid: float, price: float, now: float) -> float:
    """Return until when is paid with another price."""
    return max(paid, now - DEPTH) + price


def fitting(paid: float, each: float, now: float) -> float:
    """Return how many prices fit; one does in any case if nothing was sent for long."""
    if not each:
        return inf
    start = now - DEPTH
    if paid <= start:
        return max(1.0, (DEPTH + ROUNDING_ERROR) // each)
    return max(0.0, (now + ROUNDING_ERROR - paid) // each)
