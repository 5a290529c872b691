"""Framing: each datagram gets its room sequence and its sender's number."""

from __future__ import annotations

from itertools import count, islice

from hypothesis import given
from hypothesis import strategies as st

from udprelay.protocol.wire import decode_from_relay
from udprelay.protocol.wire.header import RELIABLE, Type, header
from udprelay.protocol.wire.members import MemberKind
from udprelay.protocol.wire.sequenced import Data
from udprelay.relay.room import NOWHERE, Member, Room
from udprelay.relay.rules import RoomRules
from udprelay.relay.session.framing import Run, frame_each, frame_one, frame_uniform

TAG = b"room tag"
HEADERS = [header(Type.DATA, TAG, flags) for flags in range(32)]

# Around sequences at which one or more bytes overflow.
sequences = st.sampled_from([1, 255, 256, 65_535, 2**32 - 1, 2**63]).flatmap(
    lambda near: st.integers(max(1, near - 70), near + 70)
)
numbers = st.one_of(st.integers(1, 255), st.integers(1, 2**32 - 1))
runs = st.lists(st.tuples(numbers, st.integers(1, 30)), min_size=1, max_size=12)


def member(number: int) -> Member:
    made = Member(Room("lobby", RoomRules()), NOWHERE, MemberKind.SESSION, "nick", None, None, 0.0)
    made.number = number
    return made


def runs_of(runs: list[tuple[int, int]], flags: int, size: int) -> list[Run]:
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


@given(runs, sequences, st.sampled_from([0, 2, RELIABLE]), st.integers(1, 9))
def test_uniform_framing_equals_framing_each(
    runs: list[tuple[int, int]], first: int, flags: int, size: int
) -> None:
    each = frame_each(HEADERS, runs_of(runs, flags, size), first)
    together = frame_uniform(HEADERS[flags], runs_of(runs, flags, size), len(each), first)
    assert list(together) == each


@given(runs, sequences)
def test_each_datagram_has_its_sequence_and_its_senders_number(
    runs: list[tuple[int, int]], first: int
) -> None:
    numbers = [number for number, length in runs for _ in range(length)]
    for index, framed in enumerate(frame_each(HEADERS, runs_of(runs, RELIABLE, 3), first)):
        own = index + 1
        payload = bytes([own % 251]) * 3
        expected = Data(TAG, RELIABLE, first + index, numbers[index], own, payload)
        assert decode_from_relay(framed) == expected


def test_a_single_datagram_is_framed_like_any_other() -> None:
    (run,) = runs_of([(7, 1)], 0, 5)
    sender, (one,), _, _ = run
    assert [frame_one(HEADERS[0], one, sender, 300)] == frame_each(HEADERS, [run], 300)
