"""What is known of members: their nicks, numbers and pages, and who is expected back."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from math import inf

from attrs import define, evolve, frozen

from udprelay.protocol.wire.entries import JoinEntry, NickEntry
from udprelay.protocol.wire.members import MemberKind, MemberRecord
from udprelay.session_client.sealing import Sealing
from udprelay.session_client.suspicions import Suspicions

MAX_FORMER_MEMBERS = 1024
MAX_RETURNING = 100_000
RETURN_GRACE_PERIOD = 10.0
"""Seconds for members to come back after the relay was restarted."""
OLD_ENTRY = 0
"""The sequence of a number that only old entries report; any other report overrules it."""


@frozen
class KnownMember:
    """
    A member of the room, as the relay reports it.

    :param number: unique while the room is open.
    :param nick: as the relay reports it.
    :param identity: 16 bytes of a session member; empty for others.
    :param trusted: the badge is right, or the room has no passphrase.
    """

    number: int
    nick: str
    kind: MemberKind
    identity: bytes
    trusted: bool

    @property
    def trusted_nick(self) -> str | None:
        """The nick if it is trusted."""
        return self.nick if self.trusted else None


class Badges:
    """
    Makes members from what the relay reports, and checks their badges.

    :param sealing: verifies badges; None in a room without a passphrase.
    :param suspicions: receives wrong badges.
    """

    def __init__(self, sealing: Sealing | None, suspicions: Suspicions) -> None:
        self._sealing = sealing
        self._suspicions = suspicions

    def member(self, number: int, record: MemberRecord | JoinEntry, now: float) -> KnownMember:
        """Return the member of a record or an entry."""
        member = KnownMember(number, record.nick, record.kind, record.identity, trusted=True)
        return self.rename(member, record.nick, record.badge, now)

    def rename(self, member: KnownMember, nick: str, badge: bytes, now: float) -> KnownMember:
        """Return the member with another nick."""
        return evolve(member, nick=nick, trusted=self._trusts(member, nick, badge, now))

    def _trusts(self, member: KnownMember, nick: str, badge: bytes, now: float) -> bool:
        if self._sealing is None:
            return True
        if member.kind != MemberKind.SESSION:
            # The relay has chosen this nick, so a missing badge is not suspicious.
            return False
        trusted = self._sealing.verify_badge(member.identity, nick, badge)
        if not trusted:
            self._suspicions.add("badge", member.number, None, now)
        return trusted


@define
class NumberState:
    """
    The last report about a member number.

    :param member: None if it is not known who has, or had, the number.
    :param sequence: the room sequence of the report.
    :param since: the time of the first report.
    :param renamed: a new nick that came before the member was known.
    """

    member: KnownMember | None
    sequence: int
    since: float
    renamed: NickEntry | None = None


class Numbers:
    """
    The states of all members' numbers, and of the last 1,024 others.

    Former members are kept for their late messages and for late entries.

    :ivar floor: the room sequence of the WELCOME; entries up to there are old.
    :ivar states: by number.
    """

    def __init__(self) -> None:
        self.floor = 0
        self.states: dict[int, NumberState] = {}
        self._former: OrderedDict[int, None] = OrderedDict()

    def set_present(self, member: KnownMember, sequence: int, now: float) -> None:
        """Note that a member is in the room."""
        state = self.states.get(member.number)
        since = now if state is None else state.since
        self.states[member.number] = NumberState(member, sequence, since)
        self._former.pop(member.number, None)

    def set_absent(self, number: int, state: NumberState) -> None:
        """Note the state of a number that no member in the room has."""
        self.states[number] = state
        self._former[number] = None
        if len(self._former) > MAX_FORMER_MEMBERS:
            del self.states[self._former.popitem(last=False)[0]]

    def clear(self, floor: int) -> None:
        """Begin with another room."""
        self.floor = floor
        self.states.clear()
        self._former.clear()


@frozen
class MemberPage:
    """
    The members with numbers from ``first`` on, at one room sequence.

    :param newest: that room sequence.
    :param members: by number, with the last reliable own sequence of each.
    :param more_from: the first number of the next page; None on the last one.
    :param first_round: it belongs to the first round of pages in this room.
    """

    first: int
    newest: int
    members: dict[int, tuple[KnownMember, int]]
    more_from: int | None
    first_round: bool

    def lacks(self, number: int) -> bool:
        """Return whether the page covers this number, and has no member with it."""
        ends = self.more_from is not None and number >= self.more_from
        return self.first <= number and not ends and number not in self.members


class Returning:
    """
    The members of a room that was closed with its relay; most of them come back.

    They are recognised by identity, or by kind and nick.
    """

    def __init__(self) -> None:
        self._members: dict[object, KnownMember] = {}
        self._until = 0.0

    @property
    def deadline(self) -> float:
        """When :meth:`expire` should be called next."""
        return self._until if self._members else inf

    def expect(self, members: Iterable[KnownMember], now: float) -> None:
        """Expect members; those expected already get a new grace period."""
        for member in members:
            self._members[_key(member)] = member
        # Only a quick succession of rooms exceeds the limit; then no member is waited for.
        too_many = len(self._members) > MAX_RETURNING
        self._until = now + (0.0 if too_many else RETURN_GRACE_PERIOD)

    def pop(self, member: KnownMember) -> KnownMember | None:
        """Remove and return the expected member that this one was, if any."""
        return self._members.pop(_key(member), None)

    def expire(self, now: float) -> list[KnownMember]:
        """Remove and return the members that have not come back in time."""
        if now < self.deadline:
            return []
        missing = list(self._members.values())
        self._members.clear()
        return missing


def _key(member: KnownMember) -> object:
    return member.identity or (member.kind, member.nick)
