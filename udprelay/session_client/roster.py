"""Who is in the room, from WELCOME, ENTRY and MEMBERS, in whatever order they come."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from attrs import evolve

from udprelay.protocol.wire.entries import JoinEntry, LeaveEntry, NickEntry
from udprelay.protocol.wire.from_relay import Members
from udprelay.protocol.wire.joining import Welcome
from udprelay.protocol.wire.members import MemberKind
from udprelay.protocol.wire.sequenced import Entry
from udprelay.session_client.events import Event, MemberJoined, MemberLeft, NickChanged
from udprelay.session_client.known_member import Badges, KnownMember, Vouches
from udprelay.session_client.member_page import Page
from udprelay.session_client.numbers import ONLY_NAMED, Heard, Numbers
from udprelay.session_client.questions import Questions
from udprelay.session_client.returning import Returning
from udprelay.session_client.suspicions import Suspicions

MOST_MEMBERS = 100_000
MOST_PAGES = 8


class Roster:
    """
    The members of one room after another.

    What is heard of a member at a later room sequence overrules what was heard of it before. A
    page tells how things were at one, so it waits until all up to there is settled.

    :param suspicions: is told of wrong badges.
    :param tell: takes events.
    :ivar number: the client's own member number.
    :ivar members: the members by their numbers, the client among them.
    :ivar questions: what to ask about; :meth:`ask` asks.
    """

    def __init__(self, suspicions: Suspicions, tell: Callable[[Event], None]) -> None:
        self.number = 0
        self._members: dict[int, KnownMember] = {}
        self.members: Mapping[int, KnownMember] = MappingProxyType(self._members)
        self._tell = tell
        self._identity = b""
        self._badges = Badges(suspicions)
        self.questions = Questions()
        self._returning = Returning()
        self._numbers = Numbers()
        self._pages: list[Page] = []
        self._quiet = False
        self._found = 0
        self._gone: list[tuple[KnownMember, str]] = []
        self._owns: list[tuple[KnownMember, int]] = []

    @property
    def in_doubt(self) -> bool:
        """Whether pages are still to come, or to be taken into account."""
        return bool(self._pages) or self.questions.in_doubt

    def find(self, number: int) -> KnownMember | None:
        """Return who has this number, or had it not long ago."""
        member = self._numbers.member(number)
        for page in self._pages:
            if member is None and number in page.members:
                member = page.members[number][0]
        return member

    def is_hopeless(self, number: int, sequence: float) -> bool:
        """Return whether nothing will tell who had this number at a room sequence."""
        heard = self._numbers.get(number)
        if heard is not None:
            return heard.member is None and heard.renamed is None
        if any(page.lacks(number) and sequence <= page.newest for page in self._pages):
            # It spoke before, and is no longer there.
            return True
        return sequence <= self._numbers.floor and not self.in_doubt

    def since(self, number: int) -> float:
        """Return when a number was heard of first; infinite if that is still to be settled."""
        return self._numbers.since(number)

    def is_self(self, member: KnownMember) -> bool:
        """Return whether this is the client, now or in an earlier session."""
        return member.number == self.number or member.identity == self._identity

    def welcome(
        self,
        welcome: Welcome,
        new_room: bool,
        identity: bytes,
        vouches: Vouches | None,
        now: float,
    ) -> None:
        """
        Begin a session.

        :param new_room: the room has another tag than the last one: numbers begin anew.
        :param identity: the client's own.
        :param vouches: checks badges; None without a passphrase.
        """
        others = [member for member in self._members.values() if not self.is_self(member)]
        if new_room:
            self._quiet = not self.number
            self._returning.expect(others, now)
            self._members.clear()
            self._numbers.clear(welcome.newest)
            self._pages.clear()
            self.questions.begin(welcome.more_from, welcome.newest)
        elif welcome.number != self.number:
            self._members.pop(self.number)
            self._numbers.absent(self.number, self._numbers[self.number])
        self.questions.resume()
        self.number, self._identity, self._badges.vouches = welcome.number, identity, vouches
        myself = KnownMember(welcome.number, welcome.nick, MemberKind.SESSION, identity, True)
        self._members[welcome.number] = myself
        self._numbers.present(myself, welcome.newest, now)
        page = self._page(0, welcome, new_room, now)
        if new_room:
            self._apply(page, now)
        # The same again, once it can tell what of the members' own has not come.
        self._pages.insert(0, page)
        if len(self._pages) > MOST_PAGES + 1:
            # There were many sessions in which nothing was settled. It is asked for after that.
            self.questions.ask_all(self._pages.pop().newest, now)

    def entry(self, entry: Entry, now: float) -> None:
        """Take a change."""
        number, sequence, body = entry.number, entry.sequence, entry.body
        if isinstance(body, NickEntry):
            self._rename(number, sequence, body, now)
        elif number == self.number:
            # WELCOME and BYE tell that, and more.
            return
        elif isinstance(body, JoinEntry):
            member = self._badges.member(number, body, now)
            if number not in self._numbers and sequence <= self._numbers.floor:
                # It has left since, or is in one of the pages to come.
                self._numbers.absent(number, Heard(member, ONLY_NAMED, now))
            else:
                self._learn(member, sequence, now)
        elif isinstance(body, LeaveEntry):
            self._leave(number, sequence, body.reason, now)

    def page(self, members: Members, now: float) -> None:
        """Take an answer."""
        first_round = self.questions.first_round
        if self.questions.answered(members.first, members.more_from, members.newest):
            page = self._page(members.first, members, first_round, now)
            self._pages.append(page)

    def settled(self, sequence: int, now: float) -> bool:
        """Take into account the pages up to a room sequence; return whether there were any."""
        due = [page for page in self._pages if page.newest <= sequence]
        for page in due:
            self._pages.remove(page)
            self._apply(page, now)
            self._owns += page.members.values()
        return bool(due)

    def renamed(self, nick: str) -> None:
        """Note the client's own nick."""
        before = self._members[self.number]
        if nick != before.nick:
            after = evolve(before, nick=nick)
            self._numbers[self.number].member = self._members[self.number] = after
            self._tell(NickChanged(self.number, before.nick, nick, own=True))

    def ask(self, now: float) -> int | None:
        """Return the number to send ROSTER with now, if there is one."""
        return self.questions.ask(now) if len(self._pages) < MOST_PAGES else None

    @property
    def next_question(self) -> float | None:
        """When :meth:`ask` should be called next."""
        return self.questions.deadline if len(self._pages) < MOST_PAGES else None

    @property
    def deadline(self) -> float | None:
        """When :meth:`expire` should be called next."""
        return self._returning.deadline

    def expire(self, now: float) -> None:
        """Tell who has not come back after the relay was restarted."""
        for member in self._returning.expire(now):
            self._gone.append((member, ""))
            self._tell(MemberLeft(member.number, member.shown, ""))

    def take_found(self) -> int:
        """Return how many changes pages have shown that no entry has, since the last call."""
        found, self._found = self._found, 0
        return found

    def take_gone(self) -> list[tuple[KnownMember, str]]:
        """Return who has left since the last call, and why, as ENTRY leave has it."""
        gone, self._gone = self._gone, []
        return gone

    def take_owns(self) -> list[tuple[KnownMember, int]]:
        """
        Return the last reliable own sequences that pages have told, once.

        All up to there has had its turn, in this room or in one before.
        """
        owns, self._owns = self._owns, []
        return owns

    def _page(
        self,
        first: int,
        said: Welcome | Members,
        first_round: bool,
        now: float,
    ) -> Page:
        members = {
            record.number: (self._badges.member(record.number, record, now), record.own)
            for record in said.members
            if record.number != self.number
        }
        return Page(first, said.newest, members, said.more_from, first_round)

    def _apply(self, page: Page, now: float) -> None:
        found = 0
        for number in [number for number in self._members if page.lacks(number)]:
            if number != self.number and self._numbers[number].sequence <= page.newest:
                self._drop(number, page.newest, "")
                found += 1
        for member, _ in page.members.values():
            found += self._learn(member, page.newest, now, self._quiet and page.first_round)
        if page.first not in self._numbers:
            self._numbers.absent(page.first, Heard(None, page.newest, now))
        if not page.first_round:
            self._found += found

    def _learn(self, member: KnownMember, sequence: int, now: float, quiet: bool = False) -> bool:
        """Take what is said of a member; return whether it has changed anything."""
        heard = self._numbers.get(member.number)
        if heard is not None and heard.sequence >= sequence:
            if heard.renamed is None:
                # If it has left since, what it said may still come.
                heard.member = heard.member or member
                return False
            renamed, sequence = heard.renamed, heard.sequence
            member = self._badges.renamed(member, renamed.nick, renamed.badge, now)
        return self._present(member, sequence, now, quiet)

    def _present(self, member: KnownMember, sequence: int, now: float, quiet: bool) -> bool:
        before = self._members.get(member.number)
        if before is None and len(self._members) >= MOST_MEMBERS:
            return False
        self._members[member.number] = member
        self._numbers.present(member, sequence, now)
        if self.is_self(member):
            return False
        was = self._returning.back(member) if before is None else before
        if was is None:
            if not quiet:
                self._tell(MemberJoined(member.number, member.shown, member.kind))
        elif was.shown != member.shown:
            self._tell(NickChanged(member.number, was.shown, member.shown, own=False))
        return before != member

    def _leave(self, number: int, sequence: int, reason: str, now: float) -> None:
        heard = self._numbers.get(number)
        if heard is None:
            self._numbers.absent(number, Heard(None, sequence, now))
        elif sequence > heard.sequence:
            if number in self._members:
                self._drop(number, sequence, reason)
            else:
                heard.sequence, heard.renamed = sequence, None

    def _rename(self, number: int, sequence: int, body: NickEntry, now: float) -> None:
        heard = self._numbers.get(number)
        if heard is None:
            if sequence > self._numbers.floor:
                self._numbers.absent(number, Heard(None, sequence, now, body))
        elif sequence > heard.sequence:
            if number == self.number:
                heard.sequence = sequence
                self.renamed(body.nick)
            elif number in self._members:
                was = self._members[number]
                member = self._badges.renamed(was, body.nick, body.badge, now)
                self._present(member, sequence, now, quiet=False)
            elif heard.renamed is not None or heard.sequence == ONLY_NAMED:
                heard.sequence, heard.renamed = sequence, body

    def _drop(self, number: int, sequence: int, reason: str) -> None:
        member = self._members.pop(number)
        heard = self._numbers[number]
        heard.sequence = sequence
        self._numbers.absent(number, heard)
        self._gone.append((member, reason))
        if not self.is_self(member):
            self._tell(MemberLeft(number, member.shown, reason))
