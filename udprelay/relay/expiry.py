"""When silent members have left: a heap of deadlines that is corrected as they come due."""

from __future__ import annotations

from heapq import heappop, heappush

from udprelay.relay.room import Member


class Expiry:
    """
    Finds the members that have been silent for longer than is allowed.

    A member that speaks only notes the time; its deadline is moved when the old one comes due. So
    the heap holds one entry for each member, and a datagram costs nothing here.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Member]] = []
        self._serial = 0

    @property
    def deadline(self) -> float | None:
        """When :meth:`due` should be called next."""
        return self._heap[0][0] if self._heap else None

    def watch(self, member: Member) -> None:
        """Begin to watch a member that has just been heard."""
        self._serial += 1
        deadline = member.last_heard + member.patience
        heappush(self._heap, (deadline, self._serial, member))

    def due(self, now: float, most: int) -> list[Member]:
        """
        Return members that have been silent too long; they are no longer watched.

        At most ``most`` entries are looked at, so that many deadlines at once delay nobody: the
        rest stays due.
        """
        silent = []
        for _ in range(most):
            if not self._heap or self._heap[0][0] > now:
                break
            member = heappop(self._heap)[2]
            if member.slot < 0:
                continue
            if member.last_heard + member.patience <= now:
                silent.append(member)
            else:
                self.watch(member)
        return silent
