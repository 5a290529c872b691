"""The bodies of ENTRY and NOTICE, by their key ``e``."""

from __future__ import annotations

from typing import Any, cast

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

_ENTRIES: dict[str, tuple[type, Keys]] = {
    "join": (
        JoinEntry,
        Keys(
            nick=Key("n", fields.nick),
            kind=Key("k", read_kind, KINDS_ON_WIRE.index),
            identity=Key("i", fields.sixteen_or_none),
            own=Key("o", last_own),
            badge=Key("b", fields.sixteen_or_none),
        ),
    ),
    "leave": (LeaveEntry, Keys(reason=Key("r", fields.code))),
    "nick": (
        NickEntry,
        Keys(nick=Key("n", fields.nick), badge=Key("b", fields.sixteen_or_none)),
    ),
}
_NOTICES: dict[str, tuple[type, Keys]] = {
    "missed": (
        MissedNotice,
        Keys(number=Key("m", fields.u32), ranges=Key("w", read_missed)),
    ),
    "failed": (FailedNotice, Keys(own=Key("u", fields.own), code=Key("c", fields.code))),
}


def write_body(body: EntryBody | NoticeBody | None) -> dict[str, Any]:
    """
    Return the body of an ENTRY or a NOTICE.

    :param body: None is encoded as an unknown kind.
    :raises ValueError: if a value is invalid.
    """
    for name, (kind, keys) in (*_ENTRIES.items(), *_NOTICES.items()):
        if isinstance(body, kind):
            _check(body)
            return {"e": name, **keys.write(body)}
    return {"e": ""}


def read_entry(body: dict[str, Any]) -> EntryBody | None:
    """
    Read the body of an ENTRY; None is an unknown kind.

    :raises ValueError: if a key is missing or a value is invalid.
    """
    return cast("EntryBody | None", _read(body, _ENTRIES))


def read_notice(body: dict[str, Any]) -> NoticeBody | None:
    """
    Read the body of a NOTICE; None is an unknown kind.

    :raises ValueError: if a key is missing or a value is invalid.
    """
    return cast("NoticeBody | None", _read(body, _NOTICES))


def _read(body: dict[str, Any], kinds: dict[str, tuple[type, Keys]]) -> object:
    name = _e(body.get("e"))
    if name not in kinds:
        return None
    kind, keys = kinds[name]
    read = kind(**keys.read(body))
    _check(read)
    return read


def _check(body: object) -> None:
    if isinstance(body, JoinEntry):
        check_identity(body.kind, body.identity, body.badge)
