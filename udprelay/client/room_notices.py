"""The notices of rooms, most of them of the events of a membership."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

from udprelay.client.channel import member_name
from udprelay.client.member import Member
from udprelay.client.notices import Fields, Level, Notice
from udprelay.protocol.text import printable_payload
from udprelay.session_client import events
from udprelay.session_client.events import Event

MAX_EXCERPT = 60
"""Characters of a message of the client in a line for people."""
MAX_NAMES = 8
"""Members that ``session.joined`` names in its line for people."""

_SESSION_LOST = {
    "silent": "no answer",
    "unreachable": "it is unreachable",
    "unknown": "it was restarted",
    "stuck": "it did not acknowledge a message",
    "stopping": "it is stopping",
    "idle": "this client timed out",
    "renewed": "this session has reached its limit of messages",
}
_HINTS = {
    "key-required": "give --passphrase-file or UDPRELAY_PASSPHRASE",
    "no-key-here": "use no passphrase with this room",
    "nick-taken": "choose another with --nick",
}
_MEMBER_LEFT = {
    "idle": "timed out",
    "kicked": "was kicked",
    "replaced": "was replaced",
    "stopping": "has left, as the relay is stopping",
}
_MESSAGE_FAILED = {
    "unacknowledged": "the relay did not acknowledge it",
    "not-joined": "no contact with the relay",
    "absent": "its receiver has left",
    "plain": "its receiver cannot get private messages",
    "closed": "this client has left the room",
}
_DISTRUSTED = {
    "badge": "the nick of {name} is not authenticated",
    "unsealed": "dropped {messages} from {name}: not encrypted",
    "seal": "dropped {messages} from {name}: decryption failed",
    "repeated": "dropped {messages} from {name}: replayed",
    "withheld": "not received: {messages} from {name}, withheld by the relay or given up",
}


def connecting(peer: str, room: str) -> Notice:
    fields = {"peer": peer, "room": room}
    return Notice("session.connecting", f"connecting to {peer} ...", fields)


def deriving(room: str) -> Notice:
    text = "deriving the key from the passphrase ..."
    return Notice("session.deriving", text, {"room": room})


def joined(member: Member, others: Sequence[str]) -> Notice:
    """:param others: the names of the other members."""
    encrypted = " (encrypted)" if member.sealed else ""
    text = f"in {member.room}{encrypted} as {member.nick}, {_with(others)}"
    fields: Fields = {
        "peer": member.relay,
        "room": member.room,
        "nick": member.nick,
        "member": member.number,
        "others": len(others),
        "sealed": member.sealed,
    }
    return Notice("session.joined", text, fields, Level.PRESENCE)


def silent(peer: str, seconds: int, refused: bool) -> Notice:
    """:param refused: an ICMP error came back."""
    cause = f"no program listens at {peer}"
    if not refused:
        cause = f"no answer from {peer} for {seconds} s"
    fields: Fields = {"peer": peer, "seconds": seconds}
    return Notice("session.silent", f"{cause}; still trying", fields)


def no_answer(peer: str, seconds: float) -> Notice:
    text = f"no answer from {peer} within {seconds:g} s"
    return Notice("peer.unreachable", text, {"peer": peer, "reason": "ETIMEDOUT"}, Level.ERROR)


def refused(room: str, code: str, sentence: str) -> Notice:
    """:param sentence: the relay's explanation."""
    hint = f"; {_HINTS[code]}" if code in _HINTS else ""
    text = f"not admitted to {room}: {_explanation(sentence, code)}{hint}"
    return Notice("session.refused", text, {"room": room, "reason": code}, Level.ERROR)


def left(room: str) -> Notice:
    return Notice("session.left", f"left {room}", {"room": room}, Level.PRESENCE)


def nick_refused(code: str, sentence: str) -> Notice:
    text = f"nick not changed: {_explanation(sentence, code)}"
    return Notice("nick.refused", text, {"reason": code})


def messages_abandoned(count: int) -> Notice:
    verb = "was" if count == 1 else "were"
    text = f"left before {_messages(count)} {verb} acknowledged"
    return Notice("messages.abandoned", text, {"count": count}, Level.ERROR)


@singledispatch
def notice_of(event: Event, member: Member) -> Notice | None:
    """Return the notice of an event of a membership; ``None`` if there is nothing to report."""
    return None


@notice_of.register
def _(event: events.Joined, member: Member) -> Notice:
    fields: Fields = {
        "peer": member.relay,
        "room": event.room,
        "nick": event.nick,
        "member": event.number,
    }
    return Notice("session.resumed", f"reconnected to {member.relay}", fields)


@notice_of.register
def _(event: events.ContactLost, member: Member) -> Notice:
    cause = _SESSION_LOST.get(event.reason, event.reason)
    text = f"lost contact with {member.relay}: {cause}; reconnecting"
    return Notice("session.lost", text, {"peer": member.relay, "reason": event.reason})


@notice_of.register
def _(event: events.Refused, member: Member) -> Notice:
    return refused(member.room, event.code, event.sentence)


@notice_of.register
def _(event: events.Closed, member: Member) -> Notice:
    text = f"no longer in {member.room}: {_explanation(event.sentence, event.code)}"
    fields = {"room": member.room, "reason": event.code}
    return Notice("session.closed", text, fields, Level.ERROR)


@notice_of.register
def _(event: events.MemberJoined, member: Member) -> Notice:
    text = f"{member_name(event.nick, event.number)} has joined"
    return Notice("member.joined", text, _about(event), Level.PRESENCE)


@notice_of.register
def _(event: events.MemberLeft, member: Member) -> Notice:
    name = member_name(event.nick, event.number)
    text = f"{name} {_MEMBER_LEFT.get(event.reason, 'has left')}"
    fields = {**_about(event), "reason": event.reason}
    return Notice("member.left", text, fields, Level.PRESENCE)


@notice_of.register
def _(event: events.NickChanged, member: Member) -> Notice:
    name = member_name(event.nick, event.number)
    if event.own:
        return Notice("nick.changed", f"you are now {name}", _about(event), Level.PRESENCE)
    text = f"{member_name(event.before, event.number)} is now {name}"
    fields = {**_about(event), "before": event.before}
    return Notice("member.renamed", text, fields, Level.PRESENCE)


@notice_of.register
def _(event: events.NickRefused, member: Member) -> Notice:
    return nick_refused(event.code, event.sentence)


@notice_of.register
def _(event: events.Ponged, member: Member) -> Notice:
    count = member.statistics
    text = (
        f"{member.relay} answered in {event.round_trip * 1000:.1f} ms; datagrams lost:"
        f" {count.lost}, recovered: {count.repaired}, retransmitted: {count.repeated}"
    )
    return Notice("ping.answered", text, {"seconds": round(event.round_trip, 6)})


@notice_of.register
def _(event: events.Failed, member: Member) -> Notice:
    payload = member.payload(event.message)
    cause = _MESSAGE_FAILED.get(event.reason, event.reason)
    text = f"not delivered ({cause}){_excerpt(payload)}"
    fields = {"reason": event.reason, **_content(payload)}
    return Notice("message.failed", text, fields, Level.ERROR)


@notice_of.register
def _(event: events.Missed, member: Member) -> Notice:
    payload = member.payload(event.message)
    text = f"not received by {event.nick or 'a member'}{_excerpt(payload)}"
    fields = {"nick": event.nick, **_content(payload)}
    return Notice("message.missed", text, fields, Level.ERROR)


@notice_of.register
def _(event: events.Lost, member: Member) -> Notice:
    sender = "" if event.nick is None else f" from {event.nick}"
    text = f"lost in transit: {_messages(event.count)}{sender}"
    fields: Fields = {"count": event.count, "nick": event.nick}
    return Notice("messages.lost", text, fields, Level.ERROR)


@notice_of.register
def _(event: events.Distrusted, member: Member) -> Notice:
    text = _DISTRUSTED.get(event.reason, "{messages} from {name}: " + event.reason).format(
        name=member_name(event.nick, event.number), messages=_messages(event.count)
    )
    fields: Fields = {"reason": event.reason, **_about(event), "count": event.count}
    return Notice("message.distrusted", text, fields, Level.ERROR)


_OfMember = events.MemberJoined | events.MemberLeft | events.NickChanged | events.Distrusted


def _about(event: _OfMember) -> dict[str, str | int | float | None]:
    return {"member": event.number, "nick": event.nick}


def _explanation(sentence: str, code: str) -> str:
    return sentence.rstrip(".") or code


def _with(others: Sequence[str]) -> str:
    if not others:
        return "alone"
    more = len(others) - MAX_NAMES
    names = [*others[:MAX_NAMES], f"{more} more"] if more > 0 else list(others)
    if len(names) == 1:
        return f"with {names[0]}"
    return f"with {', '.join(names[:-1])} and {names[-1]}"


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"


def _excerpt(payload: bytes | None) -> str:
    if payload is None:
        return ""
    text = printable_payload(payload)
    return f": {text}" if len(text) <= MAX_EXCERPT else f": {text[:MAX_EXCERPT]}..."


def _content(payload: bytes | None) -> Fields:
    if payload is None:
        return {}
    return {"text": payload.decode("utf-8", "backslashreplace"), "bytes": len(payload)}
