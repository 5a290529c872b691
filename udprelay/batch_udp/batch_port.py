"""
A UDP port for Twisted that reads and sends many datagrams in one system call.

It reads with ``recvmmsg``. It sends one payload to many addresses with ``sendmmsg``, and many
payloads of one size to each of them as one message that the kernel cuts up (``UDP_SEGMENT``,
generic segmentation offload): the kernel's stack is walked once for each address instead of once
for each datagram.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.interfaces import IReactorFDSet

from udprelay.batch_udp import mmsg
from udprelay.batch_udp.batch_sizes import BATCH
from udprelay.batch_udp.buffers import read_buffers, send_buffers
from udprelay.batch_udp.destinations import Destinations
from udprelay.batch_udp.mmsg import ffi
from udprelay.batch_udp.port import AGAIN, REASONS, BatchProtocol, RelayPort
from udprelay.batch_udp.segment_runs import Run, end_of_run
from udprelay.protocol.endpoint import Endpoint
from udprelay.relay.bursts import Burst
from udprelay.relay.drops import DropReason
from udprelay.relay.listener import Source
from udprelay.relay.room import Group, Member

_IPV4 = struct.Struct("=H2s4s8x")
_IPV6 = struct.Struct("=H2sI16sI")
_NO_SEGMENTS = frozenset((errno.EINVAL, errno.EMSGSIZE, errno.EIO))
_TRIES = 4


class BatchPort(RelayPort):
    """
    A bound UDP socket whose sources are raw socket addresses (``ip(7)``, ``ipv6(7)``).

    :ivar segments_refused: called when messages of many datagrams can't be sent, with the
        destination (None: to anybody) and the errno. They have been sent one by one.
    :raises UnavailableError: when made where the system calls can't be used.
    """

    batched = True

    def __init__(
        self,
        port: int,
        protocol: BatchProtocol,
        interface: str,
        reactor: IReactorFDSet,
        buffers: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__(port, protocol, interface, reactor, buffers)
        self._calls = mmsg.load()
        ipv6 = self.addressFamily == socket.AF_INET6
        self._name_size = size = _IPV6.size if ipv6 else _IPV4.size
        self._read_buffers = read_buffers(size)
        shared = send_buffers(size)
        self._payload, self._iov, self._control = shared.payload, shared.iov, shared.control
        self._unicast = shared.unicast
        self._descriptor = -1
        self._segments = False
        self.segments_refused: Callable[[Source | None, int], None] = lambda source, code: None

    def createInternetSocket(self) -> socket.socket:
        """Make the socket, and ask whether its kernel can cut messages up."""
        made = super().createInternetSocket()
        self._segments = mmsg.has_segments(made)
        self._descriptor = made.fileno()
        return made

    def _read(self) -> tuple[list[Burst], int, int]:
        buffers, count = self._read_buffers, -1
        for _ in range(_TRIES):
            count = self._calls.recvmmsg(
                self._descriptor, buffers.headers, BATCH, mmsg.MSG_DONTWAIT, ffi.NULL
            )
            if count >= 0 or ffi.errno in AGAIN:
                break
            # An ICMP error stands in the way of what there is to read.
            self._collect_errors()
        return (*buffers.take(count), count) if count > 0 else ([], 0, 0)

    # Sending.

    def deliver(
        self, payloads: Sequence[bytes], senders: Sequence[Member], group: Group, count: int
    ) -> list[DropReason]:
        """
        Send each payload to each of a group's first ``count`` members but its sender.

        :return: why any were not sent.
        """
        destinations = group.prepared
        if not isinstance(destinations, Destinations):
            destinations = group.prepared = Destinations(
                self._name_size, self._iov.address, self._control.address
            )
        if group.changed:
            destinations.update(group)
        failed: list[DropReason] = []
        if len(payloads) == 1:
            self._send_one(payloads[0], senders[0], destinations, group, count, failed)
            return failed
        # Where many can't take segments, looking for those who can costs more than it saves.
        segments = self._segments and 4 * len(destinations.unsegmented) <= count
        start = 0
        while start < len(payloads):
            end = end_of_run(payloads, start) if segments else start + 1
            if end - start == 1:
                payload, sender = payloads[start], senders[start]
                self._send_one(payload, sender, destinations, group, count, failed)
            else:
                run = Run(payloads[start:end], senders[start:end], group, count)
                self._send_run(run, destinations, failed)
            start = end
        return failed

    def _send_one(
        self,
        payload: bytes,
        sender: Member,
        destinations: Destinations,
        group: Group,
        count: int,
        failed: list[DropReason],
    ) -> None:
        """
        Send one payload with one call.

        At light load each datagram comes alone and finds the processor's caches cold: there, each
        call and each layer on the way costs several times what it does under load.
        """
        self._payload.view[: len(payload)] = payload
        self._iov.words[1] = len(payload)
        if destinations.control_length:
            destinations.set_control_length(0)
        names, slot, others = destinations.name_pointers, sender.slot, count
        own = 0
        if sender.group is group:
            # In place of its sender, the last member gets it: the others are one range.
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
            run = Run([payload], [sender], group, count)
            self._send_rest(run, destinations, max(sent, 0), failed)

    def _send_rest(
        self, run: Run, destinations: Destinations, sent: int, failed: list[DropReason]
    ) -> None:
        """Send one payload to those that :meth:`_send_one` did not reach, whatever the error."""
        sender, count = run.senders[0], run.count
        if sender.group is run.group:
            if sent <= sender.slot:
                self._send_range(run, destinations, sent, sender.slot, failed)
                sent = sender.slot + 1
            else:
                # The last member was the one in the sender's place.
                count -= 1
        self._send_range(run, destinations, sent, count, failed)

    def _send_run(self, run: Run, destinations: Destinations, failed: list[DropReason]) -> None:
        """Send several payloads as one message to each member."""
        payloads, senders, group = run.payloads, run.senders, run.group
        data = run.data
        self._payload.view[: len(data)] = data
        self._iov.words[1] = len(data)
        self._control.view[:] = mmsg.segment_size(len(payloads[0]))
        destinations.set_control_length(mmsg.SEGMENT_CONTROL)
        only = senders[0]
        if senders.count(only) == len(senders):
            slot = only.slot if only.group is group else run.count
            if slot:
                self._send(run, destinations, 0, slot, failed)
            if slot + 1 < run.count:
                self._send(run, destinations, slot + 1, run.count, failed)
            return
        patched = self._patch_speakers(run, destinations)
        self._send(run, destinations, 0, run.count, failed)
        for slot in patched:
            destinations.restore(slot)

    def _patch_speakers(self, run: Run, destinations: Destinations) -> list[int]:
        """Give each member that spoke the pieces between its own payloads."""
        size, total = len(run.payloads[0]), self._iov.words[1]
        base, words = self._payload.address, self._iov.words
        piece, patched = 1, []
        for sender, spans in run.spans().items():
            first, begin, others = piece, 0, len(run.payloads)
            for start, end in spans:
                others -= end - start
                cut = size * start
                if cut > begin:
                    words[2 * piece], words[2 * piece + 1] = base + begin, cut - begin
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
        run: Run,
        destinations: Destinations,
        start: int,
        end: int,
        failed: list[DropReason],
    ) -> None:
        """Send to the members in slots ``start`` to ``end``."""
        self.segmented += (end - start) * len(run.payloads)
        for slot in destinations.unsegmented_slots(start, end):
            self._send_range(run, destinations, start, slot, failed)
            self._send_one_by_one(run, slot, failed)
            start = slot + 1
        self._send_range(run, destinations, start, end, failed)

    def _send_range(
        self,
        run: Run,
        destinations: Destinations,
        start: int,
        end: int,
        failed: list[DropReason],
    ) -> None:
        """Send to a range of slots, whatever happens to any of them."""
        sendmmsg, headers = self._calls.sendmmsg, destinations.headers
        tries = 0
        while start < end:
            most = min(end - start, mmsg.MOST_MESSAGES)
            sent = sendmmsg(self._descriptor, headers + start, most, mmsg.MSG_DONTWAIT)
            if sent > 0:
                start, tries = start + sent, 0
                continue
            # The error is that of the first message; the others have not been tried.
            code, tries = ffi.errno, tries + 1
            if code in AGAIN:
                # The buffer is everybody's: a datagram that waits is one that is late.
                lost = sum(len(run.payloads_for(slot)) for slot in range(start, end))
                failed += [DropReason.SEND_BUFFER] * lost
                return
            if tries > 1 and code in _NO_SEGMENTS and run.is_segmented(start):
                # Twice: the first might have been an ICMP error, for somebody else.
                self._segments_refused(run, destinations, start, code)
                self._send_one_by_one(run, start, failed)
            elif tries < _TRIES:
                # An ICMP error for an earlier datagram stands in the way of this one.
                if self._reading:
                    self._collect_errors()
                continue
            else:
                reason = REASONS.get(code, DropReason.SEND_FAILED)
                failed += [reason] * len(run.payloads_for(start))
            start, tries = start + 1, 0

    def _segments_refused(
        self, run: Run, destinations: Destinations, slot: int, code: int
    ) -> None:
        member = run.group.members[slot]
        if code == errno.EIO:
            # The device can't do checksums for segments (udp_send_skb in the kernel): for nobody.
            self._segments = False
        else:
            destinations.unsegmented.add(member)
        self.segments_refused(None if code == errno.EIO else member.source, code)

    def _send_one_by_one(self, run: Run, slot: int, failed: list[DropReason]) -> None:
        source = run.group.members[slot].source
        for payload in run.payloads_for(slot):
            reason = self.send(payload, source)
            if reason is not None:
                failed.append(reason)

    def send_each(self, datagrams: Sequence[tuple[Source, bytes]]) -> list[DropReason]:
        """Send datagrams, each to its own address; return why any were not sent."""
        failed: list[DropReason] = []
        unicast, start = self._unicast, 0
        while start < len(datagrams):
            count, sent = unicast.fill(datagrams, start), 0
            if count:
                sent = self._calls.sendmmsg(
                    self._descriptor, unicast.headers, count, mmsg.MSG_DONTWAIT
                )
                start += max(sent, 0)
            if sent < count or not count:
                # What is left begins with one that is too long, or in whose way an error stands.
                destination, payload = datagrams[start]
                reason = self.send(payload, destination)
                if reason is not None:
                    failed.append(reason)
                start += 1
        return failed

    def _socket_address(self, source: bytes) -> tuple[Any, ...]:
        if self.addressFamily == socket.AF_INET:
            _, port, ip = _IPV4.unpack(source)
            return socket.inet_ntop(socket.AF_INET, ip), int.from_bytes(port, "big")
        _, port, flow, ip, scope = _IPV6.unpack(source)
        host = socket.inet_ntop(socket.AF_INET6, ip)
        return host, int.from_bytes(port, "big"), flow, scope

    def address_of(self, target: Endpoint) -> bytes | None:
        """Return the source address that stands for an endpoint; None if it can't be reached."""
        address = super().address_of(target)
        return None if address is None else self._source(address)

    def _source(self, address: tuple[Any, ...]) -> bytes:
        port = address[1].to_bytes(2, "big")
        if self.addressFamily == socket.AF_INET:
            return _IPV4.pack(socket.AF_INET, port, socket.inet_aton(address[0]))
        ip = socket.inet_pton(socket.AF_INET6, address[0])
        return _IPV6.pack(socket.AF_INET6, port, address[2], ip, address[3])
