"""Decodes datagrams by their sender and type."""

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
    Gone,
    Heartbeat,
    Members,
    Nicked,
    PathChallenge,
    Pong,
)
from udprelay.protocol.wire.header import (
    FLAGS_OFFSET,
    HEADER_SIZE,
    MAX_CONTROL,
    PREFIX,
    TYPE_OFFSET,
    Type,
    WireError,
)
from udprelay.protocol.wire.joining import (
    Challenge,
    Hello,
    Join,
    Refused,
    Unknown,
    Versions,
    Welcome,
)
from udprelay.protocol.wire.sequenced import Data, Entry, Notice, Private

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
# Their decoders check the flags; their size is limited by UDP alone.
_WITH_PAYLOAD = frozenset((Type.DATA_UP, Type.PRIVATE_UP, Type.DATA, Type.PRIVATE))


def decode_from_client(datagram: bytes) -> FromClient:
    """
    Decode a datagram from a client.

    :raises WireError: if it is invalid, or of a type that clients do not send.
    """
    return _decode(datagram, _FROM_CLIENT)


def decode_from_relay(datagram: bytes) -> FromRelay:
    """
    Decode a datagram from a relay.

    :raises WireError: if it is invalid, or of a type that relays do not send.
    """
    return _decode(datagram, _FROM_RELAY)


def _decode(datagram: bytes, decoders: Mapping[int, Callable[[bytes], T]]) -> T:
    if len(datagram) < HEADER_SIZE or not datagram.startswith(PREFIX):
        raise WireError("no header of this version")
    kind = datagram[TYPE_OFFSET]
    decode = decoders.get(kind)
    if decode is None:
        raise WireError(f"type {kind:#x} is not for this half")
    if kind not in _WITH_PAYLOAD:
        flags = datagram[FLAGS_OFFSET]
        if flags:
            raise WireError(f"flags {flags:#x} instead of 0")
        if len(datagram) > MAX_CONTROL:
            raise WireError(f"{len(datagram)} bytes, more than {MAX_CONTROL}")
    try:
        return decode(datagram)
    except ValueError as error:
        raise WireError(str(error)) from error
