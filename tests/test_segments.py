"""Datagrams of one size in one buffer, and runs of datagrams of one source."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udprelay.segments import Segments, runs_by_source

sizes = st.integers(1, 5)
one_size = st.builds(
    lambda size, count, last: [bytes([n % 251]) * size for n in range(count)] + [b"z" * last],
    sizes,
    st.integers(0, 70),
    st.just(1),
)


def segments(datagrams: list[bytes]) -> Segments:
    return Segments(bytearray(b"".join(datagrams)), len(datagrams[0]))


@given(one_size)
def test_segments_are_a_sequence_of_the_datagrams(datagrams: list[bytes]) -> None:
    buffer = segments(datagrams)
    assert list(buffer) == datagrams
    assert buffer.count == len(datagrams)
    assert [buffer[index] for index in range(-buffer.count, buffer.count)] == 2 * datagrams


def test_an_empty_datagram_is_one_segment() -> None:
    assert list(Segments(b"", 0)) == [b""]


@given(one_size, st.integers(-9, 9), st.integers(-9, 9))
def test_a_slice_of_segments_is_segments(datagrams: list[bytes], start: int, end: int) -> None:
    buffer = segments(datagrams)
    if datagrams[start:end]:
        assert list(buffer[start:end]) == datagrams[start:end]
    else:
        with pytest.raises(ValueError, match="empty"):
            buffer[start:end]


def test_an_index_out_of_range_raises_index_error() -> None:
    with pytest.raises(IndexError):
        segments([b"ab", b"cd"])[2]


def test_a_slice_with_a_step_raises_value_error() -> None:
    with pytest.raises(ValueError, match="step"):
        segments([b"ab", b"cd"])[::2]


@given(one_size, st.binary(max_size=3), st.integers(0, 1))
def test_the_beginning_of_all_datagrams_can_be_replaced(
    datagrams: list[bytes], prefix: bytes, replaced: int
) -> None:
    if prefix or not replaced:
        changed = segments(datagrams).with_prefix(prefix, replaced)
        assert list(changed) == [prefix + datagram[replaced:] for datagram in datagrams]


@given(one_size)
def test_the_same_field_of_all_datagrams_is_unpacked_at_once(datagrams: list[bytes]) -> None:
    assert segments(datagrams).unpack("B", 1) == tuple(datagram[0] for datagram in datagrams)


def test_a_datagram_without_the_field_raises_an_error() -> None:
    with pytest.raises(struct.error):
        segments([b"ab", b"c"]).unpack("H", 2)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.binary(max_size=2))))
def test_runs_have_all_datagrams_in_order(datagrams: list[tuple[str, bytes]]) -> None:
    runs = runs_by_source(datagrams)
    assert [(source, datagram) for source, run in runs for datagram in run] == datagrams


def test_a_run_ends_with_another_source_a_larger_or_after_a_shorter_datagram() -> None:
    sent = [("a", b"xx"), ("a", b"yy"), ("a", b"z"), ("a", b"w"), ("a", b"vv"), ("b", b"u")]
    runs = [(source, run.size, run.count) for source, run in runs_by_source(sent)]
    assert runs == [("a", 2, 3), ("a", 1, 1), ("a", 2, 1), ("b", 1, 1)]
