"""However many are framed at once, each gets its place, its sender's number, and stays itself."""

from __future__ import annotations

from itertools import count, islice

from hypothesis import given
from hypothesis import strategies as st

from udprelay.protocol.wire import decode_from_relay
from udprelay.protocol.wire.header import RELIABLE, Type, header
from udprelay.protocol.wire.sequenced import Data
from udprelay.relay.room import NOWHERE, Kind, Member, Room
from udprelay.relay.rules import RoomRules
from udprelay.relay.session.framing import Said, framed_alone, framed_each, framed_together

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


def said(runs: list[tuple[int, int]], flags: int, size: int) -> list[Said]:
    """Return runs, with own sequences from 1 on."""
    own = count(1)
    return [
        (
            member(number),
            [n.to_bytes(4, "big") + bytes([n % 251]) * size for n in islice(own, length)],
            flags,
            4 + size,
        )
        for number, length in runs
    ]


@given(runs, places, st.sampled_from([0, 2, RELIABLE]), st.integers(1, 9))
def test_together_is_the_same_as_one_by_one(
    runs: list[tuple[int, int]], first: int, flags: int, size: int
) -> None:
    each = framed_each(HEADERS, said(runs, flags, size), first)
    together = framed_together(HEADERS[flags], said(runs, flags, size), len(each), first)
    assert list(together) == each


@given(runs, places)
def test_each_has_its_place_and_its_senders_number(
    runs: list[tuple[int, int]], first: int
) -> None:
    numbers = [number for number, length in runs for _ in range(length)]
    for index, framed in enumerate(framed_each(HEADERS, said(runs, RELIABLE, 3), first)):
        own = index + 1
        payload = bytes([own % 251]) * 3
        expected = Data(TAG, RELIABLE, first + index, numbers[index], own, payload)
        assert decode_from_relay(framed) == expected


def test_one_alone_is_framed_like_any_other() -> None:
    (run,) = said([(7, 1)], 0, 5)
    sender, (one,), _, _ = run
    assert [framed_alone(HEADERS[0], one, sender, 300)] == framed_each(HEADERS, [run], 300)
