"""What the hub has for its owner until the owner drains it: events, replies, counts of drops."""

from __future__ import annotations

from typing import TypeAlias

from udprelay.protocol.endpoint import Endpoint
from udprelay.relay import events
from udprelay.relay.census import Census
from udprelay.relay.drops import DropReason, Drops
from udprelay.relay.room import Listener, Member
from udprelay.relay.transport import Transport
from udprelay.segments import Source

Reply: TypeAlias = tuple[Transport, Source, bytes]
"""One datagram for one source, outside any room's fan-out."""


class Output:
    """
    Collects events, datagrams for single addresses, and drops.

    :param drop_window: seconds over which drops are added up.
    :param rooms: rooms whose drops are counted by room; their number bounds the counters.
    :ivar deadline_nearer: whether the next deadline may be nearer than when it was last read.
    """

    def __init__(self, drop_window: float, rooms: frozenset[str], census: Census) -> None:
        self._rooms = rooms
        self.events: list[events.Event] = []
        self.replies: list[Reply] = []
        self.drops = Drops(drop_window)
        self.deadline_nearer = False
        census.add("dropped", self.drops.by_reason)
        census.add("tables.drops", self.drops.__len__)
        census.add("queues.events", lambda: len(self.events))
        census.add("queues.replies", lambda: len(self.replies))

    def emit(self, event: events.Event) -> None:
        """Add an event."""
        self.events.append(event)

    def reply(self, transport: Transport, source: Source, payload: bytes) -> None:
        """Send a datagram to one source."""
        self.replies.append((transport, source, payload))

    def send_to(self, member: Member, datagram: bytes) -> None:
        """Send a datagram to one member."""
        self.replies.append((member.transport, member.source, datagram))

    def drop(
        self, listener: str, room: str, reason: DropReason, now: float, count: int = 1
    ) -> bool:
        """Count drops; return whether they are the first of their kind in this window."""
        self.deadline_nearer = True
        counted = room if room in self._rooms else ""
        return self.drops.count(listener, counted, reason, now, count)

    def drop_from(self, member: Member, reason: DropReason, now: float, count: int = 1) -> None:
        """Count dropped datagrams of a member."""
        self.drop(member.transport.name, member.room.name, reason, now, count)

    def reject(
        self, listener: Listener, room: str, address: Endpoint, reason: DropReason, now: float
    ) -> None:
        """Count a datagram of an address that is not admitted; the first one has an event."""
        if self.drop(listener.name, room, reason, now):
            self.events.append(
                events.MemberRejected(
                    room=room, address=str(address), listener=listener.name, reason=reason.value
                )
            )

    def drain_events(self) -> list[events.Event]:
        """Return the events since the last call."""
        drained, self.events = self.events, []
        return drained

    def drain_replies(self) -> list[Reply]:
        """Return the replies since the last call."""
        drained, self.replies = self.replies, []
        return drained
