"""What people are told of the events of a membership."""

from __future__ import annotations

from twisted.internet import defer
from twisted.python.failure import Failure

from udprelay.client import notices, room_notices
from udprelay.client.errors import RefusedError, UnreachableError
from udprelay.client.member import Member
from udprelay.client.notices import Notice, Volume
from udprelay.client.talk import REFUSED, UNREACHABLE, Heard, Sender, named
from udprelay.session_client import events
from udprelay.session_client.events import Event


def heard(member: Member, event: events.Received) -> Heard:
    """Return the message, with who has sent it."""
    sender = Sender(
        member.room, event.number, event.nick, event.private, event.reliable, event.sealed
    )
    return Heard(event.payload, sender)


def notice_of(member: Member, event: Event) -> Notice | None:
    """Return what is to be told of an event, if anything."""
    match event:
        case events.Joined():
            return room_notices.resumed(member.relay, event.room, event.nick, event.number)
        case events.ContactLost():
            return room_notices.contact_lost(member.relay, event.reason)
        case events.Refused():
            return room_notices.refused(member.room, event.code, event.sentence)
        case events.Closed():
            return room_notices.closed(member.room, event.code, event.sentence)
        case events.Failed() | events.Missed() | events.Lost() | events.Distrusted():
            return _notice_of_trouble(member, event)
        case events.MemberJoined() | events.MemberLeft() | events.NickChanged():
            return _notice_of_roster(event)
        case events.NickRefused():
            return room_notices.nick_refused(event.code, event.sentence)
        case events.Ponged():
            return room_notices.ponged(event.round_trip, _health(member, event.round_trip))
    return None


def _notice_of_trouble(
    member: Member, event: events.Failed | events.Missed | events.Lost | events.Distrusted
) -> Notice:
    match event:
        case events.Failed():
            return room_notices.message_failed(member.payload(event.message), event.reason)
        case events.Missed():
            return room_notices.message_missed(member.payload(event.message), event.nick)
        case events.Lost():
            return room_notices.messages_lost(event.count, event.nick)
        case events.Distrusted():
            return room_notices.distrusted(event.reason, event.number, event.nick, event.count)


def _notice_of_roster(
    event: events.MemberJoined | events.MemberLeft | events.NickChanged,
) -> Notice:
    match event:
        case events.MemberJoined():
            return room_notices.member_joined(event.number, event.nick)
        case events.MemberLeft():
            return room_notices.member_left(event.number, event.nick, event.reason)
        case events.NickChanged():
            if event.own:
                return room_notices.nick_changed(event.number, named(event.nick, event.number))
            return room_notices.member_renamed(event.number, event.before, event.nick)


def _health(member: Member, round_trip: float) -> str:
    count = member.statistics
    return (
        f"{member.relay} answered in {round_trip * 1000:.1f} ms; datagrams lost: {count.lost},"
        f" asked for again: {count.repaired}, sent again: {count.repeated}"
    )


def refusal(failure: Failure, member: Member, host: str, patience: float) -> tuple[Notice, int]:
    """
    Return what is to be told when a room can't be joined, and the exit status.

    :param host: the relay's name.
    :param patience: seconds in which it had to answer.
    """
    error = failure.value
    if isinstance(error, RefusedError):
        return room_notices.refused(member.room, error.code, str(error)), REFUSED
    if isinstance(error, UnreachableError):
        return notices.peer_unresolved(host), UNREACHABLE
    failure.trap(defer.TimeoutError, defer.CancelledError)
    if member.trouble is not None:
        notice = notices.peer_unreachable(member.relay, member.trouble, Volume.ERROR)
    else:
        notice = room_notices.no_answer(member.relay, patience)
    return notice, UNREACHABLE
