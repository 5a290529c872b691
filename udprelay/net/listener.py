"""The protocol of one listener: passes batches and ICMP errors from its port to the hub."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from typing import Protocol, cast

from udprelay.batch_udp.interfaces import BatchProtocol, SocketAddress
from udprelay.batch_udp.linux_socket import kernel_drops
from udprelay.batch_udp.port import WOULD_BLOCK, DatagramPort
from udprelay.protocol.endpoint import Endpoint, endpoint
from udprelay.relay.drops import DropReason
from udprelay.relay.events import Event, ListenerSegmentsOff, ListenerStatistics
from udprelay.relay.fan_out import FanOut
from udprelay.relay.hub import Hub
from udprelay.relay.room import Listener
from udprelay.segments import Source, SourceRun

KERNEL_DROPS_INTERVAL = 1.0
"""Seconds between two readings of the kernel's counter of drops, while there is traffic."""

_DROP_REASONS = {
    errno.EMSGSIZE: DropReason.PATH_MTU,
    errno.ENETUNREACH: DropReason.UNREACHABLE,
    errno.EHOSTUNREACH: DropReason.UNREACHABLE,
    errno.ECONNREFUSED: DropReason.UNREACHABLE,
    **dict.fromkeys(WOULD_BLOCK, DropReason.SEND_BUFFER),
}


def drop_reason(code: int) -> DropReason:
    """Return the reason for a datagram that was not sent, given the errno."""
    return _DROP_REASONS.get(code, DropReason.SEND_FAILED)


class HubDriver(Protocol):
    """
    What a listener needs of the relay that it belongs to.

    :ivar publish: is called with every event.
    :ivar now: returns the hub's time.
    """

    hub: Hub
    publish: Callable[[Event], None]
    now: Callable[[], float]

    def deliver(self, fan_outs: Iterable[FanOut]) -> None:
        """Deliver fan-outs, then settle the hub if necessary."""

    def settle(self) -> None:
        """Read the hub's queue, and send and publish its output."""

    def check_deadline(self, now: float) -> None:
        """Run an overdue deadline."""


class ListenerProtocol(BatchProtocol):
    """
    Connects one port with the hub.

    :ivar listener: the hub's part of the listener.
    """

    noisy = False
    listener: Listener

    def __init__(self, driver: HubDriver) -> None:
        self._driver = driver
        self._receive_drops = 0
        self._kernel_drops_due = 0.0

    @property
    def port(self) -> DatagramPort:
        """The bound port."""
        return cast(DatagramPort, self.transport)

    def batch_received(self, batch: list[SourceRun], too_long: int) -> None:
        """Relay a batch."""
        driver, listener = self._driver, self.listener
        now = driver.now()
        if too_long:
            room = listener.rules.room
            driver.hub.drop(listener.name, room, DropReason.TOO_LONG, now, too_long)
        if now >= self._kernel_drops_due:
            self.count_receive_drops(now)
            driver.check_deadline(now)
        driver.deliver(driver.hub.receive(listener, batch, now))

    def errors_received(self, errors: list[tuple[Source, int]]) -> None:
        """Count ICMP errors."""
        driver = self._driver
        now = driver.now()
        for source, code in errors:
            reason = _DROP_REASONS.get(code, DropReason.UNREACHABLE)
            driver.hub.unreachable(self.listener, source, reason, os.strerror(code), now)
        driver.settle()

    def segments_refused(self, destination: Source | None, code: int) -> None:
        """Report that messages of many datagrams cannot be sent to a destination, or at all."""
        self._driver.publish(
            ListenerSegmentsOff(
                listener=self.listener.name,
                address="" if destination is None else str(self.read_endpoint(destination)),
                error=os.strerror(code),
            )
        )

    def read_endpoint(self, source: Source) -> Endpoint:
        """Return the endpoint of a source."""
        return endpoint_of(self.port.socket_address(source))

    def own_endpoint(self) -> Endpoint:
        """Return the endpoint that the port is bound to."""
        return endpoint_of(self.port.socket.getsockname())

    def count_receive_drops(self, now: float) -> None:
        """Count what the kernel has dropped since the last call."""
        self._kernel_drops_due = now + KERNEL_DROPS_INTERVAL
        before, self._receive_drops = self._receive_drops, kernel_drops(self.port.socket)
        if self._receive_drops > before:
            room, lost = self.listener.rules.room, self._receive_drops - before
            self._driver.hub.drop(self.listener.name, room, DropReason.RECEIVE_BUFFER, now, lost)

    def statistics(self) -> ListenerStatistics:
        """Return the counters since the listener was opened."""
        listener, port = self.listener, self.port
        return ListenerStatistics(
            listener=listener.name,
            **listener.counts(),
            segmented=port.segmented,
            batches=port.batch_sizes.as_fields(),
            receive_drops=self._receive_drops,
        )


def endpoint_of(address: SocketAddress) -> Endpoint:
    """Return the endpoint of a socket address."""
    host, port, *flow_and_scope = address
    if flow_and_scope and flow_and_scope[1]:
        host = f"{host}%{flow_and_scope[1]}"
    return endpoint(host, port)
