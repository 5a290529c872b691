"""Datagrams of one size in one buffer, and runs of datagrams of one source."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udprelay.segments import Segments, runs_by_source, segments_of

sizes = st.integers(1, 5)
same_size = sizes.flatmap(
    lambda size: st.lists(st.binary(min_size=size, max_size=size), min_size=1)
)


def segments(datagrams: list[bytes]) -> Segments:
    return Segments(bytearray(b"".join(datagrams)), len(datagrams[0]))


@given(same_size)
def test_segments_are_a_sequence_of_the_datagrams(datagrams: list[bytes]) -> None:
    buffer = segments(datagrams)
    assert list(buffer) == datagrams
    assert len(buffer) == len(datagrams)
    assert [buffer[index] for index in range(-len(buffer), len(buffer))] == 2 * datagrams


@given(same_size, st.integers(-9, 9), st.integers(-9, 9))
def test_a_slice_of_segments_is_segments(datagrams: list[bytes], start: int, end: int) -> None:
    part = segments(datagrams)[start:end]
    assert isinstance(part, Segments)
    assert list(part) == datagrams[start:end]


def test_an_index_out_of_range_raises_index_error() -> None:
    with pytest.raises(IndexError):
        segments([b"ab", b"cd"])[2]


def test_a_slice_with_a_step_raises_value_error() -> None:
    with pytest.raises(ValueError, match="step"):
        segments([b"ab", b"cd"])[::2]


@given(same_size)
def test_datagrams_of_one_size_become_segments(datagrams: list[bytes]) -> None:
    buffer = segments_of(datagrams)
    assert buffer is not None
    assert list(buffer) == datagrams


@pytest.mark.parametrize("datagrams", [[b"ab", b"c"], [b"", b""]])
def test_datagrams_of_other_sizes_become_no_segments(datagrams: list[bytes]) -> None:
    assert segments_of(datagrams) is None


@given(st.lists(st.tuples(st.sampled_from("ab"), st.binary(max_size=2))))
def test_runs_have_all_datagrams_in_order(datagrams: list[tuple[str, bytes]]) -> None:
    runs = runs_by_source(datagrams)
    assert [(source, datagram) for source, run in runs for datagram in run] == datagrams
    assert all(one[0] != other[0] for one, other in pairwise(runs))
