"""Whom a relay trusts by default, on a machine with a LAN and a way to the Internet."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest
from namespaces import Machine, machines, needs_namespaces

if TYPE_CHECKING:
    from system_processes import Relay, Start

pytest_plugins = ("system_fixtures",)
pytestmark = needs_namespaces


class Site:
    """
    A relay's machine between two others.

    :ivar lan: the others of its LAN, among them 192.168.77.1, its default router.
    :ivar wan: can send it datagrams with any source address, from another interface.
    """

    def __init__(self, here: Machine, lan: Machine, wan: Machine) -> None:
        self.here, self.lan, self.wan = here, lan, wan
        here.ip(f"link add lan0 type veth peer name lan1 netns {lan.name}")
        here.ip(f"link add wan0 type veth peer name wan1 netns {wan.name}")
        # The kernel's own filter of forged sources would hide what the relay does.
        rules = [f"net.ipv4.conf.{one}.rp_filter=0" for one in ("all", "lan0", "wan0")]
        subprocess.run([*here.enter, "sysctl", "-qw", *rules], check=True)
        for machine, device, host in ((here, "lan0", 5), (lan, "lan1", 9)):
            machine.ip(f"addr add 192.168.77.{host}/24 dev {device}")
            machine.ip(f"addr add fd77::{host}/64 dev {device} nodad")
            machine.ip(f"addr add fe80::{host}/64 dev {device} nodad")
        for machine, device, host in ((here, "wan0", 5), (wan, "wan1", 9)):
            machine.ip(f"addr add 198.51.100.{host}/24 dev {device}")
            machine.ip(f"addr add 2001:db8::{host}/64 dev {device} nodad")
            machine.ip(f"addr add fe80::{host}/64 dev {device} nodad")
        lan.ip("addr add 192.168.77.1/24 dev lan1")
        for machine, device in ((here, "lan0"), (here, "wan0"), (lan, "lan1"), (wan, "wan1")):
            machine.ip(f"link set {device} up")
        here.ip("route add 203.0.113.0/24 via 192.168.77.1")
        here.ip("route add default via 198.51.100.9")
        here.ip("route add default via 2001:db8::9")
        for address in ("192.168.77.20/32", "10.1.2.3/32", "fd77::20/128"):
            wan.ip(f"addr add {address} dev lo")
        wan.ip("route add 192.168.77.5 via 198.51.100.5")
        wan.ip("route add fd77::5 via fe80::5 dev wan1")


@pytest.fixture
def site() -> Iterator[Site]:
    with machines("relay", "lan", "wan") as made:
        yield Site(*made)


@pytest.fixture
def send() -> Iterator[Callable[..., str]]:
    """Return a function that sends a datagram from an address, and returns that."""
    with ExitStack() as stack:

        def send_(machine: Machine, source: str, destination: str, port: int) -> str:
            ipv6 = ":" in source
            opened = stack.enter_context(
                closing(machine.socket(socket.AF_INET6 if ipv6 else socket.AF_INET))
            )
            scope = machine.index("lan1") if source.startswith("fe80") else 0
            rest: tuple[Any, ...] = (0, scope) if ipv6 else ()
            opened.bind((source, 0, *rest))
            opened.sendto(b"hello", (destination, port, *rest))
            bound = opened.getsockname()[1]
            return f"[{source}]:{bound}" if ipv6 else f"{source}:{bound}"

        yield send_


def relay_at(start: Start, site: Site, options: str = "") -> Relay:
    config = f"[listener:main]\n{options}[limits]\ndrop_window = 100ms\n"
    return start.relay(config=config, before=site.here.enter)


@pytest.mark.parametrize("batch", ["yes", "no"])
def test_this_machine_and_its_neighbours_join_at_once(
    start: Start, site: Site, send: Callable[..., str], batch: str
) -> None:
    relay = relay_at(start, site, f"batch = {batch}\n")
    assert relay.event("listener.opened")["plain_networks"] == "local"
    for machine, source, destination in (
        (site.here, "127.0.0.1", "127.0.0.1"),
        (site.here, "127.0.0.1", "192.168.77.5"),
        (site.here, "192.168.77.5", "127.0.0.1"),
        (site.here, "198.51.100.5", "192.168.77.5"),
        (site.here, "::1", "::1"),
        (site.here, "2001:db8::5", "2001:db8::5"),
        (site.here, "2001:db8::5", "fd77::5"),
        (site.lan, "192.168.77.9", "192.168.77.5"),
        (site.lan, "fd77::9", "fd77::5"),
    ):
        relay.event("member.joined", address=send(machine, source, destination, relay.port))
    send(site.lan, "fe80::9", "fe80::5", relay.port)
    relay.event("member.joined", member="guest-10")


FORGED = {
    "main": ("::", "192.168.77.20", "198.51.100.5"),
    "main-6": ("::", "fd77::20", "2001:db8::5"),
    "every": ("0.0.0.0", "10.1.2.3", "192.168.77.5"),
    "lan": ("192.168.77.5", "192.168.77.20", "192.168.77.5"),
    "lan-6": ("fd77::5", "fd77::20", "fd77::5"),
    "wan": ("198.51.100.5", "198.51.100.9", "198.51.100.5"),
}
"""A listener's interface, a source from elsewhere or in a public subnet, and where it sends to."""


@pytest.mark.parametrize("batch", ["yes", "no"])
def test_other_sources_are_challenged(
    start: Start, site: Site, send: Callable[..., str], batch: str
) -> None:
    sections = (
        f"[listener:{name}]\ninterface = {interface}\nport = 0\nbatch = {batch}\n"
        for name, (interface, _, _) in FORGED.items()
    )
    config = "".join(sections) + "[limits]\ndrop_window = 100ms\n"
    relay = start.relay(config=config, before=site.here.enter)
    for name, (_, forged, destination) in FORGED.items():
        port = relay.event("listener.opened", listener=name)["port"]
        send(site.wan, forged, destination, port)
        relay.event("datagrams.dropped", listener=name, reason="challenged", count=1)


def test_routers_and_forged_addresses_of_this_machine_are_challenged(
    start: Start, site: Site, send: Callable[..., str]
) -> None:
    relay = relay_at(start, site)
    send(site.lan, "192.168.77.1", "192.168.77.5", relay.port)
    relay.event("datagrams.dropped", reason="challenged", count=1)
    site.wan.ip("addr add 2001:db8::5/128 dev lo")
    send(site.wan, "2001:db8::5", "fd77::5", relay.port)
    # A socket of this machine with that address is the first to join.
    address = send(site.here, "2001:db8::5", "fd77::5", relay.port)
    relay.event("member.joined", member="guest-1", address=address)


def test_addresses_and_routes_are_followed(
    start: Start, site: Site, send: Callable[..., str]
) -> None:
    relay = relay_at(start, site)
    relay.event("member.joined", address=send(site.here, "127.0.0.1", "127.0.0.1", relay.port))
    for machine, host in ((site.here, 5), (site.lan, 9), (site.lan, 8)):
        device = "lan0" if machine is site.here else "lan1"
        machine.ip(f"addr add 172.16.5.{host}/24 dev {device}")
    relay.event("member.joined", address=send(site.lan, "172.16.5.9", "172.16.5.5", relay.port))
    site.here.ip("route add 203.0.113.128/25 via 172.16.5.8")
    send(site.lan, "172.16.5.8", "172.16.5.5", relay.port)
    relay.event("datagrams.dropped", reason="challenged", count=1)
