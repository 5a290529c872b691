"""The bodies of ENTRY and NOTICE, by their key ``e``."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from udprelay.protocol.wire import fields
from udprelay.protocol.wire.fields import Key, Keys
from udprelay.protocol.wire.members import (
    KINDS_ON_WIRE,
    MemberKind,
    check_identity,
    last_own,
    read_kind,
)
from udprelay.protocol.wire.ranges import Ranges, read_missed

_e = fields.text(200)

_JOIN = Keys(
    nick=Key("n", fields.nick),
    kind=Key("k", read_kind, KINDS_ON_WIRE.index),
    identity=Key("i", fields.sixteen_or_none),
    own=Key("o", last_own),
    badge=Key("b", fields.sixteen_or_none),
)
_LEAVE = Keys(reason=Key("r", fields.code))
_NICK = Keys(nick=Key("n", fields.nick), badge=Key("b", fields.sixteen_or_none))
_MISSED = Keys(number=Key("m", fields.u32), ranges=Key("w", read_missed))
_FAILED = Keys(own=Key("u", fields.own), code=Key("c", fields.code))


@frozen
class JoinEntry:
    """
    A member has joined.

    :param identity: 16 bytes of a session member; empty for others.
    :param own: its last reliable own sequence in the room sequence; 0 if there is none.
    :param badge: 16 bytes, or empty.
    """

    nick: str
    kind: MemberKind
    identity: bytes
    own: int
    badge: bytes


@frozen
class LeaveEntry:
    """A member has left; the reason is ``left``, ``idle``, ``kicked`` or ``replaced``."""

    reason: str


@frozen
class NickEntry:
    """
    A member has a new nick.

    :param badge: 16 bytes, or empty.
    """

    nick: str
    badge: bytes


@frozen
class MissedNotice:
    """
    A member has not received some messages of the notice's receiver.

    :param number: of that member.
    :param ranges: 1 to 32 ranges of the receiver's reliable own sequences.
    """

    number: int
    ranges: Ranges


@frozen
class FailedNotice:
    """
    A PRIVATE was not delivered.

    :param own: its own sequence.
    :param code: ``absent``.
    """

    own: int
    code: str


EntryBody = JoinEntry | LeaveEntry | NickEntry
NoticeBody = MissedNotice | FailedNotice

_UNKNOWN = {"e": ""}


def write_entry(body: EntryBody | None) -> dict[str, Any]:
    """
    Return the body of an ENTRY.

    :param body: None is encoded as an unknown kind.
    :raises ValueError: if a value is invalid.
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
    Read the body of an ENTRY; None is an unknown kind.

    :raises ValueError: if a key is missing or a value is invalid.
    """
    kind = _e(body.get("e"))
    if kind == "join":
        entry = JoinEntry(**_JOIN.read(body))
        check_identity(entry.kind, entry.identity, entry.badge)
        return entry
    if kind == "leave":
        return LeaveEntry(**_LEAVE.read(body))
    if kind == "nick":
        return NickEntry(**_NICK.read(body))
    return None


def write_notice(body: NoticeBody | None) -> dict[str, Any]:
    """
    Return the body of a NOTICE.

    :param body: None is encoded as an unknown kind.
    :raises ValueError: if a value is invalid.
    """
    if isinstance(body, MissedNotice):
        return {"e": "missed", **_MISSED.write(body)}
    if isinstance(body, FailedNotice):
        return {"e": "failed", **_FAILED.write(body)}
    return _UNKNOWN


def read_notice(body: dict[str, Any]) -> NoticeBody | None:
    """
    Read the body of a NOTICE; None is an unknown kind.

    :raises ValueError: if a key is missing or a value is invalid.
    """
    kind = _e(body.get("e"))
    if kind == "missed":
        return MissedNotice(**_MISSED.read(body))
    if kind == "failed":
        return FailedNotice(**_FAILED.read(body))
    return None
