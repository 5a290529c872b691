"""What a room keeps for its session members: the room sequence, its history, who is who."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from udprelay.protocol.wire.entries import EntryBody, JoinEntry, LeaveEntry, NickEntry
from udprelay.protocol.wire.from_relay import Entry, Heartbeat
from udprelay.protocol.wire.header import FLAGS_AT, RELIABLE, Type, header
from udprelay.protocol.wire.members import MemberKind, MemberRecord
from udprelay.relay.room import NOBODY, Kind, Member, Room
from udprelay.relay.session.departed import Departed, Left
from udprelay.relay.session.framing import Said, framed_alone, framed_each, framed_together
from udprelay.relay.session.history import History
from udprelay.relay.session.member import Session
from udprelay.relay.session.nick_table import NickTable

_KINDS = {
    Kind.SESSION: MemberKind.SESSION,
    Kind.PLAIN: MemberKind.PLAIN,
    Kind.CONSOLE: MemberKind.CONSOLE,
}


class RoomSessions:
    """
    The session side of a room.

    :param tag: 8 bytes that only members know.
    :param tag_before: the last one that the room had before, if that is known.
    :ivar history: its newest sequence is that of the room.
    :ivar nicks: whose they are.
    :ivar by_identity: the session members.
    :ivar departed: those who have left not long ago.
    :ivar empty_since: when the last session member left; None while there is one.
    """

    def __init__(self, room: Room, tag: bytes, tag_before: bytes | None) -> None:
        rules = room.rules
        self.tag = tag
        self.tag_before = tag_before
        self.history = History(rules.history, rules.history_size, rules.history_age)
        self.nicks = NickTable()
        self.by_identity: dict[bytes, Session] = {}
        self.departed = Departed()
        self.empty_since: float | None = None
        self._headers = [header(Type.DATA, tag, flags) for flags in range(32)]
        self._entries: list[bytes] = []
        self._entry_senders: list[Member] = []
        seen = [member for member in room.members() if member.kind in _KINDS]
        self._members = {member.number: member for member in seen}
        self._numbers = sorted(self._members)

    @property
    def newest(self) -> int:
        """The newest room sequence."""
        return self.history.newest

    # What is said.

    def frame(self, runs: Sequence[Said], count: int, now: float) -> Sequence[bytes]:
        """
        Give what was said its places in the room sequence, and keep what is reliable.

        :param count: of the datagrams in all runs, at least one.
        :return: what session members get.
        """
        history, headers = self.history, self._headers
        sender, said, flags, size = runs[0]
        first = history.newest + 1
        framed: Sequence[bytes]
        if count == 1:
            # At light load each comes alone, and all that is done for it is done once more.
            framed = [framed_alone(headers[flags], said[0], sender, first)]
        elif len(runs) > 1 and len({flags for _, _, flags, _ in runs}) > 1:
            framed = framed_each(headers, runs, first)
            history.extend([d if d[FLAGS_AT] & RELIABLE else b"" for d in framed], now)
            return framed
        elif size and (len(runs) == 1 or len({size for _, _, _, size in runs}) == 1):
            framed = framed_together(headers[flags], runs, count, first)
        else:
            framed = framed_each(headers, runs, first)
        if flags & RELIABLE:
            history.extend(framed, now)
        else:
            history.skip(count)
        return framed

    def heartbeat(self) -> bytes:
        """Return HEARTBEAT as it is now."""
        return Heartbeat(self.tag, self.newest).encode()

    # What happens.

    def joined(self, member: Member, now: float) -> None:
        """Enter that somebody is a member now."""
        if member.kind not in _KINDS:
            return
        self._members[member.number] = member
        self._numbers.append(member.number)
        record = self.record(member)
        body = JoinEntry(record.nick, record.kind, record.identity, record.own, record.badge)
        self._enter(member, body, member, now)
        if isinstance(member, Session):
            self.nicks.claim(member.name, member.number)
            self.by_identity[member.identity] = member
            self.empty_since = None

    def left(self, member: Member, reason: str, now: float) -> None:
        """Enter that somebody has left."""
        if member.kind not in _KINDS:
            return
        del self._members[member.number]
        del self._numbers[bisect_left(self._numbers, member.number)]
        self._enter(member, LeaveEntry(reason), NOBODY, now)
        if isinstance(member, Session):
            self.nicks.release(member.number)
            del self.by_identity[member.identity]
            left = Left(member.window.next, member.private_window.next, member.first)
            self.departed.remember(member.identity, left)
            if not self.by_identity:
                self.empty_since = now

    def renamed(self, member: Session, now: float) -> None:
        """Enter that a member has a new nick."""
        self._enter(member, NickEntry(member.name, member.badge), NOBODY, now)

    def _enter(self, member: Member, body: EntryBody, sender: Member, now: float) -> None:
        entry = Entry(self.tag, self.newest + 1, member.number, body).encode()
        self.history.extend([entry], now)
        self._entries.append(entry)
        # Its own join is no news to a member.
        self._entry_senders.append(sender)

    @property
    def has_entries(self) -> bool:
        """Whether there are entries that are still to be delivered."""
        return bool(self._entries)

    def take_entries(self) -> tuple[list[bytes], list[Member]]:
        """Return the entries that are still to be delivered, and who does not get each."""
        if not self._entries:
            return [], []
        taken = self._entries, self._entry_senders
        self._entries, self._entry_senders = [], []
        return taken

    # Who is there.

    def member(self, number: int) -> Member | None:
        """Return the member with a number, if others see it."""
        return self._members.get(number)

    def records(self, number: int) -> Iterator[MemberRecord]:
        """Yield the members from a number on, in the order of their numbers."""
        for index in range(bisect_left(self._numbers, number), len(self._numbers)):
            yield self.record(self._members[self._numbers[index]])

    @staticmethod
    def record(member: Member) -> MemberRecord:
        """Return what others see of a member."""
        kind = _KINDS[member.kind]
        if isinstance(member, Session):
            own = member.window.next - 1
            return MemberRecord(
                member.number, member.name, kind, member.identity, own, member.badge
            )
        return MemberRecord(member.number, member.name, kind, b"", 0, b"")
