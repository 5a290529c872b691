"""However many are framed at once, each gets its place, its sender's number, and stays itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from udprelay.core.room import NOWHERE, Kind, Member, Room
from udprelay.core.rules import RoomRules
from udprelay.core.session.framing import framed_alone, framed_each, framed_together
from udprelay.core.wire import decode_from_relay
from udprelay.core.wire.from_client import DataUp
from udprelay.core.wire.header import RELIABLE, Type, header
from udprelay.core.wire.sequenced import Data

TAG = b"room tag"
HEADERS = [header(Type.DATA, TAG, flags) for flags in range(32)]

# Where a byte of the place is full, and where more of them are.
places = st.sampled_from([1, 255, 256, 65_535, 2**32 - 1, 2**63]).flatmap(
    lambda near: st.integers(max(1, near - 70), near + 70)
)
numbers = st.one_of(st.integers(1, 255), st.integers(1, 2**32 - 1))
runs = st.lists(st.tuples(numbers, st.integers(1, 30)), min_size=1, max_size=12)


def member(number: int) -> Member:
    made = Member(Room("lobby", RoomRules()), NOWHERE, Kind.SESSION, "nick", None, None, 0.0)
    made.number = number
    return made


def senders(runs: list[tuple[int, int]]) -> list[Member]:
    by: list[Member] = []
    for number, count in runs:
        by += [member(number)] * count
    return by


def said(runs: list[tuple[int, int]], flags: int, size: int) -> list[bytes]:
    count = sum(n for _, n in runs)
    return [
        DataUp(bytes(8), flags, own, bytes([own % 251]) * size).encode()
        for own in range(1, count + 1)
    ]


@given(runs, places, st.sampled_from([0, 2, RELIABLE]), st.integers(1, 9))
def test_together_is_the_same_as_one_by_one(
    runs: list[tuple[int, int]], first: int, flags: int, size: int
) -> None:
    datagrams, by = said(runs, flags, size), senders(runs)
    each = framed_each(HEADERS, datagrams, by, first)
    assert list(framed_together(HEADERS[flags], datagrams, by, first)) == each


@given(runs, places)
def test_each_has_its_place_and_its_senders_number(
    runs: list[tuple[int, int]], first: int
) -> None:
    datagrams, by = said(runs, RELIABLE, 3), senders(runs)
    for index, framed in enumerate(framed_each(HEADERS, datagrams, by, first)):
        own = index + 1
        payload = bytes([own % 251]) * 3
        expected = Data(TAG, RELIABLE, first + index, by[index].number, own, payload)
        assert decode_from_relay(framed) == expected


def test_one_alone_is_framed_like_any_other() -> None:
    (datagram,) = said([(7, 1)], 0, 5)
    (framed,) = framed_each(HEADERS, [datagram], [member(7)], 300)
    assert framed_alone(HEADERS[0], datagram, member(7), 300) == framed
