"""The members of the room, from WELCOME, ENTRY and MEMBERS in any order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from types import MappingProxyType

from attrs import evolve

from udprelay.protocol.wire.entries import JoinEntry, LeaveEntry, NickEntry
from udprelay.protocol.wire.from_relay import Members
from udprelay.protocol.wire.joining import Welcome
from udprelay.protocol.wire.members import MemberKind
from udprelay.protocol.wire.sequenced import Entry
from udprelay.session_client.events import (
    Event,
    MemberJoined,
    MemberLeft,
    MembersKnown,
    NickChanged,
)
from udprelay.session_client.known_member import (
    OLD_ENTRY,
    Badges,
    KnownMember,
    MemberPage,
    Numbers,
    NumberState,
    Returning,
)
from udprelay.session_client.roster_requests import RosterRequests
from udprelay.session_client.sealing import Sealing
from udprelay.session_client.suspicions import Suspicions

MAX_MEMBERS = 100_000
MAX_PAGES = 8
"""Pages that wait for the room sequence to be settled."""
_FINAL_REASONS = ("left", "kicked")


class Roster:
    """
    The members of one room after another.

    Of two reports about a member, the one at the later room sequence counts. A page is applied
    when all up to its room sequence is settled.

    :param sealing: verifies badges; None in a room without a passphrase.
    :param suspicions: receives wrong badges.
    :param emit: receives events.
    :ivar number: the client's own member number.
    :ivar members: the members by number, the client included.
    :ivar requests: what to request; :meth:`next_request` sends.
    :ivar complete: all that were in the room when the client joined are known.
    """

    def __init__(
        self, sealing: Sealing | None, suspicions: Suspicions, emit: Callable[[Event], None]
    ) -> None:
        self.number = 0
        self._members: dict[int, KnownMember] = {}
        self.members: Mapping[int, KnownMember] = MappingProxyType(self._members)
        self._emit = emit
        self._identity = b""
        self._badges = Badges(sealing, suspicions)
        self.requests = RosterRequests()
        self._returning = Returning()
        self._numbers = Numbers()
        self._pages: list[MemberPage] = []
        self._in_first_room = False
        self.complete = False

    @property
    def nick(self) -> str:
        """The client's own nick, as the relay has it; only after :meth:`start_session`."""
        return self._members[self.number].nick

    @property
    def updating(self) -> bool:
        """Whether pages are still to come, or to be applied."""
        return bool(self._pages) or self.requests.updating

    def find(self, number: int) -> KnownMember | None:
        """Return the member that has this number, or had it recently."""
        state = self._numbers.states.get(number)
        member = None if state is None else state.member
        for page in self._pages:
            if member is None and number in page.members:
                member = page.members[number][0]
        return member

    def is_unknowable(self, number: int, sequence: float) -> bool:
        """Return whether no report will tell which member had a number at a room sequence."""
        state = self._numbers.states.get(number)
        if state is not None:
            return state.member is None and state.renamed is None
        if any(page.lacks(number) and sequence <= page.newest for page in self._pages):
            # The member sent something, and left before the page was made.
            return True
        return sequence <= self._numbers.floor and not self.updating

    def since(self, number: int) -> float:
        """Return the time of the first report about a number; infinite without a report."""
        state = self._numbers.states.get(number)
        return inf if state is None else state.since

    def is_self(self, member: KnownMember) -> bool:
        """Return whether this is the client, now or in an earlier session."""
        return member.number == self.number or member.identity == self._identity

    def start_session(self, welcome: Welcome, new_room: bool, identity: bytes, now: float) -> None:
        """
        Begin a session.

        :param new_room: the room tag has changed, so all numbers are new.
        :param identity: the client's own.
        """
        others = [member for member in self._members.values() if not self.is_self(member)]
        if new_room:
            self._in_first_room = not self.number
            self._returning.expect(others, now)
            self._members.clear()
            self._numbers.clear(welcome.newest)
            self._pages.clear()
            self.requests.reset(welcome.more_from, welcome.newest)
            self.complete = welcome.more_from is None
        elif welcome.number != self.number:
            self._members.pop(self.number)
            self._numbers.set_absent(self.number, self._numbers.states[self.number])
        self.requests.resume()
        self.number, self._identity = welcome.number, identity
        myself = KnownMember(welcome.number, welcome.nick, MemberKind.SESSION, identity, True)
        self._members[welcome.number] = myself
        self._numbers.set_present(myself, welcome.newest, now)
        page = self._page(0, welcome, new_room, now)
        if new_room:
            self._apply(page, now)
        # It is applied again once the room is settled: only then its own sequences count.
        self._pages.insert(0, page)
        if len(self._pages) > MAX_PAGES + 1:
            # Many sessions have begun and nothing was settled. The page is requested later.
            self.requests.request_all(self._pages.pop().newest, now)

    def receive_entry(self, entry: Entry, now: float) -> KnownMember | None:
        """Apply a change; return the member that leaves by it and will not come back, if any."""
        number, sequence, body = entry.number, entry.sequence, entry.body
        if isinstance(body, NickEntry):
            self._rename(number, sequence, body, now)
        elif number == self.number:
            # WELCOME and BYE report the client's own join and leave.
            return None
        elif isinstance(body, JoinEntry):
            member = self._badges.member(number, body, now)
            if number not in self._numbers.states and sequence <= self._numbers.floor:
                # The member has left since, or is on a later page.
                self._numbers.set_absent(number, NumberState(member, OLD_ENTRY, now))
            else:
                self._learn(member, sequence, now)
        elif isinstance(body, LeaveEntry):
            return self._leave(number, sequence, body.reason, now)
        return None

    def receive_page(self, members: Members, now: float) -> None:
        """Queue a page if it answers the open request."""
        first_round = self.requests.first_round
        if self.requests.accept(members.first, members.more_from, members.newest):
            page = self._page(members.first, members, first_round, now)
            self._pages.append(page)

    def settle(self, sequence: int, now: float) -> tuple[int, list[MemberPage]]:
        """
        Apply the pages up to a room sequence.

        :return: how many changes came by these pages only, and the pages.
        """
        due = [page for page in self._pages if page.newest <= sequence]
        changes = 0
        for page in due:
            self._pages.remove(page)
            changes += self._apply(page, now)
        # The page of WELCOME, from number 0, was applied at once.
        if not (self.complete or self.requests.first_round) and not any(
            page.first and page.first_round for page in self._pages
        ):
            self.complete = True
            self._emit(MembersKnown())
        return changes, due

    def set_own_nick(self, nick: str) -> None:
        """Change the client's own nick."""
        before = self._members[self.number]
        if nick != before.nick:
            after = evolve(before, nick=nick)
            self._numbers.states[self.number].member = self._members[self.number] = after
            self._emit(NickChanged(self.number, before.nick, nick, own=True))

    def next_request(self, now: float) -> int | None:
        """Return the number for the ROSTER to send now, if any."""
        return self.requests.next_number(now) if len(self._pages) < MAX_PAGES else None

    @property
    def request_deadline(self) -> float:
        """When :meth:`next_request` should be called next."""
        return self.requests.deadline if len(self._pages) < MAX_PAGES else inf

    @property
    def deadline(self) -> float:
        """When :meth:`expire` should be called next."""
        return self._returning.deadline

    def expire(self, now: float) -> None:
        """Report the members that have not come back after a restart of the relay."""
        for member in self._returning.expire(now):
            self._emit(MemberLeft(member.number, member.trusted_nick, ""))

    def _page(
        self, first: int, source: Welcome | Members, first_round: bool, now: float
    ) -> MemberPage:
        members = {
            record.number: (self._badges.member(record.number, record, now), record.own)
            for record in source.members
            if record.number != self.number
        }
        return MemberPage(first, source.newest, members, source.more_from, first_round)

    def _apply(self, page: MemberPage, now: float) -> int:
        """Apply a page; return how many changes came by it only."""
        changes = 0
        for number in [number for number in self._members if page.lacks(number)]:
            if number != self.number and self._numbers.states[number].sequence <= page.newest:
                self._remove(number, page.newest, "")
                changes += 1
        quiet = self._in_first_room and page.first_round
        for member, _ in page.members.values():
            changes += self._learn(member, page.newest, now, quiet)
        if page.first not in self._numbers.states:
            self._numbers.set_absent(page.first, NumberState(None, page.newest, now))
        return 0 if page.first_round else changes

    def _learn(self, member: KnownMember, sequence: int, now: float, quiet: bool = False) -> bool:
        """Apply a report about a member; return whether it has changed anything."""
        state = self._numbers.states.get(member.number)
        if state is not None and state.sequence >= sequence:
            if state.renamed is None:
                # The member may have left; its late messages still need it.
                state.member = state.member or member
                return False
            renamed, sequence = state.renamed, state.sequence
            member = self._badges.rename(member, renamed.nick, renamed.badge, now)
        return self._put(member, sequence, now, quiet)

    def _put(self, member: KnownMember, sequence: int, now: float, quiet: bool) -> bool:
        before = self._members.get(member.number)
        if before is None and len(self._members) >= MAX_MEMBERS:
            return False
        self._members[member.number] = member
        self._numbers.set_present(member, sequence, now)
        if self.is_self(member):
            return False
        known = self._returning.pop(member) if before is None else before
        nick = member.trusted_nick
        if known is None:
            if not quiet:
                self._emit(MemberJoined(member.number, nick, member.kind))
        elif known.trusted_nick != nick:
            self._emit(NickChanged(member.number, known.trusted_nick, nick, own=False))
        return before != member

    def _leave(self, number: int, sequence: int, reason: str, now: float) -> KnownMember | None:
        state = self._numbers.states.get(number)
        if state is None:
            self._numbers.set_absent(number, NumberState(None, sequence, now))
        elif sequence > state.sequence:
            if number in self._members:
                member = self._remove(number, sequence, reason)
                # After any other reason the member may come back and continue its messages.
                return member if reason in _FINAL_REASONS else None
            state.sequence, state.renamed = sequence, None
        return None

    def _rename(self, number: int, sequence: int, body: NickEntry, now: float) -> None:
        state = self._numbers.states.get(number)
        if state is None:
            if sequence > self._numbers.floor:
                self._numbers.set_absent(number, NumberState(None, sequence, now, body))
        elif sequence > state.sequence:
            if number == self.number:
                state.sequence = sequence
                self.set_own_nick(body.nick)
            elif number in self._members:
                before = self._members[number]
                member = self._badges.rename(before, body.nick, body.badge, now)
                self._put(member, sequence, now, quiet=False)
            elif state.renamed is not None or state.sequence == OLD_ENTRY:
                state.sequence, state.renamed = sequence, body

    def _remove(self, number: int, sequence: int, reason: str) -> KnownMember:
        member = self._members.pop(number)
        state = self._numbers.states[number]
        state.sequence = sequence
        self._numbers.set_absent(number, state)
        if not self.is_self(member):
            self._emit(MemberLeft(number, member.trusted_nick, reason))
        return member
