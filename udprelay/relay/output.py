"""What the hub has for its owner until it is taken: events, replies, counts of drops."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from udprelay.protocol.endpoint import Endpoint
from udprelay.relay import events
from udprelay.relay.drops import DropReason, Drops
from udprelay.relay.listener import Listener, Source

if TYPE_CHECKING:
    from udprelay.relay.session.member import Session


class Reply(NamedTuple):
    """One datagram for one address, outside any room's fan-out."""

    listener: Listener
    source: Source
    payload: bytes


class Output:
    """
    What has happened, and what is to be sent to single addresses.

    :param drop_window: seconds over which drops are added up.
    :param rooms: those whose drops are counted by room; there may be any number of others.
    :ivar deadline_nearer: whether the next deadline may be nearer than when it was last asked
        for.
    """

    def __init__(self, drop_window: float, rooms: frozenset[str]) -> None:
        self._rooms = rooms
        self.events: list[events.Event] = []
        self.replies: list[Reply] = []
        self.drops = Drops(drop_window)
        self.deadline_nearer = False

    def say(self, event: events.Event) -> None:
        """Add an event."""
        self.events.append(event)

    def reply(self, listener: Listener, source: Source, payload: bytes) -> None:
        """Send a datagram to one address."""
        self.replies.append(Reply(listener, source, payload))

    def tell(self, session: Session, datagram: bytes) -> None:
        """Send a datagram to one session member."""
        self.replies.append(Reply(session.listener, session.source, datagram))

    def drop(
        self, listener: str, room: str, reason: DropReason, now: float, count: int = 1
    ) -> bool:
        """Count drops; return whether they are the first of their kind in this window."""
        self.deadline_nearer = True
        counted = room if room in self._rooms else ""
        return self.drops.count(listener, counted, reason, now, count)

    def drop_from(self, session: Session, reason: DropReason, now: float) -> None:
        """Count a datagram of a session member that is dropped."""
        self.drop(session.listener.name, session.room.name, reason, now)

    def reject(
        self, listener: Listener, room: str, address: Endpoint, reason: DropReason, now: float
    ) -> None:
        """Count a datagram of somebody who is not admitted; say so if it is the first."""
        if self.drop(listener.name, room, reason, now):
            self.events.append(
                events.MemberRejected(
                    room=room, address=str(address), listener=listener.name, reason=reason.value
                )
            )

    def take_events(self) -> list[events.Event]:
        """Return the events since the last call."""
        taken, self.events = self.events, []
        return taken

    def take_replies(self) -> list[Reply]:
        """Return the replies since the last call."""
        taken, self.replies = self.replies, []
        return taken
