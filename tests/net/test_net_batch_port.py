"""The batched port: the same deliveries as one system call a datagram, whatever goes wrong."""

from __future__ import annotations

import errno
import socket
from collections import Counter
from itertools import count, product

import pytest
from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.testing import MemoryReactorClock

from udprelay.batch_udp import batch_port, mmsg
from udprelay.batch_udp.batch_port import BatchPort
from udprelay.batch_udp.mmsg import ffi
from udprelay.batch_udp.port import RelayPort
from udprelay.net.listener import LOOK_AT_KERNEL
from udprelay.net.relay import Relay
from udprelay.relay.drops import DropReason
from udprelay.relay.events import Event, ListenerSegmentsOff, ListenerUnbatched
from udprelay.relay.room import Rendering
from udprelay.relay.rules import Label, ListenerRules, RelayRules, RoomRules
from udprelay.segments import Joined

LOOPBACK = {"0.0.0.0": "127.0.0.1", "127.0.0.1": "127.0.0.1", "::": "127.0.0.1", "::1": "::1"}


@define(slots=False)
class Network:
    """
    A relay on a real socket and members on others, without a running reactor.

    Loopback delivers within the system call that sends, so that everything happens in order.
    """

    batch: bool = True
    interface: str = "::"
    label: Label = Label.NONE
    members: int = 4
    events: list[Event] = field(factory=list)

    def __enter__(self) -> Network:  # noqa: PYI034
        self.clock = MemoryReactorClock()
        listener = ListenerRules(interface=self.interface, port=0, batch=self.batch)
        rules = RelayRules(listeners={"main": listener}, room_defaults=RoomRules(label=self.label))
        self.relay = Relay(
            rules, self.clock, bytes(32), self.events.append, clock=self.clock.seconds
        )
        self.relay.open()
        self.port = self.relay.listeners["main"].port
        host = LOOPBACK[self.interface]
        self.address = (host, self.port.socket.getsockname()[1])
        self.sockets = []
        for _ in range(self.members):
            made = socket.socket(
                socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM
            )
            made.bind((host, 0))
            made.setblocking(False)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            made.sendto(b"", self.address)
            self.sockets.append(made)
        self.read()
        return self

    def __exit__(self, *_: object) -> None:
        self.relay.stop_reading()
        self.clock.advance(0)
        for made in self.sockets:
            made.close()

    def read(self) -> None:
        """Let the relay read all that is waiting, and no more than a turn's worth at a time."""
        for _ in range(20):
            self.port.doRead()

    def say(self, *said: tuple[int, bytes]) -> None:
        """Let members send, then the relay read."""
        for sender, payload in said:
            self.sockets[sender].sendto(payload, self.address)
        self.read()

    def heard(self) -> list[list[bytes]]:
        """Return what each member has received."""
        return [list(_waiting(made)) for made in self.sockets]

    def source_of(self, member: int) -> bytes:
        """Return the raw socket address of a member."""
        return (
            self.relay.hub.roster.rooms["lobby"]
            .groups[(self.relay.listeners["main"].listener, Rendering.BARE)]
            .members[member]
            .source
        )


def _waiting(made: socket.socket):
    while True:
        try:
            yield made.recv(65_536)
        except BlockingIOError:
            return


def expected(said: list[tuple[int, bytes]], members: int) -> list[list[bytes]]:
    return [[p for s, p in said if s != member and p] for member in range(members)]


class Faults:
    """
    The C library, with errors at chosen destinations.

    :param at: the errno for messages to a raw socket address.
    :param times: how often each of them occurs.
    :param segments_only: whether only messages of many datagrams fail.
    :ivar sends: how often it was asked to send.
    """

    def __init__(self, at: dict[bytes, int], times: int = 10**9, segments_only: bool = False):
        self._real = mmsg.load()
        self._at = at
        self._left = dict.fromkeys(at, times)
        self._segments_only = segments_only
        self.recvmmsg = self._real.recvmmsg
        self.sends = 0

    def sendmmsg(self, descriptor: int, headers, count: int, flags: int) -> int:
        self.sends += 1
        for index in range(count):
            header = headers[index].msg_hdr
            name = bytes(ffi.buffer(header.msg_name, header.msg_namelen))
            if self._segments_only and not header.msg_controllen:
                continue
            if self._left.get(name, 0):
                if index:
                    return self._real.sendmmsg(descriptor, headers, index, flags)
                self._left[name] -= 1
                ffi.errno = self._at[name]
                return -1
        return self._real.sendmmsg(descriptor, headers, count, flags)


class Unsendable:
    """A socket that can't send to one address."""

    def __init__(self, real: socket.socket, source: bytes, port: BatchPort, code: int):
        self._real = real
        self._address = port._socket_address(source)
        self._error = OSError(code, "no")

    def __getattr__(self, name: str):
        return getattr(self._real, name)

    def sendto(self, payload: bytes, address: tuple) -> int:
        if address == self._address:
            raise self._error
        return self._real.sendto(payload, address)


ONE = [(0, b"one")]
EQUAL = [(0, b"aaa"), (0, b"bbb"), (0, b"ccc")]
SPEAKERS = [(0, b"aaa"), (1, b"bbb"), (2, b"ccc"), (0, b"ddd"), (3, b"e")]
MIXED = [(0, b"a"), (1, b"bbbb"), (0, b"cc"), (2, b"dd"), (3, b"eeeeeeee"), (1, b"f" * 60_000)]
GSO_ERRORS = (errno.EINVAL, errno.EMSGSIZE, errno.EIO)
TRAFFIC = {"one": ONE, "equal": EQUAL, "speakers": SPEAKERS, "mixed": MIXED}


@pytest.mark.parametrize("interface", ["::", "0.0.0.0", "::1", "127.0.0.1"])
@pytest.mark.parametrize("traffic", TRAFFIC)
def test_everybody_gets_everything_but_his_own_in_order(interface, traffic):
    with Network(interface=interface) as network:
        network.say(*TRAFFIC[traffic])
        assert network.heard() == expected(TRAFFIC[traffic], 4)


@pytest.mark.parametrize("speaker", range(4))
def test_a_datagram_that_came_alone_leaves_with_one_call(speaker):
    with Network() as network:
        calls = network.port._calls = Faults({})
        network.say((speaker, b"alone"))
        assert network.heard() == expected([(speaker, b"alone")], 4)
        assert calls.sends == 1


def test_nothing_is_sent_where_nobody_else_is():
    with Network(members=1) as network:
        calls = network.port._calls = Faults({})
        network.say((0, b"hello?"))
        assert network.heard() == [[]]
        assert calls.sends == 0


def test_payloads_of_one_size_leave_as_one_message():
    with Network() as network:
        network.say(*[(0, bytes([n]) * 50) for n in range(64)])
        assert [len(heard) for heard in network.heard()] == [0, 64, 64, 64]
        assert network.port.segmented == 3 * 64


def test_more_than_a_message_can_carry_is_split():
    said = [(0, bytes([n]) * 9_000) for n in range(20)]
    with Network() as network:
        network.say(*said)
        assert network.heard() == expected(said, 4)


def deliver_joined(network: Network, said: list[tuple[int, bytes]]) -> list[DropReason]:
    """Let the port deliver payloads of one size as a room's session side has them."""
    listener = network.relay.listeners["main"].listener
    group = network.relay.hub.roster.rooms["lobby"].groups[(listener, Rendering.BARE)]
    joined = Joined(bytearray(b"".join(payload for _, payload in said)), len(said[0][1]))
    senders = [group.members[sender] for sender, _ in said]
    return network.port.deliver(joined, senders, group, len(group.members))


JOINED = {
    "one": (1, 50),
    "a message": (64, 50),
    "more than a message": (150, 50),
    "large ones": (20, 9_000),
    "each as large as a message": (3, 65_507),
}


@pytest.mark.parametrize("traffic", JOINED)
@pytest.mark.parametrize("speakers", [1, 3])
def test_what_is_joined_arrives_like_anything_else(traffic, speakers):
    count, size = JOINED[traffic]
    said = [(n // 2 % speakers, bytes([n % 251]) * size) for n in range(count)]
    with Network() as network:
        assert deliver_joined(network, said) == []
        assert network.heard() == expected(said, 4)


@pytest.mark.parametrize(("code", "victim"), list(product(GSO_ERRORS, range(4))))
def test_what_is_joined_arrives_where_segments_are_refused(code, victim):
    said = [(n // 2 % 3, bytes([n]) * 50) for n in range(30)]
    with Network() as network:
        at = {network.source_of(victim): code}
        network.port._calls = Faults(at, segments_only=True)
        assert deliver_joined(network, said) == []
        assert network.heard() == expected(said, 4)


def test_the_largest_payload_arrives_as_sent():
    payload = bytes(range(256)) * 255 + bytes(227)
    with Network() as network:
        network.say((0, payload))
        assert network.heard()[1:] == [[payload]] * 3


def test_a_payload_too_long_for_ipv4_is_dropped_and_counted():
    with Network(interface="::1") as network:
        network.say((0, bytes(65_508)), (0, b"after"))
        assert network.heard()[1] == [b"after"]
        assert network.relay.hub.dropped[DropReason.TOO_LONG] == 1


@pytest.mark.parametrize(
    ("code", "victim", "traffic"), list(product(GSO_ERRORS, range(4), ("equal", "speakers")))
)
def test_refused_segments_are_resent_at_once_one_by_one(code, victim, traffic):
    with Network() as network:
        at = {network.source_of(victim): code}
        network.port._calls = Faults(at, segments_only=True)
        for _ in range(3):
            network.say(*TRAFFIC[traffic])
        assert network.heard() == expected(TRAFFIC[traffic] * 3, 4)
        assert not network.relay.hub.dropped
        off = [event for event in network.events if isinstance(event, ListenerSegmentsOff)]
        speaks_alone = traffic == "equal" and victim == 0
        assert len(off) == (0 if speaks_alone else 1)
        if off:
            assert (off[0].address == "") is (code == errno.EIO)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.EPERM, DropReason.SEND_FAILED),
        (errno.EACCES, DropReason.SEND_FAILED),
        (errno.ENETUNREACH, DropReason.UNREACHABLE),
        (errno.EHOSTUNREACH, DropReason.UNREACHABLE),
        (errno.ECONNREFUSED, DropReason.UNREACHABLE),
    ],
)
@pytest.mark.parametrize("victim", range(4))
@pytest.mark.parametrize("traffic", TRAFFIC)
def test_a_member_that_can_never_be_sent_to_costs_nobody_else_anything(
    code, reason, victim, traffic
):
    said = TRAFFIC[traffic]
    with Network() as network:
        network.port._calls = Faults({network.source_of(victim): code})
        network.say(*said)
        wanted = expected(said, 4)
        lost = len(wanted[victim])
        wanted[victim] = []
        assert network.heard() == wanted
        assert network.relay.hub.dropped == ({reason: lost} if lost else {})
        assert network.relay.hub.roster.deliveries == sum(map(len, wanted))


@pytest.mark.parametrize("code", [errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.EPROTO])
@pytest.mark.parametrize("victim", range(4))
@pytest.mark.parametrize("traffic", TRAFFIC)
def test_an_icmp_error_of_an_earlier_datagram_costs_none(code, victim, traffic):
    with Network() as network:
        network.port._calls = Faults({network.source_of(victim): code}, times=2)
        network.say(*TRAFFIC[traffic])
        assert network.heard() == expected(TRAFFIC[traffic], 4)


@pytest.mark.parametrize("code", [errno.EAGAIN, errno.ENOBUFS])
def test_a_full_send_buffer_drops_what_is_left_and_counts_it(code):
    with Network() as network:
        network.port._calls = Faults({network.source_of(2): code})
        network.say(*EQUAL)
        assert [len(heard) for heard in network.heard()] == [0, 3, 0, 0]
        assert network.relay.hub.dropped == {DropReason.SEND_BUFFER: 6}


@pytest.mark.parametrize(("speaker", "reached"), [(1, [0, 3]), (3, [0, 1])])
def test_a_full_send_buffer_drops_the_rest_of_a_single_datagram(speaker, reached):
    with Network() as network:
        network.port._calls = Faults({network.source_of(2): errno.EAGAIN})
        network.say((speaker, b"alone"))
        assert [i for i, heard in enumerate(network.heard()) if heard] == reached
        assert network.relay.hub.dropped == {DropReason.SEND_BUFFER: 1}


# What is for single addresses: more than one call takes, in two sizes, some too long to go along.
SINGLE = [(index % 4, b"%d" % index * (1000 if index % 9 == 4 else 1)) for index in range(70)]


def send_single(network: Network) -> list[DropReason]:
    return network.port.send_each(
        [(network.source_of(member), payload) for member, payload in SINGLE]
    )


def single_for(member: int) -> list[bytes]:
    return [payload for to, payload in SINGLE if to == member]


@pytest.mark.parametrize("interface", ["::", "0.0.0.0", "::1", "127.0.0.1"])
def test_datagrams_for_single_addresses_arrive_in_order(interface):
    with Network(interface=interface) as network:
        assert send_single(network) == []
        assert network.heard() == [single_for(member) for member in range(4)]


def test_datagrams_for_single_addresses_leave_with_one_call():
    with Network() as network:
        network.port._calls = faults = Faults({})
        network.port.send_each([(network.source_of(member), b"you") for member in range(4)])
        assert network.heard() == [[b"you"]] * 4
        assert faults.sends == 1


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENETUNREACH, errno.EAGAIN])
@pytest.mark.parametrize("victim", range(4))
def test_an_error_of_one_address_costs_no_other_one_a_datagram(code, victim):
    with Network() as network:
        source = network.source_of(victim)
        network.port._calls = Faults({source: code})
        network.port.socket = Unsendable(network.port.socket, source, network.port, code)
        failed = send_single(network)
        assert len(failed) == len(single_for(victim))
        wanted = [[] if member == victim else single_for(member) for member in range(4)]
        assert network.heard() == wanted


@pytest.mark.parametrize("victim", range(4))
def test_an_icmp_error_of_an_earlier_datagram_costs_no_single_one(victim):
    with Network() as network:
        network.port._calls = Faults({network.source_of(victim): errno.ECONNREFUSED}, times=2)
        assert send_single(network) == []
        assert network.heard() == [single_for(member) for member in range(4)]


def test_a_real_icmp_error_neither_ends_the_listener_nor_costs_a_datagram():
    with Network() as network:
        network.sockets[2].close()
        for _ in range(30):
            network.say((0, b"aaa"), (1, b"bbb"))
        network.sockets[2] = socket.socket()
        network.sockets[2].setblocking(False)
        heard = network.heard
        network.sockets.pop(2).close()
        assert heard() == [[b"bbb"] * 30, [b"aaa"] * 30, [b"aaa", b"bbb"] * 30]
        assert network.relay.hub.dropped[DropReason.UNREACHABLE] > 0


SIZES = st.sampled_from([0, 1, 3, 3, 3, 3, 7, 100, 1200, 20_000])
# Turns of a conversation: senders and sizes of what is sent before the relay reads.
TURNS = st.lists(st.lists(st.tuples(st.integers(0, 4), SIZES), max_size=80), max_size=4)


def payloads_of(turns: list[list[tuple[int, int]]]) -> list[list[tuple[int, bytes]]]:
    """Return what is said, each with a number of its own as far as its size allows."""
    serial = count()
    return [
        [(sender, (next(serial).to_bytes(3, "big") * size)[:size]) for sender, size in turn]
        for turn in turns
    ]


@settings(max_examples=60, deadline=None)
@given(turns=TURNS, label=st.sampled_from(Label), late=st.integers(0, 4))
def test_both_ports_make_the_same_deliveries_of_any_traffic(turns, label, late):
    results = []
    for batch in (True, False):
        with Network(batch=batch, members=5, label=label) as network:
            assert network.port.batched is batch
            for number, turn in enumerate(payloads_of(turns)):
                network.say(*turn)
                if number == 0:
                    member = network.relay.listeners["main"].listener.members
                    gone = list(member.values())[late]
                    network.relay.hub.kick(gone, network.relay.now())
            counters = network.relay.hub.roster
            results.append(
                (
                    network.heard(),
                    (
                        counters.datagrams,
                        counters.payload_bytes,
                        counters.deliveries,
                        network.relay.hub.dropped,
                    ),
                    Counter(type(event) for event in network.events),
                )
            )
    assert results[0] == results[1]


def test_headers_follow_members_that_join_leave_and_move():
    with Network(members=40) as network:
        hub = network.relay.hub
        members = list(network.relay.listeners["main"].listener.members.values())
        network.say((0, b"to all"))
        network.heard()
        for gone in (1, 5, 39, 20):
            hub.kick(members[gone], network.relay.now())
        network.say((0, b"again"), (2, b"other"))
        heard = network.heard()
        for index in range(40):
            if index in (1, 5, 39, 20):
                assert heard[index] == []
            else:
                said = [(0, b"again"), (2, b"other")]
                assert heard[index] == [payload for sender, payload in said if sender != index]


def test_another_program_may_use_the_port_with_a_plain_datagram_protocol():
    from twisted.internet.protocol import DatagramProtocol

    class Echo(DatagramProtocol):
        def datagramReceived(self, datagram, addr):
            self.transport.write(datagram.upper(), addr)

    clock = MemoryReactorClock()
    port = BatchPort(0, Echo(), "127.0.0.1", clock)
    port.startListening()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(5)
        for text in (b"one", b"two"):
            peer.sendto(text, ("127.0.0.1", port.getHost().port))
        port.doRead()
        assert [peer.recv(100), peer.recv(100)] == [b"ONE", b"TWO"]
    port.stopListening()
    clock.advance(0)


def test_without_the_system_calls_the_relay_runs_on_twisteds_port_and_says_so(monkeypatch):
    def forbidden():
        raise mmsg.UnavailableError("Operation not permitted")

    monkeypatch.setattr(batch_port.mmsg, "load", forbidden)
    with Network() as network:
        assert type(network.port) is RelayPort
        assert ListenerUnbatched("main", "Operation not permitted") in network.events
        network.say(*SPEAKERS)
        assert network.heard() == expected(SPEAKERS, 4)


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EPERM])
def test_calls_that_a_filter_forbids_are_found_out_before_they_are_needed(monkeypatch, code):
    class Forbidden:
        def recvmmsg(self, *_):
            ffi.errno = code
            return -1

        sendmmsg = recvmmsg

    monkeypatch.setattr(mmsg.ffi, "dlopen", lambda _: Forbidden())
    with pytest.raises(mmsg.UnavailableError):
        mmsg.load.__wrapped__()


def test_receive_drops_of_the_kernel_are_counted():
    with Network() as network:
        network.port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(200):
            network.sockets[0].sendto(bytes(1000), network.address)
        network.clock.advance(LOOK_AT_KERNEL)
        network.read()
        assert network.relay.hub.dropped[DropReason.RECEIVE_BUFFER] > 100


def test_the_batch_option_is_kept(monkeypatch):
    rules = evolve(ListenerRules(), batch=False)
    with Network(batch=rules.batch) as network:
        assert type(network.port) is RelayPort
