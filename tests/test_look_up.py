from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.interfaces import IHostnameResolver
from zope.interface.verify import verifyClass

from name_resolver import NameResolver
from udprelay.look_up import look_up, look_up_name


def test_the_resolver_of_the_tests_is_one_of_twisteds() -> None:
    assert verifyClass(IHostnameResolver, NameResolver)


@pytest_twisted.ensureDeferred
async def test_addresses_keep_the_order_of_the_resolver() -> None:
    resolver = NameResolver("2001:db8::1", "192.0.2.1")
    assert await look_up(resolver, "a.example") == ["2001:db8::1", "192.0.2.1"]


@pytest_twisted.ensureDeferred
async def test_an_unknown_name_has_no_addresses() -> None:
    assert await look_up(NameResolver(), "a.example") == []


@pytest_twisted.ensureDeferred
async def test_the_scope_of_an_ipv6_address_is_part_of_it() -> None:
    assert await look_up(NameResolver("fe80::1%3"), "a.example") == ["fe80::1%3"]


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "fe80::1%eth0"])
@pytest_twisted.ensureDeferred
async def test_an_address_is_not_looked_up_as_a_name(host: str) -> None:
    resolver = NameResolver("192.0.2.9")
    assert await look_up_name(resolver, host) == [host]
    assert await look_up(resolver, host) == ["192.0.2.9"]
    assert resolver.look_ups == 1


@pytest_twisted.ensureDeferred
async def test_other_hosts_are_looked_up() -> None:
    assert await look_up_name(NameResolver("192.0.2.1"), "a.example") == ["192.0.2.1"]
