"""The roster as the events of a client report it."""

from __future__ import annotations

from collections import Counter

from udprelay.protocol.wire.from_relay import Members
from udprelay.protocol.wire.joining import Welcome
from udprelay.session_client import events as e
from udprelay.session_client.client import SessionClient


class EventRoster:
    """
    Follows joins, leaves and nick changes.

    No event reports the members that joined the client's first room before it. They are read from
    the client until it has applied all pages of the roster.

    :ivar nicks: of the other members.
    """

    def __init__(self, session_client: SessionClient) -> None:
        self.nicks: Counter[str | None] = Counter()
        self._session_client = session_client
        self._complete = False
        self._tag: bytes | None = None
        self._next_page: int | None = None
        self._newest = 0

    def start_session(self, welcome: Welcome) -> None:
        """Begin a session."""
        if self._tag is None:
            self._next_page, self._newest = welcome.more_from, welcome.newest
        elif self._tag != welcome.tag:
            # In later rooms events report all members.
            self._complete = True
        self._tag = welcome.tag

    def receive_page(self, page: Members) -> None:
        """Receive a page of the roster."""
        if page.first == self._next_page:
            self._next_page, self._newest = page.more_from, page.newest

    def receive(self, event: e.Event) -> None:
        """Apply an event."""
        if not self._complete:
            return
        if isinstance(event, e.MemberJoined):
            self.nicks[event.nick] += 1
        elif isinstance(event, e.MemberLeft):
            self._remove(event.nick)
        elif isinstance(event, e.NickChanged) and not event.own:
            self._remove(event.before)
            self.nicks[event.nick] += 1

    def update(self, settled: int | None) -> None:
        """Read the members from the client, if events do not report all of them yet."""
        if not self._complete:
            client = self._session_client
            others = (m.trusted_nick for n, m in client.members.items() if n != client.number)
            self.nicks = Counter(others)
            has_pages = self._next_page is None and client.members_known
            self._complete = has_pages and settled is not None and settled >= self._newest

    def _remove(self, nick: str | None) -> None:
        assert self.nicks[nick] > 0, f"{nick} leaves without having joined"
        self.nicks[nick] -= 1
