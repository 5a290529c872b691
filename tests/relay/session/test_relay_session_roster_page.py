"""Pages of a roster: each has as many records as fit into a datagram."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from udprelay.protocol.wire import cbor, decode_from_relay
from udprelay.protocol.wire.from_relay import Members
from udprelay.protocol.wire.header import MAX_CONTROL
from udprelay.protocol.wire.members import (
    KINDS_ON_WIRE,
    MAX_MEMBERS,
    MemberKind,
    MemberRecord,
    write_record,
)
from udprelay.relay.session.roster_page import with_records

SESSION = b"session1"
EMPTY = Members(SESSION, 0, 2**64 - 1, ())
LIST_AND_NEXT = 8
"""Bytes of the longest head of a list, less that of an empty one, and of the next number."""
LARGEST = MemberRecord(2**32 - 1, "ñ" * 32, MemberKind.SESSION, b"i" * 16, 2**32 - 2, b"b" * 16)


def guest(number: int) -> MemberRecord:
    return MemberRecord(number, f"guest-{number}", MemberKind.PLAIN, b"", 0, b"")


def sixteen(draw_one: bool) -> bytes:
    return b"x" * 16 if draw_one else b""


numbers = st.integers(1, 2**32 - 2) | st.sampled_from([1, 23, 24, 255, 256, 65_535, 65_536])
nicks = st.text(st.characters(codec="utf-8"), min_size=1, max_size=32).filter(
    lambda nick: len(nick.encode()) <= 64
)
others = st.builds(
    MemberRecord,
    number=numbers,
    nick=nicks,
    kind=st.sampled_from([kind for kind in KINDS_ON_WIRE if kind is not MemberKind.SESSION]),
    identity=st.just(b""),
    own=st.just(0),
    badge=st.just(b""),
)
sessions = st.builds(
    MemberRecord,
    number=numbers,
    nick=nicks,
    kind=st.just(MemberKind.SESSION),
    identity=st.just(b"i" * 16),
    own=st.just(0) | numbers,
    badge=st.booleans().map(sixteen),
)
records = others | sessions


def read_page(roster: Iterable[MemberRecord], empty: Members = EMPTY) -> Members:
    """Return a page, which is encoded like any other MEMBERS."""
    datagram = with_records(empty, roster)
    page = decode_from_relay(datagram)
    assert isinstance(page, Members)
    assert page.encode() == datagram
    return page


def encoded_size(record: MemberRecord) -> int:
    return len(cbor.encode(write_record(record)))


@given(st.lists(records, max_size=80))
def test_a_page_has_as_many_records_as_fit(roster: list[MemberRecord]) -> None:
    page = read_page(roster)
    count = len(page.members)
    assert page.members == tuple(roster[:count])
    assert page.more_from == (roster[count].number if count < len(roster) else None)
    space = MAX_CONTROL - len(EMPTY.encode()) - LIST_AND_NEXT
    assert sum(map(encoded_size, roster[:count])) <= space
    assert (
        count in (len(roster), MAX_MEMBERS) or sum(map(encoded_size, roster[: count + 1])) > space
    )


def test_an_empty_roster_has_an_empty_page() -> None:
    assert read_page([]) == EMPTY


def test_a_page_has_at_most_64_records() -> None:
    page = read_page(map(guest, range(1, 1000)))
    assert (len(page.members), page.more_from) == (MAX_MEMBERS, MAX_MEMBERS + 1)


def test_reading_stops_at_the_first_record_that_does_not_fit() -> None:
    read = []

    def roster() -> Iterator[MemberRecord]:
        for number in range(LARGEST.number - 999, LARGEST.number):
            read.append(number)
            yield evolve(LARGEST, number=number)

    page = read_page(roster())
    assert read[-1] == page.more_from
    assert len(read) == len(page.members) + 1


def pages(roster: list[MemberRecord]) -> list[bytes]:
    """Return all MEMBERS of a roster, in the largest headers."""
    datagrams, first = [], 0
    while True:
        rest = [record for record in roster if record.number >= first]
        page = read_page(rest, Members(SESSION, first, 2**64 - 1, ()))
        datagrams.append(page.encode())
        if page.more_from is None:
            return datagrams
        assert page.more_from > first
        first = page.more_from


def test_pages_of_large_records_have_the_allowed_size() -> None:
    first = LARGEST.number - 99
    roster = [
        MemberRecord(number, LARGEST.nick, MemberKind.SESSION, b"i" * 16, 7, b"")
        for number in range(first, first + 100)
    ]
    datagrams = pages(roster)
    assert all(len(datagram) <= MAX_CONTROL for datagram in datagrams)
    # No other record fits into any but the last.
    assert all(
        len(d) > MAX_CONTROL - encoded_size(roster[0]) - LIST_AND_NEXT for d in datagrams[:-1]
    )


def test_pages_of_small_records_have_the_allowed_size() -> None:
    datagrams = pages([guest(number) for number in range(1, 200)])
    assert len(datagrams) == 4
    assert all(len(datagram) <= MAX_CONTROL for datagram in datagrams)
