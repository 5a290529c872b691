"""
Twisted's UDP port with whole batches, whole addresses and errors that concern one destination.

Differences from :class:`twisted.internet.udp.Port`: datagrams are handed over in batches with
their whole source address (IPv6 scope included), and never truncated. ICMP errors are read from
the socket's error queue (``ip(7)``, ``IP_RECVERR``): they neither close the socket nor cost a
datagram. A send error is returned as an errno, not raised.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from operator import add
from typing import Any, cast

from twisted.internet import udp
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorFDSet, IReactorTime
from twisted.internet.protocol import AbstractDatagramProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from udprelay.batch_udp import linux_socket
from udprelay.batch_udp.apart import Apart
from udprelay.batch_udp.interfaces import (
    MAX_BATCH,
    MAX_PAYLOAD,
    BatchProtocol,
    RecipientGroup,
    SocketAddress,
)
from udprelay.batch_udp.isolation import FULL, Isolation
from udprelay.batch_udp.layout import interface_in, layout_of, usable
from udprelay.batch_udp.send_buffer import SendBuffer
from udprelay.batch_udp.socket_filter import FilteredSource
from udprelay.batch_udp.trouble import Troubles
from udprelay.segments import Run, Source, SourceRun, runs_by_source

MAX_TRIES = 4
"""Attempts at one system call: each pending ICMP error fails one."""

WOULD_BLOCK = FULL | {errno.ENOBUFS, errno.ENOMEM}
"""
What a call reports that finds no datagram, or no memory or space in a queue for one.

With an error queue, a queue of an interface that is full refuses one datagram with ``ENOBUFS``;
the next one may be for another interface.
"""

NO_ICMP = WOULD_BLOCK | {errno.EPERM}
"""Errors that no ICMP message causes: the datagram itself was refused."""


LOCAL_GONE = frozenset((errno.EINVAL, errno.ENETUNREACH, errno.ENODEV))
"""What a send may report if the machine has lost the local address."""


class DatagramPort(udp.Port):
    """
    A bound UDP socket that makes one system call for each datagram.

    :param protocol: gets each datagram by itself unless it is a
        :class:`~udprelay.batch_udp.interfaces.BatchProtocol`.
    :param interface: a numeric address; ``::`` is every address, IPv4 included.
    :param buffers: bytes of the receive and send buffers to ask for; 0 keeps the system's.
    :param clock: makes its delayed calls; ``None``: the reactor, whose time of day may jump.
    :param dscp: the mark of all datagrams that are sent: 0 to 63.
    :ivar batched: whether many datagrams move in one system call.
    :ivar deliveries: number of datagrams sent by :meth:`deliver`, those that fail included.
    :ivar segmented: number of deliveries that left as parts of larger messages.
    :ivar granted_buffers: bytes of the receive and send buffers, once it has a socket.
    """

    protocol: Any
    _isolation: Isolation
    granted_buffers: tuple[int, int]
    _preexistingSocket: Any
    _log = Logger()

    batched = False

    def __init__(
        self,
        port: int,
        protocol: AbstractDatagramProtocol,
        interface: str,
        reactor: IReactorFDSet,
        buffers: tuple[int, int] = (0, 0),
        clock: IReactorTime | None = None,
        dscp: int = 0,
    ) -> None:
        # One byte more than the maximum tells what is too long.
        super().__init__(port, protocol, interface, MAX_PAYLOAD + 1, reactor)
        self._buffers = buffers
        self._dscp = dscp
        self._clock = clock or cast(IReactorTime, reactor)
        # What comes to a loopback address comes from this machine.
        self._layout = layout_of(self.addressFamily, not ip_address(interface).is_loopback)
        self.deliveries = 0
        self.segmented = 0
        self._batches = [0] * MAX_BATCH.bit_length()
        self._stopping = False
        self._reading = False
        self._errors: list[tuple[Source, int]] = []
        self._has_unread_errors = False
        if isinstance(protocol, BatchProtocol):
            self._batch_received = protocol.batch_received
            self._errors_received = protocol.errors_received
            self._troubles = Troubles(protocol.trouble_began, protocol.trouble_ended)
            self._knows = protocol.knows
        else:
            self._batch_received = self._receive_each
            self._errors_received = lambda errors: None
            self._troubles = Troubles(lambda *_: None, lambda *_: None)
            self._knows = lambda peer: True

    def createInternetSocket(self) -> socket.socket:
        """Make the socket, with an error queue and, for ``::``, open to IPv4 (RFC 3493, 5.3)."""
        opened: socket.socket = super().createInternetSocket()
        if self.addressFamily == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, self.interface != "::")
        self._layout.request(opened)
        linux_socket.detach_filter(opened)
        linux_socket.open_error_queue(opened)
        linux_socket.request_buffers(opened, *self._buffers)
        linux_socket.allow_fragments(opened)
        linux_socket.set_dscp(opened, self._dscp)
        self.granted_buffers = linux_socket.granted_buffers(opened)
        self._isolation = Isolation(
            self.send_buffer_of(opened), self._troubles, self._clock, self._knows
        )
        return opened

    def send_buffer_of(self, opened: socket.socket) -> SendBuffer:
        """Return the send buffer of the socket; a test may have another one."""
        return SendBuffer(opened)

    def startListening(self) -> None:
        """
        Bind the socket and start to read.

        :raises CannotListenError: if the system refuses the socket or the address.
        """
        # Twisted's own method binds no link-local address, and leaves the socket open on failure.
        try:
            opened = self.createInternetSocket()
            try:
                # Unlike bind((host, port)), this keeps the scope of an address.
                address = socket.getaddrinfo(
                    self.interface, self.port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
                )[0][4]
                opened.bind(address)
            except OSError:
                opened.close()
                raise
        except OSError as error:
            raise CannotListenError(self.interface, self.port, error) from error
        self._preexistingSocket = opened
        super().startListening()

    def doRead(self) -> None:
        """Read one batch and hand it over."""
        self._reading = True
        try:
            batch, too_long, count = self._read()
            if count:
                self._batches[count.bit_length() - 1] += 1
                if self._isolation.active:
                    self._isolation.hear([self.peer_of(source) for source, _ in batch])
                self._batch_received(batch, too_long)
            if not count or self._has_unread_errors:
                self._collect_errors()
            if self._errors:
                self._report_errors()
        except Exception:
            # An exception that escapes makes the reactor close the socket.
            self._log.failure("a batch of datagrams failed")
        finally:
            self._reading = False

    def add_counts(self, earlier: DatagramPort) -> None:
        """Add the counters of a port that this one replaces."""
        self.deliveries += earlier.deliveries
        self.segmented += earlier.segmented
        self._batches = [*map(add, self._batches, earlier._batches)]

    def batch_sizes(self) -> dict[str, int]:
        """
        Return how many messages were read at once.

        :return: the number of batches by size: ``{"1": 12, "2-3": 4, ...}``, without the empty
            ones.
        """
        fields = {}
        for power, count in enumerate(self._batches):
            first = 1 << power
            last = min(2 * first - 1, MAX_BATCH)
            if count:
                fields[str(first) if first == last else f"{first}-{last}"] = count
        return fields

    @property
    def troubles(self) -> int:
        """How many destinations are in trouble, or on probation."""
        return len(self._troubles)

    @property
    def waiting(self) -> int:
        """Number of aggregates that have been read, but not been handed over."""
        return 0

    def _read(self) -> tuple[list[SourceRun], int, int]:
        """Return a batch, the number of datagrams that were too long, and the number of all."""
        datagrams: list[tuple[Source, bytes]] = []
        too_long = 0
        for _ in range(MAX_BATCH):
            try:
                datagram, source = self._read_one()
            except OSError as error:
                if error.errno in WOULD_BLOCK:
                    break
                self._collect_errors()
                continue
            if len(datagram) > MAX_PAYLOAD:
                too_long += 1
            else:
                datagrams.append((source, datagram))
        return runs_by_source(datagrams), too_long, len(datagrams) + too_long

    def _read_one(self) -> tuple[bytes, Source]:
        layout, size = self._layout, self.maxPacketSize
        if not layout.control_length:
            datagram, address = self.socket.recvfrom(size)
            return datagram, (address, b"")
        datagram, control, _, address = self.socket.recvmsg(size, layout.control_space)
        told = [data for level, kind, data in control if (level, kind) == layout.control_type]
        return datagram, (address, told[0] if told else b"")

    def _receive_each(self, batch: list[SourceRun], too_long: int) -> None:
        for source, segments in batch:
            address = self.socket_address(source)[:2]
            for datagram in segments:
                self.protocol.datagramReceived(datagram, address)

    def connectionLost(self, reason: Failure | None = None) -> None:
        """
        Close the socket after :meth:`stopListening`; otherwise read its errors and go on.

        Reactors built on ``epoll`` and ``poll`` report a pending ICMP error as a lost connection.
        """
        if self._stopping or reason is None:
            super().connectionLost(reason)
            return
        self.startReading()
        self._collect_errors()
        if self._errors:
            self._report_errors()

    def stopListening(self) -> Any:
        """Close the socket; return a Deferred that fires when it is closed."""
        self._stopping = True
        self._isolation.close()
        return super().stopListening()

    def _collect_errors(self) -> None:
        """
        Empty the error queue.

        The queue shares the space of the receive buffer: unread errors would cost datagrams.
        """
        self._has_unread_errors = False
        for destination, code in linux_socket.read_errors(self.socket):
            self._errors.append((self._source(destination), code))

    def _collect_while_reading(self) -> None:
        # Otherwise nobody would report them soon.
        if self._reading:
            self._collect_errors()

    def _report_errors(self) -> None:
        errors, self._errors = self._errors, []
        self._errors_received(errors)

    def filter_sources(self, sources: Sequence[FilteredSource], mark_at: int = 0) -> int:
        """
        Let the kernel drop what comes from these sources, before it takes space in the buffer.

        :param sources: of whom something is dropped from now on; of all others nothing.
        :param mark_at: the offset of marks in the payload.
        :return: 0, or the errno if it cannot.
        """
        return linux_socket.filter_sources(self.socket, sources, mark_at)

    # Addresses.

    def source_of(self, host: str, port: int) -> Source | None:
        """
        Return the source of datagrams from an address, for sending to it.

        :param host: a numeric address, with its scope if it has one.
        :return: None if this socket cannot send there.
        """
        # Only a socket on every address sends to IPv4 addresses in their IPv6 form.
        mapped = socket.AI_V4MAPPED if self.interface == "::" else 0
        try:
            found = socket.getaddrinfo(
                host,
                port,
                self.addressFamily,
                socket.SOCK_DGRAM,
                0,
                socket.AI_NUMERICHOST | mapped,
            )
        except socket.gaierror:
            return None
        return self._source(found[0][4])

    def socket_address(self, source: Source) -> SocketAddress:
        """Return the address of a source in the form of the ``socket`` module."""
        address: SocketAddress = source[0]
        return address

    def peer_of(self, source: Source) -> Source:
        """Return the source of the same peer, whichever local address it has asked."""
        return source[0], b""

    def interface_of(self, source: Source) -> int:
        """Return the index of the interface at which a datagram came; 0 if it is unknown."""
        return interface_in(source[1], self._layout.ipv6)

    def _local_of(self, source: Source) -> bytes:
        """Return the local address to answer from; empty if the kernel is to choose."""
        return usable(source[1], self._layout.ipv6)

    def _source(self, address: SocketAddress) -> Source:
        return address, b""

    # Sending.

    def send(self, payload: bytes, destination: Source) -> int:
        """Send one datagram; return 0, or the errno if it was not sent."""
        isolation, before = self._isolation, 0
        if isolation.checking:
            if self._troubles.is_waiting(self.peer_of(destination)):
                return errno.EAGAIN
            before = isolation.buffer.queued()
        code = self._send_once(payload, destination)
        if code in FULL and isolation.alarm():
            before = isolation.buffer.queued()
            code = self._send_once(payload, destination)
        if not code:
            if isolation.checking:
                isolation.check(self.peer_of(destination), before)
        else:
            self._note_refusal(destination, code)
        return code

    def _note_refusal(self, destination: Source, code: int) -> None:
        if code != errno.EMSGSIZE and code not in FULL:
            self._isolation.note(self.peer_of(destination), code)

    def _send_once(self, payload: bytes, destination: Source) -> int:
        code, address = 0, self.socket_address(destination)
        local = self._local_of(destination)
        # The kernel reports an ICMP error for an earlier datagram instead of sending this one.
        for attempt in range(MAX_TRIES):
            try:
                if local:
                    control = [(*self._layout.control_type, local)]
                    self.socket.sendmsg([payload], control, 0, address)
                else:
                    self.socket.sendto(payload, address)
            except OSError as error:
                code = error.errno or errno.EIO
                if code in NO_ICMP:
                    return code
                if attempt and code in LOCAL_GONE and not self._layout.is_assigned(local):
                    local = b""
                self._collect_while_reading()
            else:
                return 0
        return code

    def send_each(self, datagrams: Sequence[tuple[Source, bytes]]) -> list[int]:
        """Send datagrams, each to its own address; return an errno for each that was not sent."""
        isolation, codes = self._isolation, []
        if isolation.active:
            isolation.begin()
        for destination, payload in datagrams:
            peer = self.peer_of(destination)
            if isolation.active and self._troubles.is_waiting(peer):
                codes += isolation.send_waiting(peer, [payload], destination, self._send_once)
            else:
                codes.append(self.send(payload, destination))
        return [code for code in codes if code]

    def deliver(self, runs: Sequence[Run], group: RecipientGroup, count: int) -> list[int]:
        """
        Send runs to each of a group's first ``count`` members, but no member its own.

        :param runs: each datagram of at most
            :data:`~udprelay.batch_udp.interfaces.MAX_PAYLOAD` bytes.
        :return: an errno for each datagram that was not sent.
        """
        members = group.members[:count]
        apart = group.prepared = self._apart(group, group.prepared)
        group.changed.clear()
        if apart:
            members = [m for start, end in apart.others(0, count) for m in members[start:end]]
        codes = [
            self.send(payload, member.source)
            for sender, segments, _ in runs
            for payload in segments
            for member in members
            if member is not sender
        ]
        failed, number = [code for code in codes if code], len(codes)
        if apart:
            number += apart.deliver(runs, count, failed)
        group.deliveries += number
        self.deliveries += number
        return failed

    # Destinations in trouble.

    def refuse(self, destination: Source, code: int) -> None:
        """
        Hold a destination back because of an ICMP error.

        Such errors can be forged: the caller knows whether anything was sent there. The
        destination gets one datagram a second, and everything once it is heard.
        """
        self._isolation.refuse(self.peer_of(destination), code)

    def end_troubles(self) -> None:
        """Say that all troubles are over: nothing is sent any more."""
        self._troubles.close(self._clock.seconds())

    def _apart(self, group: RecipientGroup, known: object) -> Apart | None:
        """
        Return who of a group is not sent to like the others; None if nobody is in trouble.

        :param known: what was returned the last time.
        """
        isolation = self._isolation
        if not isolation.active:
            return None
        isolation.begin()
        if (
            isinstance(known, Apart)
            # Not that of a port that was closed.
            and known.isolation is isolation
            and known.version == self._troubles.version
            and not group.changed
        ):
            return known
        return Apart(group, self.peer_of, isolation, self._send_once)
