"""
Programs of classic BPF that drop the datagrams of some sources before they are queued.

The kernel runs the filter of a socket (``SO_ATTACH_FILTER``, ``socket(7)``) before a datagram
takes space in the receive buffer. The program sees the UDP header at offset 0. What precedes it is
reached by negative offsets. A load behind the end of a datagram ends the program, and the datagram
is dropped: the length is compared first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

MAX_INSTRUCTIONS = 4096
"""In one program (``BPF_MAXINSNS``)."""

MARK_SIZE = 8

# From linux/bpf_common.h and linux/filter.h.
LD_BYTE = 0x30
LD_HALF = 0x28
LD_WORD = 0x20
LD_LENGTH = 0x80
LD_MEMORY = 0x60
STORE = 0x02
SHIFT_RIGHT = 0x74
JUMP = 0x05
JUMP_IF_EQUAL = 0x15
JUMP_IF_NOT_LESS = 0x35
RETURN = 0x06
TO_X = 0x07
FROM_X = 0x87

NETWORK_HEADER = 0xFFF00000
"""Offset of the IP header (``SKF_NET_OFF``)."""
INTERFACE_INDEX = 0xFFFFF008
"""Where the index of the interface of arrival is loaded from (``SKF_AD_OFF``)."""

_WHOLE = 0xFFFFFFFF
_UDP_HEADER = 8
_SOURCE_PORT = 0
_ADDRESS_AT = {4: 12, 6: 8}
_WORDS = {4: 1, 6: 4}
_MARK = 4  # words of memory before it have the address
_INSTRUCTION = struct.Struct("=HBBI")


class Instruction(NamedTuple):
    """One instruction (``struct sock_filter``): what it does, two jumps, and a number."""

    code: int
    if_true: int
    if_false: int
    number: int


@dataclass(frozen=True)
class FilteredSource:
    """
    Whose datagrams are dropped.

    :param address: 4 bytes: IPv4; 16: IPv6; 8: all IPv6 addresses that begin with them.
    :param port: the UDP port; None is every port.
    :param interface: index of the interface of a link-local address; 0 is any.
    :param mark: 8 bytes that the payload has, too; empty for any payload.
    """

    address: bytes
    port: int | None
    interface: int = 0
    mark: bytes = b""

    @property
    def version(self) -> int:
        """Of the Internet Protocol: 4 or 6."""
        return 4 if len(self.address) == 4 else 6


def program(sources: Iterable[FilteredSource], mark_at: int = 0) -> list[Instruction]:
    """
    Return a program that drops datagrams.

    :param sources: in the order of importance; those that do not fit any more are left out.
    :param mark_at: the offset of marks in the payload.
    """
    space = MAX_INSTRUCTIONS - len(_assembled([], mark_at))
    fitting = []
    for source in sources:
        space -= len(_block(source))
        if space < 0:
            break
        fitting.append(source)
    return _assembled(fitting, mark_at)


def encode(instructions: Sequence[Instruction]) -> bytes:
    """Return a program as the kernel reads it."""
    return b"".join(_INSTRUCTION.pack(*one) for one in instructions)


def _assembled(sources: Sequence[FilteredSource], mark_at: int) -> list[Instruction]:
    ipv4, ipv6 = (
        _family(version, [one for one in sources if one.version == version], mark_at)
        for version in (4, 6)
    )
    return [
        Instruction(LD_BYTE, 0, 0, NETWORK_HEADER),
        Instruction(SHIFT_RIGHT, 0, 0, 4),
        Instruction(JUMP_IF_EQUAL, 1, 0, 4),
        # Only this jump may be longer than 255 instructions.
        Instruction(JUMP, 0, 0, len(ipv4)),
        *ipv4,
        *ipv6,
    ]


def _family(version: int, sources: list[FilteredSource], mark_at: int) -> list[Instruction]:
    """Return the part for one version of the Internet Protocol; it ends the program."""
    marked = _blocks([one for one in sources if one.mark])
    mark = _UDP_HEADER + mark_at
    return [
        *(
            instruction
            for index in range(_WORDS[version])
            for instruction in _load(NETWORK_HEADER + _ADDRESS_AT[version] + 4 * index, index)
        ),
        Instruction(LD_LENGTH, 0, 0, 0),
        Instruction(JUMP_IF_NOT_LESS, 1, 0, mark + MARK_SIZE),
        Instruction(JUMP, 0, 0, 4 + len(marked)),
        *_load(mark, _MARK),
        *_load(mark + 4, _MARK + 1),
        *marked,
        *_blocks([one for one in sources if not one.mark]),
        Instruction(RETURN, 0, 0, _WHOLE),
    ]


def _load(offset: int, index: int) -> tuple[Instruction, Instruction]:
    """
    Return how a word is put into memory.

    The kernel turns a load from a datagram into ten instructions, one from memory into one.
    """
    return Instruction(LD_WORD, 0, 0, offset), Instruction(STORE, 0, 0, index)


def _blocks(sources: list[FilteredSource]) -> list[Instruction]:
    """Return the blocks of sources; each is entered with the source port in A and X."""
    return [
        Instruction(LD_HALF, 0, 0, _SOURCE_PORT),
        Instruction(TO_X, 0, 0, 0),
        *(instruction for source in sources for instruction in _block(source)),
    ]


def _block(source: FilteredSource) -> list[Instruction]:
    """Return what ends the program if a datagram is one of ``source``."""
    words = [*enumerate(struct.unpack(f"!{len(source.address) // 4}I", source.address))]
    if source.mark:
        words += [*enumerate(struct.unpack("!2I", source.mark), _MARK)]
    compared = [(Instruction(LD_MEMORY, 0, 0, index), word) for index, word in words]
    if source.interface:
        compared.append((Instruction(LD_WORD, 0, 0, INTERFACE_INDEX), source.interface))
    by_port = source.port is not None
    length = by_port + 2 * len(compared) + 2
    block = []
    if source.port is not None:
        # A still has the port for the next block.
        block.append(Instruction(JUMP_IF_EQUAL, 0, length - 1, source.port))
    for load, word in compared:
        block.append(load)
        # Behind the end of the program, to the last instruction of the block.
        block.append(Instruction(JUMP_IF_EQUAL, 0, length - len(block) - 2, word))
    return [*block, Instruction(RETURN, 0, 0, 0), Instruction(FROM_X, 0, 0, 0)]
