"""Somebody who looks at what a client tells, and nothing else: who is in the room by that?"""

from __future__ import annotations

from collections import Counter

from udprelay.session_client import events as e
from udprelay.session_client.membership import Membership


class Onlooker:
    """
    Follows joins, leaves and new nicks.

    Nothing tells of those who were there before the client, so that it looks at the members until
    the first roster is whole.

    :ivar seen: the nicks of the others that are there, as far as events have told.
    """

    def __init__(self, membership: Membership) -> None:
        self.seen: Counter[str | None] = Counter()
        self._membership = membership
        self._knows_all = False
        self._tag: bytes | None = None

    def look(self, event: e.Event) -> None:
        """Take an event."""
        if isinstance(event, e.Joined):
            tag = self._membership._machine.session.arrivals.tag
            # In another room everybody is told of.
            self._knows_all |= self._tag not in (None, tag)
            self._tag = tag
        elif not self._knows_all:
            return
        elif isinstance(event, e.MemberJoined):
            self.seen[event.nick] += 1
        elif isinstance(event, e.MemberLeft):
            self._unsee(event.nick)
        elif isinstance(event, e.NickChanged) and not event.own:
            self._unsee(event.before)
            self.seen[event.nick] += 1

    def look_round(self) -> None:
        """Look who is there, as long as that is the only way to know."""
        if not self._knows_all:
            membership = self._membership
            others = (m.shown for n, m in membership.members.items() if n != membership.number)
            self.seen = Counter(others)
            self._knows_all = not membership._machine.session.arrivals._deliveries.roster.in_doubt

    def _unsee(self, nick: str | None) -> None:
        assert self.seen[nick] > 0, f"{nick} leaves, and was not there"
        self.seen[nick] -= 1
