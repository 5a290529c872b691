"""Delivery to a group: every payload to every member but its sender, in order."""

from __future__ import annotations

import errno
import socket
from itertools import count, pairwise
from typing import Any

import pytest
from batch_udp_network import PORTS, Network
from batch_udp_sockets import without_own
from hypothesis import given, settings
from hypothesis import strategies as st

from udprelay.batch_udp import mmsg
from udprelay.batch_udp.port import DatagramPort

INTERFACES = ["::", "0.0.0.0", "::1", "127.0.0.1"]
TRAFFIC = {
    "one": [(0, b"one")],
    "equal": [(0, b"aaa"), (0, b"bbb"), (0, b"ccc")],
    "senders": [(0, b"aaa"), (1, b"bbb"), (2, b"ccc"), (0, b"ddd"), (3, b"e")],
    "short ends": [(0, b"aaa"), (0, b"b"), (1, b"ccc"), (1, b"dd"), (2, b"eee")],
    "mixed": [
        *[(0, b"a"), (1, b"bbbb"), (0, b"cc"), (2, b"dd")],
        *[(3, b"eeeeeeee"), (1, b"f" * 60_000)],
    ],
}


@pytest.mark.parametrize("port_class", PORTS)
@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize("traffic", TRAFFIC)
def test_every_member_gets_every_payload_but_its_own(
    port_class: type[DatagramPort], interface: str, traffic: str
) -> None:
    with Network(port_class, interface) as network:
        network.send(*TRAFFIC[traffic])
        wanted = without_own(TRAFFIC[traffic], 4)
        assert network.members.receive(wanted) == wanted


@pytest.mark.parametrize("sender", range(4))
def test_a_single_datagram_leaves_with_one_call(sender: int) -> None:
    with Network() as network:
        network.send((sender, b"alone"))
        wanted = without_own([(sender, b"alone")], 4)
        assert network.members.receive(wanted) == wanted
        assert network.calls.sends == 1


def test_nothing_is_sent_in_a_group_of_one() -> None:
    with Network(count=1) as network:
        network.send((0, b"hello?"))
        assert network.members.receive([[]]) == [[]]
        assert network.calls.sends == 0


def test_payloads_of_one_size_leave_as_one_message() -> None:
    with Network() as network:
        payloads = [(0, bytes([n]) * 50) for n in range(64)]
        network.deliver(payloads)
        wanted = without_own(payloads, 4)
        assert network.members.receive(wanted) == wanted
        assert network.port.segmented == 3 * 64
        assert network.calls.sends == 1


SEGMENTS = {
    "one": (1, 50),
    "a message": (64, 50),
    "more than a message": (150, 50),
    "large payloads": (20, 9_000),
    "each as large as a message": (3, 65_507),
}


@pytest.mark.parametrize("port_class", PORTS)
@pytest.mark.parametrize("as_segments", [True, False], ids=["segments", "list"])
@pytest.mark.parametrize("traffic", SEGMENTS)
@pytest.mark.parametrize("senders", [1, 3])
def test_payloads_of_one_size_arrive_as_sent(
    port_class: type[DatagramPort], as_segments: bool, traffic: str, senders: int
) -> None:
    number, size = SEGMENTS[traffic]
    sent = [(n // 2 % senders, bytes([n % 251]) * size) for n in range(number)]
    with Network(port_class) as network:
        network.deliver(sent)
        wanted = without_own(sent, 4)
        assert network.members.receive(wanted) == wanted
        assert network.room.failed == []


@pytest.mark.parametrize("port_class", PORTS)
@pytest.mark.parametrize("payloads", [[b"", b""], [b"a", b"", b"b", b"", b"c"], [b"", b"a"]])
def test_empty_payloads_are_delivered(
    port_class: type[DatagramPort], payloads: list[bytes]
) -> None:
    with Network(port_class, count=2) as network:
        network.deliver([(0, payload) for payload in payloads])
        wanted = [[], payloads]
        assert network.members.receive(wanted) == wanted


@pytest.mark.parametrize("port_class", PORTS)
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("size", [1, 1472, 8192, 8193, 65_507])
def test_a_payload_of_any_size_arrives_whole(
    port_class: type[DatagramPort], host: str, size: int
) -> None:
    payload = (bytes(range(256)) * 256)[:size]
    with Network(port_class, host) as network:
        network.send((0, payload))
        wanted = without_own([(0, payload)], 4)
        assert network.members.receive(wanted) == wanted


@pytest.mark.parametrize("port_class", PORTS)
def test_the_port_follows_members_that_join_leave_and_move(
    port_class: type[DatagramPort],
) -> None:
    with Network(port_class, count=40) as network:
        members = list(network.room.group.members)
        network.send((0, b"to all"))
        left = (1, 5, 39, 20)
        for slot in left:
            network.room.group.remove(members[slot])
        sent = [(0, b"again"), (2, b"other")]
        network.send(*sent)
        wanted = [
            [payload for sender, payload in [(0, b"to all")] if sender != index]
            + [payload for sender, payload in sent if sender != index and index not in left]
            for index in range(40)
        ]
        assert network.members.receive(wanted) == wanted


SIZES = st.sampled_from([0, 1, 3, 3, 3, 3, 7, 100, 1200, 20_000])
TURNS = st.lists(st.lists(st.tuples(st.integers(0, 4), SIZES), max_size=80), max_size=4)
"""Senders and sizes of what is sent before the port reads."""


def within_buffer(turn: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the datagrams of a turn that fit in the smallest receive buffer of any system."""
    kept, space = [], 200_000
    for sender, size in turn:
        # The kernel counts its own structures and whole pages.
        space -= 1000 + 2 * size
        if space > 0:
            kept.append((sender, size))
    return kept


@settings(max_examples=60, deadline=None)
@given(turns=TURNS)
def test_both_ports_deliver_any_traffic(turns: list[list[tuple[int, int]]]) -> None:
    for port_class in PORTS:
        with Network(port_class, count=5) as network:
            serial = count()
            for turn in map(within_buffer, turns):
                # Each payload is different, as far as its size allows.
                sent = [
                    (sender, (next(serial).to_bytes(3, "big") * size)[:size])
                    for sender, size in turn
                ]
                network.send(*sent)
                wanted = without_own(sent, 5)
                assert network.members.receive(wanted) == wanted
            assert network.room.failed == []


# Single addresses.

# More than one call takes, in two sizes; some are too long for one call with others.
SINGLE = [(index % 4, b"%d" % index * (1000 if index % 9 == 4 else 1)) for index in range(70)]


def single_for(member: int) -> list[bytes]:
    return [payload for to, payload in SINGLE if to == member]


def send_single(network: Network) -> list[int]:
    return network.port.send_each(
        [(network.room.group.members[member].source, payload) for member, payload in SINGLE]
    )


@pytest.mark.parametrize("port_class", PORTS)
@pytest.mark.parametrize("interface", INTERFACES)
def test_datagrams_for_single_addresses_arrive_in_order(
    port_class: type[DatagramPort], interface: str
) -> None:
    with Network(port_class, interface) as network:
        assert send_single(network) == []
        wanted = [single_for(member) for member in range(4)]
        assert network.members.receive(wanted) == wanted


def test_datagrams_for_single_addresses_leave_with_one_call() -> None:
    with Network() as network:
        network.port.send_each([(network.source_of(member), b"you") for member in range(4)])
        assert network.members.receive([[b"you"]] * 4) == [[b"you"]] * 4
        assert network.calls.sends == 1


@pytest.mark.parametrize("port_class", PORTS)
@pytest.mark.parametrize(
    ("interface", "host", "reachable"),
    [
        ("::", "127.0.0.1", True),
        ("::", "::1", True),
        ("::1", "::1", True),
        ("::1", "127.0.0.1", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "::1", False),
    ],
)
def test_a_source_is_found_for_each_address_that_the_port_can_send_to(
    port_class: type[DatagramPort], interface: str, host: str, reachable: bool
) -> None:
    with Network(port_class, interface) as network:
        source = network.port.source_of(host, 6000)
        assert (source is not None) is reachable
        if reachable:
            found, number, *_ = network.port.socket_address(source)
            assert (found.removeprefix("::ffff:"), number) == (host, 6000)


@pytest.mark.parametrize("port_class", PORTS)
def test_a_source_has_the_scope_of_its_address(port_class: type[DatagramPort]) -> None:
    with Network(port_class) as network:
        source = network.port.source_of("fe80::1%1", 6000)
        assert network.port.socket_address(source) == ("fe80::1", 6000, 0, 1) or (
            network.port.socket_address(source) == ("fe80::1%lo", 6000, 0, 1)
        )


@pytest.mark.parametrize("port_class", PORTS)
def test_runs_of_one_source_are_not_split(port_class: type[DatagramPort]) -> None:
    with Network(port_class) as network:
        network.send(*[(n // 3 % 4, b"%02d" % n) for n in range(30)])
        for batch in network.room.batches:
            assert all(one != other for (one, _), (other, _) in pairwise(batch))


class OldSocket(socket.socket):
    """A socket of a kernel that knows neither ``UDP_SEGMENT`` nor ``UDP_GRO``."""

    def getsockopt(self, level: int, *arguments: Any) -> Any:
        if level == mmsg.SOL_UDP:
            raise OSError(errno.ENOPROTOOPT, "Protocol not available")
        return super().getsockopt(level, *arguments)

    def setsockopt(self, level: int, *arguments: Any) -> None:
        if level == mmsg.SOL_UDP:
            raise OSError(errno.ENOPROTOOPT, "Protocol not available")
        super().setsockopt(level, *arguments)


def test_a_kernel_without_segments_and_aggregates_gets_each_datagram_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "socket", OldSocket)
    with Network() as network:
        sent = [(n % 2, bytes([n]) * 50) for n in range(20)]
        network.send(*sent)
        wanted = without_own(sent, 4)
        assert network.members.receive(wanted) == wanted
        assert (network.port.segmented, network.room.failed) == (0, [])
