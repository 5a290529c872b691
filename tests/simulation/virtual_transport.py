"""Transports of a hub on a virtual network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from virtual_network import Address, Network, Receive, endpoint_of

from udprelay.protocol.endpoint import Endpoint
from udprelay.relay.drops import DropReason
from udprelay.relay.flood_source import FloodSource
from udprelay.relay.room import Group, Member
from udprelay.segments import Run

Send = Callable[[Any, bytes], object]
"""Sends a datagram to a source."""


def _never() -> bool:
    return False


def _discard(source: Address, payload: bytes) -> None:
    """Discard a datagram to a host that is down."""


class Witness(Protocol):
    """Checks what a hub sends."""

    def delivery(self, group: Group, payload: bytes, sender: Member, member: Member) -> None:
        """Check one delivery."""

    def reply(self, source: Any, payload: bytes) -> None:
        """Check one datagram that is not part of a fan-out."""


class ConsoleTransport:
    """
    Reaches members without an address.

    :param fails: tells for each delivery whether the kernel rejects it.
    """

    def __init__(
        self, name: str, witness: Witness, send: Send, fails: Callable[[], bool] = _never
    ) -> None:
        self.name = name
        self._witness = witness
        self._send = send
        self._fails = fails

    def deliver(self, runs: Sequence[Run], group: Group, count: int) -> list[DropReason]:
        """Send runs to a group, each datagram to all its members before the next one."""
        assert group.transport is self
        assert count <= len(group.members), "a member has left before the delivery"
        failed = []
        for sender, segments, _ in runs:
            for payload in segments:
                for member in group.members[:count]:
                    if member is sender:
                        continue
                    group.deliveries += 1
                    self._witness.delivery(group, payload, sender, member)
                    if self._fails():
                        failed.append(DropReason.SEND_BUFFER)
                    else:
                        self._send(member.source, payload)
        return failed

    def reply(self, datagrams: Sequence[tuple[Any, bytes]]) -> tuple[()]:
        """Send datagrams, each to one source."""
        for source, payload in datagrams:
            self._witness.reply(source, payload)
            self._send(source, payload)
        return ()


class VirtualTransport(ConsoleTransport):
    """A socket at an address of the network."""

    def __init__(
        self,
        name: str,
        witness: Witness,
        send: Send,
        network: Network,
        own: Address,
        receive: Receive,
        fails: Callable[[], bool] = _never,
    ) -> None:
        super().__init__(name, witness, send, fails)
        self._network = network
        self._own = own
        self._receive = receive

    def endpoint(self, source: Address) -> Endpoint:
        """Return the endpoint of a source."""
        return endpoint_of(source)

    def source_of(self, host: str, port: int) -> None:
        """Return None: it reaches no address that it has not heard."""
        return

    def peer_of(self, source: Address) -> Address:
        """Return the source: each host has one address."""
        return source

    def is_neighbour(self, source: Address) -> bool:
        """Return whether a source is near the interface of arrival."""
        return False

    def filter(self, sources: Sequence[FloodSource]) -> None:
        """Drop nothing: all is to be read."""

    def own_endpoints(self) -> tuple[Endpoint]:
        """Return the endpoint of its own address."""
        return (endpoint_of(self._own),)

    def start_reading(self) -> None:
        """Hand over what arrives, from now on."""
        self._network.attach(self._own, self._receive)

    def stop_reading(self) -> None:
        """Discard what arrives, from now on."""
        self._network.attach(self._own, _discard)

    def statistics(self) -> None:
        """Return nothing: there are no counters."""

    def close(self) -> None:
        """Answer with ICMP errors from now on."""
        self._network.detach(self._own)
