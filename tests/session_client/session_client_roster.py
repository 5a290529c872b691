"""A roster, as a test sees it."""

from __future__ import annotations

from session_client_arrivals import ME, MY_NUMBER, page, welcome

from udprelay.session_client.roster import Roster
from udprelay.session_client.suspicions import Suspicions


class Room:
    """A roster, and what it has told."""

    def __init__(self, *members, vouches=None, **keywords):
        self.events = []
        self.now = 0.0
        self.vouches = vouches
        self.roster = Roster(Suspicions(self.events.append), self.events.append)
        self.welcome(*members, **keywords)

    def welcome(self, *members, new_room=True, own=ME, **keywords):
        said = welcome(*members, **keywords)
        self.roster.welcome(said, new_room, own, self.vouches, self.now)

    def entry(self, *entries):
        for one in entries:
            self.roster.entry(one, self.now)

    def answer(self, *members, newest, **keywords):
        """Ask, and answer with these members, as soon as it is settled."""
        first = self.roster.ask(self.now)
        self.roster.page(page(*members, newest=newest, first=first, **keywords), self.now)
        self.roster.settled(newest, self.now)
        return first

    @property
    def others(self):
        members = self.roster.members.values()
        return {member.number: member.nick for member in members if member.number != MY_NUMBER}

    def take(self):
        events = self.events.copy()
        self.events.clear()
        return events
