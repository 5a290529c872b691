"""A send buffer that all share, in a virtual kernel: who fills it costs the others nothing."""

from __future__ import annotations

import errno
import os
import socket
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from heapq import heappop, heappush
from typing import Any, cast

import pytest
from attrs import define, field
from batch_udp_network import PORTS, Group, Member, Room
from twisted.internet.testing import MemoryReactorClock

from udprelay.batch_udp.batch_port import BatchPort
from udprelay.batch_udp.interfaces import SocketAddress
from udprelay.batch_udp.mmsg import ffi, load
from udprelay.batch_udp.port import DatagramPort
from udprelay.batch_udp.send_buffer import SendBuffer
from udprelay.segments import Segments

STOCK = 2 * 212_992
"""Bytes of the kernel's count for a send buffer of 208 KiB."""

OVERHEAD = 832

Leaves = Callable[[float, int], float]
"""From the time and the size of a datagram to the time at which it leaves."""


def at_once(now: float, size: int) -> float:
    return now


def network_card(now: float, size: int) -> float:
    return now + 0.002


def vanished(now: float, size: int) -> float:
    return (now // 3 + 1) * 3


def link(rate: float) -> Leaves:
    """Return a link of so many bytes a second."""
    free = 0.0

    def leaves(now: float, size: int) -> float:
        nonlocal free
        free = max(free, now) + size / rate
        return free

    return leaves


@define(eq=False)
class VirtualKernel(SendBuffer):
    """The send buffer, and the ways out of the machine; nothing is sent."""

    clock: MemoryReactorClock
    size: int
    ways: dict[bytes, Leaves] = field(factory=dict)
    sent: Counter[bytes] = field(factory=Counter)
    opened: bool = False
    errors: list[tuple[float, bytes]] = field(factory=list)
    _waiting: list[tuple[float, int]] = field(factory=list)
    _charged: int = 0

    @property
    def usual(self) -> int:  # type: ignore[override]
        return self.size // 2

    def queued(self) -> int:
        now = self.clock.seconds()
        while self._waiting and self._waiting[0][0] <= now:
            self._charged -= heappop(self._waiting)[1]
        return self._charged

    def open_reserve(self) -> None:
        self.opened = True

    def close_reserve(self) -> None:
        self.opened = False

    def send(self, name: bytes, number: int, size: int) -> int:
        """Send a message; return 0 or the errno."""
        if self.queued() >= (self.size if self.opened else self.usual):
            return errno.EAGAIN
        now, way = self.clock.seconds(), self.ways[name]
        leaves = way(now, size)
        if leaves > now:
            charged = size + number * OVERHEAD
            heappush(self._waiting, (leaves, charged))
            self._charged += charged
        if way is vanished:
            self.errors.append((leaves, name))
        else:
            self.sent[name] += number
        return 0

    # The system calls of a batched port.

    def recvmmsg(self, *arguments: Any) -> int:
        return load().recvmmsg(*arguments)

    def sendmmsg(self, fd: int, headers: Any, count: int, flags: int, /) -> int:
        for index in range(count):
            header = headers[index].msg_hdr
            name = bytes(ffi.buffer(header.msg_name, header.msg_namelen))
            size = sum(header.msg_iov[i].iov_len for i in range(header.msg_iovlen))
            number = 1
            if header.msg_controllen:
                control = bytes(ffi.buffer(header.msg_control, header.msg_controllen))
                number = -(-size // int.from_bytes(control[16:18], "little"))
            code = self.send(name, number, size)
            if code:
                if index:
                    return index
                ffi.errno = code
                return -1
        return count


class VirtualSocket:
    """The socket of a port whose datagrams go to a virtual kernel."""

    def __init__(self, real: socket.socket, kernel: VirtualKernel, port: DatagramPort) -> None:
        self._real, self._kernel, self._port = real, kernel, port

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def sendto(self, payload: bytes, address: SocketAddress) -> int:
        name = self._port.source_of(address[0], address[1])
        code = self._kernel.send(cast(bytes, name), 1, len(payload))
        if code:
            raise OSError(code, os.strerror(code))
        return len(payload)


class Scene:
    """A port whose members are reached by different ways, and one that talks."""

    def __init__(
        self,
        port_class: type[DatagramPort],
        ways: Sequence[Leaves],
        size: int,
        room: Room | None = None,
    ) -> None:
        self.room, self.clock = room or Room(), MemoryReactorClock()
        self.kernel = kernel = VirtualKernel(self.clock, size)

        class Port(port_class):  # type: ignore[valid-type, misc]
            def send_buffer_of(self, opened: socket.socket) -> SendBuffer:
                return kernel

        more = (kernel,) if issubclass(port_class, BatchPort) else ()
        self.port: DatagramPort = Port(
            0, self.room, "127.0.0.1", cast(Any, self.clock), (0, 0), *more
        )
        self.port.startListening()
        self.port.socket = cast(Any, VirtualSocket(self.port.socket, kernel, self.port))
        self.group = Group()
        for index, way in enumerate(ways):
            source = self.port.source_of("127.0.0.1", 1000 + index)
            self.group.add(source)
            kernel.ways[source] = way
        self.talker = Member(self.port.source_of("127.0.0.1", 999), Group())

    def __enter__(self) -> Scene:  # noqa: PYI034
        return self

    def __exit__(self, *_: object) -> None:
        self.port.stopListening()
        self.clock.advance(0)

    def talk(self, seconds: float, number: int = 1, size: int = 1000) -> int:
        """Deliver 1,000 runs of datagrams a second; return the number of datagrams."""
        run = (self.talker, Segments(bytes(number * size), size), 0)
        turns = int(seconds * 1000)
        for _ in range(turns):
            self.clock.advance(0.001)
            now, kernel = self.clock.seconds(), self.kernel
            errors = {name for due, name in kernel.errors if due <= now}
            kernel.errors = [one for one in kernel.errors if one[0] > now]
            for name in errors:
                self.port.refuse(name, errno.EHOSTUNREACH)
            self.port.deliver([run], self.group, len(self.group.members))
        return turns * number

    def got(self, way: Leaves) -> list[int]:
        """Return what the members behind one kind of way got."""
        return [self.kernel.sent[name] for name, one in self.kernel.ways.items() if one is way]


@pytest.mark.parametrize("number", [1, 8])
@pytest.mark.parametrize("port_class", PORTS)
def test_members_in_trouble_cost_the_others_nothing(
    port_class: type[DatagramPort], number: int
) -> None:
    slow = link(25_000)
    ways = [at_once] * 10 + [vanished] * 14 + [slow] + [at_once] * 10
    with Scene(port_class, ways, STOCK) as scene:
        sent = scene.talk(4 if number == 1 else 0.5, number)
        assert scene.got(at_once) == [sent] * 20
        troubled = {source for source, _ in scene.room.troubles}
        assert troubled == {
            name for name, way in scene.kernel.ways.items() if way in (vanished, slow)
        }


@pytest.mark.parametrize("port_class", PORTS)
def test_members_whose_datagrams_wait_for_a_network_card_are_acquitted(
    port_class: type[DatagramPort],
) -> None:
    ways = [network_card] * 10 + [vanished] * 14 + [network_card] * 10
    with Scene(port_class, ways, STOCK) as scene:
        sent = scene.talk(4)
        # Without trials, they would get nothing until the neighbours are given up after 3 s.
        assert min(scene.got(network_card)) > 0.8 * sent
        before = sum(scene.got(network_card))
        assert scene.talk(1) * 20 == sum(scene.got(network_card)) - before
        assert len(scene.room.troubles) == 14


@pytest.mark.parametrize("port_class", PORTS)
def test_nobody_is_held_back_once_a_burst_has_left_the_machine(
    port_class: type[DatagramPort],
) -> None:
    with Scene(port_class, [network_card] * 300, STOCK) as scene:
        scene.talk(0.001)
        scene.clock.advance(0.01)
        before = sum(scene.got(network_card))
        scene.talk(0.001, size=10)
        assert sum(scene.got(network_card)) - before == 300


class Strangers(Room):
    """A room that knows nobody."""

    def knows(self, peer: Hashable) -> bool:
        return False


@pytest.mark.parametrize("port_class", PORTS)
def test_nothing_is_remembered_of_strangers(port_class: type[DatagramPort]) -> None:
    with Scene(port_class, [at_once, vanished], STOCK, Strangers()) as scene:
        scene.talk(2)
        assert scene.room.troubles == []


@pytest.mark.parametrize("port_class", PORTS)
def test_a_slow_member_gets_what_its_link_can_carry(port_class: type[DatagramPort]) -> None:
    slow = link(100_000)
    with Scene(port_class, [at_once, slow, at_once], STOCK) as scene:
        scene.talk(2)
        before = scene.got(slow)[0]
        scene.talk(4)
        assert scene.got(slow)[0] - before >= 0.9 * 100 * 4


@pytest.mark.parametrize("port_class", PORTS)
def test_a_trouble_is_over_when_nothing_waits_any_more(port_class: type[DatagramPort]) -> None:
    slow = link(100_000)
    with Scene(port_class, [at_once, slow], STOCK) as scene:
        scene.talk(1)
        assert scene.room.troubles == [(scene.group.members[1].source, errno.EAGAIN)]
        for _ in range(10):
            scene.clock.advance(1)
        assert scene.room.recovered == [scene.group.members[1].source]
        assert not scene.kernel.opened
        assert scene.clock.getDelayedCalls() == []


@pytest.mark.parametrize("port_class", PORTS)
def test_a_vanished_member_that_is_back_hears_within_a_second_and_soon_everything(
    port_class: type[DatagramPort],
) -> None:
    with Scene(port_class, [at_once, vanished], STOCK) as scene:
        scene.talk(7)
        source = scene.group.members[1].source
        scene.kernel.ways[source] = at_once
        scene.talk(1.1)
        assert scene.kernel.sent[source] >= 1
        scene.talk(8)
        before = scene.kernel.sent[source]
        assert scene.talk(1) == scene.kernel.sent[source] - before


@pytest.mark.parametrize("port_class", PORTS)
@pytest.mark.parametrize("size", [40_000, STOCK])
def test_single_datagrams_do_not_lose_by_others(port_class: type[DatagramPort], size: int) -> None:
    with Scene(port_class, [at_once, vanished], size) as scene:
        fine, gone = [member.source for member in scene.group.members]
        for _ in range(400):
            scene.clock.advance(0.01)
            scene.port.send_each([(gone, b"x" * 1000), (fine, b"y" * 1000)])
        assert scene.kernel.sent[fine] == 400 if size == STOCK else 100


@pytest.mark.parametrize("port_class", PORTS)
def test_who_is_unreachable_and_talks_gets_no_datagram_of_its_own(
    port_class: type[DatagramPort],
) -> None:
    with Scene(port_class, [at_once, vanished, at_once], STOCK) as scene:
        member = scene.group.members[1]
        scene.port.refuse(member.source, errno.ECONNREFUSED)
        runs = [(scene.talker, Segments(b"aabb", 2), 0), (member, Segments(b"ccddee", 2), 0)]
        failed = scene.port.deliver(runs, scene.group, 3)
        assert failed == [errno.ECONNREFUSED] * 2
        assert scene.group.deliveries == 12
        assert scene.got(at_once) == [5, 5]
