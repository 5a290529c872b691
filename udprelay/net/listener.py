"""The protocol of one listener: hands each batch and each ICMP error to the hub."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

from twisted.internet.protocol import DatagramProtocol

from udprelay.batch_udp.port import REASONS, RelayPort, SocketAddress
from udprelay.relay.bursts import Burst
from udprelay.relay.drops import DropReason
from udprelay.relay.events import ListenerSegmentsOff, ListenerStatistics
from udprelay.relay.listener import Listener, Source

if TYPE_CHECKING:
    from udprelay.net.relay import Relay

LOOK_AT_KERNEL = 1.0
"""Seconds between two looks at the kernel's counter of drops, while there is traffic."""


class ListenerProtocol(DatagramProtocol):
    """
    Between one port and the hub.

    :ivar listener: what the hub knows of the socket.
    """

    noisy = False
    listener: Listener

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._receive_drops = 0
        self._next_look = 0.0

    @property
    def port(self) -> RelayPort:
        """The bound port."""
        return cast(RelayPort, self.transport)

    def batch_received(self, batch: list[Burst], too_long: int) -> None:
        """Relay what was read in one turn."""
        relay, listener = self._relay, self.listener
        now = relay.now()
        if too_long:
            room = listener.rules.room
            relay.hub.drop(listener.name, room, DropReason.TOO_LONG, now, too_long)
        if now >= self._next_look:
            self.count_receive_drops(now)
            relay.check_deadline(now)
        relay.carry_out(relay.hub.receive(listener, batch, now))

    def errors_received(self, errors: list[tuple[SocketAddress, int]]) -> None:
        """Count ICMP errors; a member that can't be reached now may be in a moment."""
        relay = self._relay
        now = relay.now()
        for address, code in errors:
            reason = REASONS.get(code, DropReason.UNREACHABLE)
            relay.hub.unreachable(self.listener, address, reason, os.strerror(code), now)
        relay.settle()

    def segments_refused(self, destination: Source | None, code: int) -> None:
        """Say that messages of many datagrams can't be sent to a destination, or at all."""
        nobody = destination is None
        self._relay.publish(
            ListenerSegmentsOff(
                listener=self.listener.name,
                address="" if nobody else str(self.listener.endpoint(destination)),
                error=os.strerror(code),
            )
        )

    def count_receive_drops(self, now: float) -> None:
        """Count what the kernel has dropped since the last call."""
        self._next_look = now + LOOK_AT_KERNEL
        before, self._receive_drops = self._receive_drops, self.port.kernel_drops()
        if self._receive_drops > before:
            room, lost = self.listener.rules.room, self._receive_drops - before
            self._relay.hub.drop(self.listener.name, room, DropReason.RECEIVE_BUFFER, now, lost)

    def statistics(self) -> ListenerStatistics:
        """Return the counters since the listener was opened."""
        listener, port = self.listener, self.port
        return ListenerStatistics(
            listener=listener.name,
            datagrams=listener.datagrams,
            bytes=listener.bytes,
            deliveries=listener.deliveries,
            segmented=port.segmented,
            batches=port.batch_sizes.as_fields(),
            receive_drops=self._receive_drops,
        )
