"""However many are framed at once, each gets its place, its sender's number, and stays itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from udprelay.core.room import NOWHERE, Kind, Member, Room
from udprelay.core.rules import RoomRules
from udprelay.core.session.framing import framed_alone, framed_each, framed_together
from udprelay.core.wire import decode_from_relay
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


def by(runs: list[tuple[int, int]], flags: int) -> list[tuple[Member, int, int]]:
    return [(member(number), count, flags) for number, count in runs]


def said(runs: list[tuple[int, int]], size: int) -> list[bytes]:
    """Return own sequences and payloads."""
    count = sum(n for _, n in runs)
    return [own.to_bytes(4, "big") + bytes([own % 251]) * size for own in range(1, count + 1)]


@given(runs, places, st.sampled_from([0, 2, RELIABLE]), st.integers(1, 9))
def test_together_is_the_same_as_one_by_one(
    runs: list[tuple[int, int]], first: int, flags: int, size: int
) -> None:
    senders = by(runs, flags)
    each = framed_each(HEADERS, said(runs, size), senders, first)
    assert list(framed_together(HEADERS[flags], said(runs, size), senders, first)) == each


@given(runs, places)
def test_each_has_its_place_and_its_senders_number(
    runs: list[tuple[int, int]], first: int
) -> None:
    numbers = [number for number, count in runs for _ in range(count)]
    for index, framed in enumerate(framed_each(HEADERS, said(runs, 3), by(runs, RELIABLE), first)):
        own = index + 1
        payload = bytes([own % 251]) * 3
        expected = Data(TAG, RELIABLE, first + index, numbers[index], own, payload)
        assert decode_from_relay(framed) == expected


def test_one_alone_is_framed_like_any_other() -> None:
    (one,) = said([(7, 1)], 5)
    (framed,) = framed_each(HEADERS, [one], by([(7, 1)], 0), 300)
    assert framed_alone(HEADERS[0], one, member(7), 300) == framed
