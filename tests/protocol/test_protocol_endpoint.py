"""Addresses and ports are parsed, formatted and compared."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udprelay.protocol.endpoint import Endpoint, canonical, endpoint, host_port, parse_host_port

ports = st.integers(1, 65535)


def test_an_ipv4_mapped_address_is_the_ipv4_address() -> None:
    assert endpoint("::ffff:192.0.2.1", 6000) == endpoint("192.0.2.1", 6000)
    assert str(endpoint("::ffff:192.0.2.1", 6000)) == "192.0.2.1:6000"


@given(st.ip_addresses(v=4))
def test_every_ipv4_mapped_address_has_its_ipv4_address(ip: IPv4Address) -> None:
    assert canonical(IPv6Address(b"\0" * 10 + b"\xff\xff" + ip.packed)) == ip
    assert canonical(ip) is ip


def test_the_scope_is_part_of_a_link_local_address() -> None:
    assert endpoint("fe80::1%2", 1) != endpoint("fe80::1%3", 1)
    assert str(endpoint("fe80::1%2", 1)) == "[fe80::1%2]:1"


def test_an_endpoint_needs_a_numeric_address() -> None:
    with pytest.raises(ValueError, match="relay"):
        endpoint("relay.example", 6000)


@given(st.ip_addresses().map(canonical), ports)
def test_endpoint_is_parsed_as_it_was_formatted(ip: IPv4Address | IPv6Address, port: int) -> None:
    written = Endpoint(ip, port)
    assert endpoint(*parse_host_port(str(written))) == written


@given(
    st.lists(st.text("abyz019-_é", min_size=1, max_size=20), min_size=1, max_size=5).map(".".join),
    ports,
)
def test_host_names_are_parsed_unchanged(host: str, port: int) -> None:
    assert parse_host_port(host_port(host, port)) == (host, port)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("relay", ("relay", 6000)),
        ("relay:7000", ("relay", 7000)),
        (" relay:7000 ", ("relay", 7000)),
        ("192.0.2.1", ("192.0.2.1", 6000)),
        ("::1", ("::1", 6000)),
        ("[::1]", ("::1", 6000)),
        ("[::1]:7000", ("::1", 7000)),
        ("[fe80::1%eth0]:7000", ("fe80::1%eth0", 7000)),
        ("relay:1", ("relay", 1)),
        ("relay:65535", ("relay", 65535)),
    ],
)
def test_the_port_is_optional_with_a_default(text: str, found: tuple[str, int]) -> None:
    assert parse_host_port(text, 6000) == found


@pytest.mark.parametrize("text", ["relay", "::1", "[::1]", "2001:db8::1:6000"])
def test_the_port_is_mandatory_without_a_default(text: str) -> None:
    with pytest.raises(ValueError, match="has no port"):
        parse_host_port(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has no valid host"),
        (":6000", "has no valid host"),
        ("[]:6000", "has no valid host"),
        ("a b:6000", "has no valid host"),
        ("a]:6000", "has no valid host"),
        ("http://relay", "has no valid host|is not a port"),
        ("10.0.0.0/8:1", "has no valid host"),
        ("a..b:1", "is not a valid host name"),
        (f"{'x' * 64}:1", "is not a valid host name"),
        ("[::1", "in brackets"),
        ("[::1]6000", "in brackets"),
        ("relay:", "is not a port"),
        ("relay:0", "is not a port"),
        ("relay:65536", "is not a port"),
        ("relay:-1", "is not a port"),
        ("relay:6 0", "is not a port"),
        ("relay:\u0661", "is not a port"),
        ("relay:http", "is not a port"),
    ],
)
def test_the_error_says_what_is_invalid(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_host_port(text, 6000)


@given(st.text(max_size=30), st.one_of(st.none(), ports))
def test_any_text_is_parsed_or_refused(text: str, default: int | None) -> None:
    try:
        host, port = parse_host_port(text, default)
    except ValueError:
        return
    assert host
    assert 1 <= port <= 65535


def test_endpoints_are_equal_by_value() -> None:
    assert len({endpoint("10.0.0.1", 1), Endpoint(ip_address("10.0.0.1"), 1)}) == 1
