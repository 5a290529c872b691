"""The datagrams of the handshake."""

from __future__ import annotations

from attrs import field, frozen

from udprelay.protocol.wire import fields
from udprelay.protocol.wire.datagram import Datagram, Fixed, OfAttempt, body_of, control
from udprelay.protocol.wire.fields import Key, Keys
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
_duration = fields.number(MAX_U32, minimum=1)

_HELLO = Keys(room=Key("r", fields.room), versions=Key("v", _versions))
_CHALLENGE = Keys(cookie=Key("c", _cookie), salt=Key("s", fields.sixteen))
_JOIN = Keys(
    cookie=Key("c", _cookie),
    room=Key("r", fields.room),
    nick=Key("n", fields.asked_nick),
    secret=Key("s", fields.sixteen),
    own=Key("u", fields.owns),
    proof=Key("p", fields.octets((32,)), needed=False),
    badge=Key("b", fields.sixteen, needed=False),
    tag=Key("t", fields.eight, needed=False),
    settled=Key("q", fields.u64, needed=False),
)


@frozen
class Hello(Datagram):
    """
    A client asks for a cookie.

    :param nonce: 8 random bytes.
    :param versions: of the protocol that the client supports.
    """

    nonce: bytes = field(repr=False)
    room: str
    versions: tuple[int, ...] = (VERSION,)

    def encode(self) -> bytes:
        body = _HELLO.write(self)
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
        body = body_of(datagram)
        if type(body.get("p", b"")) is not bytes:
            raise ValueError("the padding is not a byte string")
        return cls(datagram[ID], **_HELLO.read(body))


@frozen
class Challenge(OfAttempt):
    """
    The relay's answer to HELLO.

    :param cookie: 1 to 64 bytes, which JOIN returns.
    :param salt: 16 bytes, of the room's keys.
    """

    TYPE = Type.CHALLENGE
    KEYS = _CHALLENGE

    cookie: bytes = field(repr=False)
    salt: bytes


@frozen
class Join(OfAttempt):
    """
    A client asks to become a member.

    :param secret: the resume secret, 16 bytes.
    :param own: the first own sequences of reliable DATA and of reliable PRIVATE in this session.
    :param proof: 32 bytes, if the room has a passphrase; then there is a badge, too.
    :param badge: 16 bytes.
    :param tag: 8 bytes: the room tag of the session to resume.
    :param settled: the room sequence of that tag up to which the client has settled all.
    """

    TYPE = Type.JOIN
    KEYS = _JOIN

    cookie: bytes = field(repr=False)
    room: str
    nick: str
    secret: bytes = field(repr=False)
    own: tuple[int, int] = (1, 1)
    proof: bytes | None = field(default=None, repr=False)
    badge: bytes | None = None
    tag: bytes | None = field(default=None, repr=False)
    settled: int | None = None

    def check(self) -> None:
        if (self.proof is None) != (self.badge is None):
            raise ValueError("a proof without a badge, or a badge without a proof")
        if (self.tag is None) != (self.settled is None):
            raise ValueError("a room tag without a sequence, or a sequence without a tag")


@frozen
class Welcome(OfAttempt):
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
    """

    TYPE = Type.WELCOME
    KEYS = Keys(
        session_id=Key("i", fields.eight),
        number=Key("m", fields.u32),
        tag=Key("t", fields.eight),
        newest=Key("q", fields.u64),
        first=Key("f", fields.sequence),
        nick=Key("n", fields.nick),
        keepalive=Key("k", _duration),
        idle=Key("x", _duration),
        largest=Key("l", fields.number(65_477, minimum=256)),
        allowance=Key("a", fields.items(fields.u64, 2, 2)),
        next_own=Key("u", fields.items(fields.number(MAX_U32, minimum=1), 2, 2)),
        newest_private=Key("d", fields.u64),
        members=Key("w", read_members, write_members),
        more_from=Key("y", fields.u32, needed=False),
    )

    session_id: bytes = field(repr=False)
    number: int
    tag: bytes = field(repr=False)
    newest: int
    first: int
    nick: str
    keepalive: int
    idle: int
    largest: int
    allowance: tuple[int, int]
    next_own: tuple[int, int]
    newest_private: int
    members: tuple[MemberRecord, ...]
    more_from: int | None = None

    def check(self) -> None:
        if self.first > self.newest + 1:
            raise ValueError(f"first {self.first} is beyond {self.newest} + 1")


@frozen
class Refused(OfAttempt):
    """
    The client is not admitted.

    :param code: see "REFUSED" in ``docs/protocol.rst``.
    :param sentence: for people.
    :param retry_after: milliseconds after which to retry; 0 for never.
    """

    TYPE = Type.REFUSED
    KEYS = Keys(
        code=Key("c", fields.code),
        sentence=Key("m", fields.sentence),
        retry_after=Key("a", fields.u32),
    )

    code: str
    sentence: str
    retry_after: int


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

    id: bytes
    versions: tuple[int, ...]

    def encode(self) -> bytes:
        return header(Type.VERSIONS, self.id) + bytes(_versions(self.versions))

    @classmethod
    def decode(cls, datagram: bytes) -> Versions:
        return cls(datagram[ID], _versions(tuple(datagram[HEADER_SIZE:])))
