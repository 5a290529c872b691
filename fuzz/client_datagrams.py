"""The datagrams that a relay, honest or not, sends to the client of the target ``client``."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from fuzz.client_world import NUMBER, World
from fuzz.steps import SIZES, Script, near
from udprelay.protocol.seal import PRIVATE, RELIABLE
from udprelay.protocol.wire.entries import (
    EntryBody,
    FailedNotice,
    JoinEntry,
    LeaveEntry,
    MissedNotice,
    NickEntry,
    NoticeBody,
)
from udprelay.protocol.wire.from_relay import (
    Ack,
    Bye,
    Gone,
    Heartbeat,
    Members,
    Nicked,
    PathChallenge,
    Pong,
    Waiting,
)
from udprelay.protocol.wire.header import MAX_U32, MAX_U64, PREFIX, SEALED
from udprelay.protocol.wire.header import RELIABLE as RELIABLE_FLAG
from udprelay.protocol.wire.joining import Challenge, Refused, Unknown, Versions, Welcome
from udprelay.protocol.wire.ranges import Ranges
from udprelay.protocol.wire.sequenced import Data, Entry, Notice, Private

NICKS = ("anna", "Bert", "carl", "anna-2", "\u0130", "", "a" * 33)
_CODES = ("nick-taken", "room-full", "wrong-key", "no-room")
_BYES = ("left", "idle", "kicked", "stopping")
_PAUSES = (0, 1, 2000, 300_000, MAX_U32)


@frozen
class Step:
    """
    One step of an input.

    :param extra: a size in most steps.
    """

    world: World
    script: Script
    extra: int
    a: int
    b: int
    c: int
    d: int

    def sequence(self, stream: int = 0) -> int:
        """Return a number near the next one of a stream; ``b`` chooses the distance."""
        return near(self.world.newest(stream) + 1, self.b, MAX_U64)

    def message(self) -> tuple[int, int, int, int, bytes]:
        """
        Return flags, sequence, member number, own sequence and payload of a message.

        ``a`` chooses the sender, ``b`` the sequence, ``c`` the own sequence, ``extra`` the size.
        ``d`` changes the flags that most messages have.
        """
        world, private = self.world, bool(self.d & 32)
        flags = self.d & 31 ^ RELIABLE_FLAG ^ (SEALED if world.keyed else 0)
        number = self.a if self.a > 16 else 1 + self.a
        sender, payload = world.member(number).identity, bytes(SIZES[self.extra % len(SIZES)])
        reliable = flags & RELIABLE_FLAG
        stream = (PRIVATE if reliable else 3) if private else reliable and RELIABLE
        following = world.owns[sender, stream]
        own = near(following + 1, self.c, MAX_U32) if sender else 0
        if own < following + 5000:
            world.owns[sender, stream] = max(own, following)
        if flags & SEALED and sender and not self.d & 64:
            payload = world.seal(stream, own, flags, payload, sender)
        sequence = self.sequence(int(private)) if reliable or not private else 0
        return flags, sequence, number, own, payload

    def ranges(self, base: int, most: int) -> tuple[tuple[int, int], ...]:
        """Return ranges: ``a`` chooses their start, ``b`` their lengths, ``c`` their count."""
        start, count = near(base, self.a, most), near(1, self.b, 65_535)
        return tuple((start + k * (count + 1), count) for k in range(1 + self.c % 64))


def _challenge(step: Step) -> bytes:
    step.world.salt = bytes((step.b,)) * 16
    cookie = bytes((1, 64, 20)[step.a % 3])
    return Challenge(step.world.nonce, cookie, step.world.salt).encode()


def _versions(step: Step) -> bytes:
    return Versions(step.world.nonce, ((1,), (2,), (2, 1, 255))[step.a % 3]).encode()


def _welcome(step: Step) -> bytes:
    """
    Begin a session; six more bytes follow the step.

    Bit 0 of ``a`` chooses another session, bit 1 another room.
    """
    world, a = step.world, step.a
    number, count, more, keepalive, allowance, others = step.script.octets(6).ljust(6, b"\0")
    if a & 1 or not any(world.session_id):
        world.session_id = (int.from_bytes(world.session_id, "big") + 1).to_bytes(8, "big")
    if a & 2 or not any(world.tag):
        world.tag = (int.from_bytes(world.tag, "big") + 1).to_bytes(8, "big")
    newest = near(0 if a & 2 else world.newest(0), step.b, MAX_U64)
    members = [world.member(n) for n in range(1 + others % 4, 1 + others % 4 + count % 65)]
    following, following_private = (max(1, near(own, step.d, MAX_U32)) for own in world.own)
    welcome = Welcome(
        nonce=world.nonce,
        session_id=world.session_id,
        number=NUMBER + number,
        tag=world.tag,
        newest=newest,
        first=min(near(newest + 1, step.c, MAX_U64), newest + 1),
        nick=NICKS[step.extra % 4],
        keepalive=(10_000, 1, 100, MAX_U32)[keepalive % 4],
        idle=45_000,
        largest=(1200, 256, 65_477, 400)[keepalive >> 2 & 3],
        allowance=((0, 0), (10, 0), (0, 1000), (1, 1), (10**6, 10**9))[allowance % 5],
        next_own=(following, following_private),
        newest_private=near(world.newest(1), more & a, MAX_U64),
        members=tuple(members),
        more_from=more or None,
        history=((852, 64), None, (0, 1), (MAX_U32, 0))[keepalive >> 4 & 3],
    )
    return welcome.encode()


def _refused(step: Step) -> bytes:
    code, pause = _CODES[step.a % len(_CODES)], _PAUSES[step.b % len(_PAUSES)]
    return Refused(step.world.nonce, code, "No.", pause).encode()


def _unknown(step: Step) -> bytes:
    return Unknown(step.world.session_id).encode()


def _data(step: Step) -> bytes:
    return Data(step.world.tag, *step.message()).encode()


def _private(step: Step) -> bytes:
    return Private(step.world.session_id, *step.message()).encode()


def _entry(step: Step) -> bytes:
    number, nick = 1 + step.a, NICKS[step.extra % 4]
    record = step.world.member(number, near(0, step.d, MAX_U32 - 1))
    body: EntryBody | None = None
    if step.c % 4 == 0:
        body = JoinEntry(record.nick, record.kind, record.identity, record.own, record.badge)
    elif step.c % 4 == 1:
        body = LeaveEntry("left")
    elif step.c % 4 == 2:
        body = NickEntry(nick, record.badge)
    return Entry(step.world.tag, step.sequence(), number, body).encode()


def _notice(step: Step) -> bytes:
    sent = step.world.sent
    body: NoticeBody | None = None
    if step.c % 3 == 0:
        first = max(1, near(sent[RELIABLE], step.a, MAX_U32 - 1))
        body = MissedNotice(step.extra, ((first, 1 + step.d),))
    elif step.c % 3 == 1:
        body = FailedNotice(max(1, near(sent[PRIVATE], step.a, MAX_U32 - 1)), "absent")
    return Notice(step.world.session_id, step.sequence(1), body).encode()


def _ack(step: Step) -> bytes:
    """Acknowledge up to numbers that ``a`` and ``b`` choose, and those in the bitmap ``c``."""
    world = step.world
    following = near(world.sent[RELIABLE] + 1, step.a, MAX_U32)
    private = near(world.sent[PRIVATE] + 1, step.b, MAX_U32)
    bitmap = int.from_bytes(bytes((step.c,)) * 8, "big")
    ranges: Ranges = ()
    if step.d:
        ranges = ((near(world.newest(0) + 1, step.d, MAX_U64), 1 + step.extra),)
    return Ack(world.session_id, following, bitmap, private, bitmap, ranges).encode()


def _gone(step: Step) -> bytes:
    stream = step.d & 1
    ranges = step.ranges(step.world.newest(stream), MAX_U64)
    reasoned = tuple((first, count, (step.d >> 1) % 3) for first, count in ranges)
    return Gone(step.world.session_id, stream, reasoned).encode()


def _heartbeat(step: Step) -> bytes:
    return Heartbeat(step.world.tag, step.sequence() - 1).encode()


def _pong(step: Step) -> bytes:
    world = step.world
    token = (*world.tokens, bytes(8))[step.a % 3]
    private = near(world.newest(1), step.c, MAX_U64)
    return Pong(world.session_id, token, max(0, step.sequence() - 1), private).encode()


def _members(step: Step) -> bytes:
    world, first = step.world, near(step.world.requested, step.a, MAX_U32)
    start = max(first, 1) + step.extra % 4
    members = tuple(
        world.member(
            n, near(world.owns[world.member(n).identity, RELIABLE], step.extra, MAX_U32 - 1)
        )
        for n in range(start, start + step.c % 65)
    )
    more = near(start + step.c % 65, step.d, MAX_U32) if step.d else None
    newest = near(world.newest(0), step.b, MAX_U64)
    return Members(world.session_id, first, newest, members, more).encode()


def _path_challenge(step: Step) -> bytes:
    return PathChallenge(step.world.session_id, bytes((step.a,)) * 8).encode()


def _bye(step: Step) -> bytes:
    code, pause = _BYES[step.a % len(_BYES)], _PAUSES[step.b % len(_PAUSES)]
    return Bye(step.world.session_id, code, "Bye.", pause).encode()


def _nicked(step: Step) -> bytes:
    session_id, request = step.world.session_id, near(step.world.nick_request, step.a, MAX_U32)
    if step.b & 1:
        return Nicked(session_id, request, None, "nick-taken", "No.").encode()
    return Nicked(session_id, request, NICKS[step.c % 4]).encode()


def _waiting(step: Step) -> bytes:
    """Name as many members as ``a`` says, from the client on or from another one."""
    first = near(NUMBER, step.b, MAX_U32 - 64)
    return Waiting(step.world.session_id, tuple(range(first, first + step.a % 65))).encode()


def _with_id(step: Step) -> bytes:
    """Return a datagram of any type: a correct id, and any bytes after it."""
    world = step.world
    identifier = (world.session_id, world.tag, world.nonce)[step.d % 3]
    return PREFIX + bytes((step.a, step.b)) + identifier + step.script.octets(step.c)


def _anything(step: Step) -> bytes:
    return PREFIX[: step.b % 5] + step.script.octets(step.a)


DATAGRAMS: dict[str, Callable[[Step], bytes]] = {
    "challenge": _challenge,
    "versions": _versions,
    "welcome": _welcome,
    "refused": _refused,
    "unknown": _unknown,
    "data": _data,
    "private": _private,
    "entry": _entry,
    "notice": _notice,
    "ack": _ack,
    "gone": _gone,
    "heartbeat": _heartbeat,
    "pong": _pong,
    "members": _members,
    "path challenge": _path_challenge,
    "bye": _bye,
    "nicked": _nicked,
    "waiting": _waiting,
    "with id": _with_id,
    "anything": _anything,
}
