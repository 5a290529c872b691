"""Datagrams for tests of the codec: strategies for valid ones, and bodies to make invalid."""

from __future__ import annotations

from typing import Any

import cbor2
from hypothesis import strategies as st

from udprelay.protocol.wire import FromClient, FromRelay, decode_from_client, decode_from_relay
from udprelay.protocol.wire.entries import (
    FailedNotice,
    JoinEntry,
    LeaveEntry,
    LimitedNotice,
    MissedNotice,
    NickEntry,
)
from udprelay.protocol.wire.from_client import (
    DataUp,
    Leave,
    Missed,
    Nack,
    NickRequest,
    PathResponse,
    Ping,
    PrivateUp,
    RosterRequest,
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
from udprelay.protocol.wire.header import PREFIX, Type
from udprelay.protocol.wire.joining import (
    Challenge,
    Hello,
    Join,
    Refused,
    Unknown,
    Versions,
    Welcome,
)
from udprelay.protocol.wire.members import KINDS_ON_WIRE, MemberKind, MemberRecord
from udprelay.protocol.wire.sequenced import Data, Entry, Notice, Private

CLASSES: dict[Type, type] = {
    Type.HELLO: Hello,
    Type.CHALLENGE: Challenge,
    Type.JOIN: Join,
    Type.WELCOME: Welcome,
    Type.REFUSED: Refused,
    Type.UNKNOWN: Unknown,
    Type.VERSIONS: Versions,
    Type.DATA_UP: DataUp,
    Type.PRIVATE_UP: PrivateUp,
    Type.NACK: Nack,
    Type.PING: Ping,
    Type.LEAVE: Leave,
    Type.ROSTER: RosterRequest,
    Type.NICK: NickRequest,
    Type.PATH_RESPONSE: PathResponse,
    Type.MISSED: Missed,
    Type.DATA: Data,
    Type.ENTRY: Entry,
    Type.PRIVATE: Private,
    Type.NOTICE: Notice,
    Type.ACK: Ack,
    Type.GONE: Gone,
    Type.HEARTBEAT: Heartbeat,
    Type.PONG: Pong,
    Type.MEMBERS: Members,
    Type.PATH_CHALLENGE: PathChallenge,
    Type.BYE: Bye,
    Type.NICKED: Nicked,
    Type.WAITING: Waiting,
}
CLIENT_TYPES = (Type.HELLO, Type.JOIN, *(t for t in Type if Type.DATA_UP <= t <= Type.MISSED))
RELAY_TYPES = tuple(t for t in Type if t not in CLIENT_TYPES)
WITH_PAYLOAD = (Type.DATA_UP, Type.PRIVATE_UP, Type.DATA, Type.PRIVATE)

ID = b"12345678"


def decode(datagram: bytes) -> FromClient | FromRelay:
    """Decode a datagram as the half that its type is for."""
    return (decode_from_client if datagram[4] in CLIENT_TYPES else decode_from_relay)(datagram)


# --- strategies for valid datagrams

u32 = st.integers(0, 2**32 - 1) | st.sampled_from([0, 1, 23, 24, 255, 256, 65_535, 2**32 - 1])
u64 = u32 | st.integers(0, 2**64 - 1) | st.just(2**64 - 1)
sequences = u64.filter(bool)
owns = st.integers(1, 2**32 - 2)
following = st.integers(1, 2**32 - 1)
eight = st.binary(min_size=8, max_size=8)
sixteen = st.binary(min_size=16, max_size=16)
sixteen_or_none = sixteen | st.just(b"")
cookies = st.binary(min_size=1, max_size=64)
rooms = st.text(
    st.characters(categories=("L", "N"), include_characters="-_."), min_size=1, max_size=64
)
"""All valid names: 1 to 256 bytes."""
payloads = st.binary(min_size=1, max_size=40)
flags = st.sampled_from([0, 2, *range(1, 32, 2)])
durations = st.integers(1, 2**32 - 1)


def texts(minimum: int, maximum: int) -> st.SearchStrategy[str]:
    """Return a strategy for texts by their bytes in UTF-8, up to 4 for each character."""
    return st.text(st.characters(codec="utf-8"), min_size=minimum, max_size=maximum // 4)


nicks = texts(1, 64)
codes = texts(1, 200)
sentences = texts(0, 200)


@st.composite
def ranges(
    draw: st.DrawFn, minimum: int, maximum: int, last: int = 2**64 - 1
) -> tuple[tuple[int, int], ...]:
    """Return valid ranges up to ``last``; some are adjacent."""
    found, at = [], draw(st.integers(1, last))
    for _ in range(draw(st.integers(minimum, maximum))):
        count = draw(st.integers(1, 65_535))
        if at + count - 1 > last:
            break
        found.append((at, count))
        at += count + draw(st.just(0) | st.integers(0, last // maximum))
    return tuple(found) or (((last, 1),) if minimum else ())


@st.composite
def reasoned(draw: st.DrawFn) -> tuple[tuple[int, int, int], ...]:
    plain = draw(ranges(1, 64))
    return tuple((first, count, draw(st.integers(0, 2))) for first, count in plain)


@st.composite
def member_records(draw: st.DrawFn) -> MemberRecord:
    kind = draw(st.sampled_from(KINDS_ON_WIRE))
    identity = draw(sixteen) if kind == MemberKind.SESSION else b""
    badge = draw(sixteen_or_none) if identity else b""
    own = draw(st.just(0) | owns)
    return MemberRecord(draw(u32), draw(nicks), kind, identity, own, badge)


members = st.lists(member_records(), max_size=8).map(tuple)


def _join_entry(record: MemberRecord) -> JoinEntry:
    return JoinEntry(record.nick, record.kind, record.identity, record.own, record.badge)


@st.composite
def joins(draw: st.DrawFn) -> Join:
    keyed, resuming = draw(st.booleans()), draw(st.booleans())
    return Join(
        draw(eight),
        draw(cookies),
        draw(rooms),
        draw(texts(0, 256)),
        draw(sixteen),
        draw(st.tuples(owns, owns)),
        draw(st.binary(min_size=32, max_size=32)) if keyed else None,
        draw(sixteen) if keyed else None,
        draw(eight) if resuming else None,
        draw(u64) if resuming else None,
        draw(st.none() | st.booleans()),
    )


@st.composite
def welcomes(draw: st.DrawFn) -> Welcome:
    newest = draw(u64)
    return Welcome(
        draw(eight),
        session_id=draw(eight),
        number=draw(u32),
        tag=draw(eight),
        newest=newest,
        first=draw(st.integers(1, min(newest + 1, 2**64 - 1))),
        nick=draw(nicks),
        keepalive=draw(durations),
        idle=draw(durations),
        largest=draw(st.integers(256, 65_477)),
        allowance=draw(st.tuples(u64, u64)),
        next_own=draw(st.tuples(following, following)),
        newest_private=draw(u64),
        members=draw(members),
        more_from=draw(st.none() | u32),
        history=draw(st.none() | st.tuples(u32, u32)),
    )


def _down_data(tag: bytes, flag: int, sequence: int, number: int, own: int, text: bytes) -> Data:
    return Data(tag, flag if own else 1, sequence, number, own, text)


def _private(
    session: bytes, flag: int, sequence: int, number: int, own: int, text: bytes
) -> Private:
    return Private(session, flag, sequence if flag & 1 else 0, number, own, text)


versions = st.lists(st.integers(0, 255), min_size=1, max_size=16).map(tuple)
entry_bodies = st.one_of(
    member_records().map(_join_entry),
    st.builds(LeaveEntry, codes),
    st.builds(NickEntry, nicks, sixteen_or_none),
    st.none(),
)
missed = ranges(1, 32, 2**32 - 2)
notice_bodies = st.one_of(
    st.builds(MissedNotice, u32, missed),
    st.builds(FailedNotice, owns, codes),
    st.builds(LimitedNotice, codes, u32),
    st.none(),
)
DATAGRAMS: dict[Type, st.SearchStrategy[Any]] = {
    Type.HELLO: st.builds(Hello, eight, rooms, versions),
    Type.CHALLENGE: st.builds(Challenge, eight, cookies, sixteen),
    Type.JOIN: joins(),
    Type.WELCOME: welcomes(),
    Type.REFUSED: st.builds(Refused, eight, codes, sentences, u32),
    Type.UNKNOWN: st.builds(Unknown, eight),
    Type.VERSIONS: st.builds(Versions, eight, versions),
    Type.DATA_UP: st.builds(DataUp, eight, flags, owns, payloads),
    Type.PRIVATE_UP: st.builds(PrivateUp, eight, flags, owns, sixteen, payloads),
    Type.NACK: st.builds(Nack, eight, st.integers(0, 1), ranges(1, 64)),
    Type.PING: st.builds(Ping, eight, eight, u64, st.none() | u64),
    Type.LEAVE: st.builds(Leave, eight),
    Type.ROSTER: st.builds(RosterRequest, eight, u32),
    Type.NICK: st.builds(NickRequest, eight, u32, texts(0, 256), st.none() | sixteen),
    Type.PATH_RESPONSE: st.builds(PathResponse, eight, eight),
    Type.MISSED: st.builds(Missed, eight, u32, missed, st.none() | eight),
    Type.DATA: st.builds(_down_data, eight, flags, sequences, u32, st.just(0) | owns, payloads),
    Type.ENTRY: st.builds(Entry, eight, sequences, u32, entry_bodies),
    Type.PRIVATE: st.builds(_private, eight, flags, sequences, u32, owns, payloads),
    Type.NOTICE: st.builds(Notice, eight, sequences, notice_bodies),
    Type.ACK: st.builds(Ack, eight, following, u64, following, u64, ranges(0, 64)),
    Type.GONE: st.builds(Gone, eight, st.integers(0, 1), reasoned()),
    Type.HEARTBEAT: st.builds(Heartbeat, eight, u64),
    Type.PONG: st.builds(Pong, eight, eight, u64, u64),
    Type.MEMBERS: st.builds(Members, eight, u32, u64, members, st.none() | u32, st.none() | u64),
    Type.PATH_CHALLENGE: st.builds(PathChallenge, eight, eight),
    Type.BYE: st.builds(Bye, eight, codes, sentences, u32),
    Type.NICKED: st.builds(Nicked, eight, u32, nicks)
    | st.builds(Nicked, eight, u32, st.none(), codes, sentences),
    Type.WAITING: st.builds(Waiting, eight, st.lists(u32, max_size=64).map(tuple)),
}

any_datagram = st.sampled_from(Type).flatmap(DATAGRAMS.__getitem__)
any_control = st.sampled_from([t for t in Type if t not in WITH_PAYLOAD]).flatmap(
    DATAGRAMS.__getitem__
)


# --- bodies to make invalid

_RECORD = [3, "ann", 0, b"i" * 16, 7, b"b" * 16]
BODIES: dict[str, dict[str, Any]] = {
    "HELLO": {"r": "lobby", "v": [1], "p": bytes(200)},
    "CHALLENGE": {"c": b"c" * 20, "s": b"s" * 16},
    "JOIN": {
        "c": b"c" * 20,
        "r": "lobby",
        "n": "ann",
        "s": b"s" * 16,
        "u": [1, 1],
        "p": b"p" * 32,
        "b": b"b" * 16,
        "t": b"t" * 8,
        "q": 9,
    },
    "WELCOME": {
        "i": b"i" * 8,
        "m": 3,
        "t": b"t" * 8,
        "q": 9,
        "f": 10,
        "n": "ann",
        "k": 10_000,
        "x": 45_000,
        "l": 1200,
        "a": [0, 0],
        "u": [1, 1],
        "d": 0,
        "w": [_RECORD],
        "y": 4,
    },
    "REFUSED": {"c": "room-full", "m": "The room is full.", "a": 5000},
    "NICK": {"r": 1, "n": "ann", "b": b"b" * 16},
    "MISSED": {"m": 3, "w": [[5, 2], [9, 1]]},
    "ENTRY join": {"e": "join", "n": "ann", "k": 0, "i": b"i" * 16, "o": 0, "b": b"b" * 16},
    "ENTRY leave": {"e": "leave", "r": "left"},
    "ENTRY nick": {"e": "nick", "n": "ann", "b": b""},
    "NOTICE missed": {"e": "missed", "m": 3, "w": [[5, 2], [9, 1]]},
    "NOTICE failed": {"e": "failed", "u": 5, "c": "absent"},
    "MEMBERS": {"f": 0, "q": 9, "w": [_RECORD], "y": 4, "s": 8},
    "BYE": {"c": "idle", "m": "The session timed out.", "a": 1},
    "NICKED": {"r": 1, "n": "ann"},
    "NICKED not": {"r": 1, "c": "nick-taken", "m": "This nick is in use."},
}
_NUMBERS = {
    Type.ENTRY: bytes.fromhex("0000000000000009 00000003 00000000"),
    Type.NOTICE: bytes.fromhex("0000000000000009 00000000 00000000"),
}


def kind_of(name: str) -> Type:
    """Return the type of a datagram in :data:`BODIES`."""
    return Type[name.partition(" ")[0]]


def with_body(name: str, body: dict[str, Any]) -> bytes:
    """Return a datagram with a body that may be invalid."""
    return with_cbor(name, cbor2.dumps(body))


def with_cbor(name: str, body: bytes) -> bytes:
    """Return a datagram with bytes that may not be a body."""
    kind = kind_of(name)
    return PREFIX + bytes((kind, 0)) + ID + _NUMBERS.get(kind, b"") + body
