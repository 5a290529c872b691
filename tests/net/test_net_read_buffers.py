"""Whatever comes, and whatever came before: each datagram is read as it was sent."""

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
from udprelay.batch_udp.batch_sizes import BATCH
from udprelay.batch_udp.buffers import ReadBuffers
from udprelay.batch_udp.mmsg import ffi
from udprelay.relay.bursts import Burst
from udprelay.segments import Joined

NAME_SIZE = 28
LONGEST, TOO_LONG = 65_507, 65_508

Sent = list[tuple[int, int]]
"""Who sends, and how many bytes."""

some_sizes = st.sampled_from([0, 1, 99, 100, 101, 2047, 2048, 2049])
mixed = st.lists(st.tuples(st.integers(0, 2), some_sizes), min_size=1, max_size=40)
alike = st.builds(
    lambda size, senders: [(sender, size) for sender in senders],
    some_sizes,
    st.lists(st.integers(0, 2), min_size=14, max_size=40),
)
of_one = st.builds(lambda size, count: [(0, size)] * count, some_sizes, st.integers(1, BATCH))


class Reader:
    """Three senders and the buffers that what they send is read into."""

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

    def exchange(self, sent: Sent) -> tuple[list[tuple[int, bytes]], list[Burst], int]:
        """Send datagrams; return these, the bursts that are read, and how many were too long."""
        said = [(sender, os.urandom(size)) for sender, size in sent]
        for sender, datagram in said:
            self._senders[sender].send(datagram)
        count = self._calls.recvmmsg(
            self._reader.fileno(), self.buffers.headers, BATCH, mmsg.MSG_DONTWAIT, ffi.NULL
        )
        assert count == len(sent)
        return said, *self.buffers.take(count)

    def unfolded(self, bursts: list[Burst]) -> list[tuple[int, bytes]]:
        return [
            (self._ports.index(int.from_bytes(source[2:4], "big")), datagram)
            for source, datagrams in bursts
            for datagram in datagrams
        ]


@pytest.fixture
def reader() -> Iterator[Reader]:
    with ExitStack() as stack:
        yield Reader(stack)


@given(st.lists(st.one_of(mixed, alike, of_one), max_size=6))
@example([[(0, 100)] * 16, [(0, 100)] * 16, [(0, 101)] * 16, [(0, 99), (1, 2049)] * 20])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_it_is_what_was_sent_in_order(reader: Reader, batches: list[Sent]) -> None:
    for sent in batches:
        said, bursts, too_long = reader.exchange(sent)
        assert (reader.unfolded(bursts), too_long) == (said, 0)
        sources = [source for source, _ in bursts]
        assert all(one != other for one, other in pairwise(sources))


def test_after_a_large_batch_of_one_size_the_next_is_taken_in_one_piece(reader: Reader) -> None:
    reader.exchange([(0, 100)] * 16)
    _, bursts, _ = reader.exchange([(0, 100)] * 3 + [(1, 100)] + [(0, 100)] * 2)
    assert [type(datagrams) for _, datagrams in bursts] == [Joined, list, Joined]


def test_a_few_datagrams_do_not_change_what_is_expected(reader: Reader) -> None:
    reader.exchange([(0, 100)] * 16)
    reader.exchange([(0, 200)] * 15)
    _, ((_, datagrams),), _ = reader.exchange([(0, 100)] * 2)
    assert isinstance(datagrams, Joined)


@pytest.mark.parametrize("before", [[], [(0, 100)] * 16])
@pytest.mark.parametrize("count", [1, 3])
def test_one_that_is_too_long_is_counted_and_left_out(
    reader: Reader, before: Sent, count: int
) -> None:
    if before:
        reader.exchange(before)
    for longest in (LONGEST, TOO_LONG):
        sent = [(0, 100)] * (count - 1) + [(1, longest)]
        said, bursts, too_long = reader.exchange(sent)
        assert too_long == (longest == TOO_LONG)
        assert reader.unfolded(bursts) == said[: count - too_long]
