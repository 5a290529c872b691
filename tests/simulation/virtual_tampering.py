"""A dishonest relay: it changes datagrams between its hub and the network."""

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

Change = Callable[[FromRelay], Iterable[FromRelay]]
"""Returns the datagrams to send instead of one."""


@define
class Tampering:
    """
    Changes the datagrams of the relay to one client.

    :ivar changed: the number of datagrams that were changed.
    """

    stage: Stage
    victim: Client
    change: Change
    changed: int = field(default=0, init=False)

    def start(self) -> None:
        """Change all datagrams from now on."""
        self.stage.relay.tamper = self._tamper

    def _tamper(self, destination: Address, datagram: bytes) -> list[bytes]:
        if destination != self.stage.network.seen_as(self.victim.address):
            return [datagram]
        try:
            read = decode_from_relay(datagram)
        except WireError:
            return [datagram]
        sent = [one.encode() for one in self.change(read)]
        self.changed += sent != [datagram]
        return sent


def is_message(read: FromRelay) -> bool:
    """Return whether this is a reliable message to the room."""
    return isinstance(read, Data) and bool(read.flags & RELIABLE)


def to_each(change: Callable[[Data], FromRelay]) -> Change:
    """Return a change of each message to the room."""

    def change_message(read: FromRelay) -> Iterable[FromRelay]:
        return [change(read) if isinstance(read, Data) and is_message(read) else read]

    return change_message


def flip_bit(data: Data) -> Data:
    """Flip one bit of a payload."""
    return evolve(data, payload=bytes([data.payload[0] ^ 1]) + data.payload[1:])


def withhold(session_id: Callable[[], bytes]) -> Callable[[Data], FromRelay]:
    """Return a change that claims that a message was unreliable and is gone."""
    return lambda data: Gone(session_id(), 0, ((data.sequence, 1, 1),))


class SwapPairs:
    """Swaps the places of each two messages."""

    def __init__(self) -> None:
        self._first: Data | None = None

    def __call__(self, read: FromRelay) -> Iterable[FromRelay]:
        if not isinstance(read, Data) or not is_message(read):
            return [read]
        first = self._first
        if first is None:
            self._first = read
            return []
        self._first = None
        return [evolve(read, sequence=first.sequence), evolve(first, sequence=read.sequence)]


class ReplayFirst:
    """Sends the first message in the places of all later ones."""

    def __init__(self, flags: int = 0) -> None:
        self._first: Data | None = None
        self._flags = flags

    def __call__(self, read: FromRelay) -> Iterable[FromRelay]:
        if not isinstance(read, Data) or not is_message(read):
            return [read]
        if self._first is None:
            self._first = read
            return [read]
        flags = self._first.flags | self._flags
        return [evolve(self._first, sequence=read.sequence, flags=flags)]


class Diversion:
    """Sends private messages of one client to another one too."""

    def __init__(self, stage: Stage, intended: Client, victim: Client) -> None:
        self._stage = stage
        self._intended = intended
        self._victim = victim
        self.diverted = 0

    def start(self) -> None:
        """Divert all private messages from now on."""
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
