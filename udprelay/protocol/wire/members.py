"""Members as lists of them have it, in WELCOME and MEMBERS."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from attrs import frozen

from udprelay.protocol.wire import fields
from udprelay.protocol.wire.header import LARGEST_OWN

MOST_MEMBERS = 64
"""Members in one datagram, if they are small; see :data:`~.header.LARGEST_CONTROL` too."""


class MemberKind(IntEnum):
    """What a member is to the relay."""

    SESSION = 0
    PLAIN = 1
    CONSOLE = 2


@frozen
class MemberRecord:
    """
    A member of a room.

    :param number: never used for another while the room is open.
    :param nick: as the relay has normalised it.
    :param identity: 16 bytes of a session member, or none.
    :param own: the last reliable own sequence of it that is in the room sequence; 0 for none.
    :param badge: 16 bytes, or none.
    """

    number: int
    nick: str
    kind: MemberKind
    identity: bytes
    own: int
    badge: bytes


last_own = fields.number(LARGEST_OWN)


def kind(value: Any) -> MemberKind:
    """
    Check a kind.

    :raises ValueError: if there is no such kind.
    """
    return MemberKind(fields.number(2)(value))


def check_identity(kind: MemberKind, identity: bytes, badge: bytes) -> None:
    """
    Check that session members have an identity, and only they.

    :raises ValueError: if not.
    """
    if bool(identity) != (kind == MemberKind.SESSION) or len(badge) > len(identity):
        raise ValueError("an identity, or a badge, that does not go with the kind of member")


def read_record(value: Any) -> MemberRecord:
    """
    Read a member as CBOR has it: a list of six.

    :raises ValueError: if it is something else.
    """
    if type(value) is not list or len(value) != 6:
        raise ValueError("a member that is no list of 6")
    record = MemberRecord(
        fields.u32(value[0]),
        fields.nick(value[1]),
        kind(value[2]),
        fields.sixteen_or_none(value[3]),
        last_own(value[4]),
        fields.sixteen_or_none(value[5]),
    )
    check_identity(record.kind, record.identity, record.badge)
    return record


def write_record(record: MemberRecord) -> list[Any]:
    """Return a member as CBOR has it."""
    return [
        record.number,
        record.nick,
        int(record.kind),
        record.identity,
        record.own,
        record.badge,
    ]


read_members = fields.items(read_record, 0, MOST_MEMBERS)


def write_members(members: tuple[MemberRecord, ...]) -> list[list[Any]]:
    """Return members as CBOR has them."""
    return [write_record(record) for record in members]
