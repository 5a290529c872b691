"""Reading: whole batches, one in a turn of the reactor, and ICMP errors."""

from __future__ import annotations

import errno
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from itertools import islice, pairwise
from typing import Any

import pytest
import pytest_twisted
from batch_udp_network import PORTS, Network, Room
from batch_udp_sockets import Members, read_until
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.testing import MemoryReactorClock

from udprelay.batch_udp import mmsg
from udprelay.batch_udp.batch_port import BatchPort
from udprelay.batch_udp.interfaces import MAX_BATCH, MAX_TURN, BatchProtocol
from udprelay.batch_udp.linux_socket import granted_buffers, kernel_drops
from udprelay.batch_udp.port import DatagramPort
from udprelay.segments import SourceRun

both_ports = pytest.mark.parametrize("port_class", PORTS)


@both_ports
def test_a_plain_protocol_gets_each_datagram(port_class: type[DatagramPort]) -> None:
    class Echo(DatagramProtocol):
        transport: Any

        def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
            self.transport.write(datagram.upper(), addr)

    clock: Any = MemoryReactorClock()
    port = port_class(0, Echo(), "127.0.0.1", clock)
    port.startListening()
    with closing(Members("127.0.0.1", port.getHost().port, 1)) as members:
        for text in (b"one", b"two"):
            members.send(0, text)
        sizes = port.batch_sizes
        read_until(port.socket, port.doRead, lambda: sizes() in ({"2-3": 1}, {"1": 2}))
        assert members.receive([[b"ONE", b"TWO"]]) == [[b"ONE", b"TWO"]]
    port.stopListening()
    clock.advance(0)


@both_ports
@pytest.mark.parametrize("size", [65_508, 65_510, 65_527])
def test_a_payload_too_long_for_ipv4_is_dropped_and_counted(
    port_class: type[DatagramPort], size: int
) -> None:
    with Network(port_class, "::1") as network:
        network.send((0, bytes(size)), (0, b"after"))
        wanted = [[], [b"after"], [b"after"], [b"after"]]
        assert network.members.receive(wanted) == wanted
        assert network.room.too_long == 1


@both_ports
def test_batches_are_counted_by_their_sizes(port_class: type[DatagramPort]) -> None:
    with Network(port_class) as network:
        for member in [0] * (MAX_BATCH + 5):
            network.members.send(member, b"")
        network.read_until(network.room.received + MAX_BATCH + 5)
        sizes = [sum(datagrams.count for _, datagrams in batch) for batch in network.room.batches]
        assert sizes[-2:] == [MAX_BATCH, 5]
        assert network.port.batch_sizes()[str(MAX_BATCH)] == 1


@both_ports
def test_a_batch_that_fails_is_logged_and_reading_goes_on(
    port_class: type[DatagramPort], logged_errors: list[str]
) -> None:
    class FailingRoom(Room):
        fails = False

        def batch_received(self, batch: list[SourceRun], too_long: int) -> None:
            super().batch_received(batch, too_long)
            if self.fails:
                raise RuntimeError("a batch that fails")

    room = FailingRoom()
    with Network(port_class, room=room) as network:
        room.fails = True
        network.send((0, b"lost"))
        room.fails = False
        (logged,) = logged_errors
        assert "a batch that fails" in logged
        logged_errors.clear()
        network.send((0, b"the next"))
        ((source, segments),) = room.batches[-1]
        assert (source, list(segments)) == (network.source_of(0), [b"the next"])


@both_ports
def test_drops_of_the_kernel_are_counted(port_class: type[DatagramPort]) -> None:
    with Network(port_class) as network:
        network.port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        before = network.room.received
        for _ in range(200):
            network.members.send(0, bytes(1000))
        opened, room = network.port.socket, network.room
        read_until(
            opened,
            network.port.doRead,
            lambda: room.received - before + kernel_drops(opened) == 200,
        )
        assert kernel_drops(opened) > 100


@both_ports
def test_the_system_grants_buffers(port_class: type[DatagramPort]) -> None:
    clock: Any = MemoryReactorClock()
    port = port_class(0, Room(), "127.0.0.1", clock, (10_000, 20_000))
    port.startListening()
    assert granted_buffers(port.socket) == (10_000, 20_000)
    port.stopListening()
    clock.advance(0)


# ICMP errors.


@both_ports
def test_an_icmp_error_neither_closes_the_port_nor_costs_a_datagram(
    port_class: type[DatagramPort],
) -> None:
    with Network(port_class) as network:
        network.members.sockets.pop(2).close()
        sent = [(0, b"aaa"), (1, b"bbb")] * 30
        for number in range(0, 60, 2):
            network.send(*sent[number : number + 2])
        wanted = [[b"bbb"] * 30, [b"aaa"] * 30, [b"aaa", b"bbb"] * 30]
        assert network.members.receive(wanted) == wanted
        assert network.room.failed == []
        closed = network.peer_of(2)
        read_until(network.port.socket, network.port.doRead, lambda: bool(network.room.errors))
        assert set(network.room.errors) == {(closed, errno.ECONNREFUSED)}


@both_ports
@pytest.mark.parametrize("interface", ["127.0.0.1", "::1"])
def test_errors_are_read_while_no_datagram_is(
    port_class: type[DatagramPort], interface: str
) -> None:
    with Network(port_class, interface, count=1) as network:
        network.members.sockets[0].close()
        closed, errors = network.source_of(0), network.room.errors
        for _ in range(3):
            assert network.port.send(b"are you there?", closed) == 0
            # Readable for its errors alone, as select and asyncio report it.
            read_until(network.port.socket, network.port.doRead, lambda: bool(errors))
            assert errors == [(closed, errno.ECONNREFUSED)]
            errors.clear()


class BusyRoom(Room):
    """Delivers what it reads, while as many new datagrams arrive."""

    def __init__(self) -> None:
        super().__init__()
        self.arrive: Callable[[int], None] = lambda count: None

    def batch_received(self, batch: list[SourceRun], too_long: int) -> None:
        self.arrive(sum(datagrams.count for _, datagrams in batch))
        super().batch_received(batch, too_long)


@both_ports
def test_icmp_errors_under_load_cost_no_datagram(port_class: type[DatagramPort]) -> None:
    # The kernel keeps unread errors in the receive buffer. These would fill it several times.
    payloads = [b"%04d" % number for number in range(1000)]
    room = BusyRoom()
    with Network(port_class, room=room, count=2) as network:
        network.port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 50_000)
        # Not the ports of closed sockets: another test may get one of them.
        closed = [network.port.source_of(f"127.7.7.{member}", 9) for member in range(1, 19)]
        receiver = room.group.members[1]
        room.group.remove(receiver)
        for source in closed:
            room.group.add(source)
        room.by_source[receiver.source] = room.group.add(receiver.source)
        pending = iter(payloads)

        def arrive(count: int) -> None:
            for payload in islice(pending, count):
                network.members.send(0, payload)

        room.arrive = arrive
        room.batches.clear()
        end = room.received + len(payloads)
        arrive(40)
        network.read_until(end)
        # The port has never found its receive buffer empty.
        assert all(sum(run.count for _, run in batch) == 40 for batch in room.batches)
        assert Members.receive_from(network.members.sockets[1], payloads) == payloads
        assert room.failed == []
        # The kernel makes one error of a message, however many datagrams it carries.
        messages = len(room.batches) if network.port.batched else len(payloads)
        errors = messages * len(closed)
        read_until(network.port.socket, network.port.doRead, lambda: len(room.errors) >= errors)
        assert Counter(room.errors) == {(s, errno.ECONNREFUSED): messages for s in closed}


# A flood, with the real reactor.


class Flooded(BatchProtocol):
    """
    Counts datagrams and records the turns of the reactor.

    :ivar turns: the number of datagrams of each batch, and ``timer``.
    """

    def __init__(self, expected: int) -> None:
        self.complete: Deferred[None] = Deferred()
        self.turns: list[int | str] = []
        self._expected = expected

    def batch_received(self, batch: list[SourceRun], too_long: int) -> None:
        number = too_long + sum(datagrams.count for _, datagrams in batch)
        self.turns.append(number)
        self._expected -= number
        if not self._expected:
            self.complete.callback(None)


@both_ports
@pytest.mark.parametrize(("size", "number"), [(3, 200), (65_520, 20)], ids=["short", "too long"])
@pytest_twisted.ensureDeferred
async def test_a_flood_does_not_delay_timers(
    port_class: type[DatagramPort], size: int, number: int
) -> None:
    protocol = Flooded(number)
    port = port_class(0, protocol, "::1", reactor, (4 << 20, 4 << 20))
    port.startListening()
    ticking: IDelayedCall

    def tick() -> None:
        nonlocal ticking
        protocol.turns.append("timer")
        ticking = reactor.callLater(0, tick)

    ticking = reactor.callLater(0, tick)
    with closing(Members("::1", port.getHost().port, 1)) as members:
        members.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        for _ in range(number):
            members.send(0, bytes(size))
        await protocol.complete
    ticking.cancel()
    await port.stopListening()
    batches = [turn for turn in protocol.turns if isinstance(turn, int)]
    assert max(batches) == min(number, MAX_BATCH)
    # Every timer that is due runs between two batches.
    assert all("timer" in turns for turns in pairwise(protocol.turns))


def test_a_batched_port_uses_its_own_system_calls() -> None:
    with Network() as network:
        assert isinstance(network.port, BatchPort)
        network.fail(1, errno.EPERM)
        network.send((0, b"alone"))
        assert network.room.failed == [errno.EPERM]


def test_aggregates_beyond_a_turn_have_turns_of_their_own() -> None:
    with Network(count=2) as network:
        sent: list[bytes] = []
        before = network.room.received
        for message in range(12):
            datagrams = [b"%02d%02d" % (message, number) for number in range(64)]
            control = [(mmsg.SOL_UDP, mmsg.UDP_SEGMENT, (4).to_bytes(2, "little"))]
            address = network.members.address
            network.members.sockets[0].sendmsg(datagrams, control, 0, address)
            sent += datagrams
        network.port.doRead()
        assert network.room.received == before + MAX_TURN
        assert network.port.waiting == 12 - MAX_TURN // 64
        network.clock.advance(0)
        assert network.port.waiting == 0
        sizes = [sum(run.count for _, run in batch) for batch in network.room.batches]
        assert sizes[-3:] == [MAX_TURN] * 3
        assert network.members.receive([[], sent]) == [[], sent]


def test_a_port_that_is_closed_drops_what_waits_for_its_turn() -> None:
    with Network(count=2) as network:
        before = network.room.received
        control = [(mmsg.SOL_UDP, mmsg.UDP_SEGMENT, (4).to_bytes(2, "little"))]
        for _ in range(5):
            network.members.sockets[0].sendmsg([b"abcd"] * 64, control, 0, network.members.address)
        network.port.doRead()
    assert network.room.received == before + MAX_TURN
