"""The bodies of ENTRY and NOTICE, by their key ``e``."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from attrs import frozen

from udprelay.protocol.wire import fields
from udprelay.protocol.wire.fields import Key
from udprelay.protocol.wire.members import (
    KINDS_ON_WIRE,
    MemberKind,
    check_identity,
    last_own,
    read_kind,
)
from udprelay.protocol.wire.ranges import Ranges, read_missed

T = TypeVar("T")

_e = fields.text(200)


@frozen
class JoinEntry:
    """
    A member has joined.

    :param identity: 16 bytes of a session member; empty for others.
    :param own: its last reliable own sequence in the room sequence; 0 if there is none.
    :param badge: 16 bytes, or empty.
    """

    nick: Annotated[str, Key("n", fields.nick)]
    kind: Annotated[MemberKind, Key("k", read_kind, KINDS_ON_WIRE.index)]
    identity: Annotated[bytes, Key("i", fields.sixteen_or_none)]
    own: Annotated[int, Key("o", last_own)]
    badge: Annotated[bytes, Key("b", fields.sixteen_or_none)]


@frozen
class LeaveEntry:
    """A member has left; the reason is ``left``, ``idle``, ``kicked`` or ``replaced``."""

    reason: Annotated[str, Key("r", fields.code)]


@frozen
class NickEntry:
    """
    A member has a new nick.

    :param badge: 16 bytes, or empty.
    """

    nick: Annotated[str, Key("n", fields.nick)]
    badge: Annotated[bytes, Key("b", fields.sixteen_or_none)]


@frozen
class MissedNotice:
    """
    A member has not received some messages of the notice's receiver.

    :param number: of that member.
    :param ranges: 1 to 32 ranges of the receiver's reliable own sequences.
    """

    number: Annotated[int, Key("m", fields.u32)]
    ranges: Annotated[Ranges, Key("w", read_missed)]


@frozen
class FailedNotice:
    """
    A PRIVATE was not delivered.

    :param own: its own sequence.
    :param code: ``absent``.
    """

    own: Annotated[int, Key("u", fields.own)]
    code: Annotated[str, Key("c", fields.code)]


@frozen
class LimitedNotice:
    """
    The relay has dropped datagrams of the notice's receiver, which has met a limit.

    :param code: the drop reason of the last one.
    :param count: datagrams since the last such notice.
    """

    code: Annotated[str, Key("c", fields.code)]
    count: Annotated[int, Key("n", fields.u32)]


EntryBody = JoinEntry | LeaveEntry | NickEntry
NoticeBody = MissedNotice | FailedNotice | LimitedNotice

ENTRIES: dict[str, type[EntryBody]] = {"join": JoinEntry, "leave": LeaveEntry, "nick": NickEntry}
NOTICES: dict[str, type[NoticeBody]] = {
    "missed": MissedNotice,
    "failed": FailedNotice,
    "limited": LimitedNotice,
}
_NAMES = {kind: name for kinds in (ENTRIES, NOTICES) for name, kind in kinds.items()}


def write_body(body: EntryBody | NoticeBody | None) -> dict[str, Any]:
    """
    Return the body of an ENTRY or a NOTICE.

    :param body: None is encoded as an unknown kind.
    :raises ValueError: if a value is invalid.
    """
    if body is None:
        return {"e": ""}
    _check(body)
    return {"e": _NAMES[type(body)], **fields.write_map(body)}


def read_body(body: dict[str, Any], kinds: dict[str, type[T]]) -> T | None:
    """
    Read the body of an ENTRY or a NOTICE; None is an unknown kind.

    :param kinds: :data:`ENTRIES` or :data:`NOTICES`.
    :raises ValueError: if a key is missing or a value is invalid.
    """
    kind = kinds.get(_e(body.get("e")))
    if kind is None:
        return None
    read = kind(**fields.read_map(kind, body))
    _check(read)
    return read


def _check(body: object) -> None:
    if isinstance(body, JoinEntry):
        check_identity(body.kind, body.identity, body.badge)
