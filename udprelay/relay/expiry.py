"""The idle timeouts of members: a heap of deadlines that are corrected when they come due."""

from __future__ import annotations

from heapq import heappop, heappush
from math import inf

from udprelay.relay.room import Member


class Expiry:
    """
    Finds the members whose idle timeout has passed.

    A datagram only updates ``last_heard``; the deadline is moved when the old one comes due. So
    the heap has one entry for each member, and a datagram costs nothing here.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Member]] = []
        self._serial = 0

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def deadline(self) -> float:
        """When :meth:`due` should be called next, or infinity."""
        return self._heap[0][0] if self._heap else inf

    def watch(self, member: Member) -> None:
        """Start the timeout of a member."""
        self._serial += 1
        deadline = member.last_heard + member.idle_timeout
        heappush(self._heap, (deadline, self._serial, member))

    def due(self, now: float, limit: int) -> list[Member]:
        """
        Remove and return the members whose timeout has passed.

        At most ``limit`` entries are looked at, so that many deadlines at once delay nothing
        else; the others stay due.
        """
        silent = []
        for _ in range(limit):
            if self.deadline > now:
                break
            member = heappop(self._heap)[2]
            if member.slot < 0:
                continue
            if member.last_heard + member.idle_timeout <= now:
                silent.append(member)
            else:
                self.watch(member)
        return silent
