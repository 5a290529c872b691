"""
A UDP port for Twisted that reads and sends many datagrams in one system call.

It reads with ``recvmmsg``. It sends one payload to many addresses with one ``sendmmsg``. Many
payloads of one size go to each address as one message that the kernel slices (``UDP_SEGMENT``,
generic segmentation offload): the kernel's stack is walked once for each address instead of once
for each datagram.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Sequence

from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.protocol import AbstractDatagramProtocol

from udprelay.batch_udp import mmsg
from udprelay.batch_udp.buffers import read_buffers, send_buffers
from udprelay.batch_udp.destinations import Destinations
from udprelay.batch_udp.group_message import GroupMessage, end_of_message
from udprelay.batch_udp.interfaces import (
    MAX_BATCH,
    BatchProtocol,
    Recipient,
    RecipientGroup,
    SocketAddress,
)
from udprelay.batch_udp.mmsg import SystemCalls, ffi
from udprelay.batch_udp.port import MAX_TRIES, WOULD_BLOCK, DatagramPort
from udprelay.segments import Source, SourceRun

_IPV4 = struct.Struct("=H2s4s8x")
_IPV6 = struct.Struct("=H2sI16sI")
_NO_SEGMENTS = frozenset((errno.EINVAL, errno.EMSGSIZE, errno.EIO))


class BatchPort(DatagramPort):
    """
    A bound UDP socket whose sources are raw socket addresses (``ip(7)``, ``ipv6(7)``).

    :param calls: the system calls; None loads those of the C library.
    :raises UnavailableError: if the system calls cannot be used here.
    """

    batched = True

    def __init__(
        self,
        port: int,
        protocol: AbstractDatagramProtocol,
        interface: str,
        reactor: IReactorFDSet,
        buffers: tuple[int, int] = (0, 0),
        calls: SystemCalls | None = None,
    ) -> None:
        super().__init__(port, protocol, interface, reactor, buffers)
        self._calls = calls or mmsg.load()
        ipv6 = self.addressFamily == socket.AF_INET6
        self._name_size = size = _IPV6.size if ipv6 else _IPV4.size
        self._read_buffers = read_buffers(size)
        shared = send_buffers(size)
        self._payload, self._iov, self._control = shared.payload, shared.iov, shared.control
        self._unicast = shared.unicast
        self._descriptor = -1
        self._can_segment = False

    def createInternetSocket(self) -> socket.socket:
        """Make the socket, and ask the kernel whether it can slice messages."""
        opened = super().createInternetSocket()
        self._can_segment = mmsg.has_segments(opened)
        self._descriptor = opened.fileno()
        return opened

    def _read(self) -> tuple[list[SourceRun], int, int]:
        buffers, count = self._read_buffers, -1
        for _ in range(MAX_TRIES):
            count = self._calls.recvmmsg(
                self._descriptor, buffers.headers, MAX_BATCH, mmsg.MSG_DONTWAIT, ffi.NULL
            )
            if count >= 0 or ffi.errno in WOULD_BLOCK:
                break
            # The kernel reports a pending ICMP error instead of reading.
            self._collect_errors()
        return (*buffers.runs(count), count) if count > 0 else ([], 0, 0)

    # Sending.

    def deliver(
        self,
        payloads: Sequence[bytes],
        senders: Sequence[Recipient],
        group: RecipientGroup,
        count: int,
    ) -> list[int]:
        """Send as :meth:`DatagramPort.deliver` does, with few system calls."""
        destinations = group.prepared
        if not isinstance(destinations, Destinations):
            destinations = group.prepared = Destinations(
                self._name_size, self._iov.address, self._control.address
            )
        if group.changed:
            destinations.update(group)
        failed: list[int] = []
        if len(payloads) == 1:
            self._send_one(payloads[0], senders[0], destinations, group, count, failed)
            return failed
        # With many unsegmented members, the search for them costs more than segments save.
        segmented = self._can_segment and 4 * len(destinations.unsegmented) <= count
        start = 0
        while start < len(payloads):
            end = end_of_message(payloads, start) if segmented else start + 1
            if end - start == 1:
                payload, sender = payloads[start], senders[start]
                self._send_one(payload, sender, destinations, group, count, failed)
            else:
                message = GroupMessage(payloads[start:end], senders[start:end], group, count)
                self._send_message(message, destinations, failed)
            start = end
        return failed

    def _send_one(
        self,
        payload: bytes,
        sender: Recipient,
        destinations: Destinations,
        group: RecipientGroup,
        count: int,
        failed: list[int],
    ) -> None:
        """
        Send one payload with one call.

        At low load every batch is one datagram and runs with cold CPU caches: each Python call
        then costs several times as much as in a full batch.
        """
        self._payload.view[: len(payload)] = payload
        self._iov.words[1] = len(payload)
        if destinations.control_length:
            destinations.set_control_length(0)
        names, slot, others = destinations.name_pointers, sender.slot, count
        own = 0
        if sender.group is group:
            # The last member takes the place of the sender: the recipients are one range.
            others -= 1
            own = names[slot]
            names[slot] = names[others]
        sent = 0
        if others:
            headers, flags = destinations.headers, mmsg.MSG_DONTWAIT
            sent = self._calls.sendmmsg(self._descriptor, headers, others, flags)
        if own:
            names[slot] = own
        if sent < others:
            self._has_unread_errors = True
            message = GroupMessage([payload], [sender], group, count)
            self._send_rest(message, destinations, max(sent, 0), failed)

    def _send_rest(
        self, message: GroupMessage, destinations: Destinations, sent: int, failed: list[int]
    ) -> None:
        """Send one payload to the members after the one at which :meth:`_send_one` failed."""
        sender, count = message.senders[0], message.count
        if sender.group is message.group:
            if sent <= sender.slot:
                self._send_range(message, destinations, sent, sender.slot, failed)
                sent = sender.slot + 1
            else:
                # The last member was sent to in the sender's place.
                count -= 1
        self._send_range(message, destinations, sent, count, failed)

    def _send_message(
        self, message: GroupMessage, destinations: Destinations, failed: list[int]
    ) -> None:
        """Send several payloads as one message to each member."""
        payloads, senders, group = message.payloads, message.senders, message.group
        data = message.data
        self._payload.view[: len(data)] = data
        self._iov.words[1] = len(data)
        self._control.view[:] = mmsg.segment_size(len(payloads[0]))
        destinations.set_control_length(mmsg.SEGMENT_CONTROL)
        only = senders[0]
        if senders.count(only) == len(senders):
            slot = only.slot if only.group is group else message.count
            if slot:
                self._send(message, destinations, 0, slot, failed)
            if slot + 1 < message.count:
                self._send(message, destinations, slot + 1, message.count, failed)
            return
        patched = self._patch_senders(message, destinations)
        self._send(message, destinations, 0, message.count, failed)
        for slot in patched:
            destinations.restore(slot)

    def _patch_senders(self, message: GroupMessage, destinations: Destinations) -> list[int]:
        """Point the header of each sender at the pieces between its own payloads."""
        size, total = len(message.payloads[0]), self._iov.words[1]
        base, words = self._payload.address, self._iov.words
        piece, patched = 1, []
        for sender, spans in message.own_spans().items():
            first, begin, others = piece, 0, len(message.payloads)
            for start, end in spans:
                others -= end - start
                gap = size * start - begin
                if gap > 0:
                    words[2 * piece], words[2 * piece + 1] = base + begin, gap
                    piece += 1
                begin = size * end
            if begin < total:
                words[2 * piece], words[2 * piece + 1] = base + begin, total - begin
                piece += 1
            control = mmsg.SEGMENT_CONTROL if others > 1 else 0
            destinations.patch(sender.slot, self._iov.address + 16 * first, piece - first, control)
            patched.append(sender.slot)
        return patched

    def _send(
        self,
        message: GroupMessage,
        destinations: Destinations,
        start: int,
        end: int,
        failed: list[int],
    ) -> None:
        """Send to the members from slot ``start`` up to ``end``, segmented where possible."""
        self.segmented += (end - start) * len(message.payloads)
        for slot in destinations.unsegmented_slots(start, end):
            self._send_range(message, destinations, start, slot, failed)
            self._send_one_by_one(message, slot, failed)
            start = slot + 1
        self._send_range(message, destinations, start, end, failed)

    def _send_range(
        self,
        message: GroupMessage,
        destinations: Destinations,
        start: int,
        end: int,
        failed: list[int],
    ) -> None:
        """Send to a range of slots; an error of one does not stop the others."""
        sendmmsg, headers = self._calls.sendmmsg, destinations.headers
        tries = 0
        while start < end:
            count = min(end - start, mmsg.MAX_MESSAGES)
            sent = sendmmsg(self._descriptor, headers + start, count, mmsg.MSG_DONTWAIT)
            if sent > 0:
                # The kernel does not report the error that ends a call early, only queues it.
                self._has_unread_errors |= sent < count
                start, tries = start + sent, 0
                continue
            # The error concerns the first message; the others have not been tried.
            code, tries = ffi.errno, tries + 1
            if code in WOULD_BLOCK:
                # All members share the buffer: waiting for it would delay every delivery.
                lost = sum(len(message.payloads_for(slot)) for slot in range(start, end))
                failed += [code] * lost
                return
            if tries > 1 and code in _NO_SEGMENTS and message.is_segmented(start):
                # The first error may have been an ICMP error for an earlier datagram.
                self._refuse_segments(message, destinations, start, code)
                self._send_one_by_one(message, start, failed)
            elif tries < MAX_TRIES:
                # The kernel reports a pending ICMP error instead of sending.
                if self._reading:
                    self._collect_errors()
                continue
            else:
                failed += [code] * len(message.payloads_for(start))
            start, tries = start + 1, 0

    def _refuse_segments(
        self, message: GroupMessage, destinations: Destinations, slot: int, code: int
    ) -> None:
        member = message.group.members[slot]
        refused: Source | None = None
        if code == errno.EIO:
            # The device cannot compute checksums of segments (udp_send_skb in the kernel).
            self._can_segment = False
        else:
            destinations.unsegmented.add(member)
            refused = member.source
        if isinstance(self.protocol, BatchProtocol):
            self.protocol.segments_refused(refused, code)

    def _send_one_by_one(self, message: GroupMessage, slot: int, failed: list[int]) -> None:
        source = message.group.members[slot].source
        for payload in message.payloads_for(slot):
            code = self.send(payload, source)
            if code:
                failed.append(code)

    def send_each(self, datagrams: Sequence[tuple[Source, bytes]]) -> list[int]:
        """Send datagrams, each to its own address; return an errno for each that was not sent."""
        failed: list[int] = []
        unicast, start = self._unicast, 0
        while start < len(datagrams):
            count, sent = unicast.fill(datagrams, start), 0
            if count:
                sent = self._calls.sendmmsg(
                    self._descriptor, unicast.headers, count, mmsg.MSG_DONTWAIT
                )
                start += max(sent, 0)
            if sent < count or not count:
                # The next datagram is too long for its slot, or the call has failed for it.
                destination, payload = datagrams[start]
                code = self.send(payload, destination)
                if code:
                    failed.append(code)
                start += 1
        return failed

    def socket_address(self, source: bytes) -> SocketAddress:
        """Return the address of a source in the form of the ``socket`` module."""
        if self.addressFamily == socket.AF_INET:
            _, port, ip = _IPV4.unpack(source)
            return socket.inet_ntop(socket.AF_INET, ip), int.from_bytes(port, "big")
        _, port, flow, ip, scope = _IPV6.unpack(source)
        host = socket.inet_ntop(socket.AF_INET6, ip)
        return host, int.from_bytes(port, "big"), flow, scope

    def _source(self, address: SocketAddress) -> bytes:
        port = address[1].to_bytes(2, "big")
        if self.addressFamily == socket.AF_INET:
            return _IPV4.pack(socket.AF_INET, port, socket.inet_aton(address[0]))
        ip = socket.inet_pton(socket.AF_INET6, address[0])
        return _IPV6.pack(socket.AF_INET6, port, address[2], ip, address[3])
