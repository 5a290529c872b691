"""The members listed in WELCOME and MEMBERS."""

from __future__ import annotations

from enum import Enum
from typing import Any

from attrs import frozen

from udprelay.protocol.wire import fields
from udprelay.protocol.wire.header import MAX_OWN

MAX_MEMBERS = 64
"""Members in one datagram, which :data:`~.header.MAX_CONTROL` limits, too."""


class MemberKind(str, Enum):
    """How a member takes part in a room."""

    SESSION = "session"
    PLAIN = "plain"
    CONSOLE = "console"
    TARGET = "target"
    """Receives only; no other member sees it."""


KINDS_ON_WIRE = (MemberKind.SESSION, MemberKind.PLAIN, MemberKind.CONSOLE)
"""The index of a kind is its number in a datagram."""


@frozen
class MemberRecord:
    """
    A member of a room.

    :param number: not reused while the room is open.
    :param nick: normalised.
    :param identity: 16 bytes of a session member; empty for others.
    :param own: its last reliable own sequence in the room sequence; 0 if there is none.
    :param badge: 16 bytes, or empty.
    """

    number: int
    nick: str
    kind: MemberKind
    identity: bytes
    own: int
    badge: bytes


last_own = fields.number(MAX_OWN)
_kind_number = fields.number(len(KINDS_ON_WIRE) - 1)


def read_kind(value: Any) -> MemberKind:
    """Read a kind, a number."""
    return KINDS_ON_WIRE[_kind_number(value)]


def check_identity(kind: MemberKind, identity: bytes, badge: bytes) -> None:
    """
    Check that session members, and only they, have an identity and perhaps a badge.

    :raises ValueError: if not.
    """
    if bool(identity) != (kind == MemberKind.SESSION) or len(badge) > len(identity):
        raise ValueError("identity or badge does not match the kind of member")


def read_record(value: Any) -> MemberRecord:
    """Read a member, a list of six items."""
    if type(value) is not list or len(value) != 6:
        raise ValueError("a member is not a list of 6")
    record = MemberRecord(
        fields.u32(value[0]),
        fields.nick(value[1]),
        read_kind(value[2]),
        fields.sixteen_or_none(value[3]),
        last_own(value[4]),
        fields.sixteen_or_none(value[5]),
    )
    check_identity(record.kind, record.identity, record.badge)
    return record


def write_record(record: MemberRecord) -> list[Any]:
    """Return a member as a list of six items."""
    return [
        record.number,
        record.nick,
        KINDS_ON_WIRE.index(record.kind),
        record.identity,
        record.own,
        record.badge,
    ]


read_members = fields.items(read_record, 0, MAX_MEMBERS)


def write_members(members: tuple[MemberRecord, ...]) -> list[list[Any]]:
    """Return members as lists of six items."""
    return [write_record(record) for record in members]
