"""The members of a room that was closed with its relay: most of them come back at once."""

from __future__ import annotations

from collections.abc import Iterable

from udprelay.session_client.known_member import KnownMember

GRACE = 10.0
MOST = 100_000


class Returning:
    """Waits 10 s for members to come back in another room, known by identity, else by nick."""

    def __init__(self) -> None:
        self._members: dict[object, KnownMember] = {}
        self._until = 0.0

    @property
    def deadline(self) -> float | None:
        """When :meth:`expire` should be called next."""
        return self._until if self._members else None

    def expect(self, members: Iterable[KnownMember], now: float) -> None:
        """Wait for members, and on for those that were waited for already."""
        for member in members:
            self._members[_key(member)] = member
        # Too many are waited for only if one room follows the other: then for none of them.
        self._until = now + (GRACE if len(self._members) <= MOST else 0.0)

    def back(self, member: KnownMember) -> KnownMember | None:
        """Return who this member was, if it was waited for."""
        return self._members.pop(_key(member), None)

    def expire(self, now: float) -> list[KnownMember]:
        """Return those that have not come back in time."""
        if not self._members or now < self._until:
            return []
        gone = list(self._members.values())
        self._members.clear()
        return gone


def _key(member: KnownMember) -> object:
    return member.identity or (member.kind, member.nick)
