"""Transport: how the relay reaches members, whatever carries their datagrams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from udprelay.protocol.endpoint import Endpoint
from udprelay.relay.drops import DropReason
from udprelay.relay.flood_source import FloodSource
from udprelay.segments import Run, Source


class Transport(Protocol):
    """
    Reaches members: those at a UDP port, or one without an address, such as the console.

    :ivar name: names it in events and drops.
    """

    name: str

    def deliver(self, runs: Sequence[Run], group: Any, count: int) -> Sequence[DropReason]:
        """
        Send runs to each of a group's first ``count`` members, but no member its own.

        :param group: a :class:`~udprelay.relay.room.Group` that this transport reaches; all
            deliveries are added to its ``deliveries``, those that fail included.
        :return: the reason for each datagram that was not sent.
        """

    def reply(self, datagrams: Sequence[tuple[Source, bytes]]) -> Sequence[DropReason]:
        """Send datagrams, each to one source; return the reason for each that was not sent."""


class ListenerTransport(Transport, Protocol):
    """A transport that hears datagrams: what the owner of a hub needs of a listener's."""

    def endpoint(self, source: Source) -> Endpoint:
        """Return the endpoint of a peer."""

    def source_of(self, host: str, port: int) -> Source | None:
        """Return the source that reaches an address; None if this transport cannot."""

    def peer_of(self, source: Source) -> Source:
        """Return the source of the same peer, whichever local address it has asked."""

    def is_neighbour(self, source: Source) -> bool:
        """Return whether a source is this machine, or near the interface of arrival."""

    def own_endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoints at which it hears."""

    def start_reading(self) -> None:
        """Hand over what is received, from now on."""

    def stop_reading(self) -> None:
        """Hand nothing over any more; sending still works."""

    def filter(self, sources: Sequence[FloodSource]) -> None:
        """Drop what comes from these sources, if it can before it is read; nothing else."""

    def statistics(self) -> Any:
        """Return the event with its counters."""

    def close(self) -> Any:
        """Close it; return a Deferred that fires when it is closed, or None."""
