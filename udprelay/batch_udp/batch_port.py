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
from collections.abc import Sequence

from twisted.internet.interfaces import IReactorFDSet, IReactorTime
from twisted.internet.protocol import AbstractDatagramProtocol

from udprelay.batch_udp import mmsg
from udprelay.batch_udp.buffers import read_buffers, send_buffers
from udprelay.batch_udp.destinations import Destinations
from udprelay.batch_udp.group_message import GroupMessage, messages
from udprelay.batch_udp.interfaces import (
    MAX_BATCH,
    MAX_PAYLOAD,
    MAX_TURN,
    BatchProtocol,
    RecipientGroup,
    SocketAddress,
)
from udprelay.batch_udp.isolation import FULL
from udprelay.batch_udp.mmsg import SystemCalls, ffi
from udprelay.batch_udp.port import LOCAL_GONE, MAX_TRIES, NO_ICMP, WOULD_BLOCK, DatagramPort
from udprelay.segments import Run, Source, SourceRun

_NO_SEGMENTS = frozenset((errno.EINVAL, errno.EMSGSIZE, errno.EIO))
_MAX_UNREAD_ERRORS = 32


class BatchPort(DatagramPort):
    """
    A bound UDP socket whose sources are bytes (:class:`~udprelay.batch_udp.layout.Layout`).

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
        clock: IReactorTime | None = None,
        dscp: int = 0,
    ) -> None:
        super().__init__(port, protocol, interface, reactor, buffers, clock, dscp)
        self._calls = calls or mmsg.load()
        self._read_buffers = read_buffers(self._layout)
        shared = send_buffers(self._layout)
        self._payload, self._iov = shared.payload, shared.iov
        self._unicast = shared.unicast
        self._descriptor = -1
        self._max_segments = 1
        self._pending: list[SourceRun] = []
        self._pending_due = False

    def createInternetSocket(self) -> socket.socket:
        """Make the socket; find out whether the kernel can slice messages, and ask it to merge."""
        opened = super().createInternetSocket()
        self._max_segments = mmsg.MAX_SEGMENTS if mmsg.has_segments(opened) else 1
        mmsg.request_aggregates(opened)
        self._descriptor = opened.fileno()
        return opened

    @property
    def waiting(self) -> int:
        """Number of aggregates that have been read, but not been handed over."""
        return len(self._pending)

    def _read(self) -> tuple[list[SourceRun], int, int]:
        if self._pending:
            # They have turns of their own, which the reactor's others do not lengthen.
            if not self._pending_due:
                return [], 0, 0
            self._pending_due = False
            return self._next_runs(0)
        buffers, count = self._read_buffers, -1
        for _ in range(MAX_TRIES):
            count = self._calls.recvmmsg(
                self._descriptor, buffers.headers, MAX_BATCH, mmsg.MSG_DONTWAIT, ffi.NULL
            )
            if count >= 0 or ffi.errno in WOULD_BLOCK:
                break
            # The kernel reports a pending ICMP error instead of reading.
            self._collect_errors()
        if count <= 0:
            return [], 0, 0
        runs, unusable = buffers.runs(count)
        if not buffers.aggregated:
            return runs, unusable, count
        self._pending = runs
        return self._next_runs(unusable)

    def _next_runs(self, unusable: int) -> tuple[list[SourceRun], int, int]:
        """Return aggregates for one turn; the others of their batch have turns of their own."""
        pending, taken, datagrams = self._pending, 0, 0
        while taken < len(pending) and datagrams < MAX_TURN:
            datagrams += pending[taken][1].count
            taken += 1
        self._pending = pending[taken:]
        if self._pending:
            self._clock.callLater(0, self._read_pending)
        return pending[:taken], unusable, taken + unusable

    def _read_pending(self) -> None:
        if self.connected and not self._stopping:
            self._pending_due = True
            self.doRead()

    # Sending.

    def deliver(self, runs: Sequence[Run], group: RecipientGroup, count: int) -> list[int]:
        """Send as :meth:`DatagramPort.deliver` does, with few system calls."""
        destinations = group.prepared
        if not isinstance(destinations, Destinations):
            destinations = group.prepared = Destinations(self._layout, self._iov.address)
        if destinations.checked:
            destinations.restore_locals()
        isolation = self._isolation
        if isolation.active or destinations.apart:
            destinations.apart = self._apart(group, destinations.apart)
        if group.changed:
            destinations.update(group)
        failed: list[int] = []
        if len(runs) == 1 and not (destinations.unsegmented or isolation.active):
            first = runs[0][1]
            if first.count <= self._max_segments and len(first.data) <= MAX_PAYLOAD:
                self._send_run(runs, destinations, group, count, failed)
                return failed
        self._deliver_parts(runs, group, count, destinations, failed)
        return failed

    def _deliver_parts(
        self,
        runs: Sequence[Run],
        group: RecipientGroup,
        count: int,
        destinations: Destinations,
        failed: list[int],
    ) -> None:
        """Send runs that take several messages, or go to members that differ."""
        isolation, apart = self._isolation, destinations.apart
        unsegmented = destinations.unsegmented
        # With many unsegmented members, the search for them costs more than segments save.
        limit = self._max_segments if 4 * len(unsegmented) <= count else 1
        for part in messages(runs, limit):
            too_long = part[0][1].size > MAX_PAYLOAD
            # One part may find out what concerns the next.
            differ = unsegmented or apart or isolation.checking
            if len(part) == 1 and not differ and not too_long:
                self._send_run(part, destinations, group, count, failed)
                continue
            message = GroupMessage(part, group, count, destinations, failed)
            if too_long:
                # Framed, the largest payloads do not fit.
                failed += [errno.EMSGSIZE] * message.deliveries
                group.deliveries += message.deliveries
                self.deliveries += message.deliveries
            else:
                self._send(message)
        if apart:
            fitting = [run for run in runs if run[1].size <= MAX_PAYLOAD]
            apart.deliver(fitting, count, failed)

    def _load(
        self, data: bytes | bytearray, number: int, size: int, to: Destinations, deliveries: int
    ) -> None:
        """Put a message of ``number`` datagrams where all headers point at."""
        self.deliveries += deliveries
        self._payload.view[: len(data)] = data
        self._iov.words[1] = len(data)
        if number > 1:
            self.segmented += deliveries
            to.request_segments(size)
        elif to.control_length != to.plain:
            to.set_control_length(to.plain)

    def _send_run(
        self,
        runs: Sequence[Run],
        destinations: Destinations,
        group: RecipientGroup,
        count: int,
        failed: list[int],
    ) -> None:
        """Send the one run in ``runs``, the most frequent kind of message, with one call."""
        sender, segments, _ = runs[0]
        names, slot, others, own = destinations.name_pointers, sender.slot, count, 0
        controls, control = destinations.control_pointers, 0
        if sender.group is group:
            # The last member takes the place of the sender: the recipients are one range.
            others -= 1
            own = names[slot]
            names[slot] = names[others]
            if destinations.several_locals:
                control = controls[slot]
                controls[slot] = controls[others]
        number, sent = segments.count, 0
        deliveries = others * number
        group.deliveries += deliveries
        self._load(segments.data, number, segments.size, destinations, deliveries)
        if others:
            sent = self._calls.sendmmsg(
                self._descriptor, destinations.headers, others, mmsg.MSG_DONTWAIT
            )
        if own:
            names[slot] = own
            if control:
                controls[slot] = control
        if sent < others:
            self._has_unread_errors = True
            message, sent = GroupMessage(runs, group, count, destinations, failed), max(sent, 0)
            if own and sent <= slot:
                self._send_range(message, sent, slot)
                sent, others = slot + 1, count
            self._send_range(message, sent, others)

    def _send(self, message: GroupMessage) -> None:
        """Send runs of any senders as one message to each member, without its own."""
        destinations = message.destinations
        message.group.deliveries += message.deliveries
        self._load(message.data, message.number, message.size, destinations, message.deliveries)
        patched, begin = self._patch_senders(message), 0
        for slot in patched:
            if not destinations.has_pieces(slot):
                # All of it is the only sender's own.
                self._send_slots(message, 0, slot)
                begin = slot + 1
        self._send_slots(message, begin, message.count)
        for slot in patched:
            destinations.restore(slot)

    def _patch_senders(self, message: GroupMessage) -> list[int]:
        """Point the header of each sender at the pieces between its own payloads."""
        size, total = message.size, self._iov.words[1]
        base, words = self._payload.address, self._iov.words
        destinations, piece, patched = message.destinations, 1, []
        for sender, spans in message.own_spans.items():
            first, begin, rest = piece, 0, 0
            for start, end in (*spans, (total, total)):
                if start > begin:
                    words[2 * piece], words[2 * piece + 1] = base + begin, start - begin
                    piece += 1
                    rest += start - begin
                begin = end
            control = destinations.segmented if rest > size else destinations.plain
            iov = self._iov.address + 16 * first
            destinations.patch(sender.slot, iov, piece - first, control)
            patched.append(sender.slot)
        return patched

    def _send_slots(self, message: GroupMessage, start: int, end: int) -> None:
        """Send to the members from slot ``start`` up to ``end``, segmented where possible."""
        apart = message.destinations.apart
        for first, last in apart.others(start, end) if apart else ((start, end),):
            begin = first
            for slot in message.destinations.unsegmented_slots(first, last):
                self._send_range(message, begin, slot)
                self._send_one_by_one(message, slot)
                begin = slot + 1
            self._send_range(message, begin, last)

    def _send_range(self, message: GroupMessage, start: int, end: int) -> None:
        """Send to a range of slots; an error of one does not stop the others."""
        sendmmsg, headers = self._calls.sendmmsg, message.destinations.headers
        tries, errors = 0, 0
        while start < end:
            if self._isolation.checking:
                self._send_checked(message, start)
                start, tries = start + 1, 0
                continue
            count = min(end - start, mmsg.MAX_MESSAGES)
            sent = sendmmsg(self._descriptor, headers + start, count, mmsg.MSG_DONTWAIT)
            if sent > 0:
                # The kernel does not report the error that ends a call early, only queues it.
                self._has_unread_errors |= sent < count
                start, tries, errors = start + sent, 0, errors + 1
                if errors == _MAX_UNREAD_ERRORS and self._reading:
                    self._collect_errors()
                    errors = 0
                continue
            # The error concerns the first message; the others have not been tried.
            code, tries = ffi.errno, tries + 1
            if code in FULL:
                if not self._isolation.alarm():
                    message.failed += [code] * message.number_for(start, end)
                    return
            elif self._gives_up(message, start, code, tries):
                start, tries = start + 1, 0

    def _gives_up(self, message: GroupMessage, slot: int, code: int, tries: int) -> bool:
        """Handle the error of a member's message; return False if it is to be sent again."""
        again = tries < MAX_TRIES and code not in NO_ICMP
        if again and tries < 2:
            # The kernel reports a pending ICMP error instead of sending.
            self._collect_while_reading()
            return False
        if code in LOCAL_GONE and message.destinations.forget_local(slot):
            return False
        if code in _NO_SEGMENTS and message.number_for(slot, slot + 1) > 1:
            self._refuse_segments(message, slot, code)
            self._send_one_by_one(message, slot)
            return True
        if again:
            self._collect_while_reading()
            return False
        message.failed += [code] * message.number_for(slot, slot + 1)
        self._note_refusal(message.group.members[slot].source, code)
        return True

    def _send_checked(self, message: GroupMessage, slot: int) -> None:
        """Send to one member while the send buffer is filling."""
        isolation = self._isolation
        peer = self.peer_of(message.group.members[slot].source)
        if peer not in isolation.clear:
            # Its first datagram alone shows whether it is to blame.
            self._send_one_by_one(message, slot)
            return
        before = isolation.buffer.queued()
        header = message.destinations.headers + slot
        if self._calls.sendmmsg(self._descriptor, header, 1, mmsg.MSG_DONTWAIT) == 1:
            isolation.check(peer, before)
        else:
            self._send_one_by_one(message, slot)

    def _refuse_segments(self, message: GroupMessage, slot: int, code: int) -> None:
        member = message.group.members[slot]
        refused: Source | None = None
        if code == errno.EIO:
            # The device cannot compute checksums of segments (udp_send_skb in the kernel).
            self._max_segments = 1
        else:
            message.destinations.unsegmented.add(member)
            refused = member.source
        if isinstance(self.protocol, BatchProtocol):
            self.protocol.segments_refused(refused, code)

    def _send_one_by_one(self, message: GroupMessage, slot: int) -> None:
        source = message.group.members[slot].source
        codes = [self.send(payload, source) for payload in message.payloads_for(slot)]
        message.failed += filter(None, codes)

    def send_each(self, datagrams: Sequence[tuple[Source, bytes]]) -> list[int]:
        """Send datagrams, each to its own address; return an errno for each that was not sent."""
        if self._isolation.buffer.opened:
            return super().send_each(datagrams)
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
        return self._layout.socket_address(source)

    def peer_of(self, source: bytes) -> bytes:
        """Return the source of the same peer, whichever local address it has asked."""
        return source[: self._layout.name_size]

    def interface_of(self, source: bytes) -> int:
        """Return the index of the interface at which a datagram came; 0 if it is unknown."""
        return self._layout.interface_of(source)

    def _local_of(self, source: bytes) -> bytes:
        return self._layout.local_of(source)

    def _source(self, address: SocketAddress) -> bytes:
        return self._layout.name(address)
