"""What was heard last of each member number of a room, and from which room sequence on."""

from __future__ import annotations

from collections import OrderedDict
from math import inf

from attrs import define

from udprelay.protocol.wire.entries import NickEntry
from udprelay.session_client.known_member import KnownMember

MOST_FORMER = 1024
ONLY_NAMED = 0
"""The sequence of those of whom only old entries have told, so that anything else overrules it."""


@define
class Heard:
    """
    What was heard last of a number.

    :param member: None if nothing has told yet who it is.
    :param sequence: the room sequence at which it was so.
    :param since: when the number was heard of first.
    :param renamed: the last entry, if it came before anything told that it is a member.
    """

    member: KnownMember | None
    sequence: int
    since: float
    renamed: NickEntry | None = None


class Numbers:
    """
    All members of a room, and the last 1,024 that are no longer there.

    Those that have left are kept for what they have said before, and for entries that are late.

    :ivar floor: the room sequence up to which entries are old: the members were told as of there.
    """

    def __init__(self) -> None:
        self.floor = 0
        self._heard: dict[int, Heard] = {}
        self._former: OrderedDict[int, None] = OrderedDict()

    def __contains__(self, number: int) -> bool:
        return number in self._heard

    def __getitem__(self, number: int) -> Heard:
        return self._heard[number]

    def get(self, number: int) -> Heard | None:
        """Return what was heard of a number, if anything was."""
        return self._heard.get(number)

    def member(self, number: int) -> KnownMember | None:
        """Return who has, or had, a number."""
        heard = self._heard.get(number)
        return None if heard is None else heard.member

    def since(self, number: int) -> float:
        """Return when a number was heard of first; infinite if it was not."""
        heard = self._heard.get(number)
        return inf if heard is None else heard.since

    def present(self, member: KnownMember, sequence: int, now: float) -> None:
        """Note that somebody is a member."""
        heard = self._heard.get(member.number)
        since = now if heard is None else heard.since
        self._heard[member.number] = Heard(member, sequence, since)
        self._former.pop(member.number, None)

    def absent(self, number: int, heard: Heard) -> None:
        """Note something of a number that is nobody's, or that nothing has told of yet."""
        self._heard[number] = heard
        self._former[number] = None
        if len(self._former) > MOST_FORMER:
            del self._heard[self._former.popitem(last=False)[0]]

    def clear(self, floor: int) -> None:
        """Begin with another room."""
        self.floor = floor
        self._heard.clear()
        self._former.clear()
