"""Reports what happens in rooms as messages and notices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import defer
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from udprelay.client import notices, room_notices
from udprelay.client.channel import (
    REFUSED,
    UNREACHABLE,
    ChannelObserver,
    IncomingMessage,
    Sender,
    member_name,
)
from udprelay.client.errors import RefusedError, UnreachableError
from udprelay.client.member import Member
from udprelay.client.notices import Level, Notice
from udprelay.session_client import events
from udprelay.session_client.events import Event
from udprelay.session_client.handshake import NO_ANSWER_INTERVAL
from udprelay.session_client.known_member import KnownMember

PROGRESS_DELAY = 1.0
"""Seconds until a slow step is reported."""
_ROSTER_CHANGES = (events.Joined, events.MemberJoined, events.MemberLeft, events.NickChanged)


class RoomReporter:
    """
    Reports what happens in the rooms of a channel to its observer.

    :param roster_changed: called when the members of the room, or their numbers, may have
        changed.
    :ivar failed: a message was not delivered.
    """

    def __init__(
        self,
        reactor: Any,
        observer: ChannelObserver,
        roster_changed: Callable[[Member], object] | None = None,
    ) -> None:
        self.failed = False
        self._reactor = reactor
        self._observer = observer
        self._roster_changed = roster_changed
        self._unanswered = 0
        self._progress: IDelayedCall | None = None

    def connecting(self, peer: str, room: str) -> None:
        """Report that joining has started, if it takes long."""
        self._unanswered = 0
        self._report_later(room_notices.connecting(peer, room))

    def cancel_progress(self) -> None:
        """Stop to report the progress of joining."""
        if self._progress is not None and self._progress.active():
            self._progress.cancel()
        self._progress = None

    def joined(self, member: Member, others: list[KnownMember]) -> None:
        """Report a room that was joined, with the other members in it."""
        self.cancel_progress()
        self._unanswered = 0
        names = [member_name(other.trusted_nick, other.number) for other in others]
        self._observer.notice(room_notices.joined(member, names))
        self._report_roster(member)

    def not_joined(self, failure: Failure, member: Member, host: str, timeout: float) -> int:
        """
        Report why a room was not joined; return the exit status.

        :param host: the relay's host as given.
        :param timeout: seconds in which the relay had to answer.
        """
        self.cancel_progress()
        error = failure.value
        if isinstance(error, RefusedError):
            self._observer.notice(room_notices.refused(member.room, error.code, str(error)))
            return REFUSED
        if isinstance(error, UnreachableError):
            notice = notices.peer_unresolved(host)
        else:
            failure.trap(defer.TimeoutError, defer.CancelledError)
            if member.trouble is None:
                notice = room_notices.no_answer(member.relay, timeout)
            else:
                notice = notices.peer_unreachable(member.relay, member.trouble, Level.ERROR)
        self._observer.notice(notice)
        return UNREACHABLE

    def while_joining(self, member: Member, event: Event) -> None:
        """Report an event of a room that is being joined."""
        if isinstance(event, events.KeysNeeded):
            self._report_later(room_notices.deriving(member.room))
        elif isinstance(event, events.NoAnswer):
            self._report_no_answer(member)

    def while_joined(self, member: Member, event: Event) -> None:
        """Report an event of the current room."""
        match event:
            case events.Received():
                self._observer.received(_message(member, event))
            case events.NoAnswer():
                self._report_no_answer(member)
            case events.Joined(resumed=False):
                # Reported by joined(), with the other members.
                pass
            case _:
                if isinstance(event, events.Joined):
                    self._unanswered = 0
                self.report(member, event)
                if isinstance(event, _ROSTER_CHANGES):
                    self._report_roster(member)

    def report(self, member: Member, event: Event) -> None:
        """Report an event that has a notice of its own."""
        self.failed = self.failed or isinstance(event, events.Failed)
        notice = room_notices.notice_of(event, member)
        if notice is not None:
            self._observer.notice(notice)

    def _report_roster(self, member: Member) -> None:
        if self._roster_changed is not None:
            self._roster_changed(member)

    def _report_no_answer(self, member: Member) -> None:
        self._unanswered += 1
        # After 5, 10, 20, 40 ... seconds.
        if self._unanswered & (self._unanswered - 1) == 0:
            seconds = int(NO_ANSWER_INTERVAL) * self._unanswered
            refused = member.nobody_listens
            self._observer.notice(room_notices.silent(member.relay, seconds, refused))

    def _report_later(self, notice: Notice) -> None:
        self.cancel_progress()
        self._progress = self._reactor.callLater(PROGRESS_DELAY, self._observer.notice, notice)


def _message(member: Member, event: events.Received) -> IncomingMessage:
    sender = Sender(
        member.room, event.number, event.nick, event.private, event.reliable, event.sealed
    )
    return IncomingMessage(event.payload, sender)
