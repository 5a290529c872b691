from __future__ import annotations

import pytest_twisted
from client_fakes import Names
from twisted.internet.address import IPv6Address
from twisted.internet.interfaces import IHostnameResolver
from zope.interface.verify import verifyClass

from udprelay.client.resolve import resolve


def test_the_names_are_a_resolver() -> None:
    assert verifyClass(IHostnameResolver, Names)


@pytest_twisted.ensureDeferred
async def test_addresses_are_not_looked_up() -> None:
    for host in ("192.0.2.1", "2001:db8::1", "fe80::1%eth0"):
        assert await resolve(Names("192.0.2.9"), host) == [host]


@pytest_twisted.ensureDeferred
async def test_addresses_keep_the_order_of_the_resolver() -> None:
    names = Names("2001:db8::1", "192.0.2.1")
    assert await resolve(names, "a.example") == ["2001:db8::1", "192.0.2.1"]


@pytest_twisted.ensureDeferred
async def test_the_scope_of_a_link_local_address_is_kept() -> None:
    names = Names(at_once=False)
    found = resolve(names, "a.example")
    names._receiver.addressResolved(IPv6Address("UDP", "fe80::1", 0, 0, 3))
    names.answer()
    assert await found == ["fe80::1%3"]
