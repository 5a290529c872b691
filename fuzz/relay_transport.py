"""The transport of the target ``relay``: what reaches its members is checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fuzz.relay_sequences import RoomSequences
from udprelay.protocol.endpoint import Endpoint, endpoint
from udprelay.relay.flood_source import FloodSource
from udprelay.relay.room import Group, Member, Rendering
from udprelay.segments import Run

_ENDPOINTS: dict[str, Endpoint] = {}


def read_endpoint(source: str) -> Endpoint:
    """Return the endpoint of a source."""
    if source not in _ENDPOINTS:
        host, _, port = source.rpartition(":")
        _ENDPOINTS[source] = endpoint(host, int(port))
    return _ENDPOINTS[source]


class FuzzTransport:
    """
    Reaches the members of one listener, or the console.

    :param sequences: follows what session members are given.
    :param deliver: is called with the transport's name, and each payload and its receiver.
    :param reply: is called with the transport's name, and each source and its datagram.
    """

    def __init__(
        self,
        name: str,
        sequences: RoomSequences,
        deliver: Callable[[str, Member, bytes], None],
        reply: Callable[[str, str, bytes], None],
    ) -> None:
        self.name = name
        self._sequences = sequences
        self._deliver = deliver
        self._reply = reply

    def deliver(self, runs: Sequence[Run], group: Group, count: int) -> tuple[()]:
        """Deliver runs to a group."""
        members = group.members[:count]
        assert group.transport is self, "a group of another transport"
        assert len(members) == count, "a member has left before the delivery"
        if group.rendering is Rendering.FRAMED:
            self._sequences.given(members, [one for _, segments, _ in runs for one in segments])
        for sender, segments, _ in runs:
            for payload in segments:
                for member in members:
                    if member is not sender:
                        group.deliveries += 1
                        self._deliver(self.name, member, payload)
        return ()

    def reply(self, datagrams: Sequence[tuple[str, bytes]]) -> tuple[()]:
        """Send datagrams, each to one source."""
        for source, datagram in datagrams:
            self._reply(self.name, source, datagram)
        return ()

    def endpoint(self, source: str) -> Endpoint:
        """Return the endpoint of a source."""
        return read_endpoint(source)

    def source_of(self, host: str, port: int) -> None:
        """Return None: it reaches no address that it has not heard."""
        return

    def peer_of(self, source: str) -> str:
        """Return the source: there is one local address."""
        return source

    def is_neighbour(self, source: str) -> bool:
        """Return whether a source is in the subnet of the only interface."""
        return source.startswith("10.")

    def filter(self, sources: Sequence[FloodSource]) -> None:
        """Drop nothing: all is to be read."""

    def own_endpoints(self) -> tuple[()]:
        """Return no endpoint: nothing is sent to the relay's own."""
        return ()

    def start_reading(self) -> None:
        """Do nothing: the steps call the hub."""

    def stop_reading(self) -> None:
        """Do nothing: the steps call the hub."""

    def statistics(self) -> None:
        """Return nothing: there are no counters."""

    def close(self) -> None:
        """Do nothing: there is no socket."""
