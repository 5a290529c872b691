"""A port and the members of one group, without a running reactor."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest
from attrs import define, field
from batch_udp_sockets import Members, Sent, read_until
from twisted.internet.testing import MemoryReactorClock

from udprelay.batch_udp import mmsg
from udprelay.batch_udp.batch_port import BatchPort
from udprelay.batch_udp.interfaces import BatchProtocol, SocketAddress
from udprelay.batch_udp.mmsg import ffi
from udprelay.batch_udp.port import DatagramPort
from udprelay.segments import Source, SourceRun, runs_by_source

PORTS = [BatchPort, DatagramPort]

SEGMENTS = mmsg.segment_size(0)[8:16]
"""The level and type of the control message that asks for segments."""


@pytest.fixture(autouse=True)
def one_processor() -> Iterator[None]:
    """Keep the order of datagrams: loopback has one queue for each processor."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(allowed)[os.getpid() % len(allowed)]})
    yield
    os.sched_setaffinity(0, allowed)


@define(eq=False)
class Member:
    """A recipient."""

    source: Source
    group: Group
    slot: int = -1


@define(eq=False)
class Group:
    """Recipients of the same payloads."""

    members: list[Member] = field(factory=list)
    deliveries: int = 0
    changed: set[int] = field(factory=set)
    prepared: object = None

    def add(self, source: Source) -> Member:
        member = Member(source, self, len(self.members))
        self.members.append(member)
        self.changed.add(member.slot)
        return member

    def remove(self, member: Member) -> None:
        """Take a member out; the last member gets its slot."""
        last = self.members.pop()
        if last is not member:
            self.members[member.slot] = last
            last.slot = member.slot
            self.changed.add(last.slot)
        member.slot, member.group = -1, Group()


class Room(BatchProtocol):
    """Adds each new source to a group, and sends each payload to all others in it."""

    transport: Any

    def __init__(self) -> None:
        self.group = Group()
        self.by_source: dict[Source, Member] = {}
        self.received = 0
        self.batches: list[list[SourceRun]] = []
        self.too_long = 0
        self.failed: list[int] = []
        self.errors: list[tuple[Source, int]] = []
        self.refused: list[tuple[Source | None, int]] = []
        self.troubles: list[tuple[Source, int]] = []
        self.recovered: list[Source] = []

    def batch_received(self, batch: list[SourceRun], too_long: int) -> None:
        self.batches.append(batch)
        self.too_long += too_long
        self.received += too_long + sum(datagrams.count for _, datagrams in batch)
        datagrams: list[tuple[Member, bytes]] = []
        for source, segments in batch:
            if source not in self.by_source:
                self.by_source[source] = self.group.add(source)
            sender = self.by_source[source]
            datagrams += [(sender, datagram) for datagram in segments if datagram]
        if datagrams:
            self.deliver(datagrams)

    def deliver(self, datagrams: Sequence[tuple[Member, bytes]]) -> None:
        """Send datagrams, each with its sender, to the group."""
        runs = [(sender, segments, 0) for sender, segments in runs_by_source(datagrams)]
        self.failed += self.transport.deliver(runs, self.group, len(self.group.members))

    def errors_received(self, errors: list[tuple[Source, int]]) -> None:
        self.errors += errors

    def trouble_began(self, peer: Source, code: int) -> None:
        self.troubles.append((peer, code))

    def trouble_ended(self, peer: Source, seconds: float) -> None:
        self.recovered.append(peer)

    def segments_refused(self, destination: Source | None, code: int) -> None:
        self.refused.append((destination, code))


class Faults:
    """
    The system calls, with errors at chosen destinations.

    :ivar at: the errno for messages to a peer.
    :ivar times: how often each error occurs.
    :ivar segments_only: whether only messages of many datagrams fail.
    :ivar sends: number of calls that send.
    """

    def __init__(self) -> None:
        self._real = mmsg.load()
        self.at: dict[Source, int] = {}
        self.times = 10**9
        self.segments_only = False
        self.sends = 0

    def recvmmsg(self, fd: int, headers: Any, count: int, flags: int, timeout: Any, /) -> int:
        return self._real.recvmmsg(fd, headers, count, flags, timeout)

    def sendmmsg(self, fd: int, headers: Any, count: int, flags: int, /) -> int:
        self.sends += 1
        for index in range(count):
            header = headers[index].msg_hdr
            name = bytes(ffi.buffer(header.msg_name, header.msg_namelen))
            if name not in self.at or not self.times:
                continue
            control = bytes(ffi.buffer(header.msg_control, header.msg_controllen))
            if self.segments_only and SEGMENTS not in control:
                continue
            if index:
                return self._real.sendmmsg(fd, headers, index, flags)
            self.times -= 1
            ffi.errno = self.at[name]
            return -1
        return self._real.sendmmsg(fd, headers, count, flags)


class FaultySocket:
    """
    A socket that fails to send to one address.

    :param times: how often it fails.
    """

    def __init__(
        self, real: socket.socket, address: Source, code: int, times: int = 10**9
    ) -> None:
        self._real, self._address, self._code = real, address, code
        self.times = times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def sendto(self, payload: bytes, address: SocketAddress) -> int:
        self._fail(address)
        return self._real.sendto(payload, address)

    def sendmsg(
        self, payloads: list[bytes], control: list[Any], flags: int, address: SocketAddress
    ) -> int:
        self._fail(address)
        return self._real.sendmsg(payloads, control, flags, address)

    def _fail(self, address: SocketAddress) -> None:
        if address == self._address and self.times:
            self.times -= 1
            raise OSError(self._code, os.strerror(self._code))


@define
class Network:
    """
    A port on a real socket with a :class:`Room` and its members.

    :ivar calls: the system calls of a batched port.
    """

    port_class: type[DatagramPort] = BatchPort
    interface: str = "::"
    count: int = 4
    room: Room = field(factory=Room)
    calls: Faults = field(factory=Faults)
    clock: MemoryReactorClock = field(factory=MemoryReactorClock)
    port: DatagramPort = field(init=False)
    members: Members = field(init=False)

    def __enter__(self) -> Network:  # noqa: PYI034
        where = 0, self.room, self.interface, cast(Any, self.clock), (1 << 22, 1 << 22)
        if issubclass(self.port_class, BatchPort):
            self.port = self.port_class(*where, self.calls)
        else:
            self.port = self.port_class(*where)
        self.port.startListening()
        number = self.port.socket.getsockname()[1]
        self.members = Members(self.interface, number, self.count)
        self.send(*[(member, b"") for member in range(self.count)])
        return self

    def __exit__(self, *_: object) -> None:
        self.port.stopListening()
        self.clock.advance(0)
        self.members.close()

    def send(self, *sent: tuple[int, bytes]) -> None:
        """Let members send, then the port read all of it."""
        end = self.room.received + len(sent)
        for sender, payload in sent:
            self.members.send(sender, payload)
        self.read_until(end)

    def read_until(self, end: int) -> None:
        """Let the port read until the room has received so many datagrams."""
        read_until(self.port.socket, self.port.doRead, lambda: self.room.received >= end)

    def deliver(self, sent: Sent) -> None:
        """Let the port deliver what members send, without reading it."""
        members = self.room.group.members
        self.room.deliver([(members[sender], payload) for sender, payload in sent])

    def source_of(self, member: int) -> Source:
        """Return the address of a member as the port has it."""
        return self.room.group.members[member].source

    def peer_of(self, member: int) -> Source:
        """Return the address of a member without the local address that it has asked."""
        return self.port.peer_of(self.source_of(member))

    def fail(self, member: int, code: int, times: int = 10**9) -> None:
        """Let every way to send to a member fail with an errno."""
        self.calls.at[self.peer_of(member)] = code
        self.calls.times = times
        address = self.port.socket_address(self.source_of(member))
        broken = FaultySocket(self.port.socket, address, code, times)
        self.port.socket = cast(socket.socket, broken)
