"""What ENTRY and NOTICE say, by their key ``e``."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from udprelay.protocol.wire import fields
from udprelay.protocol.wire.fields import Key, Keys
from udprelay.protocol.wire.members import MemberKind, check_identity, kind, last_own
from udprelay.protocol.wire.ranges import Ranges, missed

_what = fields.text(200)

_JOIN = Keys(
    nick=Key("n", fields.nick),
    kind=Key("k", kind, int),
    identity=Key("i", fields.sixteen_or_none),
    own=Key("o", last_own),
    badge=Key("b", fields.sixteen_or_none),
)
_LEAVE = Keys(reason=Key("r", fields.code))
_NICK = Keys(nick=Key("n", fields.nick), badge=Key("b", fields.sixteen_or_none))
_MISSED = Keys(number=Key("m", fields.u32), ranges=Key("w", missed))
_FAILED = Keys(own=Key("u", fields.own), code=Key("c", fields.code))


@frozen
class JoinEntry:
    """
    Somebody is a member now.

    :param identity: 16 bytes of a session member, or none.
    :param own: the last reliable own sequence of it that is in the room sequence; 0 for none.
    :param badge: 16 bytes, or none.
    """

    nick: str
    kind: MemberKind
    identity: bytes
    own: int
    badge: bytes


@frozen
class LeaveEntry:
    """Somebody is no longer a member, and why: ``left``, ``idle``, ``kicked`` and so on."""

    reason: str


@frozen
class NickEntry:
    """
    A member has a new nick.

    :param badge: 16 bytes, or none.
    """

    nick: str
    badge: bytes


@frozen
class MissedNotice:
    """
    A member did not receive what this one has sent.

    :param number: of that member.
    :param ranges: of reliable own sequences, 1 to 32.
    """

    number: int
    ranges: Ranges


@frozen
class FailedNotice:
    """
    A PRIVATE was not delivered.

    :param own: its own sequence.
    :param code: ``absent`` or ``plain``.
    """

    own: int
    code: str


EntryBody = JoinEntry | LeaveEntry | NickEntry
NoticeBody = MissedNotice | FailedNotice

_UNKNOWN = {"e": ""}


def write_entry(body: EntryBody | None) -> dict[str, Any]:
    """
    Return the map of an ENTRY.

    :raises ValueError: if a value is not what it has to be.
    """
    if isinstance(body, JoinEntry):
        check_identity(body.kind, body.identity, body.badge)
        return {"e": "join", **_JOIN.write(body)}
    if isinstance(body, LeaveEntry):
        return {"e": "leave", **_LEAVE.write(body)}
    if isinstance(body, NickEntry):
        return {"e": "nick", **_NICK.write(body)}
    return _UNKNOWN


def read_entry(body: dict[str, Any]) -> EntryBody | None:
    """
    Read the map of an ENTRY.

    :raises ValueError: if a key is missing, or its value is not what it has to be.
    """
    what = _what(body.get("e"))
    if what == "join":
        entry = JoinEntry(**_JOIN.read(body))
        check_identity(entry.kind, entry.identity, entry.badge)
        return entry
    if what == "leave":
        return LeaveEntry(**_LEAVE.read(body))
    if what == "nick":
        return NickEntry(**_NICK.read(body))
    return None


def write_notice(body: NoticeBody | None) -> dict[str, Any]:
    """
    Return the map of a NOTICE.

    :raises ValueError: if a value is not what it has to be.
    """
    if isinstance(body, MissedNotice):
        return {"e": "missed", **_MISSED.write(body)}
    if isinstance(body, FailedNotice):
        return {"e": "failed", **_FAILED.write(body)}
    return _UNKNOWN


def read_notice(body: dict[str, Any]) -> NoticeBody | None:
    """
    Read the map of a NOTICE.

    :raises ValueError: if a key is missing, or its value is not what it has to be.
    """
    what = _what(body.get("e"))
    if what == "missed":
        return MissedNotice(**_MISSED.read(body))
    if what == "failed":
        return FailedNotice(**_FAILED.read(body))
    return None
