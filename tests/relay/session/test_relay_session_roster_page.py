"""Members come in as many datagrams as they need, each as full as it may be."""

from __future__ import annotations

from collections.abc import Iterator

import cbor2
from hypothesis import given
from hypothesis import strategies as st

from udprelay.protocol.wire.from_relay import Members
from udprelay.protocol.wire.header import LARGEST_CONTROL
from udprelay.protocol.wire.members import MOST_MEMBERS, MemberKind, MemberRecord, write_record
from udprelay.relay.session.roster_page import encoded_size, page, room_beside

SESSION = b"session1"
LARGEST = MemberRecord(2**32 - 1, "ñ" * 32, MemberKind.SESSION, b"i" * 16, 2**32 - 2, b"b" * 16)


def guest(number: int) -> MemberRecord:
    return MemberRecord(number, f"guest-{number}", MemberKind.PLAIN, b"", 0, b"")


def sixteen(draw_one: bool) -> bytes:
    return b"x" * 16 if draw_one else b""


numbers = st.integers(1, 2**32 - 2) | st.sampled_from([1, 23, 24, 255, 256, 65_535, 65_536])
nicks = st.text(st.characters(codec="utf-8"), min_size=1, max_size=32).filter(
    lambda nick: len(nick.encode()) <= 64
)
records = st.builds(
    MemberRecord,
    number=numbers,
    nick=nicks,
    kind=st.sampled_from(MemberKind),
    identity=st.booleans().map(sixteen),
    own=st.just(0) | numbers,
    badge=st.booleans().map(sixteen),
)


@given(records)
def test_a_size_is_that_of_the_encoding(record: MemberRecord) -> None:
    assert encoded_size(record) == len(cbor2.dumps(write_record(record), canonical=True))


@given(st.lists(records, max_size=80), st.integers(0, 2000))
def test_as_many_fit_as_there_is_room_for(roster: list[MemberRecord], room: int) -> None:
    taken, following = page(roster, room)
    assert taken == tuple(roster[: len(taken)])
    size = sum(map(encoded_size, taken))
    assert size <= room
    if len(taken) == len(roster):
        assert following is None
    else:
        assert following == roster[len(taken)].number
        assert size + encoded_size(roster[len(taken)]) > room or len(taken) == MOST_MEMBERS


def test_nobody_is_no_page() -> None:
    assert page([], 1000) == ((), None)


def test_small_records_are_as_many_as_a_list_may_have() -> None:
    taken, following = page(map(guest, range(1, 1000)), 10_000)
    assert (len(taken), following) == (MOST_MEMBERS, MOST_MEMBERS + 1)


def test_no_more_is_read_than_the_first_that_does_not_fit() -> None:
    read = []

    def roster() -> Iterator[MemberRecord]:
        for number in range(1, 10_000):
            read.append(number)
            yield guest(number)

    taken, following = page(roster(), 200)
    assert read[-1] == following == len(taken) + 1


def pages(roster: list[MemberRecord]) -> list[bytes]:
    """All MEMBERS that a client gets, in the largest headers."""
    datagrams, first = [], 0
    while True:
        room = room_beside(len(Members(SESSION, first, 2**64 - 1, (), None).encode()))
        rest = [record for record in roster if record.number >= first]
        taken, following = page(rest, room)
        datagrams.append(Members(SESSION, first, 2**64 - 1, taken, following).encode())
        if following is None:
            return datagrams
        assert following > first
        first = following


def test_the_largest_members_come_in_datagrams_of_the_allowed_size() -> None:
    first = LARGEST.number - 99
    roster = [
        MemberRecord(number, LARGEST.nick, MemberKind.SESSION, b"i" * 16, 7, b"")
        for number in range(first, first + 100)
    ]
    datagrams = pages(roster)
    assert all(len(datagram) <= LARGEST_CONTROL for datagram in datagrams)
    # No record of these would have had a place in any but the last.
    assert all(len(d) > LARGEST_CONTROL - encoded_size(roster[0]) - 8 for d in datagrams[:-1])


def test_many_small_members_stay_within_the_bounds_too() -> None:
    datagrams = pages([guest(number) for number in range(1, 200)])
    assert len(datagrams) == 4
    assert all(len(datagram) <= LARGEST_CONTROL for datagram in datagrams)
