"""What the machine says about its addresses, names and settings."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from udprelay import machine


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1"])
def test_loopback_addresses_are_local_and_no_broadcast_addresses(host: str) -> None:
    assert machine.is_local(ip_address(host))
    assert not machine.is_broadcast(ip_address(host))
    assert machine.source_for(ip_address(host)).is_loopback


@pytest.mark.parametrize("host", ["192.0.2.200", "2001:db8::1", "fe80::1%absent", "fe80::1%999"])
def test_addresses_of_other_machines_are_neither(host: str) -> None:
    assert not machine.is_local(ip_address(host))
    assert not machine.is_broadcast(ip_address(host))


@pytest.mark.parametrize("host", ["255.255.255.255", "127.255.255.255"])
def test_broadcast_addresses_are_recognised(host: str) -> None:
    assert machine.is_broadcast(ip_address(host))
    assert not machine.is_local(ip_address("255.255.255.255"))
    with pytest.raises(OSError, match=r"."):
        machine.source_for(ip_address("127.255.255.255"))


def test_names_are_looked_up() -> None:
    found = machine.look_up_names(["localhost", "127.0.0.1", "not a name"], 30)
    assert found["127.0.0.1"] == ["127.0.0.1"]
    assert found["localhost"]
    assert set(found["localhost"]) <= {"127.0.0.1", "::1"}
    assert found["not a name"] == []


def test_names_without_an_answer_in_time_have_none() -> None:
    assert machine.look_up_names([], 0) == {}
    assert set(machine.look_up_names(["a.invalid"], 0)) == {"a.invalid"}


def test_settings_of_the_kernel_have_a_default() -> None:
    assert machine.sysctl("net.ipv4.ip_default_ttl", 0) > 0
    assert machine.sysctl("net.absent", 7) == 7


def test_the_memory_is_known() -> None:
    assert machine.memory() > 1024**2
