"""Decodes datagrams by their sender and type."""

from __future__ import annotations

from typing import TypeVar, get_args

from udprelay.protocol.wire import from_client, from_relay, joining, sequenced
from udprelay.protocol.wire.datagram import Datagram
from udprelay.protocol.wire.header import (
    FLAGS_OFFSET,
    HEADER_SIZE,
    MAX_CONTROL,
    PREFIX,
    TYPE_OFFSET,
    Type,
    WireError,
)

FromClient = (
    joining.Hello
    | joining.Join
    | from_client.DataUp
    | from_client.PrivateUp
    | from_client.Nack
    | from_client.Ping
    | from_client.Leave
    | from_client.RosterRequest
    | from_client.NickRequest
    | from_client.PathResponse
    | from_client.Missed
)
FromRelay = (
    joining.Challenge
    | joining.Welcome
    | joining.Refused
    | joining.Unknown
    | joining.Versions
    | sequenced.Data
    | sequenced.Entry
    | sequenced.Private
    | sequenced.Notice
    | from_relay.Ack
    | from_relay.Gone
    | from_relay.Heartbeat
    | from_relay.Pong
    | from_relay.Members
    | from_relay.PathChallenge
    | from_relay.Bye
    | from_relay.Nicked
    | from_relay.Waiting
)
T = TypeVar("T", bound=Datagram)

_FROM_CLIENT: dict[int, type[FromClient]] = {kind.TYPE: kind for kind in get_args(FromClient)}
_FROM_RELAY: dict[int, type[FromRelay]] = {kind.TYPE: kind for kind in get_args(FromRelay)}
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


def _decode(datagram: bytes, kinds: dict[int, type[T]]) -> T:
    if len(datagram) < HEADER_SIZE or not datagram.startswith(PREFIX):
        raise WireError("no header of this version")
    number = datagram[TYPE_OFFSET]
    kind = kinds.get(number)
    if kind is None:
        raise WireError(f"type {number:#x} is not for this half")
    if number not in _WITH_PAYLOAD:
        flags = datagram[FLAGS_OFFSET]
        if flags:
            raise WireError(f"flags {flags:#x} instead of 0")
        if len(datagram) > MAX_CONTROL:
            raise WireError(f"{len(datagram)} bytes, more than {MAX_CONTROL}")
    try:
        return kind.decode(datagram)
    except ValueError as error:
        raise WireError(str(error)) from error
