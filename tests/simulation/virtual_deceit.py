"""A dishonest relay: between the hub and the network sits somebody who changes what passes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import define, evolve, field
from virtual_client import Client
from virtual_network import Address
from virtual_stage import Stage

from udprelay.protocol.wire import FromRelay, WireError, decode_from_relay
from udprelay.protocol.wire.from_relay import Gone
from udprelay.protocol.wire.header import RELIABLE
from udprelay.protocol.wire.sequenced import Data, Private

Deed = Callable[[FromRelay], Iterable[FromRelay]]


@define
class Deceit:
    """
    Does one thing to what the relay sends to one client.

    :param victim: to whom.
    :param deed: returns what to send instead of a datagram.
    :ivar done: how often something else was sent.
    """

    stage: Stage
    victim: Client
    deed: Deed
    done: int = field(default=0, init=False)

    def begin(self) -> None:
        """Deceive from now on."""
        self.stage.relay.tamper = self._tamper

    def _tamper(self, destination: Address, datagram: bytes) -> list[bytes]:
        if destination != self.stage.network.seen_as(self.victim.address):
            return [datagram]
        try:
            read = decode_from_relay(datagram)
        except WireError:
            return [datagram]
        sent = [one.encode() for one in self.deed(read)]
        self.done += sent != [datagram]
        return sent


def is_said(read: FromRelay) -> bool:
    """Return whether it is a message to the room."""
    return isinstance(read, Data) and bool(read.flags & RELIABLE)


def to_each(change: Callable[[Data], FromRelay]) -> Deed:
    """Return a deed that changes every message to the room."""

    def deed(read: FromRelay) -> Iterable[FromRelay]:
        return [change(read) if isinstance(read, Data) and is_said(read) else read]

    return deed


def alters(said: Data) -> Data:
    """Turn one bit of a payload."""
    return evolve(said, payload=bytes([said.payload[0] ^ 1]) + said.payload[1:])


def withholds(session_id: Callable[[], bytes]) -> Callable[[Data], FromRelay]:
    """Return a change: say that a message was not kept as it was unreliable."""
    return lambda said: Gone(session_id(), 0, ((said.sequence, 1, 1),))


class Exchanges:
    """Gives each second message of somebody the place of the one before, and the other way."""

    def __init__(self) -> None:
        self._first: Data | None = None

    def __call__(self, read: FromRelay) -> Iterable[FromRelay]:
        if not isinstance(read, Data) or not is_said(read):
            return [read]
        first = self._first
        if first is None:
            self._first = read
            return []
        self._first = None
        return [evolve(read, sequence=first.sequence), evolve(first, sequence=read.sequence)]


class Replays:
    """Puts the first message in the place of all later ones."""

    def __init__(self, flags: int = 0) -> None:
        self._first: Data | None = None
        self._flags = flags

    def __call__(self, read: FromRelay) -> Iterable[FromRelay]:
        if not isinstance(read, Data) or not is_said(read):
            return [read]
        if self._first is None:
            self._first = read
            return [read]
        flags = self._first.flags | self._flags
        return [evolve(self._first, sequence=read.sequence, flags=flags)]


class Diverts:
    """Gives a victim what was private to somebody else, as if it were for it."""

    def __init__(self, stage: Stage, intended: Client, victim: Client) -> None:
        self._stage = stage
        self._intended = intended
        self._victim = victim
        self.diverted = 0

    def begin(self) -> None:
        """Divert from now on."""
        self._stage.relay.tamper = self._tamper

    def _tamper(self, destination: Address, datagram: bytes) -> list[bytes]:
        if destination == self._stage.network.seen_as(self._intended.address):
            read = decode_from_relay(datagram)
            if isinstance(read, Private):
                self.diverted += 1
                session_id = self._victim.session_id
                forged = evolve(read, session_id=session_id).encode()
                victim = self._stage.network.seen_as(self._victim.address)
                self._stage.network.send(self._victim.relay, victim, forged)
        return [datagram]
