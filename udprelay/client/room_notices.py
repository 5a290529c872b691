"""
What the client has to say of a session besides the messages themselves.

Like those in :mod:`udprelay.client.notices`, which has the others; ``docs/client.rst`` has the
fields of all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from udprelay.client.notices import Fields, Notice, Volume
from udprelay.client.talk import named
from udprelay.protocol.text import shown

# Characters of one's own message that are enough to recognise it.
EXCERPT = 60
MOST_NAMES = 8

_LEFT = {
    "idle": "was silent for too long",
    "kicked": "was put out",
    "replaced": "is here anew",
    "stopping": "has left, as the relay stops",
}
_LOST = {
    "silent": "it does not answer",
    "unreachable": "it is unreachable",
    "unknown": "it has started anew",
    "stuck": "it does not take messages",
    "stopping": "it stops",
    "idle": "it has not heard of us for too long",
    "renewed": "so much was said that it takes a new session",
}
_FAILED = {
    "unacknowledged": "the relay did not confirm it",
    "not-joined": "there was no contact with the relay",
    "absent": "its receiver has left",
    "plain": "its receiver takes no private messages",
    "closed": "the room was left",
}
_DISTRUSTED = {
    "unsealed": "not encrypted",
    "seal": "not to be decrypted",
    "repeated": "repeated by somebody",
    "withheld": "kept back by the relay, or given up",
}
_HINTS = {
    "key-required": "give --passphrase-file or UDPRELAY_PASSPHRASE",
    "no-key-here": "use no passphrase with this room",
    "nick-taken": "choose another with --nick",
}


def connecting(peer: str, room: str) -> Notice:
    text = f"connecting to {peer} ..."
    return Notice("session.connecting", text, {"peer": peer, "room": room})


def deriving(room: str) -> Notice:
    text = "computing the key from the passphrase ..."
    return Notice("session.deriving", text, {"room": room})


def joined(
    peer: str, room: str, nick: str, number: int, others: Sequence[str], sealed: bool
) -> Notice:
    """:param others: the names of who is there."""
    encrypted = " (encrypted)" if sealed else ""
    text = f"in {room}{encrypted} as {nick}, {_with(others)}"
    fields: Fields = {
        "peer": peer,
        "room": room,
        "nick": nick,
        "member": number,
        "others": len(others),
        "sealed": sealed,
    }
    return Notice("session.joined", text, fields, Volume.COMPANY)


def resumed(peer: str, room: str, nick: str, number: int) -> Notice:
    fields: Fields = {"peer": peer, "room": room, "nick": nick, "member": number}
    return Notice("session.resumed", f"in contact with {peer} again", fields)


def silent(peer: str, seconds: int, refused: bool) -> Notice:
    """:param refused: an ICMP error has come back."""
    told = f"nobody listens at {peer}" if refused else f"no answer from {peer} for {seconds} s"
    fields: Fields = {"peer": peer, "seconds": seconds}
    return Notice("session.silent", f"{told}; trying on", fields)


def contact_lost(peer: str, reason: str) -> Notice:
    text = f"no contact with {peer}: {_LOST.get(reason, reason)}; trying to find it again"
    return Notice("session.lost", text, {"peer": peer, "reason": reason})


def no_answer(peer: str, seconds: float) -> Notice:
    text = f"no answer from {peer} in {seconds:g} s"
    return Notice("peer.unreachable", text, {"peer": peer, "reason": "ETIMEDOUT"}, Volume.ERROR)


def refused(room: str, code: str, sentence: str) -> Notice:
    text = f"not admitted to {room}: {_said_by_relay(sentence, code)}"
    if code in _HINTS:
        text = f"{text}; {_HINTS[code]}"
    return Notice("session.refused", text, {"room": room, "reason": code}, Volume.ERROR)


def closed(room: str, code: str, sentence: str) -> Notice:
    text = f"no longer in {room}: {_said_by_relay(sentence, code)}"
    return Notice("session.closed", text, {"room": room, "reason": code}, Volume.ERROR)


def left(room: str) -> Notice:
    return Notice("session.left", f"left {room}", {"room": room}, Volume.COMPANY)


def member_joined(number: int, nick: str | None) -> Notice:
    text = f"{named(nick, number)} has joined"
    return Notice("member.joined", text, _member(number, nick), Volume.COMPANY)


def member_left(number: int, nick: str | None, reason: str) -> Notice:
    text = f"{named(nick, number)} {_LEFT.get(reason, 'has left')}"
    fields = {**_member(number, nick), "reason": reason}
    return Notice("member.left", text, fields, Volume.COMPANY)


def member_renamed(number: int, before: str | None, nick: str | None) -> Notice:
    text = f"{named(before, number)} is now {named(nick, number)}"
    fields = {**_member(number, nick), "before": before}
    return Notice("member.renamed", text, fields, Volume.COMPANY)


def nick_changed(number: int, nick: str) -> Notice:
    fields = _member(number, nick)
    return Notice("nick.changed", f"you are now {nick}", fields, Volume.COMPANY)


def nick_refused(code: str, sentence: str) -> Notice:
    return Notice(
        "nick.refused", f"no new nick: {_said_by_relay(sentence, code)}", {"reason": code}
    )


def ponged(seconds: float, round_trip: str) -> Notice:
    """:param round_trip: the rest of the line for people."""
    return Notice("ping.answered", round_trip, {"seconds": round(seconds, 6)})


def message_failed(payload: bytes | None, reason: str) -> Notice:
    text = f"not delivered ({_FAILED.get(reason, reason)}){_excerpt(payload)}"
    return Notice("message.failed", text, {"reason": reason, **_said(payload)}, Volume.ERROR)


def message_missed(payload: bytes | None, nick: str | None) -> Notice:
    text = f"not received by {nick or 'a member'}{_excerpt(payload)}"
    return Notice("message.missed", text, {"nick": nick, **_said(payload)}, Volume.ERROR)


def messages_abandoned(count: int) -> Notice:
    text = f"left without knowing whether {_messages(count)} arrived"
    return Notice("messages.abandoned", text, {"count": count}, Volume.ERROR)


def messages_lost(count: int, nick: str | None) -> Notice:
    of = "" if nick is None else f" of {nick}"
    text = f"lost on the way here: {_messages(count)}{of}"
    return Notice("messages.lost", text, {"count": count, "nick": nick}, Volume.ERROR)


def distrusted(reason: str, number: int, nick: str | None, count: int) -> Notice:
    if reason == "badge":
        text = f"nobody vouches for the nick of {named(nick, number)}"
    else:
        text = f"from {named(nick, number)}, {_DISTRUSTED.get(reason, reason)}: {_messages(count)}"
    fields: Fields = {"reason": reason, **_member(number, nick), "count": count}
    return Notice("message.distrusted", text, fields, Volume.ERROR)


def _said_by_relay(sentence: str, code: str) -> str:
    return sentence.rstrip(".") or code


def _with(others: Sequence[str]) -> str:
    if not others:
        return "alone"
    more = len(others) - MOST_NAMES
    names = [*others[:MOST_NAMES], f"{more} more"] if more > 0 else list(others)
    if len(names) == 1:
        return f"with {names[0]}"
    return f"with {', '.join(names[:-1])} and {names[-1]}"


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"


def _excerpt(payload: bytes | None) -> str:
    if payload is None:
        return ""
    text = shown(payload)
    return f": {text}" if len(text) <= EXCERPT else f": {text[:EXCERPT]}..."


def _said(payload: bytes | None) -> Fields:
    if payload is None:
        return {}
    return {"text": payload.decode("utf-8", "backslashreplace"), "bytes": len(payload)}


def _member(number: int, nick: str | None) -> Fields:
    return {"member": number, "nick": nick}
