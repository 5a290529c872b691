"""
Twisted's UDP port, made fit for a relay.

What is different from :class:`twisted.internet.udp.Port`: datagrams are handed over in batches
with their whole source address (IPv6 scope included), none is ever cut, ICMP errors are read from
the socket's error queue instead of ending it or costing a datagram (``ip(7)``, ``IP_RECVERR``),
and an error of one destination is returned, not raised.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

from twisted.internet import udp
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorFDSet
from twisted.logger import Logger
from twisted.python.failure import Failure

from udprelay.batch_udp.batch_sizes import BATCH, BatchSizes
from udprelay.protocol.endpoint import MAX_PAYLOAD, Endpoint, endpoint
from udprelay.relay.bursts import Burst, in_bursts
from udprelay.relay.drops import DropReason
from udprelay.relay.listener import Source
from udprelay.relay.room import Group, Member

SocketAddress = tuple[Any, ...]
"""``(host, port)`` of an IPv4 socket, ``(host, port, flow, scope)`` of an IPv6 one."""

_MOST_ERRORS = 4096

# Not in the socket module before Python 3.14; from linux/in.h, in6.h, socket.h, errqueue.h.
_IP_RECVERR = 11
_IPV6_RECVERR = 25
_SO_SNDBUFFORCE = 32
_SO_RCVBUFFORCE = 33
_SO_MEMINFO = 55
_MEMINFO_DROPS = 8
_EXTENDED_ERROR = struct.Struct("=IBBBBII")
# SO_EE_ORIGIN_ICMP and _ICMP6; local errors are returned by the call that makes them.
_FROM_NETWORK = (2, 3)

AGAIN = frozenset((errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.ENOMEM))
REASONS = {
    errno.EMSGSIZE: DropReason.PATH_MTU,
    errno.ENETUNREACH: DropReason.UNREACHABLE,
    errno.EHOSTUNREACH: DropReason.UNREACHABLE,
    errno.ECONNREFUSED: DropReason.UNREACHABLE,
}
"""What an errno of a send, or of an ICMP error, says about a delivery."""


class BatchProtocol(Protocol):
    """What the port hands its datagrams and errors to."""

    def batch_received(self, batch: list[Burst], too_long: int) -> None:
        """Take up to :data:`BATCH` datagrams; ``too_long`` others were dropped."""

    def errors_received(self, errors: list[tuple[Source, int]]) -> None:
        """Take ICMP errors: the address that a datagram was sent to, and the errno."""


class RelayPort(udp.Port):
    """
    A bound UDP socket; ``::`` as the interface is IPv4 and IPv6 at once.

    :ivar batched: whether many datagrams move in one system call.
    :ivar batch_sizes: how many datagrams were read at once.
    :ivar segmented: deliveries that left as parts of larger messages.
    """

    protocol: Any
    _preexistingSocket: Any
    _log = Logger()

    batched = False

    def __init__(
        self,
        port: int,
        protocol: BatchProtocol,
        interface: str,
        reactor: IReactorFDSet,
        buffers: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__(port, protocol, interface, MAX_PAYLOAD + 1, reactor)
        self._buffers = buffers
        self.batch_sizes = BatchSizes()
        self.segmented = 0
        self._stopping = False
        self._take_batch = getattr(protocol, "batch_received", self._one_by_one)
        self._take_errors = getattr(protocol, "errors_received", lambda errors: None)
        self._reading = False
        self._errors: list[tuple[Source, int]] = []

    def createInternetSocket(self) -> socket.socket:
        """Make the socket, with an error queue and, for ``::``, open to IPv4 (RFC 3493, 5.3)."""
        made: socket.socket = super().createInternetSocket()
        if self.addressFamily == socket.AF_INET6:
            dual = self.interface == "::"
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual)
            made.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
        made.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        receive, send = self._buffers
        _ask_for_buffer(made, socket.SO_RCVBUF, _SO_RCVBUFFORCE, receive)
        _ask_for_buffer(made, socket.SO_SNDBUF, _SO_SNDBUFFORCE, send)
        return made

    def granted_buffers(self) -> tuple[int, int]:
        """Return the sizes of the receive and send buffers that the kernel has granted, bytes."""
        # The kernel doubles what it is asked for, for its own bookkeeping (socket(7)).
        return (
            self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2,
            self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 2,
        )

    def kernel_drops(self) -> int:
        """
        Return how many datagrams the kernel has dropped because the receive buffer was full.

        It is the counter behind ``SO_RXQ_OVFL``, read in one call instead of with each datagram
        (``SO_MEMINFO``, Linux 4.12).
        """
        try:
            info = self.socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 64)
        except OSError:
            return 0
        drops = info[4 * _MEMINFO_DROPS : 4 * _MEMINFO_DROPS + 4]
        return int.from_bytes(drops, sys.byteorder)

    def startListening(self) -> None:
        """
        Bind the socket and begin to read.

        Twisted alone would bind no link-local address, and leave the socket open on failure.

        :raises CannotListenError: if the system does not give it.
        """
        try:
            made = self.createInternetSocket()
            try:
                # Where an address has a scope, only this keeps it.
                address = socket.getaddrinfo(
                    self.interface, self.port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
                )[0][4]
                made.bind(address)
            except OSError:
                made.close()
                raise
        except OSError as error:
            raise CannotListenError(self.interface, self.port, error) from error
        self._preexistingSocket = made
        super().startListening()

    def doRead(self) -> None:
        """Read one batch and hand it over."""
        self._reading = True
        try:
            batch, too_long, count = self._read()
            if count:
                self.batch_sizes.count(count)
                self._take_batch(batch, too_long)
            else:
                self._collect_errors()
            if self._errors:
                self._hand_over_errors()
        except Exception:
            # To let it out would make the reactor close the socket.
            self._log.failure("a batch of datagrams failed")
        finally:
            self._reading = False

    def _read(self) -> tuple[list[Burst], int, int]:
        """Return a batch, how many other datagrams were too long, and how many came in all."""
        datagrams: list[tuple[Source, bytes]] = []
        too_long = 0
        for _ in range(BATCH):
            try:
                datagram, source = self.socket.recvfrom(self.maxPacketSize)
            except OSError as error:
                if error.errno in AGAIN:
                    break
                self._collect_errors()
                continue
            if len(datagram) > MAX_PAYLOAD:
                too_long += 1
            else:
                datagrams.append((source, datagram))
        return in_bursts(datagrams), too_long, len(datagrams) + too_long

    def connectionLost(self, reason: Failure | None = None) -> None:
        """
        Close the socket, if that was wanted.

        Reactors built on ``epoll`` and ``poll`` take an ICMP error for a lost connection. A
        relay's socket has none to lose, so it goes on reading.
        """
        if self._stopping or reason is None:
            super().connectionLost(reason)
            return
        self.startReading()
        self._collect_errors()
        if self._errors:
            self._hand_over_errors()

    def stopListening(self) -> Any:
        """Close the socket; return a Deferred that fires when it is done."""
        self._stopping = True
        return super().stopListening()

    def _collect_errors(self) -> None:
        """
        Empty the error queue.

        It shares the receive buffer's space: left to fill while there is much to read, it would
        cost datagrams.
        """
        for _ in range(_MOST_ERRORS):
            try:
                _, control, _, destination = self.socket.recvmsg(
                    0, 512, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT
                )
            except OSError:
                break
            for _, _, data in control:
                if len(data) >= _EXTENDED_ERROR.size:
                    code, origin = _EXTENDED_ERROR.unpack_from(data)[:2]
                    if origin in _FROM_NETWORK:
                        self._errors.append((self._source(destination), code))

    def _hand_over_errors(self) -> None:
        errors, self._errors = self._errors, []
        self._take_errors(errors)

    def _one_by_one(self, batch: list[Burst], too_long: int) -> None:
        """Hand a batch to a :class:`~twisted.internet.protocol.DatagramProtocol`."""
        for source, datagrams in batch:
            for datagram in datagrams:
                self.protocol.datagramReceived(datagram, self._socket_address(source)[:2])

    def _socket_address(self, source: Source) -> SocketAddress:
        """Return a source as the ``socket`` module has it."""
        address: SocketAddress = source
        return address

    def _source(self, address: SocketAddress) -> Source:
        """Return a socket address in the form in which sources are handed over."""
        return address

    def send(self, payload: bytes, destination: Source) -> DropReason | None:
        """Send one datagram; return why the kernel did not take it, or None."""
        code, address = 0, self._socket_address(destination)
        # An ICMP error for an earlier datagram is reported here, in place of sending this one.
        for _ in range(4):
            try:
                self.socket.sendto(payload, address)
            except OSError as error:
                code = error.errno or 0
                if code in AGAIN:
                    return DropReason.SEND_BUFFER
                if self._reading:
                    self._collect_errors()
            else:
                return None
        return REASONS.get(code, DropReason.SEND_FAILED)

    def send_each(self, datagrams: Sequence[tuple[Source, bytes]]) -> list[DropReason]:
        """Send datagrams, each to its own address; return why any were not sent."""
        reasons = [self.send(payload, destination) for destination, payload in datagrams]
        return [reason for reason in reasons if reason is not None]

    def deliver(
        self, payloads: Sequence[bytes], senders: Sequence[Member], group: Group, count: int
    ) -> list[DropReason]:
        """Send each payload to each member but its sender; return why any were not sent."""
        failed = []
        sendto = self.socket.sendto
        members = group.members[:count]
        group.changed.clear()
        for payload, sender in zip(payloads, senders, strict=True):
            for member in members:
                if member is sender:
                    continue
                try:
                    sendto(payload, member.source)
                except OSError:
                    if self._reading:
                        self._collect_errors()
                    reason = self.send(payload, member.source)
                    if reason is not None:
                        failed.append(reason)
        return failed

    def read_endpoint(self, source: Source) -> Endpoint:
        """Return the endpoint that a source stands for."""
        return self._endpoint(self._socket_address(source))

    def own_endpoint(self) -> Endpoint:
        """Return the endpoint that the socket is bound to."""
        return self._endpoint(self.socket.getsockname())

    @staticmethod
    def _endpoint(address: SocketAddress) -> Endpoint:
        host, port, *flow_and_scope = address
        if flow_and_scope and flow_and_scope[1]:
            host = f"{host}%{flow_and_scope[1]}"
        return endpoint(host, port)

    def address_of(self, target: Endpoint) -> Source | None:
        """Return the source address that stands for an endpoint; None if it can't be reached."""
        if self.addressFamily == socket.AF_INET:
            return (str(target.ip), target.port) if target.ip.version == 4 else None
        if target.ip.version == 4:
            return (f"::ffff:{target.ip}", target.port, 0, 0) if self.interface == "::" else None
        host, _, scope = str(target.ip).partition("%")
        return (host, target.port, 0, int(scope) if scope.isdigit() else 0)


def _ask_for_buffer(made: socket.socket, option: int, forced: int, size: int) -> None:
    if size == 0:
        return
    try:
        # Beyond net.core.rmem_max and wmem_max; needs CAP_NET_ADMIN.
        made.setsockopt(socket.SOL_SOCKET, forced, size)
    except OSError:
        with suppress(OSError):
            made.setsockopt(socket.SOL_SOCKET, option, size)
