"""
The datagrams of the handshake.

``nonce`` is 8 random bytes, chosen by the client for an attempt.
"""

from __future__ import annotations

from typing import Annotated

from attrs import field, frozen

from udprelay.protocol.wire import cbor, fields
from udprelay.protocol.wire.datagram import Control, Datagram, Fixed, control
from udprelay.protocol.wire.fields import Key, read_map, write_map
from udprelay.protocol.wire.header import (
    HEADER_SIZE,
    ID,
    MAX_U32,
    MIN_HELLO,
    VERSION,
    Type,
    header,
)
from udprelay.protocol.wire.members import MemberRecord, read_members, write_members

MAX_VERSIONS = 16
MAX_COOKIE = 64

_version = fields.number(255)
_versions = fields.items(_version, 1, MAX_VERSIONS)
_cookie = fields.octets(range(1, MAX_COOKIE + 1))
_proof = fields.octets((32,))
_positive = fields.number(MAX_U32, minimum=1)
_history = fields.items(fields.u32, 2, 2)


@frozen
class Hello(Datagram):
    """
    A client asks for a cookie.

    :param versions: of the protocol that the client supports.
    """

    TYPE = Type.HELLO

    nonce: bytes = field(repr=False)
    room: Annotated[str, Key("r", fields.room)]
    versions: Annotated[tuple[int, ...], Key("v", _versions)] = (VERSION,)

    def encode(self) -> bytes:
        body = write_map(self)
        bare = control(Type.HELLO, self.nonce, body)
        missing = MIN_HELLO - len(bare)
        if missing <= 0:
            return bare
        # The key takes 2 bytes; the head of its value 1 up to 23 bytes, else 2 (RFC 8949, 3).
        size = missing - 4 if missing >= 28 else max(0, missing - 3)
        return control(Type.HELLO, self.nonce, {**body, "p": bytes(size)})

    @classmethod
    def decode(cls, datagram: bytes) -> Hello:
        if len(datagram) < MIN_HELLO:
            raise ValueError(f"{len(datagram)} bytes, less than {MIN_HELLO}")
        body = cbor.decode(datagram[HEADER_SIZE:], cbor.MAX_ITEMS_OF_CLIENT)
        if type(body.get("p", b"")) is not bytes:
            raise ValueError("the padding is not a byte string")
        return cls(datagram[ID], **read_map(cls, body))


@frozen
class Challenge(Control):
    """
    The relay's answer to HELLO.

    :param cookie: 1 to 64 bytes, which JOIN returns.
    :param salt: 16 bytes, of the room's keys.
    """

    TYPE = Type.CHALLENGE

    nonce: bytes = field(repr=False)
    cookie: Annotated[bytes, Key("c", _cookie)] = field(repr=False)
    salt: Annotated[bytes, Key("s", fields.sixteen)]


@frozen
class Join(Control):
    """
    A client asks to become a member.

    :param secret: the resume secret, 16 bytes.
    :param own: the first own sequences of reliable DATA and of reliable PRIVATE in this session.
    :param proof: 32 bytes, if the room has a passphrase; then there is a badge, too.
    :param badge: 16 bytes.
    :param tag: 8 bytes: the room tag of the session to resume.
    :param settled: the room sequence of that tag up to which the client has settled all.
    :param reports: the client reports by PING what it has settled, if WELCOME has ``history``.
    """

    TYPE = Type.JOIN
    MAX_ITEMS = cbor.MAX_ITEMS_OF_CLIENT

    nonce: bytes = field(repr=False)
    cookie: Annotated[bytes, Key("c", _cookie)] = field(repr=False)
    room: Annotated[str, Key("r", fields.room)]
    nick: Annotated[str, Key("n", fields.asked_nick)]
    secret: Annotated[bytes, Key("s", fields.sixteen)] = field(repr=False)
    own: Annotated[tuple[int, int], Key("u", fields.owns)] = (1, 1)
    proof: Annotated[bytes | None, Key("p", _proof, needed=False)] = field(
        default=None, repr=False
    )
    badge: Annotated[bytes | None, Key("b", fields.sixteen, needed=False)] = None
    tag: Annotated[bytes | None, Key("t", fields.eight, needed=False)] = field(
        default=None, repr=False
    )
    settled: Annotated[int | None, Key("q", fields.u64, needed=False)] = None
    reports: Annotated[bool | None, Key("h", fields.boolean, needed=False)] = None

    def check(self) -> None:
        if (self.proof is None) != (self.badge is None):
            raise ValueError("a proof without a badge, or a badge without a proof")
        if (self.tag is None) != (self.settled is None):
            raise ValueError("a room tag without a sequence, or a sequence without a tag")


@frozen
class Welcome(Control):
    """
    The client is a member.

    :param session_id: 8 bytes.
    :param number: of the member.
    :param tag: room tag, 8 bytes.
    :param newest: the newest room sequence.
    :param first: the first room sequence that the client is to receive, up to ``newest + 1``.
    :param nick: normalised.
    :param keepalive: milliseconds between two PINGs.
    :param idle: milliseconds of silence that end the session.
    :param largest: bytes in the largest reliable payload.
    :param allowance: datagrams and bytes per second; 0 for no limit.
    :param next_own: the next own sequences that the relay expects, of reliable DATA and PRIVATE.
    :param newest_private: the newest private sequence.
    :param members: the first part of the roster.
    :param more_from: the member number for the next ROSTER; None if the roster is complete.
    :param history: the datagrams that the relay keeps of the room and of the private sequence.
    """

    TYPE = Type.WELCOME

    nonce: bytes = field(repr=False)
    session_id: Annotated[bytes, Key("i", fields.eight)] = field(repr=False)
    number: Annotated[int, Key("m", fields.u32)]
    tag: Annotated[bytes, Key("t", fields.eight)] = field(repr=False)
    newest: Annotated[int, Key("q", fields.u64)]
    first: Annotated[int, Key("f", fields.sequence)]
    nick: Annotated[str, Key("n", fields.nick)]
    keepalive: Annotated[int, Key("k", _positive)]
    idle: Annotated[int, Key("x", _positive)]
    largest: Annotated[int, Key("l", fields.number(65_477, minimum=256))]
    allowance: Annotated[tuple[int, int], Key("a", fields.items(fields.u64, 2, 2))]
    next_own: Annotated[tuple[int, int], Key("u", fields.items(_positive, 2, 2))]
    newest_private: Annotated[int, Key("d", fields.u64)]
    members: Annotated[tuple[MemberRecord, ...], Key("w", read_members, write_members)]
    more_from: Annotated[int | None, Key("y", fields.u32, needed=False)] = None
    history: Annotated[tuple[int, int] | None, Key("h", _history, needed=False)] = None

    def check(self) -> None:
        if self.first > self.newest + 1:
            raise ValueError(f"first {self.first} is beyond {self.newest} + 1")


@frozen
class Refused(Control):
    """
    The client is not admitted.

    :param code: see "REFUSED" in ``docs/protocol.rst``.
    :param sentence: for people.
    :param retry_after: milliseconds after which to retry; 0 for never.
    """

    TYPE = Type.REFUSED

    nonce: bytes = field(repr=False)
    code: Annotated[str, Key("c", fields.code)]
    sentence: Annotated[str, Key("m", fields.sentence)]
    retry_after: Annotated[int, Key("a", fields.u32)]


@frozen
class Unknown(Fixed):
    """The relay has no session with this id."""

    TYPE = Type.UNKNOWN

    session_id: bytes = field(repr=False)


@frozen
class Versions(Datagram):
    """
    The versions of the protocol that the relay supports.

    :param id: 8 bytes: the id of the datagram that this answers.
    """

    TYPE = Type.VERSIONS

    id: bytes
    versions: tuple[int, ...]

    def encode(self) -> bytes:
        return header(Type.VERSIONS, self.id) + bytes(_versions(self.versions))

    @classmethod
    def decode(cls, datagram: bytes) -> Versions:
        return cls(datagram[ID], _versions(tuple(datagram[HEADER_SIZE:])))
