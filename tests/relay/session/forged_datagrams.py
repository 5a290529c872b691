"""Datagrams that anybody can send, each different: nothing of them may stay in the relay."""

from __future__ import annotations

from collections.abc import Callable

from udprelay.protocol.wire.entries import LeaveEntry
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
from udprelay.protocol.wire.header import PREFIX, RELIABLE, SIGNATURE
from udprelay.protocol.wire.joining import Challenge, Hello, Join, Unknown, Versions
from udprelay.protocol.wire.sequenced import Entry
from udprelay.relay.session.cookie import BUCKET

Forge = Callable[[int, float], bytes]
"""Returns datagram number ``n`` of a kind at a time."""


def eight(number: int) -> bytes:
    return number.to_bytes(8, "big")


def sixteen(number: int) -> bytes:
    return number.to_bytes(16, "big")


def source(number: int) -> str:
    """Return an address, each in a prefix of its own: IPv4 and IPv6 in turn."""
    if number % 2:
        return f"[2001:db8:{number & 0xFFFF:x}:{number >> 16 << 8:x}::1]:4000"
    return f"203.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}:4000"


def _join(number: int, cookie: bytes) -> bytes:
    nick, room = f"nick-{number}", f"room-{number}"
    return Join(eight(number), cookie, room, nick, sixteen(number)).encode()


def _cookie_of_now(number: int, now: float) -> bytes:
    return int(now // BUCKET).to_bytes(4, "big") + sixteen(number)


KINDS: dict[str, Forge] = {
    "HELLO": lambda n, now: Hello(eight(n), f"room-{n}").encode(),
    "HELLO of other versions": lambda n, now: Hello(eight(n), f"room-{n}", (2, 3)).encode(),
    "JOIN with a short cookie": lambda n, now: _join(n, eight(n)),
    "JOIN with a wrong cookie": lambda n, now: _join(n, _cookie_of_now(n, now)),
    "DATA": lambda n, now: DataUp(eight(n), 0, n + 1, b"forged").encode(),
    "reliable DATA": lambda n, now: DataUp(eight(n), RELIABLE, n + 1, b"forged").encode(),
    "PRIVATE": lambda n, now: PrivateUp(eight(n), RELIABLE, 1, sixteen(n), b"x").encode(),
    "NACK": lambda n, now: Nack(eight(n), 0, ((1, n + 1),)).encode(),
    "PING": lambda n, now: Ping(eight(n), eight(n), n).encode(),
    "LEAVE": lambda n, now: Leave(eight(n)).encode(),
    "ROSTER": lambda n, now: RosterRequest(eight(n), n).encode(),
    "NICK": lambda n, now: NickRequest(eight(n), n, f"nick-{n}").encode(),
    "MISSED": lambda n, now: Missed(eight(n), 1, ((1, 1),), eight(n)).encode(),
    "PATH-RESPONSE": lambda n, now: PathResponse(eight(n), eight(n)).encode(),
    "another version": lambda n, now: SIGNATURE + b"\x02\x01\x00" + sixteen(n),
    "VERSIONS": lambda n, now: SIGNATURE + b"\x02" + Versions(eight(n), (1, 2)).encode()[4:],
    "UNKNOWN": lambda n, now: Unknown(eight(n)).encode(),
    "CHALLENGE": lambda n, now: Challenge(eight(n), sixteen(n), sixteen(n)).encode(),
    "ENTRY": lambda n, now: Entry(eight(n), n + 1, 1, LeaveEntry("left")).encode(),
    "unknown type": lambda n, now: PREFIX + b"\x7f\x00" + sixteen(n),
    "truncated": lambda n, now: PREFIX + n.to_bytes(3, "big"),
    "plain payload": lambda n, now: b"payload number %d of an unverified source" % n,
    "short plain payload": lambda n, now: b"%d" % (n % 100),
    "empty": lambda n, now: b"",
    "challenge of a relay": lambda n, now: b"to join send 0abc%04d\n" % (n % 10_000),
    "wrong code": lambda n, now: b"0abc%04d\n" % (n % 10_000),
}
"""By name; all are sent by unverified sources."""
