"""
Fair shares of what the relay sends, for a room and for all rooms.

A :class:`Budget` is a number of bytes per second. While at least half of a second of it is left,
everybody gets what they want, and nobody is counted. Then each member's use is compared with its
fair share: the budget, divided evenly among the rooms that have sent lately, and what is a room's
evenly among its members. A member that has used less gets all that is left. One that has used more
is refused while less than a reserve is left, which is the larger the more it has used. So all that
want more than their share get the same multiple of it, and together all that the others leave.
"""

from __future__ import annotations

from collections.abc import Hashable
from math import ceil

from udprelay.relay.allowance import DEPTH, fitting, later, seconds

RESERVE = 0.5
"""Seconds of a budget that nobody can use up who uses more than a fair share."""
WINDOW = 0.25
"""Seconds for which use is added up; less than the reserve, as use is only known afterwards."""


class Budget:
    """
    Bytes that may be sent per second.

    :param rate: bytes; 0 is no limit.
    :ivar price: seconds that a byte takes.
    :ivar paid: the time until which what was sent is paid for; see
        :class:`~udprelay.relay.allowance.Allowance`.
    """

    __slots__ = ("paid", "price")

    def __init__(self, rate: float) -> None:
        self.price = seconds(rate)
        # Nothing is used up when a clock begins at 0.
        self.paid = -DEPTH

    def charge(self, size: int, now: float) -> None:
        """Charge for bytes, if necessary by a debt; it is limited."""
        self.paid = min(later(self.paid, size * self.price, now), now + DEPTH)

    def fair(self, used: float, users: int, count: int, each: int, now: float) -> int:
        """
        Return how many of some datagrams one of ``users`` may send.

        :param used: bytes that it has sent in a window.
        :param each: bytes that each takes.
        """
        price = each * self.price
        if not price:
            return count
        share, spent = WINDOW / users, used * self.price
        # Whoever is within the share may leave a debt.
        accepted = max(
            0, min(count, ceil((share - spent) / price), ceil((now - self.paid) / price))
        )
        spent += count * price
        if accepted == count or spent <= share:
            return accepted
        reserve = RESERVE * (1 - share / spent)
        paid = later(self.paid, accepted * price, now)
        return min(count, accepted + int(fitting(paid + reserve, price, now)))


class Usage:
    """Who has used how much lately: in the present window, and in a part of the one before."""

    __slots__ = ("_before", "_ends", "_present", "users")

    def __init__(self) -> None:
        self._before: dict[Hashable, int] = {}
        self._present: dict[Hashable, int] = {}
        self._ends = 0.0
        self.users = 0

    def __len__(self) -> int:
        return len(self._before) + len(self._present)

    def look_up(self, user: Hashable, now: float) -> float:
        """Return what one has used; it is one of the users from now on."""
        if now >= self._ends:
            self._before = self._present if now < self._ends + WINDOW else {}
            self._present, self._ends = {}, now + WINDOW
            self.users = len(self._before)
        before, present = self._before.get(user), self._present.get(user)
        if present is None:
            present = self._present[user] = 0
            self.users += before is None
        return present + (before or 0) * (self._ends - now) / WINDOW

    def add(self, user: Hashable, size: int) -> None:
        """Add to the use of one that was looked up."""
        self._present[user] += size

    def forget(self, user: Hashable) -> None:
        """Forget one that is there no more."""
        self._before.pop(user, None)
        self._present.pop(user, None)
