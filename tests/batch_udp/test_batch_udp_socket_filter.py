"""Filters: programs of classic BPF, and what the kernel does with them."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import closing
from ipaddress import ip_address
from typing import Any

import pytest
from batch_udp_network import PORTS, Network
from batch_udp_sockets import LOOPBACK
from hypothesis import given
from hypothesis import strategies as st

from udprelay.batch_udp import socket_filter
from udprelay.batch_udp.linux_socket import detach_filter, filter_sources, kernel_drops
from udprelay.batch_udp.port import DatagramPort
from udprelay.batch_udp.socket_filter import (
    MAX_INSTRUCTIONS,
    FilteredSource,
    Instruction,
    encode,
    program,
)

MARK = b"12345678"
MARK_AT = 6
PLAIN = bytes(MARK_AT) + MARK + b"rest"

SIZES = {socket_filter.LD_WORD: 4, socket_filter.LD_HALF: 2, socket_filter.LD_BYTE: 1}

both_ports = pytest.mark.parametrize("port_class", PORTS)


def word(data: bytes, offset: int, size: int) -> int | None:
    """Return a number of a datagram; None behind its end."""
    part = data[offset : offset + size]
    return int.from_bytes(part, "big") if len(part) == size else None


def load(instruction: Instruction, ip: bytes, udp: bytes, interface: int) -> int | None:
    """Return what an instruction loads from a datagram; None behind its end."""
    if instruction.number == socket_filter.INTERFACE_INDEX:
        return interface
    if instruction.number >= socket_filter.NETWORK_HEADER:
        return word(ip, instruction.number - socket_filter.NETWORK_HEADER, SIZES[instruction.code])
    return word(udp, instruction.number, SIZES[instruction.code])


def passes(  # noqa: C901
    instructions: Sequence[Instruction], ip: bytes, udp: bytes, interface: int = 1
) -> bool:
    """Run a program over a datagram, as the kernel does."""
    a = x = at = 0
    memory: dict[int, int] = {}
    while (one := instructions[at]).code != socket_filter.RETURN:
        at += 1
        match one.code:
            case socket_filter.LD_LENGTH:
                a = len(udp)
            case socket_filter.LD_MEMORY:
                a = memory[one.number]
            case socket_filter.STORE:
                memory[one.number] = a
            case socket_filter.SHIFT_RIGHT:
                a >>= one.number
            case socket_filter.TO_X:
                x = a
            case socket_filter.FROM_X:
                a = x
            case socket_filter.JUMP:
                at += one.number
            case socket_filter.JUMP_IF_EQUAL:
                at += one.if_true if a == one.number else one.if_false
            case socket_filter.JUMP_IF_NOT_LESS:
                at += one.if_true if a >= one.number else one.if_false
            case _:
                loaded = load(one, ip, udp, interface)
                if loaded is None:
                    return False
                a = loaded
    return one.number > 0


def headers(address: bytes, port: int, payload: bytes) -> tuple[bytes, bytes]:
    """Return the IP header of a datagram, and the rest."""
    udp = struct.pack("!HHHH", port, 6000, 8 + len(payload), 0) + payload
    if len(address) == 4:
        return b"\x45" + bytes(11) + address + bytes(4), udp
    return b"\x60" + bytes(7) + address + bytes(16), udp


addresses = st.sampled_from(
    [
        ip_address(text).packed
        for text in (
            "192.0.2.1",
            "192.0.2.2",
            "2001:db8::1",
            "2001:db8::2",
            "2001:db8:0:1::1",
            "fe80::1",
        )
    ]
)
prefixes = addresses.map(lambda a: a if len(a) == 4 else a[:8])
ports = st.sampled_from([1, 1000, 65535])
marks = st.sampled_from([b"", MARK, MARK[::-1]])
interfaces = st.sampled_from([0, 1, 2])
filtered = st.one_of(
    st.builds(FilteredSource, addresses, ports, interfaces, marks),
    st.builds(FilteredSource, prefixes, st.none()),
)


def covers(one: FilteredSource, address: bytes, port: int, payload: bytes, index: int) -> bool:
    same_family = len(address) == 4 if len(one.address) == 4 else len(address) == 16
    return (
        same_family
        and address.startswith(one.address)
        and one.port in (None, port)
        and one.interface in (0, index)
        and (not one.mark or payload[MARK_AT : MARK_AT + 8] == one.mark)
    )


@given(
    st.lists(filtered, max_size=6),
    addresses,
    ports,
    st.sampled_from([b"", b"short", PLAIN[:13], PLAIN[:14], PLAIN, bytes(6) + MARK[::-1]]),
    st.sampled_from([1, 2]),
)
def test_a_program_drops_exactly_what_comes_from_its_sources(
    sources: list[FilteredSource], address: bytes, port: int, payload: bytes, index: int
) -> None:
    dropped = any(covers(one, address, port, payload, index) for one in sources)
    ip, udp = headers(address, port, payload)
    assert passes(program(sources, MARK_AT), ip, udp, index) is not dropped


def many(number: int, make: Callable[[int], FilteredSource]) -> list[FilteredSource]:
    return [make(index) for index in range(number)]


def longest(index: int) -> FilteredSource:
    address = b"\xfe\x80" + index.to_bytes(14, "big")
    return FilteredSource(address, 1 + index, mark=index.to_bytes(8, "big"))


@pytest.mark.parametrize(
    ("number", "make"),
    [
        (256, longest),
        (768, lambda index: FilteredSource(index.to_bytes(4, "big"), 1 + index)),
    ],
    ids=["sessions with IPv6", "plain with IPv4"],
)
def test_a_program_has_space_for_hundreds_of_sources(
    number: int, make: Callable[[int], FilteredSource]
) -> None:
    sources = many(number, make)
    made = program(sources, MARK_AT)
    assert len(made) <= MAX_INSTRUCTIONS
    assert all(max(one.if_true, one.if_false) < 256 for one in made)
    for source in sources:
        payload = bytes(MARK_AT) + source.mark
        assert not passes(made, *headers(source.address, source.port or 0, payload))


def test_sources_that_do_not_fit_are_left_out_the_last_ones_first() -> None:
    sources = many(2000, longest)
    made = program(sources, MARK_AT)
    assert MAX_INSTRUCTIONS - 32 < len(made) <= MAX_INSTRUCTIONS
    fates = [
        passes(made, *headers(one.address, one.port or 0, bytes(MARK_AT) + one.mark))
        for one in sources
    ]
    assert fates == sorted(fates)
    assert fates.count(False) > 200


def source_of(opened: socket.socket, mark: bytes = b"") -> FilteredSource:
    host, port = opened.getsockname()[:2]
    return FilteredSource(ip_address(host).packed, port, mark=mark)


@both_ports
@pytest.mark.parametrize("interface", LOOPBACK)
def test_the_kernel_drops_and_counts_what_comes_from_a_filtered_source(
    port_class: type[DatagramPort], interface: str
) -> None:
    with Network(port_class, interface) as made:
        opened, sockets = made.port.socket, made.members.sockets
        before = kernel_drops(opened)
        assert made.port.filter_sources([source_of(sockets[1])]) == 0
        for _ in range(5):
            made.members.send(1, b"flood")
        made.send((0, b"heard"), (2, b"too"))
        wanted = [[b"too"], [b"heard", b"too"], [b"heard"], [b"heard", b"too"]]
        assert made.members.receive(wanted) == wanted
        assert kernel_drops(opened) - before == 5
        assert made.port.filter_sources([]) == 0
        made.send((1, b"again"))
        assert made.members.receive_from(sockets[0], [b"again"]) == [b"again"]


@both_ports
@pytest.mark.parametrize("interface", ["::", "::1"])
def test_a_source_with_a_mark_is_dropped_only_with_its_mark(
    port_class: type[DatagramPort], interface: str
) -> None:
    with Network(port_class, interface) as made:
        sockets = made.members.sockets
        assert made.port.filter_sources([source_of(sockets[1], MARK)], MARK_AT) == 0
        made.members.send(1, PLAIN)
        made.members.send(0, PLAIN)
        made.send((1, PLAIN[:13]), (1, PLAIN[::-1]))
        assert made.members.receive_from(sockets[2], [b"", b"", b""]) == [
            PLAIN,
            PLAIN[:13],
            PLAIN[::-1],
        ]


@both_ports
def test_a_filter_of_every_port_concerns_its_address_alone(
    port_class: type[DatagramPort],
) -> None:
    with (
        Network(port_class, "::") as made,
        closing(socket.socket(type=socket.SOCK_DGRAM)) as other,
    ):
        other.bind(("127.0.0.2", 0))
        loopback = FilteredSource(ip_address("127.0.0.1").packed, None)
        assert made.port.filter_sources([loopback]) == 0
        made.members.send(1, b"flood")
        other.sendto(b"heard", made.members.address)
        made.read_until(made.room.received + 1)
        assert made.members.receive_from(made.members.sockets[0], [b""]) == [b"heard"]


class LittleMemory:
    """A socket whose kernel has memory for a filter of so many bytes; it keeps the last one."""

    def __init__(self, space: int) -> None:
        self.space = space
        self.attached: int | None = None

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        if not isinstance(value, bytes):
            self.attached = None
            return
        size = 8 * struct.unpack_from("H", value)[0]
        if size + (self.attached or 0) > self.space:
            raise OSError(errno.ENOMEM, "")
        self.attached = size


def attach(opened: LittleMemory, sources: list[FilteredSource]) -> int:
    anything: Any = opened
    return filter_sources(anything, sources, MARK_AT)


def test_a_filter_that_has_space_only_without_the_one_before_replaces_it() -> None:
    sources = many(100, longest)
    size = len(encode(program(sources, MARK_AT)))
    opened = LittleMemory(size)
    assert [attach(opened, sources), attach(opened, sources)] == [0, 0]
    assert opened.attached == size


def test_as_many_sources_are_filtered_as_the_kernel_has_memory_for() -> None:
    sources = many(100, longest)
    opened = LittleMemory(len(encode(program(sources[:30], MARK_AT))))
    assert attach(opened, sources) == 0
    assert opened.attached == len(encode(program(sources[:25], MARK_AT)))


def test_without_memory_for_any_source_there_is_no_filter_and_the_errno_tells() -> None:
    opened = LittleMemory(8)
    assert attach(opened, many(3, longest)) == errno.ENOMEM
    assert opened.attached is None


def test_a_filter_that_was_found_on_a_socket_is_taken_off() -> None:
    with (
        closing(socket.socket(type=socket.SOCK_DGRAM)) as opened,
        closing(socket.socket(type=socket.SOCK_DGRAM)) as other,
    ):
        opened.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        opened.settimeout(20)
        assert filter_sources(opened, [source_of(other)]) == 0
        other.sendto(b"dropped", opened.getsockname())
        detach_filter(opened)
        detach_filter(opened)
        other.sendto(b"heard", opened.getsockname())
        assert opened.recv(100) == b"heard"
