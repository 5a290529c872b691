"""Send errors: an error of one destination costs the others nothing."""

from __future__ import annotations

import errno
from itertools import product

import pytest
from batch_udp_network import PORTS, Network
from batch_udp_sockets import without_own
from test_batch_udp_deliver import TRAFFIC, send_single, single_for

from udprelay.batch_udp.port import DatagramPort

SEGMENT_ERRORS = (errno.EINVAL, errno.EMSGSIZE, errno.EIO)
EQUAL = TRAFFIC["equal"]


@pytest.mark.parametrize(("code", "victim"), list(product(SEGMENT_ERRORS, range(4))))
@pytest.mark.parametrize("traffic", ["equal", "senders"])
def test_payloads_of_a_refused_message_are_sent_one_by_one(
    code: int, victim: int, traffic: str
) -> None:
    with Network() as network:
        network.calls.at[network.peer_of(victim)] = code
        network.calls.segments_only = True
        for _ in range(3):
            network.send(*TRAFFIC[traffic])
        wanted = without_own(TRAFFIC[traffic] * 3, 4)
        assert network.members.receive(wanted) == wanted
        assert network.room.failed == []
        if traffic == "equal" and victim == 0:
            assert network.room.refused == []
        else:
            source = None if code == errno.EIO else network.source_of(victim)
            assert network.room.refused == [(source, code)]


@pytest.mark.parametrize(("code", "victim"), list(product(SEGMENT_ERRORS, range(4))))
def test_segments_arrive_at_a_member_that_refuses_them(code: int, victim: int) -> None:
    sent = [(n // 2 % 3, bytes([n]) * 50) for n in range(30)]
    with Network() as network:
        network.calls.at[network.peer_of(victim)] = code
        network.calls.segments_only = True
        network.deliver(sent)
        wanted = without_own(sent, 4)
        assert network.members.receive(wanted) == wanted
        assert network.room.failed == []


@pytest.mark.parametrize(
    "code",
    [
        errno.EAGAIN,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.EPERM,
        errno.EACCES,
        errno.ENETUNREACH,
        errno.EHOSTUNREACH,
        errno.ECONNREFUSED,
    ],
    ids=errno.errorcode.get,
)
@pytest.mark.parametrize("port_class", PORTS)
@pytest.mark.parametrize("victim", range(4))
@pytest.mark.parametrize("traffic", TRAFFIC)
def test_a_member_that_cannot_be_sent_to_costs_the_others_nothing(
    port_class: type[DatagramPort], code: int, victim: int, traffic: str
) -> None:
    sent = TRAFFIC[traffic]
    with Network(port_class) as network:
        network.fail(victim, code)
        network.send(*sent)
        wanted = without_own(sent, 4)
        lost = len(wanted[victim])
        wanted[victim] = []
        assert network.members.receive(wanted) == wanted
        assert network.room.failed == [code] * lost


@pytest.mark.parametrize(
    "code", [errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.EPROTO], ids=errno.errorcode.get
)
@pytest.mark.parametrize("port_class", PORTS)
@pytest.mark.parametrize("victim", range(4))
@pytest.mark.parametrize("traffic", TRAFFIC)
def test_a_pending_icmp_error_costs_nothing(
    port_class: type[DatagramPort], code: int, victim: int, traffic: str
) -> None:
    with Network(port_class) as network:
        network.fail(victim, code, times=2)
        network.send(*TRAFFIC[traffic])
        wanted = without_own(TRAFFIC[traffic], 4)
        assert network.members.receive(wanted) == wanted
        assert network.room.failed == []


def test_a_member_that_refused_segments_and_has_moved_costs_no_other_member_its_segments() -> None:
    with Network() as network:
        members = list(network.room.group.members)
        network.calls.at[network.peer_of(1)] = errno.EINVAL
        network.calls.segments_only = True
        network.deliver(EQUAL)
        network.room.group.remove(members[1])
        # Its slot in another group is that of somebody else in this one.
        members[1].slot = 2
        before = network.calls.sends
        network.deliver(EQUAL)
        assert network.calls.sends == before + 1


@pytest.mark.parametrize("port_class", PORTS)
@pytest.mark.parametrize("refuses", [False, True])
@pytest.mark.parametrize("size", [65_508, 65_600])
def test_a_payload_that_no_datagram_holds_costs_the_others_nothing(
    port_class: type[DatagramPort], refuses: bool, size: int
) -> None:
    with Network(port_class) as network:
        if refuses:
            network.calls.at[network.peer_of(3)] = errno.EINVAL
            network.calls.segments_only = True
            network.deliver(EQUAL)
        for sent in ([(0, b"x" * size)], [(0, b"one"), (0, b"x" * size), (1, b"two")]):
            network.deliver(sent)
        sent = [*(EQUAL * refuses), (0, b"one"), (1, b"two")]
        wanted = without_own(sent, 4)
        assert network.members.receive(wanted) == wanted
        assert network.room.failed == [errno.EMSGSIZE] * 6


@pytest.mark.parametrize(
    "code", [errno.EPERM, errno.ENETUNREACH, errno.EAGAIN], ids=errno.errorcode.get
)
@pytest.mark.parametrize("port_class", PORTS)
@pytest.mark.parametrize("victim", range(4))
def test_an_error_of_a_single_address_costs_the_others_nothing(
    port_class: type[DatagramPort], code: int, victim: int
) -> None:
    with Network(port_class) as network:
        network.fail(victim, code)
        assert send_single(network) == [code] * len(single_for(victim))
        wanted = [[] if member == victim else single_for(member) for member in range(4)]
        assert network.members.receive(wanted) == wanted


@pytest.mark.parametrize("port_class", PORTS)
@pytest.mark.parametrize("victim", range(4))
def test_a_pending_icmp_error_costs_no_single_datagram(
    port_class: type[DatagramPort], victim: int
) -> None:
    with Network(port_class) as network:
        network.fail(victim, errno.ECONNREFUSED, times=2)
        assert send_single(network) == []
        wanted = [single_for(member) for member in range(4)]
        assert network.members.receive(wanted) == wanted


@pytest.mark.parametrize("port_class", PORTS)
@pytest.mark.parametrize("code", [errno.ENOBUFS, errno.EPERM], ids=errno.errorcode.get)
def test_a_refused_destination_is_reported_once_and_tried_again(
    port_class: type[DatagramPort], code: int
) -> None:
    with Network(port_class) as network:
        network.fail(2, code, times=2)
        for _ in range(3):
            network.deliver(EQUAL)
        wanted = without_own(EQUAL * 3, 4)
        lost = len(network.room.failed)
        assert 0 < lost < 9
        wanted[2] = wanted[2][lost:]
        received = network.members.receive(wanted)
        assert [len(one) for one in received] == [len(one) for one in wanted]
        assert network.room.troubles == [(network.peer_of(2), code)]
        network.clock.advance(10)
        assert network.room.recovered == [network.peer_of(2)]
