"""The members of the room, by WELCOME, entries and pages."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from session_client_arrivals import (
    ME,
    MY_NUMBER,
    OTHER_SESSION,
    OTHER_TAG,
    entry,
    identity,
    join_entry,
    leave_entry,
    nick_entry,
    page,
    record,
)
from session_client_roster import Room

from udprelay.protocol.keys import RoomKeys, badge
from udprelay.protocol.wire.entries import JoinEntry
from udprelay.protocol.wire.members import MemberKind, MemberRecord
from udprelay.session_client.events import (
    Distrusted,
    MemberJoined,
    MemberLeft,
    MembersKnown,
    NickChanged,
)
from udprelay.session_client.known_member import (
    MAX_FORMER_MEMBERS,
    MAX_RETURNING,
    RETURN_GRACE_PERIOD,
)
from udprelay.session_client.roster import MAX_MEMBERS, MAX_PAGES
from udprelay.session_client.roster_requests import RETRY_INTERVALS
from udprelay.session_client.sealing import Sealing

SESSION, PLAIN, CONSOLE = MemberKind.SESSION, MemberKind.PLAIN, MemberKind.CONSOLE


# WELCOME and entries.


def test_members_in_the_welcome_have_not_joined() -> None:
    room = Room(record(1, "Alice"), record(2, "guest-2", kind=PLAIN), newest=5)
    assert room.others == {1: "Alice", 2: "guest-2"}
    assert room.drain_events() == []


def test_the_client_is_always_among_the_members() -> None:
    for listed in ([], [record(MY_NUMBER, "me")]):
        room = Room(*listed)
        myself = room.roster.members[MY_NUMBER]
        assert (myself.nick, myself.identity, myself.trusted) == ("me", ME, True)
        assert room.roster.is_self(myself)


def test_entries_change_the_members() -> None:
    room = Room(record(1, "Alice"), newest=5)
    room.receive(join_entry(6, 2, "Bob"), nick_entry(7, 1, "Anna"), leave_entry(8, 2, "idle"))
    assert room.others == {1: "Anna"}
    assert room.drain_events() == [
        MemberJoined(2, "Bob", SESSION),
        NickChanged(1, "Alice", "Anna", own=False),
        MemberLeft(2, "Bob", "idle"),
    ]


@pytest.mark.parametrize(("reason", "final"), [("left", True), ("kicked", True), ("idle", False)])
def test_an_entry_says_whether_a_member_will_come_back(reason: str, final: bool) -> None:
    room = Room(record(1, "Alice"), newest=5)
    alice = room.known(1)
    departed = room.roster.receive_entry(leave_entry(6, 1, reason), 0.0)
    assert departed == (alice if final else None)
    assert room.roster.receive_entry(leave_entry(7, 1), 0.0) is None


def test_entries_about_the_client_itself_are_no_events() -> None:
    room = Room(newest=5)
    room.receive(join_entry(5, MY_NUMBER, "me"), leave_entry(6, MY_NUMBER))
    assert MY_NUMBER in room.roster.members
    assert room.drain_events() == []


def test_an_entry_of_an_unknown_kind_changes_nothing() -> None:
    room = Room(record(1, "Alice"))
    room.receive(entry(6, 1, None))
    assert room.others == {1: "Alice"}


def test_the_clients_own_nick_changes_once_by_nicked_or_entry() -> None:
    room = Room(newest=5)
    room.roster.set_own_nick("me")
    room.roster.set_own_nick("I")
    room.receive(nick_entry(6, MY_NUMBER, "I"), nick_entry(7, MY_NUMBER, "myself"))
    room.roster.set_own_nick("myself")
    assert room.roster.members[MY_NUMBER].nick == "myself"
    assert room.drain_events() == [
        NickChanged(MY_NUMBER, "me", "I", own=True),
        NickChanged(MY_NUMBER, "I", "myself", own=True),
    ]


# Late entries.


def test_entries_from_before_the_welcome_only_identify_former_members() -> None:
    room = Room(record(1, "Anna"), newest=5)
    room.receive(
        join_entry(1, 1, "Alice"),
        join_entry(2, 2, "Bob"),
        nick_entry(3, 1, "Anna"),
        leave_entry(4, 2),
    )
    room.receive(nick_entry(4, 3, "Carol"), leave_entry(5, 3))
    assert room.others == {1: "Anna"}
    assert room.known(2).nick == "Bob"
    assert room.drain_events() == []


def test_a_leave_before_its_join_counts() -> None:
    room = Room()
    room.receive(leave_entry(6, 2), join_entry(5, 2, "Bob"))
    assert room.others == {}
    assert room.known(2).nick == "Bob"
    assert room.drain_events() == []


def test_a_nick_before_its_join_counts() -> None:
    room = Room()
    room.receive(nick_entry(7, 2, "Bert"), nick_entry(6, 2, "Bill"), join_entry(5, 2, "Bob"))
    assert room.others == {2: "Bert"}
    assert room.drain_events() == [MemberJoined(2, "Bert", SESSION)]
    room.receive(
        nick_entry(8, 3, "Carla"),
        nick_entry(9, 3, "Caro"),
        leave_entry(10, 3),
        join_entry(5, 3, "Carol"),
    )
    assert room.others == {2: "Bert"}


def test_a_nick_of_a_former_member_does_not_count() -> None:
    room = Room(record(1, "Alice"))
    room.receive(leave_entry(7, 1), nick_entry(8, 1, "Anna"), leave_entry(9, 1), leave_entry(6, 1))
    assert room.others == {}
    assert room.known(1).nick == "Alice"


def test_a_page_is_applied_once_its_sequence_is_settled() -> None:
    room = Room(record(1, "Alice"), newest=5)
    room.roster.settle(5, 0.0)
    room.roster.requests.request_all(6, 0.0)
    assert room.roster.next_request(0.0) == 0
    room.roster.receive_page(page(record(2, "Bob"), newest=8), 0.0)
    assert room.roster.settle(7, 0.0) == (0, [])
    assert room.others == {1: "Alice"}
    assert room.known(2).nick == "Bob"
    assert room.roster.updating
    room.roster.settle(8, 0.0)
    assert room.others == {2: "Bob"}
    assert not room.roster.updating


# Pages.


def test_the_pages_of_the_first_round_are_no_events() -> None:
    room = Room(record(1, "Alice"), newest=5, more_from=2)
    assert room.roster.updating
    assert room.answer(record(2, "Bob"), newest=5, more_from=7) == 2
    assert room.answer(record(7, "Carol"), newest=6) == 7
    assert room.others == {1: "Alice", 2: "Bob", 7: "Carol"}
    assert room.drain_events() == [MembersKnown()]
    assert room.changes == 0
    assert not room.roster.updating


def test_all_members_are_known_when_the_last_page_is_settled() -> None:
    room = Room(record(1, "Alice"), newest=5, more_from=2)
    assert not room.roster.complete
    assert room.roster.next_request(0.0) == 2
    room.roster.receive_page(page(record(2, "Bob"), newest=6, first=2), 0.0)
    room.roster.settle(5, 0.0)
    assert (room.roster.complete, room.drain_events()) == (False, [])
    room.roster.settle(6, 0.0)
    assert (room.roster.complete, room.drain_events()) == (True, [MembersKnown()])
    room.roster.settle(7, 0.0)
    assert room.drain_events() == []


def test_all_members_are_known_at_once_if_one_datagram_lists_them() -> None:
    room = Room(record(1, "Alice"), newest=5)
    room.roster.settle(5, 0.0)
    assert (room.roster.complete, room.drain_events()) == (True, [])


def test_a_page_shows_the_changes_of_lost_entries() -> None:
    room = Room(record(1, "Alice"), record(2, "Bob"), record(3, "Carol"), newest=5)
    room.roster.requests.request_all(8, 0.0)
    room.answer(record(2, "Bert"), record(3, "Carol"), record(4, "Dave"), newest=9)
    assert room.drain_events() == [
        MemberLeft(1, "Alice", ""),
        NickChanged(2, "Bob", "Bert", own=False),
        MemberJoined(4, "Dave", SESSION),
    ]
    assert room.changes == 3


def test_entries_later_than_a_page_count() -> None:
    room = Room(record(1, "Alice"), record(2, "Bob"), newest=5)
    room.roster.requests.request_all(6, 0.0)
    room.receive(join_entry(8, 3, "Carol"), leave_entry(9, 1), nick_entry(9, 2, "Bert"))
    room.receive(nick_entry(9, 4, "Dora"), leave_entry(9, 5))
    room.answer(
        record(1, "Alice"), record(2, "Bob"), record(4, "Dave"), record(5, "Eve"), newest=7
    )
    assert room.others == {2: "Bert", 3: "Carol", 4: "Dora"}


def test_a_page_changes_only_the_numbers_that_it_covers() -> None:
    room = Room(*(record(n, f"nick{n}") for n in (1, 5, 9)), newest=5)
    room.roster.requests.request(4)
    assert room.answer(record(6, "nick6"), newest=6, more_from=9) == 4
    assert sorted(room.others) == [1, 6, 9]


def test_a_page_without_a_request_is_ignored() -> None:
    room = Room(record(1, "Alice"), newest=5)
    room.roster.receive_page(page(newest=9), 0.0)
    room.roster.settle(9, 0.0)
    assert room.others == {1: "Alice"}


def test_own_sequences_come_with_the_settled_page() -> None:
    room = Room(record(1, "Alice", own=7), newest=5)
    assert room.roster.settle(4, 0.0) == (0, [])
    _, (settled,) = room.roster.settle(5, 0.0)
    assert [(member.nick, own) for member, own in settled.members.values()] == [("Alice", 7)]
    assert room.roster.settle(5, 0.0) == (0, [])


def test_the_number_of_waiting_pages_is_limited() -> None:
    room = Room(newest=5)
    room.roster.settle(5, 0.0)
    for number in range(10, 10 + MAX_PAGES):
        room.roster.requests.request(number)
        assert room.roster.next_request(0.0) == number
        room.roster.receive_page(page(newest=9, first=number), 0.0)
    room.roster.requests.request(50)
    assert room.roster.next_request(0.0) is None
    assert room.roster.request_deadline == inf
    room.roster.settle(9, 0.0)
    assert room.roster.next_request(0.0) == 50
    assert room.roster.request_deadline == RETRY_INTERVALS[0]


def test_many_sessions_without_a_settled_page_lead_to_a_request() -> None:
    room = Room(record(1, "Alice"), newest=5)
    room.roster.settle(5, 0.0)
    for newest in range(10, 30):
        room.start_session(newest=newest, first=6, new_room=False)
    assert room.roster.updating
    room.roster.settle(29, 0.0)
    # A dropped page may have had more members.
    assert room.answer(record(2, "Bob"), newest=29) == 0
    assert room.others == {2: "Bob"}
    assert not room.roster.updating


def many_members(count: int) -> list[MemberRecord]:
    first = MY_NUMBER + 1
    return [record(number, f"nick{number}") for number in range(first, first + count)]


def test_the_number_of_members_is_limited() -> None:
    room = Room(*many_members(MAX_MEMBERS - 2))
    room.receive(join_entry(6, 1, "Bob"), join_entry(7, 2, "Carol"))
    assert [1 in room.roster.members, 2 in room.roster.members] == [True, False]


def test_the_number_of_former_members_is_limited() -> None:
    room = Room()
    first = MY_NUMBER + 1
    for number in range(first, first + MAX_FORMER_MEMBERS + 1):
        room.receive(join_entry(2 * number, number, "x"), leave_entry(2 * number + 1, number))
    assert room.roster.find(first) is None
    assert room.roster.find(first + 1) is not None


# Unknown senders.


def test_a_sender_is_unknowable_if_no_report_can_name_it() -> None:
    room = Room(record(1, "Alice"), newest=5, more_from=4)
    roster = room.roster
    assert roster.is_unknowable(2, 5)
    assert not roster.is_unknowable(2, 6)
    assert not roster.is_unknowable(4, 5)
    room.receive(leave_entry(6, 7), nick_entry(7, 8, "x"))
    assert roster.is_unknowable(7, 6)
    assert not roster.is_unknowable(8, 6)
    room.answer(newest=7)
    roster.settle(7, 0.0)
    assert roster.is_unknowable(4, 5)
    assert roster.is_unknowable(5, 5)
    assert not roster.is_unknowable(9, 9)


def test_the_time_of_the_first_report_is_kept() -> None:
    room = Room(record(1, "Alice"))
    room.now = 7.0
    room.receive(join_entry(6, 2, "Bob"), nick_entry(7, 1, "Anna"))
    assert room.roster.since(1) == 0.0
    assert room.roster.since(2) == 7.0
    assert room.roster.since(3) == float("inf")


# Sessions and rooms.


def test_resuming_in_the_same_room_reports_only_changes() -> None:
    room = Room(record(1, "Alice"), newest=5)
    room.start_session(record(1, "Alice"), record(2, "Bob"), newest=9, first=6, new_room=False)
    assert room.drain_events() == []
    room.receive(join_entry(8, 2, "Bob"))
    room.roster.settle(9, 0.0)
    assert room.drain_events() == [MemberJoined(2, "Bob", SESSION)]


def test_the_client_under_another_number_is_no_other_member() -> None:
    room = Room(record(1, "Alice"), newest=5)
    room.start_session(
        record(1, "Alice"), newest=9, number=100, session=OTHER_SESSION, new_room=False
    )
    room.receive(leave_entry(8, MY_NUMBER), join_entry(9, 100, "me"))
    assert sorted(room.roster.members) == [1, 100]
    assert room.drain_events() == []
    assert room.roster.is_self(room.known(MY_NUMBER))


def test_the_clients_last_session_is_no_other_member() -> None:
    room = Room(newest=5)
    room.start_session(
        record(98, "m" * 16), newest=9, number=100, session=OTHER_SESSION, new_room=False
    )
    room.roster.settle(9, 0.0)
    room.receive(leave_entry(10, 98))
    assert room.drain_events() == []


def restarted(*members: MemberRecord, **keywords: Any) -> Room:
    room = Room(record(1, "Alice"), record(2, "Bob"), record(3, "guest-3", kind=PLAIN), newest=50)
    room.now = 100.0
    room.start_session(*members, tag=OTHER_TAG, number=1, **keywords)
    return room


def test_members_that_come_back_after_a_restart_have_not_left() -> None:
    room = restarted(record(2, "Alice"), newest=4)
    room.receive(join_entry(5, 3, "Bob"), join_entry(6, 4, "guest-3", kind=PLAIN))
    assert room.roster.deadline == inf
    room.roster.expire(200.0)
    assert {member.number: member.nick for member in room.roster.members.values()} == {
        1: "me",
        2: "Alice",
        3: "Bob",
        4: "guest-3",
    }
    assert room.drain_events() == []


def test_members_that_do_not_come_back_in_time_have_left() -> None:
    room = restarted(record(2, "Alice"), newest=4)
    assert room.roster.deadline == 100.0 + RETURN_GRACE_PERIOD
    room.roster.expire(100.0 + RETURN_GRACE_PERIOD)
    assert room.drain_events() == [MemberLeft(2, "Bob", ""), MemberLeft(3, "guest-3", "")]
    room.now = 120.0
    room.receive(join_entry(5, 3, "Bob"))
    assert room.drain_events() == [MemberJoined(3, "Bob", SESSION)]


def test_the_number_of_returning_members_is_limited() -> None:
    room = restarted(*many_members(MAX_RETURNING - 2), newest=4)
    assert room.roster.deadline == 100.0 + RETURN_GRACE_PERIOD
    room.start_session(newest=4)
    assert room.roster.deadline == 100.0
    room.drain_events()
    room.roster.expire(100.0)
    assert {type(event) for event in room.drain_events()} == {MemberLeft}
    assert room.roster.deadline == inf


def test_a_member_may_come_back_with_another_nick() -> None:
    room = restarted(newest=4)
    room.receive(entry(5, 3, JoinEntry("Bert", SESSION, identity("Bob"), 0, b"")))
    assert room.drain_events() == [NickChanged(3, "Bob", "Bert", own=False)]


def test_a_new_member_after_a_restart_has_joined() -> None:
    room = restarted(record(2, "Dave"), newest=4)
    assert room.drain_events() == [MemberJoined(2, "Dave", SESSION)]


def test_two_restarts_extend_the_grace_period() -> None:
    room = restarted(record(2, "Alice"), newest=4)
    room.now = 105.0
    room.start_session(record(7, "Bob"), tag=b"another!", number=8, newest=1)
    room.roster.expire(110.0)
    assert room.drain_events() == []
    room.roster.expire(115.0)
    events = room.drain_events()
    left = [event for event in events if isinstance(event, MemberLeft)]
    assert left == events
    assert {event.nick for event in left} == {"Alice", "guest-3"}
    assert len(left) == 2


# Badges.


KEYS = RoomKeys(access=b"a" * 32, content=b"c" * 32)


def good(nick: str) -> bytes:
    return badge(KEYS.content, "room", identity(nick), nick)


@pytest.fixture
def sealing() -> Sealing:
    sealing = Sealing("room", b"secret")
    sealing.set_keys(KEYS)
    return sealing


def test_a_nick_is_trusted_if_its_badge_is_right(sealing: Sealing) -> None:
    room = Room(
        record(1, "Alice", badge=good("Alice")),
        record(2, "Bob", badge=b"?"),
        sealing=sealing,
    )
    members = room.roster.members
    assert (members[1].trusted, members[2].trusted) == (True, False)
    assert (members[1].trusted_nick, members[2].trusted_nick) == ("Alice", None)
    assert room.drain_events() == [Distrusted("badge", 2, None, 1)]


def test_a_new_nick_needs_a_new_badge(sealing: Sealing) -> None:
    room = Room(record(1, "Alice", badge=good("Alice")), sealing=sealing)
    room.receive(nick_entry(6, 1, "Anna", good("Alice")))
    assert room.drain_events() == [
        Distrusted("badge", 1, None, 1),
        NickChanged(1, "Alice", None, own=False),
    ]


@pytest.mark.parametrize("kind", [PLAIN, CONSOLE])
def test_a_member_without_a_badge_is_neither_trusted_nor_suspicious(
    kind: MemberKind, sealing: Sealing
) -> None:
    room = Room(sealing=sealing)
    room.receive(join_entry(6, 2, "guest-2", kind=kind))
    assert room.drain_events() == [MemberJoined(2, None, kind)]
