"""Reports what happens in rooms as messages and notices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from attrs import evolve
from twisted.internet import defer
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from udprelay.client.channel import (
    REFUSED,
    UNREACHABLE,
    ChannelObserver,
    IncomingMessage,
    Sender,
    member_name,
)
from udprelay.client.member import Member, RefusedError, UnreachableError
from udprelay.client.notices import (
    DISTRUSTED,
    HINTS,
    MEMBER_LEFT,
    MESSAGE_FAILED,
    SESSION_LOST,
    Level,
    Notice,
    Value,
    messages,
    peer_unreachable,
)
from udprelay.protocol.text import printable_payload
from udprelay.session_client import events
from udprelay.session_client.events import Event
from udprelay.session_client.handshake import NO_ANSWER_INTERVAL
from udprelay.session_client.known_member import KnownMember

MEMBERS_PATIENCE = 2.0
"""Seconds until a room is reported as joined although not all of its members are known."""
PROGRESS_DELAY = 1.0
"""Seconds until a slow step is reported."""
MAX_EXCERPT = 60
"""Characters of a message of the client in a line for people."""
MAX_NAMES = 8
"""Members that ``session.joined`` names in its line for people."""


class RoomReporter:
    """
    Reports what happens in the rooms of a channel to its observer.

    :ivar failed: a message was not delivered.
    """

    def __init__(self, clock: IReactorTime, observer: ChannelObserver) -> None:
        self.failed = False
        self._clock = clock
        self._observer = observer
        self._unanswered = 0
        self._progress: IDelayedCall | None = None
        # Reports the room that was joined, until it is reported.
        self._joined: Callable[[], None] | None = None

    def connecting(self, peer: str, room: str) -> None:
        """Report that joining has started, if it takes long."""
        self._unanswered = 0
        self._report_later(Notice.of("session.connecting", peer=peer, room=room))

    def cancel_progress(self) -> None:
        """Stop to report the progress of joining."""
        if self._progress is not None and self._progress.active():
            self._progress.cancel()
        self._progress = None

    def joined(self, member: Member, others: Callable[[], Sequence[KnownMember]]) -> None:
        """
        Report a room that was joined, with the other members in it, once they are known.

        :param others: returns those that are known.
        """
        self.cancel_progress()
        self._unanswered = 0
        self._joined = partial(self._report_joined, member, others)
        if member.members_known:
            self._joined()
        else:
            self._progress = self._clock.callLater(MEMBERS_PATIENCE, self._joined)

    def _report_joined(
        self, member: Member, find_others: Callable[[], Sequence[KnownMember]]
    ) -> None:
        self.cancel_progress()
        self._joined = None
        others = find_others()
        notice = Notice.of(
            "session.joined",
            peer=member.relay,
            room=member.room,
            nick=member.nick,
            member=member.number,
            others=len(others),
            sealed=member.sealed,
            encrypted=" (encrypted)" if member.sealed else "",
            company=_company(others),
        )
        self._observer.notice(notice)

    def not_joined(self, failure: Failure, member: Member, host: str, timeout: float) -> int:
        """
        Report why a room was not joined; return the exit status.

        :param host: the relay's host as given.
        :param timeout: seconds in which the relay had to answer.
        """
        self.cancel_progress()
        error = failure.value
        if isinstance(error, RefusedError):
            self._observer.notice(_refused(member.room, error.code, str(error)))
            return REFUSED
        if isinstance(error, UnreachableError):
            notice = Notice.of("peer.unresolved", host=host)
        else:
            failure.trap(defer.TimeoutError, defer.CancelledError)
            if member.trouble is None:
                what = f"no answer from {member.relay} within {timeout:g} s"
                reason = "ETIMEDOUT"
                notice = Notice.of("peer.unreachable", peer=member.relay, reason=reason, what=what)
            else:
                notice = peer_unreachable(member.relay, member.trouble)
        self._observer.notice(evolve(notice, level=Level.ERROR))
        return UNREACHABLE

    def while_joining(self, member: Member, event: Event) -> None:
        """Report an event of a room that is being joined."""
        if isinstance(event, events.KeysNeeded):
            self._report_later(Notice.of("session.deriving", room=member.room))
        elif isinstance(event, events.NoAnswer):
            self._report_no_answer(member)

    def while_joined(self, member: Member, event: Event) -> None:
        """Report an event of the current room."""
        match event:
            case events.Received(number, nick, payload, reliable, private, sealed):
                sender = Sender(member.room, number, nick, private, reliable, sealed)
                self._observer.received(IncomingMessage(payload, sender))
            case events.NoAnswer():
                self._report_no_answer(member)
            case events.Joined(resumed=False):
                # Reported by joined(), with the other members.
                pass
            case events.MembersKnown():
                if self._joined is not None:
                    self._joined()
            case _:
                if isinstance(event, events.Joined):
                    self._unanswered = 0
                self.report(member, event)

    def report(self, member: Member, event: Event) -> None:
        """Report an event that has a notice of its own."""
        self.failed = self.failed or isinstance(event, events.Failed)
        notice = notice_of(event, member)
        if notice is not None:
            self._observer.notice(notice)

    def _report_no_answer(self, member: Member) -> None:
        self._unanswered += 1
        # After 5, 10, 20, 40 ... seconds.
        if self._unanswered & (self._unanswered - 1) == 0:
            peer, seconds = member.relay, int(NO_ANSWER_INTERVAL) * self._unanswered
            cause = f"no answer from {peer} for {seconds} s"
            if member.nobody_listens:
                cause = f"no program listens at {peer}"
            notice = Notice.of("session.silent", peer=peer, seconds=seconds, cause=cause)
            self._observer.notice(notice)

    def _report_later(self, notice: Notice) -> None:
        self.cancel_progress()
        self._progress = self._clock.callLater(PROGRESS_DELAY, self._observer.notice, notice)


def notice_of(event: Event, member: Member) -> Notice | None:
    """Return the notice of an event of a membership; ``None`` if there is nothing to report."""
    return _of_membership(event, member) or _of_member(event) or _of_message(event, member)


def _refused(room: str, code: str, sentence: str) -> Notice:
    cause, hint = sentence.rstrip(".") or code, HINTS.get(code, "")
    return Notice.of("session.refused", room=room, reason=code, cause=cause, hint=hint)


def _of_membership(event: Event, member: Member) -> Notice | None:
    match event:
        case events.Joined(room, nick, number):
            peer = member.relay
            return Notice.of("session.resumed", peer=peer, room=room, nick=nick, member=number)
        case events.ContactLost(reason):
            cause = SESSION_LOST.get(reason, reason)
            return Notice.of("session.lost", peer=member.relay, reason=reason, cause=cause)
        case events.Refused(code, sentence):
            return _refused(member.room, code, sentence)
        case events.Closed(code, sentence):
            cause = sentence.rstrip(".") or code
            return Notice.of("session.closed", room=member.room, reason=code, cause=cause)
        case events.NickRefused(code, sentence):
            cause = sentence.rstrip(".") or code
            return Notice.of("nick.refused", reason=code, cause=cause)
        case events.Ponged(seconds):
            count = member.statistics
            return Notice.of(
                "ping.answered",
                seconds=round(seconds, 6),
                peer=member.relay,
                milliseconds=seconds * 1000,
                lost=count.lost,
                repaired=count.repaired,
                repeated=count.repeated,
            )
    return None


def _of_member(event: Event) -> Notice | None:
    match event:
        case events.MemberJoined(number, nick):
            return _about("member.joined", number, nick)
        case events.MemberLeft(number, nick, reason):
            what = MEMBER_LEFT.get(reason, "has left")
            return _about("member.left", number, nick, reason=reason, what=what)
        case events.NickChanged(number, before, nick, own):
            if own:
                return _about("nick.changed", number, nick)
            old_name = member_name(before, number)
            return _about("member.renamed", number, nick, before=before, old_name=old_name)
        case events.Distrusted(reason, number, nick, count):
            what = DISTRUSTED.get(reason, f"{{messages}} from {{name}}: {reason}").format(
                messages=messages(count), name=member_name(nick, number)
            )
            return _about(
                "message.distrusted", number, nick, reason=reason, count=count, what=what
            )
    return None


def _of_message(event: Event, member: Member) -> Notice | None:
    match event:
        case events.Failed(message, reason):
            cause, content = MESSAGE_FAILED.get(reason, reason), _content(member, message)
            return Notice.of("message.failed", reason=reason, cause=cause, **content)
        case events.Missed(message, nick):
            name, content = nick or "a member", _content(member, message)
            return Notice.of("message.missed", nick=nick, name=name, **content)
        case events.Limited(code, count):
            what = f"it has dropped {count} of your datagrams ({code})"
            return Notice.of("messages.limited", count=count, reason=code, what=what)
        case events.WaitingFor(()):
            return Notice.of("messages.resumed")
        case events.WaitingFor(numbers, nicks):
            return _waiting_for(numbers, nicks)
        case events.Lost(count, nick):
            what = messages(count) + ("" if nick is None else f" from {nick}")
            return Notice.of("messages.lost", count=count, nick=nick, what=what)
    return None


def _about(kind: str, number: int, nick: str | None, **values: Value) -> Notice:
    return Notice.of(kind, member=number, nick=nick, name=member_name(nick, number), **values)


def _company(others: Sequence[KnownMember]) -> str:
    if not others:
        return "alone"
    names = [member_name(other.trusted_nick, other.number) for other in others[:MAX_NAMES]]
    if len(others) > MAX_NAMES:
        names.append(f"{len(others) - MAX_NAMES} more")
    return f"with {_listed(names)}"


def _waiting_for(numbers: Sequence[int], nicks: Sequence[str | None]) -> Notice:
    names = _listed([member_name(*one) for one in zip(nicks, numbers, strict=True)])
    member, nick, count = numbers[0], nicks[0], len(numbers)
    return Notice.of("messages.waiting", member=member, nick=nick, count=count, names=names)


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _content(member: Member, message: int) -> dict[str, Value]:
    """Return the payload of a message of the client as values, if it is still known."""
    payload = member.payload(message)
    if payload is None:
        return {"excerpt": ""}
    text = printable_payload(payload)
    return {
        "excerpt": f": {text}" if len(text) <= MAX_EXCERPT else f": {text[:MAX_EXCERPT]}...",
        "text": payload.decode("utf-8", "backslashreplace"),
        "bytes": len(payload),
    }
