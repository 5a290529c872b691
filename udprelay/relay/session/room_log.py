"""What a room keeps for its session members: room sequence, history, roster, nicks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import cast

from attrs import frozen

from udprelay.protocol.nick import comparable
from udprelay.protocol.wire.entries import EntryBody, JoinEntry, LeaveEntry, NickEntry
from udprelay.protocol.wire.from_relay import Heartbeat
from udprelay.protocol.wire.header import RELIABLE, Type, header
from udprelay.protocol.wire.members import KINDS_ON_WIRE, MemberRecord
from udprelay.protocol.wire.sequenced import Entry
from udprelay.relay.bounded_dict import BoundedDict
from udprelay.relay.memory import Memory, Pool
from udprelay.relay.room import NOBODY, Member, Room
from udprelay.relay.session.entry_history import EntryHistory
from udprelay.relay.session.framing import frame
from udprelay.relay.session.history import History
from udprelay.relay.session.member import SessionMember
from udprelay.relay.session.repairs import Repairs
from udprelay.relay.session.schedule import Schedule
from udprelay.relay.session.waits import RoomFlow
from udprelay.relay.sizes import DEPARTED_SIZE, LOG_SIZE
from udprelay.segments import Run, Segments

MAX_REMEMBERED = 1024
"""Identities that have left a room."""

_NUMBERED = 16
"""Bytes that count as heard for each room sequence: unreliable datagrams are asked for, too."""

_UNSORTED = 4
"""Entries that are delivered in the order of their sequences if there are no more."""


@frozen
class DepartedSession:
    """
    What is known of a session that has ended.

    :param reliable: its next own sequence of reliable DATA.
    :param private: its next own sequence of reliable PRIVATE.
    :param first: the first room sequence that it was to get.
    :param heard: the bytes of the room that its credit for repairs has already.
    :param repairs: what is left of its budget, if it has asked for any.
    """

    reliable: int
    private: int
    first: int
    heard: int = 0
    repairs: Repairs | None = None


class NickTable:
    """
    The nicks of a room's members in the form in which they are compared (RFC 8266, 2.4).

    Nicks are passed as :func:`~udprelay.protocol.nick.normalise` returns them.
    """

    __slots__ = ("_forms", "_numbers")

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._forms: dict[int, str] = {}

    def holder(self, nick: str) -> int | None:
        """Return the number of the member with this nick, or with one that compares equal."""
        return self._numbers.get(comparable(nick))

    def claim(self, nick: str, number: int) -> None:
        """Give ``nick`` to a member, instead of the one it has, unless another member has it."""
        form = comparable(nick)
        if self._numbers.get(form, number) != number:
            return
        self.release(number)
        self._numbers[form] = number
        self._forms[number] = form

    def release(self, number: int) -> None:
        """Free the nick of a member, if it has one."""
        form = self._forms.pop(number, None)
        if form is not None:
            del self._numbers[form]


class RoomLog:
    """
    The log of a room: all its datagrams and entries by room sequence.

    :param tag: 8 bytes that only members know.
    :param tag_before: the previous tag of the room, if it is known.
    :param memory: in which it is counted until :meth:`release`.
    :ivar history: its newest sequence is that of the room.
    :ivar entry_history: the newest entries, in the same sequence.
    :ivar flow: how much its members may send.
    :ivar entries: that are not delivered yet.
    :ivar nicks: the members by nick.
    :ivar by_identity: the session members.
    :ivar departed: the session members that have left last, by identity.
    :ivar empty_since: when the last session member left; None while there is one.
    """

    def __init__(
        self,
        room: Room,
        tag: bytes,
        tag_before: bytes | None,
        schedule: Schedule,
        memory: Memory,
    ) -> None:
        rules = room.rules
        self.tag = tag
        self.tag_before = tag_before
        self.history = History(rules.history, rules.history_size, rules.history_age)
        self.entry_history = EntryHistory(rules.history, rules.history_size, rules.history_age)
        self.flow: RoomFlow[SessionMember] = RoomFlow(self.history.share)
        self.nicks = NickTable()
        self.by_identity: dict[bytes, SessionMember] = {}
        self.departed: BoundedDict[bytes, DepartedSession] = BoundedDict(MAX_REMEMBERED)
        self.empty_since: float | None = None
        self._room = room
        self._schedule = schedule
        self._memory = memory
        memory.change(Pool.ROOMS, LOG_SIZE)
        self._counted = 0
        self._headers = [header(Type.DATA, tag, flags) for flags in range(32)]
        self.entries: list[Run] = []
        visible = [member for member in room.members() if member.kind in KINDS_ON_WIRE]
        self._members = {member.number: member for member in visible}
        self._numbers = sorted(self._members)
        self._heard_alone = self._unheard = 0

    @property
    def newest(self) -> int:
        """The newest room sequence."""
        return self.history.newest

    @property
    def heard(self) -> int:
        """Bytes that members of the room could hear, which somebody alone in it cannot."""
        return self._heard_alone if len(self._members) < 2 else self._said - self._unheard

    @property
    def _said(self) -> int:
        return self.history.total + self.entry_history.total + _NUMBERED * self.newest

    @property
    def stored_count(self) -> int:
        """Datagrams and entries stored."""
        return len(self.history) + len(self.entry_history)

    @property
    def stored_bytes(self) -> int:
        """Bytes of these."""
        return self.history.size + self.entry_history.size

    def expire(self, now: float) -> None:
        """Remove what is too old."""
        self.history.expire(now)
        self.entry_history.expire(now)
        self.count(now)

    # Datagrams.

    def frame(self, runs: Sequence[Run], now: float) -> list[Run]:
        """
        Give payloads their room sequences, and store the reliable ones.

        :return: entries that are not delivered yet, and the datagrams for session members.
        """
        framed, self.entries = self.entries, []
        if len(framed) > _UNSORTED:
            # Those of one size leave as one message.
            framed.sort(key=lambda run: run[1].size, reverse=True)
        history, first = self.history, self.newest + 1
        for run in runs:
            flags = run[2]
            one = frame(run, self._headers[flags], history.newest + 1)
            if flags & RELIABLE:
                history.extend(one[1], now)
            else:
                history.newest += one[1].count
            framed.append(one)
        self.flow.accepted = history.filled
        if self.footprint != self._counted:
            self.count(now)
        if framed:
            self._schedule.room_sent(self._room, runs, first, now)
        return framed

    # Memory.

    @property
    def footprint(self) -> int:
        """Bytes of memory that what is stored takes."""
        return self.history.footprint + self.entry_history.footprint

    @property
    def oldest(self) -> float:
        """When the oldest that is stored was added; infinity if nothing is."""
        return min(self.history.oldest, self.entry_history.oldest)

    def drop_oldest(self) -> tuple[int, int]:
        """Remove the oldest run; return how many datagrams and how many bytes that were."""
        history, entries, before = self.history, self.entry_history, self.footprint
        from_history = history.oldest <= entries.oldest
        dropped = history.drop_oldest() if from_history else entries.drop_oldest()
        freed = before - self.footprint
        self._counted -= freed
        self._memory.change(Pool.HISTORIES, -freed)
        return dropped, freed

    def count(self, now: float) -> None:
        """Count what is stored."""
        footprint = self.footprint
        grown, self._counted = footprint - self._counted, footprint
        self._memory.keep(Pool.HISTORIES, grown, now)

    def release(self) -> None:
        """Count it no more: it is about to be removed."""
        self._memory.change(Pool.HISTORIES, -self._counted)
        self._memory.change(Pool.DEPARTED, -DEPARTED_SIZE * len(self.departed))
        self._memory.change(Pool.ROOMS, -LOG_SIZE)

    def heartbeat(self, now: float) -> list[Run]:
        """Return HEARTBEAT with the newest room sequence, after what is not delivered yet."""
        heartbeat = Heartbeat(self.tag, self.newest).encode()
        return [*self.frame((), now), (NOBODY, Segments(heartbeat, len(heartbeat)), 0)]

    # Entries.

    def add_join(self, member: Member, now: float) -> None:
        """Record that ``member`` has joined."""
        if member.kind not in KINDS_ON_WIRE:
            return
        self._fix_heard()
        self._members[member.number] = member
        self._numbers.append(member.number)
        record = self.record(member)
        body = JoinEntry(record.nick, record.kind, record.identity, record.own, record.badge)
        self._add_entry(member, body, member, now)
        if isinstance(member, SessionMember):
            self.nicks.claim(member.name, member.number)
            self.by_identity[member.identity] = member
            self.empty_since = None

    def add_leave(self, member: Member, reason: str, now: float) -> None:
        """Record that ``member`` has left."""
        if member.kind not in KINDS_ON_WIRE:
            return
        self._fix_heard()
        del self._members[member.number]
        del self._numbers[bisect_left(self._numbers, member.number)]
        self._add_entry(member, LeaveEntry(reason), NOBODY, now)
        if isinstance(member, SessionMember):
            self.nicks.release(member.number)
            del self.by_identity[member.identity]
            before = len(self.departed)
            self.departed[member.identity] = DepartedSession(
                member.window.next,
                member.private_window.next,
                member.first,
                member.heard,
                member.repairs,
            )
            self._count_departed(before)
            if not self.by_identity:
                self.empty_since = now

    def recall(self, identity: bytes) -> DepartedSession | None:
        """Return and forget what is known of a session that has ended."""
        before = len(self.departed)
        departed = self.departed.pop(identity, None)
        self._count_departed(before)
        return departed

    def _count_departed(self, before: int) -> None:
        self._memory.change(Pool.DEPARTED, DEPARTED_SIZE * (len(self.departed) - before))

    def add_nick(self, member: SessionMember, now: float) -> None:
        """Record that ``member`` has another nick."""
        self.nicks.claim(member.name, member.number)
        self._add_entry(member, NickEntry(member.name, member.badge), NOBODY, now)

    def _fix_heard(self) -> None:
        """Fix what was heard before the members change, as they may be one."""
        heard = self.heard
        self._heard_alone, self._unheard = heard, self._said - heard

    def _add_entry(self, member: Member, body: EntryBody, sender: Member, now: float) -> None:
        self.history.newest += 1
        entry = Entry(self.tag, self.newest, member.number, body).encode()
        self.entry_history.append(self.newest, entry, now)
        self.count(now)
        # A member does not get the entry of its own join.
        self.entries.append((sender, Segments(entry, len(entry)), 0))
        self._schedule.with_entries[self._room] = None

    # Roster.

    def member(self, number: int) -> Member | None:
        """Return the member with a number, if other members see it."""
        return self._members.get(number)

    def records(self, number: int) -> Iterator[MemberRecord]:
        """Yield the records of the members from a number on, in ascending order."""
        for index in range(bisect_left(self._numbers, number), len(self._numbers)):
            yield self.record(self._members[self._numbers[index]])

    @staticmethod
    def record(member: Member) -> MemberRecord:
        """Return what other members see of a member."""
        number, name, kind = member.number, member.name, member.kind
        if isinstance(member, SessionMember):
            own = member.window.next - 1
            return MemberRecord(number, name, kind, member.identity, own, member.badge)
        return MemberRecord(number, name, kind, b"", 0, b"")


def log_of(session: SessionMember) -> RoomLog:
    """Return the log of a session member's room, which always has one."""
    return cast(RoomLog, session.room.log)
