"""The idle timeouts of members: deadlines that are corrected when they come due."""

from __future__ import annotations

from udprelay.relay.deadlines import Deadlines
from udprelay.relay.room import Member


class Expiry:
    """
    Finds the members whose idle timeout has passed.

    A datagram only updates ``last_heard``; the deadline is moved when the old one comes due. So
    there is one entry for each member, and a datagram costs nothing here.
    """

    def __init__(self) -> None:
        self._deadlines: Deadlines[Member] = Deadlines()

    def __len__(self) -> int:
        return len(self._deadlines)

    @property
    def deadline(self) -> float:
        """When :meth:`due` should be called next, or infinity."""
        return self._deadlines.next

    def watch(self, member: Member) -> None:
        """Start the timeout of a member."""
        deadline = member.last_heard + member.idle_timeout
        member.expiry_ticket = self._deadlines.add(deadline, member)

    def forget(self, member: Member) -> None:
        """Forget a member that leaves, if it has a timeout."""
        if member.expiry_ticket is not None:
            self._deadlines.remove(member.expiry_ticket)

    def due(self, now: float, limit: int) -> list[Member]:
        """
        Return the members whose timeout has passed, which are watched no more.

        At most ``limit`` entries are looked at, so that many deadlines at once delay nothing
        else; the others stay due.
        """
        silent = []
        for member in self._deadlines.due(now, limit):
            if member.last_heard + member.idle_timeout <= now:
                silent.append(member)
            else:
                self.watch(member)
        return silent
