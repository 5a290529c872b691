"""Machines with several addresses, and with addresses and interfaces that come and go."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest
from namespaces import Machine, machines, needs_namespaces
from system_processes import TIMEOUT

if TYPE_CHECKING:
    from system_processes import Start

pytest_plugins = ("system_fixtures",)
pytestmark = needs_namespaces


def plug(here: Machine, there: Machine) -> None:
    """Connect both machines; each has two addresses of each IP version."""
    here.ip(f"link add v0 type veth peer name v1 netns {there.name}")
    for machine, device, host in ((here, "v0", 1), (there, "v1", 2)):
        machine.ip(f"addr add 10.77.0.{host}/24 dev {device}")
        machine.ip(f"addr add fd77::{host}/64 dev {device} nodad")
        machine.ip(f"addr add fe80::{host}/64 dev {device} nodad")
        machine.ip(f"link set {device} up")


@pytest.fixture
def two_machines() -> Iterator[tuple[Machine, Machine]]:
    """The machine of the relay, and that of the members."""
    with machines("relay", "members") as (here, there):
        plug(here, there)
        yield here, there


class Members:
    """Members on a machine with connected sockets: each hears one address only."""

    def __init__(self, machine: Machine, stack: ExitStack) -> None:
        self._machine = machine
        self._stack = stack

    def join(self, address: tuple[Any, ...], connected: bool = True) -> socket.socket:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        opened = self._stack.enter_context(closing(self._machine.socket(family)))
        opened.settimeout(TIMEOUT)
        if connected:
            opened.connect(address)
            opened.send(b"")
        else:
            opened.sendto(b"", address)
        return opened


@pytest.fixture
def members(two_machines: tuple[Machine, Machine]) -> Iterator[Members]:
    with ExitStack() as stack:
        yield Members(two_machines[1], stack)


ADDRESSES = ["10.77.0.1", "10.77.0.101", "10.77.0.201", "fd77::1", "fd77::101", "fd77::201"]


@pytest.mark.parametrize("batch", ["yes", "no"])
def test_each_address_answers_also_those_that_are_added_later(
    start: Start, two_machines: tuple[Machine, Machine], members: Members, batch: str
) -> None:
    here, _ = two_machines
    for address in ("10.77.0.101/24", "fd77::101/64"):
        here.ip(f"addr add {address} dev v0 nodad")
    relay = start.relay(config=f"[listener:main]\nbatch = {batch}\n", before=here.enter)
    for address in ("10.77.0.201/24", "fd77::201/64"):
        here.ip(f"addr add {address} dev v0 nodad")
    joined = []
    for number, address in enumerate(ADDRESSES, 1):
        joined.append(members.join((address, relay.port)))
        relay.event("member.joined", member=f"guest-{number}")
    for speaker in joined:
        speaker.send(b"hello")
        for member in joined:
            if member is not speaker:
                assert member.recv(99) == b"hello"


@pytest.mark.parametrize("batch", ["yes", "no"])
@pytest.mark.parametrize(("gone", "left"), [("10.77.0.101", 24), ("fd77::101", 64)])
def test_members_that_have_asked_an_address_that_is_gone_hear_another(
    start: Start,
    two_machines: tuple[Machine, Machine],
    members: Members,
    batch: str,
    gone: str,
    left: int,
) -> None:
    here, _ = two_machines
    here.ip(f"addr add {gone}/{left} dev v0 nodad")
    relay = start.relay(config=f"[listener:main]\nbatch = {batch}\n", before=here.enter)
    stays = "10.77.0.1" if "." in gone else "fd77::1"
    one = members.join((gone, relay.port), connected=False)
    relay.event("member.joined", member="guest-1")
    other = members.join((stays, relay.port))
    relay.event("member.joined", member="guest-2")
    here.ip(f"addr del {gone}/{left} dev v0")
    for number in range(3):
        other.send(b"%d" % number)
        payload, (host, *_) = one.recvfrom(99)
        assert (payload, host) == (b"%d" % number, stays)
    # Where it is heard now, it may ask as well.
    one.sendto(b"thanks", (stays, relay.port))
    assert other.recv(99) == b"thanks"


def test_a_listener_opens_when_its_address_comes(
    start: Start, two_machines: tuple[Machine, Machine], members: Members
) -> None:
    here, _ = two_machines
    config = "[listener:main]\n[listener:later]\ninterface = 10.77.0.150\nport = 6002\n"
    relay = start.relay(config=config, before=here.enter)
    relay.event("listener.waiting", listener="later", interface="10.77.0.150", port=6002)
    here.ip("addr add 10.77.0.150/24 dev v0")
    relay.event("listener.opened", listener="later")
    one = members.join(("10.77.0.150", 6002))
    relay.event("member.joined", member="guest-1")
    other = members.join(("fd77::1", relay.port))
    relay.event("member.joined", member="guest-2")
    other.send(b"hello")
    assert one.recv(99) == b"hello"


def test_a_listener_outlives_its_interface(
    start: Start, two_machines: tuple[Machine, Machine], members: Members
) -> None:
    here, there = two_machines
    relay = start.relay("--interface", "fe80::1%v0", before=here.enter)
    here.ip("link del v0")
    relay.event("listener.waiting")
    plug(here, there)
    opened = r'"event":"listener.opened"(?s:.)*"event":"listener.opened"'
    relay.stdout.wait_for(opened)
    address = ("fe80::1", relay.port, 0, there.index("v1"))
    joined = []
    for number in range(2):
        joined.append(members.join(address))
        relay.event("member.joined", member=f"guest-{number + 1}")
    joined[0].send(b"hello")
    assert joined[1].recv(99) == b"hello"
