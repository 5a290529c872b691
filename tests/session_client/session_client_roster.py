"""A roster with its events and a clock."""

from __future__ import annotations

from typing import Any

from session_client_arrivals import ME, MY_NUMBER, page, welcome

from udprelay.protocol.wire.members import MemberRecord
from udprelay.protocol.wire.sequenced import Entry
from udprelay.session_client.events import Event
from udprelay.session_client.known_member import KnownMember
from udprelay.session_client.roster import Roster
from udprelay.session_client.sealing import Sealing
from udprelay.session_client.suspicions import Suspicions


class Room:
    """
    A roster, its members and its events.

    :ivar changes: how many came by pages only.
    """

    def __init__(
        self, *members: MemberRecord, sealing: Sealing | None = None, **keywords: Any
    ) -> None:
        self.events: list[Event] = []
        self.now = 0.0
        self.changes = 0
        self.roster = Roster(sealing, Suspicions(self.events.append), self.events.append)
        self.start_session(*members, **keywords)

    def start_session(
        self, *members: MemberRecord, new_room: bool = True, own: bytes = ME, **keywords: Any
    ) -> None:
        datagram = welcome(*members, **keywords)
        self.roster.start_session(datagram, new_room, own, self.now)

    def receive(self, *entries: Entry) -> None:
        for entry in entries:
            self.roster.receive_entry(entry, self.now)

    def answer(self, *members: MemberRecord, newest: int, **keywords: Any) -> int:
        """Answer the next request with these members, and settle the page; return its number."""
        first = self.roster.next_request(self.now)
        assert first is not None
        self.roster.receive_page(page(*members, newest=newest, first=first, **keywords), self.now)
        changes, _ = self.roster.settle(newest, self.now)
        self.changes += changes
        return first

    def known(self, number: int) -> KnownMember:
        """Return the member that has, or had, this number."""
        member = self.roster.find(number)
        assert member is not None
        return member

    @property
    def others(self) -> dict[int, str]:
        members = self.roster.members.values()
        return {member.number: member.nick for member in members if member.number != MY_NUMBER}

    def drain_events(self) -> list[Event]:
        events = self.events.copy()
        self.events.clear()
        return events
