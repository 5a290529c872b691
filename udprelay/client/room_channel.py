"""A channel in a room, by the session protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, gatherResults
from twisted.python.failure import Failure

from udprelay.client.channel import (
    DONE,
    FAILED,
    REFUSED,
    UNREACHABLE,
    ChannelObserver,
    OutgoingMessage,
    RejectedError,
    same_nick,
    too_long,
)
from udprelay.client.member import Member
from udprelay.client.notices import Notice, messages
from udprelay.client.room_reporter import RoomReporter
from udprelay.clock import clock_of
from udprelay.protocol.endpoint import host_port
from udprelay.session_client import events
from udprelay.session_client.events import Event
from udprelay.session_client.known_member import KnownMember
from udprelay.session_client.message_sender import (
    MAX_UNRELIABLE,
    MAX_UNRELIABLE_PRIVATE,
    MessageError,
)
from udprelay.session_client.pieces import MAX_MESSAGE
from udprelay.session_client.settings import Settings

BUSY_BACKLOG = 64
"""Queued datagrams above which the channel is busy."""

_ROSTER_CHANGES = (events.Joined, events.MemberJoined, events.MemberLeft, events.NickChanged)


class RoomChannel:
    """
    A channel in one room at a time.

    A room is left after the next one is joined, and after its last message is acknowledged.

    :param settings: with the first room.
    :param passphrase: of all rooms; ``None`` if ``settings.keyed`` is false.
    :param join_timeout: seconds to wait for the first room; ``None``: no limit.
    :ivar rooms: the rooms joined so far.
    :ivar roster_changed: called when the members of the current room, or their numbers, may
        have changed.
    """

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int,
        observer: ChannelObserver,
        settings: Settings,
        passphrase: str | None,
        join_timeout: float | None,
        newline: bool = False,
    ) -> None:
        self.rooms = {settings.room}
        self.roster_changed: Callable[[], object] = lambda: None
        self._reactor = reactor
        self._host = host
        self._port = port
        self._observer = observer
        # With the first room, and the present nick.
        self._settings = settings
        self._passphrase = passphrase
        self._join_timeout = join_timeout
        self._newline = newline
        # Memberships: of the current room; of the room being joined; of rooms that are left when
        # their last messages are acknowledged; all.
        self._member: Member | None = None
        self._joining: Member | None = None
        self._leaving: list[Member] = []
        self._all: list[Member] = []
        self._joined: Deferred[Member] | None = None
        self._reporter = RoomReporter(clock_of(reactor), observer)
        self._paused = False
        self._closing = False
        # Whether it had contact with the relay while it was closing.
        self._reached = False

    @property
    def peer(self) -> str:
        return self._member.relay if self._member else host_port(self._host, self._port)

    @property
    def busy(self) -> bool:
        return self._member is not None and self._member.backlog > BUSY_BACKLOG

    @property
    def pending(self) -> int:
        return sum(member.outstanding for member in self._open_members())

    @property
    def resolving(self) -> bool:
        return any(member.resolving for member in self._all)

    @property
    def room(self) -> str:
        """The current room, or the first one while it is being joined."""
        return self._member.room if self._member else self._settings.room

    @property
    def others(self) -> list[KnownMember]:
        """The other members of the room, in the order in which they joined."""
        if self._member is None:
            return []
        found = self._member.members
        return [found[number] for number in sorted(found) if number != self._member.number]

    @property
    def nicks(self) -> list[str]:
        """The authenticated nicks of the other members."""
        return [member.nick for member in self.others if member.trusted]

    @property
    def own_nick(self) -> str:
        return self._member.nick if self._member else self._settings.nick

    async def open(self) -> None:
        self.switch_room(self._settings.room)

    def switch_room(self, room: str) -> None:
        """
        Join a room, then leave the current one; for the current room, cancel any other switch.

        :raises ValueError: if the name is invalid.
        """
        settings = evolve(self._settings, room=room)
        cancelled, self._joining = self._joining, None
        if cancelled is not None:
            self._reporter.cancel_progress()
            self._leave_when_delivered(cancelled)
        if self._member is not None and self._member.room == room:
            return
        member = Member(
            self._reactor, self._host, self._port, settings, self._passphrase, self._handle_event
        )
        self._joining = member
        self._all.append(member)
        self._reporter.connecting(host_port(self._host, self._port), room)
        joined = self._joined = member.join()
        if self._join_timeout is not None and self._member is None:
            joined.addTimeout(self._join_timeout, clock_of(self._reactor))
        joined.addCallbacks(self._switched, self._not_joined, errbackArgs=(member,))

    def send(self, message: OutgoingMessage) -> None:
        payload = message.payload
        if self._member is None:
            raise RejectedError("invalid", "no room joined yet", len(payload))
        if not payload:
            raise RejectedError("empty", "the line is empty", 0)
        if self._newline:
            payload += b"\n"
        if len(payload) > MAX_MESSAGE:
            raise too_long(len(payload), MAX_MESSAGE)
        try:
            if message.to is None:
                delivered = self._member.send(payload, message.reliable)
            else:
                number = self._number_of(message.to, len(payload))
                delivered = self._member.send_private(number, payload, message.reliable)
        except MessageError as error:
            raise RejectedError("invalid", str(error), len(payload)) from None
        # A failure is also an event.
        delivered.addErrback(lambda _: None)

    def send_now(self, payload: bytes, number: int | None = None) -> str | None:
        member = self._member
        if member is None:
            return "no-contact"
        if not payload:
            return "empty"
        if len(payload) > (MAX_UNRELIABLE if number is None else MAX_UNRELIABLE_PRIVATE):
            return "too-large"
        if not member.joined:
            return "no-contact"
        try:
            if number is None:
                member.send(payload, reliable=False)
            else:
                member.send_private(number, payload, reliable=False)
        except MessageError:
            return "absent"
        return None

    def change_nick(self, nick: str) -> None:
        """Change the nick in this room and the next ones."""
        if self._member is not None:
            self._member.change_nick(nick)

    def ping(self) -> None:
        """Measure the round trip to the relay; the answer is a notice."""
        if self._member is not None:
            self._member.ping()

    def exit_status(self) -> int:
        if not (self._reached if self._closing else self._member and self._member.joined):
            return UNREACHABLE
        return FAILED if self._reporter.failed else DONE

    def pause(self) -> None:
        self._paused = True
        for member in self._open_members():
            member.pause()

    def resume(self) -> None:
        self._paused = False
        for member in self._open_members():
            member.resume()

    def close(self) -> Deferred[int]:
        self._reporter.cancel_progress()
        if (count := self.pending) and not self._closing:
            abandoned = messages(count, " was", " were")
            self._observer.notice(Notice.of("messages.abandoned", count=count, messages=abandoned))
        self._reached = self.exit_status() != UNREACHABLE
        self._closing = True
        left = gatherResults([member.leave() for member in self._open_members()])
        return left.addCallback(lambda _: self.exit_status())

    def _open_members(self) -> list[Member]:
        return [*self._leaving, *filter(None, (self._member, self._joining))]

    def _number_of(self, nick: str, length: int) -> int:
        for member in self.others:
            if member.trusted and same_nick(member.nick, nick):
                return member.number
        raise RejectedError("absent", f"no member has the nick {nick}", length)

    def _switched(self, member: Member) -> None:
        before, self._member, self._joining = self._member, member, None
        self.rooms.add(member.room)
        self._reporter.joined(member, lambda: self.others)
        if self._paused:
            member.pause()
        if before is None:
            self._observer.opened()
        else:
            self._observer.notice(Notice.of("session.left", room=before.room))
            self._leave_when_delivered(before)
        self.roster_changed()

    def _not_joined(self, failure: Failure, member: Member) -> None:
        if self._closing or member is not self._joining:
            return
        self._joining = None
        timeout = self._join_timeout or 0.0
        status = self._reporter.not_joined(failure, member, self._host, timeout)
        if self._member is None:
            self._observer.ended(status)

    def _leave_when_delivered(self, member: Member) -> None:
        """Leave a room as soon as no message to it is outstanding."""

        def forget(reason: object) -> object:
            self._leaving.remove(member)
            return reason

        self._leaving.append(member)
        member.over.addCallback(forget)
        if not member.outstanding:
            member.leave()

    def _handle_event(self, member: Member, event: Event) -> None:
        if self._closing:
            self._handle_while_closing(member, event)
            return
        if member is self._joining:
            self._handle_while_joining(member, event)
        elif member is self._member:
            if isinstance(event, events.NickChanged) and event.own and event.nick is not None:
                self._settings = evolve(self._settings, nick=event.nick)
            self._reporter.while_joined(member, event)
            if isinstance(event, _ROSTER_CHANGES):
                self.roster_changed()
        elif isinstance(event, events.Failed | events.Missed):
            self._reporter.report(member, event)
        if isinstance(event, events.Delivered | events.Failed):
            self._observer.progressed()
            if member in self._leaving and not member.outstanding:
                member.leave()
        if isinstance(event, events.Refused | events.Closed) and member is self._member:
            self._observer.ended(REFUSED)

    def _handle_while_closing(self, member: Member, event: Event) -> None:
        # If the relay has died, it joins once more: see SessionClient.leave().
        self._reached = self._reached or isinstance(event, events.Joined)
        if isinstance(event, events.Failed) and event.reason == "unconfirmed":
            self._reporter.report(member, event)

    def _handle_while_joining(self, member: Member, event: Event) -> None:
        # With a timeout, its end is reported, not each silence before it.
        if self._join_timeout is None or not isinstance(event, events.NoAnswer):
            self._reporter.while_joining(member, event)
        elif member.nobody_listens and self._joined and self._member is None:
            self._joined.cancel()
