"""A port on every address answers from the address that was asked."""

from __future__ import annotations

import errno
import ipaddress
import socket
from contextlib import ExitStack, closing
from typing import Any

import pytest
from batch_udp_network import PORTS, Network
from batch_udp_sockets import Members, without_own

from udprelay.batch_udp import mmsg
from udprelay.batch_udp.layout import usable
from udprelay.batch_udp.port import DatagramPort
from udprelay.segments import Source

EVERY_ADDRESS = {
    "::": ["127.0.0.1", "127.0.0.2", "::1", "127.1.2.3"],
    "0.0.0.0": ["127.0.0.1", "127.0.0.2", "127.1.2.3", "127.0.0.1"],
}
TRAFFIC = {
    "one": [(0, b"one")],
    "run": [(1, b"aaa"), (1, b"bbb"), (1, b"c")],
    "senders": [(0, b"aaa"), (1, b"bbb"), (2, b"ccc"), (3, b"ddd"), (0, b"eee")],
    "mixed": [(3, b"a"), (1, b"bbbb"), (0, b"c" * 60_000)],
}
GONE = {"127.0.0.2": "203.0.113.7", "::1": "2001:db8::7"}
"""Addresses of this machine, and others in their place."""


class Asking:
    """
    A port on every address, and members with connected sockets: each hears one address only.

    :param asked: the address that each member writes to.
    """

    def __init__(self, port_class: type[DatagramPort], interface: str, asked: list[str]) -> None:
        self.network = Network(port_class, interface, count=0)
        self.asked = asked

    def __enter__(self) -> Asking:  # noqa: PYI034
        self._stack = ExitStack()
        self._stack.enter_context(self.network)
        self.sockets = [self._stack.enter_context(self._connected(ip)) for ip in self.asked]
        for number in range(len(self.sockets)):
            self.send(number, b"")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _connected(self, ip: str) -> Any:
        family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        opened = socket.socket(family, socket.SOCK_DGRAM)
        opened.connect((ip, self.network.port.socket.getsockname()[1]))
        return closing(opened)

    def send(self, member: int, *payloads: bytes) -> None:
        end = self.network.room.received + len(payloads)
        for payload in payloads:
            self.sockets[member].send(payload)
        self.network.read_until(end)

    def receive(self, wanted: list[list[bytes]]) -> list[list[bytes]]:
        return [
            Members.receive_from(opened, each)
            for opened, each in zip(self.sockets, wanted, strict=True)
        ]

    def change_local(self, member: int, before: str, after: str) -> None:
        """Let a member have another local address, which the machine may not have."""
        group = self.network.room.group
        one = group.members[member]
        one.source = replaced(one.source, before, after)
        group.changed.add(one.slot)


def replaced(source: Source, before: str, after: str) -> Source:
    """Return a source with another local address."""
    old, new = (ipaddress.ip_address(ip).packed for ip in (before, after))
    if isinstance(source, bytes):
        peer, local = source[:32], source[32:]
        assert old in local
        return peer + local.replace(old, new)
    address, local = source
    assert old in local
    return address, local.replace(old, new)


@pytest.fixture(params=PORTS)
def port_class(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize("interface", EVERY_ADDRESS)
@pytest.mark.parametrize("traffic", TRAFFIC)
def test_each_member_is_sent_to_from_the_address_that_it_has_asked(
    port_class: type[DatagramPort], interface: str, traffic: str
) -> None:
    with Asking(port_class, interface, EVERY_ADDRESS[interface]) as asking:
        asking.network.deliver(TRAFFIC[traffic])
        wanted = without_own(TRAFFIC[traffic], 4)
        assert asking.receive(wanted) == wanted


@pytest.mark.parametrize("interface", EVERY_ADDRESS)
def test_replies_come_from_the_address_that_was_asked(
    port_class: type[DatagramPort], interface: str
) -> None:
    with Asking(port_class, interface, EVERY_ADDRESS[interface]) as asking:
        members = asking.network.room.group.members
        payloads = [b"short", bytes(1000), bytes(5000), b"last"]
        pairs = [(one.source, payload) for payload in payloads for one in members]
        assert asking.network.port.send_each(pairs) == []
        assert asking.receive([payloads] * 4) == [payloads] * 4


@pytest.mark.parametrize("interface", EVERY_ADDRESS)
def test_a_peer_has_one_name_whatever_it_has_asked(
    port_class: type[DatagramPort], interface: str
) -> None:
    with (
        Network(port_class, interface, count=1) as network,
        closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as peer,
    ):
        peer.bind(("127.0.0.1", 0))
        number = network.port.socket.getsockname()[1]
        for ip in ("127.0.0.1", "127.0.0.2"):
            peer.sendto(b"", (ip, number))
        network.read_until(network.room.received + 2)
        first, second = (source for source, _ in network.room.batches[-1])
        assert first != second
        here = network.port.source_of(*peer.getsockname())
        assert {network.port.peer_of(one) for one in (first, second, here)} == {here}
        for one in (first, second, here):
            assert network.port.socket_address(one)[1] == peer.getsockname()[1]


@pytest.mark.parametrize("interface", ["127.0.0.1", "::1"])
def test_a_port_on_one_address_has_nothing_to_tell(
    port_class: type[DatagramPort], interface: str
) -> None:
    with Network(port_class, interface, count=2) as network:
        source = network.source_of(1)
        assert network.port.peer_of(source) == source
        network.send((0, b"hello"))
        assert network.members.receive([[], [b"hello"]]) == [[], [b"hello"]]


@pytest.mark.parametrize("traffic", TRAFFIC)
@pytest.mark.parametrize(("here", "gone"), GONE.items())
def test_what_is_sent_from_an_address_that_is_gone_leaves_by_another(
    port_class: type[DatagramPort], here: str, gone: str, traffic: str
) -> None:
    # The peers' sockets are not connected: they hear whatever address is left.
    with Network(port_class, "::", count=4) as network:
        host = "::1" if ":" in here else "127.0.0.1"
        network.members.close()
        network.members = Members("::1" if host == "::1" else "::", network.members.address[1], 4)
        group = network.room.group
        for one in list(group.members):
            group.remove(one)
        network.room.by_source.clear()
        network.send(*[(member, b"") for member in range(4)])
        for member in (1, 2):
            group.members[member].source = replaced(group.members[member].source, host, gone)
            group.changed.add(member)
        for _ in range(3):
            network.deliver(TRAFFIC[traffic])
        wanted = without_own(TRAFFIC[traffic] * 3, 4)
        assert network.members.receive(wanted) == wanted
        assert (network.room.failed, network.room.refused) == ([], [])
        codes = network.port.send_each([(one.source, b"reply") for one in group.members])
        assert codes == []
        assert network.members.receive([[b"reply"]] * 4) == [[b"reply"]] * 4


def test_an_address_that_is_gone_costs_the_others_only_their_share_of_its_search() -> None:
    with Network(count=200) as network:
        for member in range(50, 100):
            one = network.room.group.members[member]
            one.source = replaced(one.source, "127.0.0.1", "203.0.113.7")
            network.room.group.changed.add(member)
        before = network.calls.sends
        network.deliver([(0, b"hello")])
        # What is before the first of them, the error, which may be of ICMP, again, the others.
        assert network.calls.sends - before <= 4
        wanted = without_own([(0, b"hello")], 200)
        assert network.members.receive(wanted) == wanted


def test_an_address_that_is_back_is_sent_from_again(port_class: type[DatagramPort]) -> None:
    with Asking(port_class, "::", ["127.0.0.1", "127.0.0.2"]) as asking:
        asking.change_local(1, "127.0.0.2", "203.0.113.7")
        asking.network.deliver([(0, b"lost")])
        asking.change_local(1, "203.0.113.7", "127.0.0.2")
        asking.network.deliver([(0, b"heard")])
        assert asking.receive([[], [b"heard"]]) == [[], [b"heard"]]


def test_a_member_without_segments_keeps_its_address() -> None:
    with Asking(PORTS[0], "::", ["127.0.0.1", "127.0.0.2", "127.0.0.3"]) as asking:
        calls, port = asking.network.calls, asking.network.port
        calls.at[port.peer_of(asking.network.source_of(1))] = errno.EINVAL
        calls.segments_only = True
        sent = [(0, b"aaa"), (0, b"bbb"), (2, b"ccc")]
        for _ in range(2):
            asking.network.deliver(sent)
        wanted = without_own(sent * 2, 3)
        assert asking.receive(wanted) == wanted
        refused = [(asking.network.source_of(1), errno.EINVAL)]
        assert asking.network.room.refused == refused


@pytest.mark.parametrize(
    ("interface", "group"),
    [("::", "255.255.255.255"), ("::", "224.0.0.1"), ("::", "ff02::1"), ("0.0.0.0", "")],
)
def test_the_kernel_chooses_where_a_group_was_asked(
    port_class: type[DatagramPort], interface: str, group: str
) -> None:
    here = "::1" if ":" in group else "127.0.0.1"
    with Asking(port_class, interface, [here, here]) as asking:
        if group:
            asking.change_local(1, here, group)
        calls = asking.network.calls.sends
        asking.network.deliver([(0, b"to the group")])
        assert asking.receive([[], [b"to the group"]]) == [[], [b"to the group"]]
        assert asking.network.calls.sends - calls == asking.network.port.batched


def test_any_number_of_addresses_may_be_asked(port_class: type[DatagramPort]) -> None:
    asked = [f"127.0.{number}.1" for number in range(40)]
    with Asking(port_class, "::", asked) as asking:
        sent = [(member, b"%d" % member) for member in range(40)]
        asking.network.deliver(sent)
        wanted = without_own(sent, 40)
        assert asking.receive(wanted) == wanted


def test_a_member_that_asks_ever_other_addresses_is_answered_from_each(
    port_class: type[DatagramPort],
) -> None:
    with Asking(port_class, "::", ["127.0.0.1", "127.0.0.2", "127.0.0.2"]) as asking:
        number = asking.network.port.socket.getsockname()[1]
        before = "127.0.0.2"
        for host in range(3, 30):
            after = f"127.0.0.{host}"
            asking.change_local(1, before, after)
            asking.sockets[1].connect((after, number))
            before = after
            asking.network.deliver([(0, b"%d" % host)])
            wanted = [[], [b"%d" % host], [b"%d" % host]]
            assert asking.receive(wanted) == wanted


def test_an_aggregate_and_a_datagram_of_one_source_are_one_run_each_of_one_source() -> None:
    for interface in ("::", "0.0.0.0"):
        with Network(interface=interface, count=2) as network:
            control = [(mmsg.SOL_UDP, mmsg.UDP_SEGMENT, (4).to_bytes(2, "little"))]
            end = network.room.received + 6
            network.members.sockets[0].sendmsg(
                [b"aaaa", b"bbbb"], control, 0, network.members.address
            )
            for payload in (b"cccc", b"dddd"):
                network.members.send(0, payload)
            network.members.sockets[1].sendmsg(
                [b"eeee", b"ff"], control, 0, network.members.address
            )
            network.read_until(end)
            one, other = (network.source_of(member) for member in range(2))
            sources = [source for source, _ in network.room.batches[-1]]
            assert sources == [one, one, one, other]
            network.send((1, b"gggg"), (0, b"hhhh"), (0, b"iiii"))
            assert [source for source, _ in network.room.batches[-1]] == [other, one]


LINK_LOCAL = ipaddress.ip_address("fe80::7").packed
GLOBAL = ipaddress.ip_address("2001:db8::7").packed
MAPPED = ipaddress.ip_address("::ffff:192.0.2.7").packed
INTERFACE = (7).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("received", "ipv6", "sent"),
    [
        # The answer may leave by another interface than that of arrival,
        (GLOBAL + INTERFACE, True, GLOBAL + bytes(4)),
        (MAPPED + INTERFACE, True, MAPPED + bytes(4)),
        (INTERFACE + b"\xc0\0\2\7" + b"\xc0\0\2\xff", False, bytes(4) + b"\xc0\0\2\7" + bytes(4)),
        # but an address of one link only by that one.
        (LINK_LOCAL + INTERFACE, True, LINK_LOCAL + INTERFACE),
        (ipaddress.ip_address("ff02::1").packed + INTERFACE, True, b""),
        (ipaddress.ip_address("::ffff:239.1.2.3").packed + INTERFACE, True, b""),
        (b"", True, b""),
        (b"", False, b""),
    ],
)
def test_the_local_address_that_is_sent_from(received: bytes, ipv6: bool, sent: bytes) -> None:
    assert usable(received, ipv6) == sent
