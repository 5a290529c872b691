"""Buffers: each datagram is read as it was sent, whatever was read before."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from udprelay.batch_udp import mmsg
from udprelay.batch_udp.buffers import ReadBuffers
from udprelay.batch_udp.interfaces import MAX_BATCH, MAX_PAYLOAD
from udprelay.batch_udp.layout import layout_of
from udprelay.batch_udp.mmsg import ffi
from udprelay.segments import SourceRun

LAYOUT = layout_of(socket.AF_INET6, False)
TOO_LONG = MAX_PAYLOAD + 1

Sent = list[tuple[int, int]]
"""Senders, and the bytes of what they send."""

some_sizes = st.sampled_from([0, 1, 99, 100, 101, 2047, 2048, 2049])
mixed = st.lists(st.tuples(st.integers(0, 2), some_sizes), min_size=1, max_size=40)
equal = st.builds(
    lambda size, senders: [(sender, size) for sender in senders],
    some_sizes,
    st.lists(st.integers(0, 2), min_size=14, max_size=40),
)
of_one_sender = st.builds(
    lambda size, count: [(0, size)] * count, some_sizes, st.integers(1, MAX_BATCH)
)


class Reader:
    """Three senders, and the buffers for their datagrams."""

    def __init__(self, stack: ExitStack) -> None:
        self.buffers = ReadBuffers(LAYOUT)
        self._calls = mmsg.load()
        self._reader, *self._senders = [
            stack.enter_context(closing(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)))
            for _ in range(4)
        ]
        self._reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._reader.bind(("::1", 0))
        for sender in self._senders:
            sender.connect(self._reader.getsockname())
        self._ports = [sender.getsockname()[1] for sender in self._senders]

    def exchange(self, sent: Sent) -> tuple[list[tuple[int, bytes]], list[SourceRun], int]:
        """Send datagrams; return them, the runs that are read, and how many were too long."""
        payloads = [(sender, os.urandom(size)) for sender, size in sent]
        for sender, datagram in payloads:
            self._senders[sender].send(datagram)
        # Without MSG_DONTWAIT, the call waits for all of them.
        count = self._calls.recvmmsg(
            self._reader.fileno(), self.buffers.headers, len(sent), 0, ffi.NULL
        )
        assert count == len(sent)
        return payloads, *self.buffers.runs(count)

    def aggregate(
        self, size: int, lengths: list[int], others: list[int], spoiled: bool = False
    ) -> tuple[list[tuple[int, bytes]], list[SourceRun], int]:
        """
        Send one message that the kernel need not slice, then other datagrams.

        :param others: their sizes.
        :param spoiled: whether the control message does not say how the first one is divided.
        """
        mmsg.request_aggregates(self._reader)
        payloads = [(0, os.urandom(length)) for length in lengths]
        control = [(mmsg.SOL_UDP, mmsg.UDP_SEGMENT, size.to_bytes(2, "little"))]
        self._senders[0].sendmsg([payload for _, payload in payloads], control)
        payloads += [(1, os.urandom(length)) for length in others]
        for _, payload in payloads[len(lengths) :]:
            self._senders[1].send(payload)
        fd, headers = self._reader.fileno(), self.buffers.headers
        count = self._calls.recvmmsg(fd, headers, 1 + len(others), 0, ffi.NULL)
        assert count == 1 + len(others), "the kernel has sliced the message"
        if spoiled:
            first = headers[0].msg_hdr
            ffi.memmove(first.msg_control, bytes(first.msg_controllen), first.msg_controllen)
        return payloads, *self.buffers.runs(count)

    def datagrams_of(self, runs: list[SourceRun]) -> list[tuple[int, bytes]]:
        return [
            (self._ports.index(int.from_bytes(source[2:4], "big")), datagram)
            for source, datagrams in runs
            for datagram in datagrams
        ]


@pytest.fixture
def reader() -> Iterator[Reader]:
    with ExitStack() as stack:
        yield Reader(stack)


@given(st.lists(st.one_of(mixed, equal, of_one_sender), max_size=6))
@example([[(0, 100)] * 16, [(0, 100)] * 16, [(0, 101)] * 16, [(0, 99), (1, 2049)] * 20])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_datagrams_are_read_as_sent(reader: Reader, batches: list[Sent]) -> None:
    for sent in batches:
        payloads, runs, too_long = reader.exchange(sent)
        assert (reader.datagrams_of(runs), too_long) == (payloads, 0)


def test_what_one_source_sends_in_a_row_in_one_size_is_one_run(reader: Reader) -> None:
    for _ in range(2):
        _, runs, _ = reader.exchange([(0, 100)] * 16 + [(1, 100)] + [(0, 100)] * 2 + [(0, 9)])
        assert [(run.size, run.count) for _, run in runs] == [(100, 16), (100, 1), (100, 3)]


AGGREGATES = {
    "whole": (100, [100] * 20),
    "short end": (100, [100] * 3 + [7]),
    "size 1": (1, [1] * 64),
    "largest": (1472, [1472] * 44),
}


@pytest.mark.parametrize("kind", AGGREGATES)
@pytest.mark.parametrize("before", [[], [(0, 100)], [(0, 100)] * 16])
def test_an_aggregate_is_one_run(reader: Reader, kind: str, before: Sent) -> None:
    size, lengths = AGGREGATES[kind]
    if before:
        reader.exchange(before)
    for others in ([], [100, 100]):
        payloads, runs, unusable = reader.aggregate(size, lengths, others)
        assert (reader.datagrams_of(runs), unusable) == (payloads, 0)
        assert (runs[0][1].size, runs[0][1].count) == (size, len(lengths))


@pytest.mark.parametrize("others", [[], [100, 100]])
def test_an_aggregate_without_its_size_is_left_out(reader: Reader, others: list[int]) -> None:
    payloads, runs, unusable = reader.aggregate(100, [100] * 3, others, spoiled=True)
    assert (reader.datagrams_of(runs), unusable) == (payloads[3:], 1)


def test_a_datagram_that_is_too_long_is_left_out_beside_an_aggregate(reader: Reader) -> None:
    payloads, runs, unusable = reader.aggregate(100, [100] * 3, [TOO_LONG, 100])
    assert (reader.datagrams_of(runs), unusable) == ([*payloads[:3], payloads[4]], 1)


@pytest.mark.parametrize(
    "control",
    [
        b"\0" * 7,
        b"\0" * 16,
        (20).to_bytes(8, "little") + bytes((17, 0, 0, 0, 104, 0, 0, 0)),
        (18).to_bytes(8, "little") + bytes((17, 0, 0, 0, 104, 0, 0, 0, 100, 0, 0, 0)),
        (2**63).to_bytes(8, "little") + bytes(16),
    ],
    ids=["no header", "zeros", "cut", "short", "long"],
)
def test_a_control_message_that_is_not_whole_has_no_size(control: bytes) -> None:
    assert LAYOUT.read(control) == (b"", 0)


@pytest.mark.parametrize("before", [[], [(0, 100)] * 16])
@pytest.mark.parametrize("count", [1, 3])
def test_a_datagram_that_is_too_long_is_counted_and_left_out(
    reader: Reader, before: Sent, count: int
) -> None:
    if before:
        reader.exchange(before)
    for longest in (MAX_PAYLOAD, TOO_LONG):
        sent = [(0, 100)] * (count - 1) + [(1, longest)]
        payloads, runs, too_long = reader.exchange(sent)
        assert too_long == (longest == TOO_LONG)
        assert reader.datagrams_of(runs) == payloads[: count - too_long]
