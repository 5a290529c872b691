"""The UDP transport: one port, with what it receives for the hub and sends for it."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from udprelay.batch_udp.interfaces import BatchProtocol, SocketAddress
from udprelay.batch_udp.linux_socket import kernel_drops
from udprelay.batch_udp.port import WOULD_BLOCK, DatagramPort
from udprelay.batch_udp.socket_filter import FilteredSource
from udprelay.protocol.endpoint import Endpoint, endpoint
from udprelay.protocol.wire.header import ID
from udprelay.relay.census import Census
from udprelay.relay.driver import HubDriver
from udprelay.relay.drops import DropReason
from udprelay.relay.events import (
    FloodUnfiltered,
    ListenerSegmentsOff,
    ListenerStatistics,
    MemberRecovered,
    MemberTroubled,
)
from udprelay.relay.flood_source import FloodSource
from udprelay.relay.room import Group, Listener
from udprelay.segments import Run, Source, SourceRun

KERNEL_DROPS_INTERVAL = 1.0
"""Seconds between two readings of the kernel's counter of drops, while there is traffic."""

_DROP_REASONS = {
    errno.EMSGSIZE: DropReason.PATH_MTU,
    errno.ENETUNREACH: DropReason.UNREACHABLE,
    errno.EHOSTUNREACH: DropReason.UNREACHABLE,
    errno.ECONNREFUSED: DropReason.UNREACHABLE,
    **dict.fromkeys(WOULD_BLOCK, DropReason.SEND_BUFFER),
}


class UdpTransport(BatchProtocol):
    """
    Connects one UDP port with the hub.

    :ivar port: the bound port, and ``listener``, the hub's part: set before the port reads.
    :ivar number: the number of the port.
    """

    noisy = False
    port: DatagramPort
    listener: Listener
    number: int

    def __init__(
        self, name: str, driver: HubDriver, is_neighbour: Callable[[Endpoint, int], bool]
    ) -> None:
        self.name = name
        self._is_neighbour = is_neighbour
        self._open = True
        self._driver = driver
        self._suspended = False
        self._receive_drops = 0
        self._filtered_drops = 0
        self._kernel_drops = 0
        self._kernel_drops_due = 0.0
        self._filtered: Sequence[FilteredSource] = ()
        self._filters = True

    # Called by the port.

    def batch_received(self, batch: list[SourceRun], too_long: int) -> None:
        """Relay a batch."""
        driver, listener = self._driver, self.listener
        now = driver.now()
        if too_long:
            driver.hub.drop(self.name, listener.rules.room, DropReason.TOO_LONG, now, too_long)
        if now >= self._kernel_drops_due:
            self._count_kernel_drops(now)
        driver.receive(listener, batch, now)

    def errors_received(self, errors: list[tuple[Source, int]]) -> None:
        """Count ICMP errors, and hold back the members that they concern."""
        driver, now = self._driver, self._driver.now()
        for source, code in errors:
            reason = _DROP_REASONS.get(code, DropReason.UNREACHABLE)
            known = driver.hub.unreachable(self.listener, source, reason, os.strerror(code), now)
            if known and reason is DropReason.UNREACHABLE:
                self.port.refuse(source, code if code in _DROP_REASONS else errno.EHOSTUNREACH)
        driver.settle()

    def knows(self, peer: Hashable) -> bool:
        """Return whether a member is at a destination."""
        return peer in self.listener.peers

    def trouble_began(self, peer: Hashable, code: int) -> None:
        """Report the members at a destination in trouble."""
        reason = _DROP_REASONS.get(code, DropReason.SEND_FAILED)
        for member in self.listener.peers.get(peer, ()):
            self._driver.publish(
                MemberTroubled(
                    reason=reason.value, error=os.strerror(code), **member.event_fields()
                )
            )

    def trouble_ended(self, peer: Hashable, seconds: float) -> None:
        """Report the members at a destination that is no longer in trouble."""
        for member in self._driver.hub.reachable(self.listener, peer):
            self._driver.publish(
                MemberRecovered(seconds=round(seconds, 3), **member.event_fields())
            )

    def segments_refused(self, destination: Source | None, code: int) -> None:
        """Report that messages of many datagrams cannot be sent to a destination, or at all."""
        self._driver.publish(
            ListenerSegmentsOff(
                listener=self.name,
                address="" if destination is None else str(self.endpoint(destination)),
                error=os.strerror(code),
            )
        )

    # Called by the hub's driver.

    def deliver(self, runs: Sequence[Run], group: Group, count: int) -> Sequence[DropReason]:
        """Send runs to each of a group's first ``count`` members, but no member its own."""
        if self._suspended:
            return self._undeliverable(runs, group, count)
        failed = self.port.deliver(runs, group, count) if self._open else ()
        return _reasons(failed) if failed else ()

    def reply(self, datagrams: Sequence[tuple[Source, bytes]]) -> Sequence[DropReason]:
        """Send datagrams, each to one source."""
        if self._suspended:
            return [DropReason.UNREACHABLE] * len(datagrams)
        failed = self.port.send_each(datagrams) if self._open else ()
        return [_DROP_REASONS.get(code, DropReason.SEND_FAILED) for code in failed]

    def endpoint(self, source: Source) -> Endpoint:
        """Return the endpoint of a source."""
        return endpoint_of(self.port.socket_address(source))

    def source_of(self, host: str, port: int) -> Source | None:
        """Return the source that reaches an address; None if the socket cannot send there."""
        return self.port.source_of(host, port)

    def peer_of(self, source: Source) -> Source:
        """Return the source of the same peer, whichever local address it has asked."""
        return self.port.peer_of(source)

    def is_neighbour(self, source: Source) -> bool:
        """Return whether a source is this machine, or near the interface of arrival."""
        return self._is_neighbour(self.endpoint(source), self.port.interface_of(source))

    def own_endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoint that the port is bound to."""
        return (endpoint_of(self.port.socket.getsockname()),)

    def start_reading(self) -> None:
        """Read datagrams."""
        if not self._suspended:
            self.port.startReading()

    def stop_reading(self) -> None:
        """Leave datagrams in the kernel's buffer."""
        if not self._suspended:
            self.port.stopReading()

    def close(self) -> Any:
        """Close the port; return a Deferred that fires when it is closed."""
        self._open = False
        return None if self._suspended else self._close_port()

    def _close_port(self) -> Any:
        self._count_kernel_drops(self._driver.now())
        return self.port.stopListening()

    # While the machine does not have the address of the port.

    def suspend(self) -> None:
        """Close the port; what is sent to members is dropped and counted until :meth:`resume`."""
        self.port.end_troubles()
        self._close_port()
        self._suspended = True

    def resume(self, port: DatagramPort) -> None:
        """Go on with another port, for the same members and with the same counters."""
        port.add_counts(self.port)
        self.port = port
        self._suspended = False
        self._kernel_drops = 0
        if self._filtered:
            self._filter()

    def _undeliverable(
        self, runs: Sequence[Run], group: Group, count: int
    ) -> Sequence[DropReason]:
        number = sum(
            segments.count * (count - (sender.group is group)) for sender, segments, _ in runs
        )
        group.deliveries += number
        return [DropReason.UNREACHABLE] * number

    # What the kernel drops.

    def filter(self, sources: Sequence[FloodSource]) -> None:
        """Let the kernel drop what comes from these sources; of others nothing any more."""
        if not self._suspended:
            # Until now for another reason than from now on.
            self._count_kernel_drops(self._driver.now())
        self._filtered = [_filtered(source) for source in sources]
        if not self._suspended:
            self._filter()

    def _filter(self) -> None:
        code = self.port.filter_sources(self._filtered, ID.start)
        if code:
            self._filtered = ()
            if self._filters:
                self._filters = False
                self._driver.publish(FloodUnfiltered(listener=self.name, error=os.strerror(code)))

    def _count_kernel_drops(self, now: float) -> None:
        """
        Count what the kernel has dropped since the last call.

        Its counter has what a filter drops, too, and an aggregate of many datagrams as one.
        """
        self._kernel_drops_due = now + KERNEL_DROPS_INTERVAL
        before, self._kernel_drops = self._kernel_drops, kernel_drops(self.port.socket)
        lost = self._kernel_drops - before
        if lost > 0:
            reason = DropReason.RECEIVE_BUFFER
            if self._filtered:
                reason = DropReason.FILTERED
                self._filtered_drops += lost
            else:
                self._receive_drops += lost
            self._driver.hub.drop(self.name, self.listener.rules.room, reason, now, lost)

    def add_counts(self, census: Census) -> None:
        """Add its counters to the census."""
        prefix = f"listeners.{self.name}"
        census.add(f"{prefix}.deliveries", lambda: self.port.deliveries)
        census.add(f"{prefix}.segmented", lambda: self.port.segmented)
        census.add(f"{prefix}.troubles", lambda: self.port.troubles)
        census.add(f"{prefix}.batches", lambda: self.port.batch_sizes())
        census.add(f"{prefix}.waiting", lambda: self.port.waiting)

    def statistics(self) -> ListenerStatistics:
        """Return the counters since the listener was opened."""
        listener, port = self.listener, self.port
        return ListenerStatistics(
            listener=self.name,
            **listener.counts(),
            deliveries=port.deliveries,
            segmented=port.segmented,
            batches=port.batch_sizes(),
            receive_drops=self._receive_drops,
            filtered_drops=self._filtered_drops,
        )


def _reasons(failed: Iterable[int]) -> list[DropReason]:
    """Return the reason for each errno; equal ones follow each other."""
    reasons: list[DropReason] = []
    # A member that is held back has one for each datagram: nothing here is done for each.
    for code, number in Counter(failed).items():
        reasons += [_DROP_REASONS.get(code, DropReason.SEND_FAILED)] * number
    return reasons


def _filtered(source: FloodSource) -> FilteredSource:
    ip = source.ip
    packed, scope = ip.packed, getattr(ip, "scope_id", None)
    if source.port is None and ip.version == 6:
        packed = packed[:8]
    return FilteredSource(packed, source.port, int(scope or 0), source.session_id)


# A datagram of a stranger asks several times.
@lru_cache(maxsize=256)
def endpoint_of(address: SocketAddress) -> Endpoint:
    """Return the endpoint of a socket address."""
    host, port, *flow_and_scope = address
    if flow_and_scope and flow_and_scope[1]:
        host = f"{host}%{flow_and_scope[1]}"
    return endpoint(host, port)
