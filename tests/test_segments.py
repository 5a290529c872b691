"""Datagrams in one buffer are those datagrams, whoever looks at them and how."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udprelay.segments import Joined, join_if_alike

sizes = st.integers(1, 5)
alike = sizes.flatmap(lambda size: st.lists(st.binary(min_size=size, max_size=size), min_size=1))


def joined(datagrams: list[bytes]) -> Joined:
    return Joined(bytearray(b"".join(datagrams)), len(datagrams[0]))


@given(alike)
def test_they_are_what_was_joined(datagrams: list[bytes]) -> None:
    both = joined(datagrams)
    assert list(both) == datagrams
    assert len(both) == len(datagrams)
    assert [both[index] for index in range(-len(both), len(both))] == 2 * datagrams


@given(alike, st.integers(-9, 9), st.integers(-9, 9))
def test_a_part_of_them_is_joined_too(datagrams: list[bytes], start: int, end: int) -> None:
    part = joined(datagrams)[start:end]
    assert isinstance(part, Joined)
    assert list(part) == datagrams[start:end]


def test_there_are_no_more_than_there_are() -> None:
    with pytest.raises(IndexError):
        joined([b"ab", b"cd"])[2]


def test_what_is_joined_has_nothing_left_out() -> None:
    with pytest.raises(ValueError, match="step"):
        joined([b"ab", b"cd"])[::2]


@given(alike)
def test_those_of_one_size_can_be_joined(datagrams: list[bytes]) -> None:
    both = join_if_alike(datagrams)
    assert both is not None
    assert list(both) == datagrams


@pytest.mark.parametrize("datagrams", [[b"ab", b"c"], [b"", b""]])
def test_others_can_not(datagrams: list[bytes]) -> None:
    assert join_if_alike(datagrams) is None
