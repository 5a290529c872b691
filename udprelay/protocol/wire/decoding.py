"""Datagrams, read: by type, and by who sends it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

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
    Data,
    Entry,
    Gone,
    Heartbeat,
    Members,
    Nicked,
    Notice,
    PathChallenge,
    Pong,
    Private,
)
from udprelay.protocol.wire.header import HEADER, LARGEST_CONTROL, PREFIX, Type, WireError
from udprelay.protocol.wire.joining import (
    Challenge,
    Hello,
    Join,
    Refused,
    Unknown,
    Versions,
    Welcome,
)

FromClient = (
    Hello
    | Join
    | DataUp
    | PrivateUp
    | Nack
    | Ping
    | Leave
    | RosterRequest
    | NickRequest
    | PathResponse
    | Missed
)
FromRelay = (
    Challenge
    | Welcome
    | Refused
    | Unknown
    | Versions
    | Data
    | Entry
    | Private
    | Notice
    | Ack
    | Gone
    | Heartbeat
    | Pong
    | Members
    | PathChallenge
    | Bye
    | Nicked
)
T = TypeVar("T")

_FROM_CLIENT: dict[int, Callable[[bytes], FromClient]] = {
    Type.HELLO: Hello.decode,
    Type.JOIN: Join.decode,
    Type.DATA_UP: DataUp.decode,
    Type.PRIVATE_UP: PrivateUp.decode,
    Type.NACK: Nack.decode,
    Type.PING: Ping.decode,
    Type.LEAVE: Leave.decode,
    Type.ROSTER: RosterRequest.decode,
    Type.NICK: NickRequest.decode,
    Type.PATH_RESPONSE: PathResponse.decode,
    Type.MISSED: Missed.decode,
}
_FROM_RELAY: dict[int, Callable[[bytes], FromRelay]] = {
    Type.CHALLENGE: Challenge.decode,
    Type.WELCOME: Welcome.decode,
    Type.REFUSED: Refused.decode,
    Type.UNKNOWN: Unknown.decode,
    Type.VERSIONS: Versions.decode,
    Type.DATA: Data.decode,
    Type.ENTRY: Entry.decode,
    Type.PRIVATE: Private.decode,
    Type.NOTICE: Notice.decode,
    Type.ACK: Ack.decode,
    Type.GONE: Gone.decode,
    Type.HEARTBEAT: Heartbeat.decode,
    Type.PONG: Pong.decode,
    Type.MEMBERS: Members.decode,
    Type.PATH_CHALLENGE: PathChallenge.decode,
    Type.BYE: Bye.decode,
    Type.NICKED: Nicked.decode,
}
# These have flags of their own, and may be larger than the others.
_WITH_PAYLOAD = frozenset((Type.DATA_UP, Type.PRIVATE_UP, Type.DATA, Type.PRIVATE))


def decode_from_client(datagram: bytes) -> FromClient:
    """
    Read what a client has sent.

    :raises WireError: if it is no datagram that a client may send.
    """
    return _decode(datagram, _FROM_CLIENT)


def decode_from_relay(datagram: bytes) -> FromRelay:
    """
    Read what a relay has sent.

    :raises WireError: if it is no datagram that a relay may send.
    """
    return _decode(datagram, _FROM_RELAY)


def _decode(datagram: bytes, decoders: Mapping[int, Callable[[bytes], T]]) -> T:
    if len(datagram) < HEADER or not datagram.startswith(PREFIX):
        raise WireError("no header of this version")
    kind = datagram[4]
    decode = decoders.get(kind)
    if decode is None:
        raise WireError(f"type {kind:#x} is not for this side")
    if kind not in _WITH_PAYLOAD:
        if datagram[5]:
            raise WireError(f"flags {datagram[5]:#x} instead of none")
        if len(datagram) > LARGEST_CONTROL:
            raise WireError(f"{len(datagram)} bytes, more than {LARGEST_CONTROL}")
    try:
        return decode(datagram)
    except ValueError as error:
        raise WireError(str(error)) from error
