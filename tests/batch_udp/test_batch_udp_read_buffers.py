"""Buffers: each datagram is read as it was sent, whatever was read before."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from udprelay.batch_udp import mmsg
from udprelay.batch_udp.buffers import ReadBuffers
from udprelay.batch_udp.interfaces import MAX_BATCH, MAX_PAYLOAD
from udprelay.batch_udp.mmsg import ffi
from udprelay.segments import Segments, SourceRun

NAME_SIZE = 28
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
        self.buffers = ReadBuffers(NAME_SIZE)
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
        sources = [source for source, _ in runs]
        assert all(one != other for one, other in pairwise(sources))


def test_the_batch_after_a_large_one_of_its_size_is_read_as_segments(reader: Reader) -> None:
    reader.exchange([(0, 100)] * 16)
    _, runs, _ = reader.exchange([(0, 100)] * 3 + [(1, 100)] + [(0, 100)] * 2)
    assert [type(datagrams) for _, datagrams in runs] == [Segments, list, Segments]


def test_a_small_batch_does_not_change_the_stride(reader: Reader) -> None:
    reader.exchange([(0, 100)] * 16)
    reader.exchange([(0, 200)] * 15)
    _, ((_, datagrams),), _ = reader.exchange([(0, 100)] * 2)
    assert isinstance(datagrams, Segments)


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
