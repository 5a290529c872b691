"""Who is in the room: the same for everybody in the end, and told without flapping."""

from __future__ import annotations

import pytest
from session_client_arrivals import (
    ME,
    MY_NUMBER,
    OTHER_SESSION,
    OTHER_TAG,
    entry,
    identity,
    joins,
    leaves,
    page,
    record,
    renames,
)
from session_client_roster import Room

from udprelay.protocol.wire.members import MemberKind
from udprelay.session_client import numbers as numbers_module
from udprelay.session_client import returning as returning_module
from udprelay.session_client import roster as roster_module
from udprelay.session_client.events import (
    Distrusted,
    MemberJoined,
    MemberLeft,
    NickChanged,
)
from udprelay.session_client.questions import FIRST_REPEAT
from udprelay.session_client.returning import GRACE

SESSION, PLAIN, CONSOLE = MemberKind


# WELCOME and entries.


def test_who_is_there_already_is_not_told_as_joining():
    room = Room(record(1, "Alice"), record(2, "guest-2", kind=PLAIN), newest=5)
    assert room.others == {1: "Alice", 2: "guest-2"}
    assert room.take() == []


def test_the_client_is_among_the_members_whether_the_relay_lists_it_or_not():
    for listed in ([], [record(MY_NUMBER, "me")]):
        room = Room(*listed)
        myself = room.roster.members[MY_NUMBER]
        assert (myself.nick, myself.identity, myself.trusted) == ("me", ME, True)
        assert room.roster.is_self(myself)


def test_entries_change_who_is_there():
    room = Room(record(1, "Alice"), newest=5)
    room.entry(joins(6, 2, "Bob"), renames(7, 1, "Anna"), leaves(8, 2, "idle"))
    assert room.others == {1: "Anna"}
    assert room.take() == [
        MemberJoined(2, "Bob", SESSION),
        NickChanged(1, "Alice", "Anna", own=False),
        MemberLeft(2, "Bob", "idle"),
    ]
    ((bob, reason),) = room.roster.take_gone()
    assert (bob.nick, reason) == ("Bob", "idle")
    assert room.roster.take_gone() == []


def test_entries_about_the_client_itself_are_not_told():
    room = Room(newest=5)
    room.entry(joins(5, MY_NUMBER, "me"), leaves(6, MY_NUMBER))
    assert MY_NUMBER in room.roster.members
    assert room.take() == []


def test_an_entry_of_another_kind_changes_nothing():
    room = Room(record(1, "Alice"))
    room.entry(entry(6, 1, None))
    assert room.others == {1: "Alice"}


def test_the_clients_own_nick_changes_by_whatever_comes_first():
    room = Room(newest=5)
    room.roster.renamed("me")
    room.roster.renamed("I")
    room.entry(renames(6, MY_NUMBER, "I"), renames(7, MY_NUMBER, "myself"))
    room.roster.renamed("myself")
    assert room.roster.members[MY_NUMBER].nick == "myself"
    assert room.take() == [
        NickChanged(MY_NUMBER, "me", "I", own=True),
        NickChanged(MY_NUMBER, "I", "myself", own=True),
    ]


# What comes late.


def test_entries_from_before_the_welcome_only_tell_who_was_there():
    room = Room(record(1, "Anna"), newest=5)
    room.entry(joins(1, 1, "Alice"), joins(2, 2, "Bob"), renames(3, 1, "Anna"), leaves(4, 2))
    room.entry(renames(4, 3, "Carol"), leaves(5, 3))
    assert room.others == {1: "Anna"}
    assert room.roster.find(2).nick == "Bob"
    assert room.take() == []


def test_a_leave_that_comes_before_its_join_counts():
    room = Room()
    room.entry(leaves(6, 2), joins(5, 2, "Bob"))
    assert room.others == {}
    assert room.roster.find(2).nick == "Bob"
    assert room.take() == []


def test_a_nick_that_comes_before_its_join_counts():
    room = Room()
    room.entry(renames(7, 2, "Bert"), renames(6, 2, "Bill"), joins(5, 2, "Bob"))
    assert room.others == {2: "Bert"}
    assert room.take() == [MemberJoined(2, "Bert", SESSION)]
    room.entry(renames(8, 3, "Carla"), renames(9, 3, "Caro"), leaves(10, 3), joins(5, 3, "Carol"))
    assert room.others == {2: "Bert"}


def test_a_nick_of_somebody_who_has_left_does_not_count():
    room = Room(record(1, "Alice"))
    room.entry(leaves(7, 1), renames(8, 1, "Anna"), leaves(9, 1), leaves(6, 1))
    assert room.others == {}
    assert room.roster.find(1).nick == "Alice"


def test_a_page_waits_until_all_before_it_is_settled():
    room = Room(record(1, "Alice"), newest=5)
    room.roster.settled(5, 0.0)
    room.roster.questions.ask_all(6, 0.0)
    assert room.roster.ask(0.0) == 0
    room.roster.page(page(record(2, "Bob"), newest=8), 0.0)
    assert not room.roster.settled(7, 0.0)
    assert room.others == {1: "Alice"}
    assert room.roster.find(2).nick == "Bob"
    assert room.roster.in_doubt
    assert room.roster.settled(8, 0.0)
    assert room.others == {2: "Bob"}
    assert not room.roster.in_doubt


# Pages.


def test_the_rest_of_the_members_comes_quietly():
    room = Room(record(1, "Alice"), newest=5, more_from=2)
    assert room.roster.in_doubt
    assert room.answer(record(2, "Bob"), newest=5, more_from=7) == 2
    assert room.answer(record(7, "Carol"), newest=6) == 7
    assert room.others == {1: "Alice", 2: "Bob", 7: "Carol"}
    assert room.take() == []
    assert room.roster.take_found() == 0
    assert not room.roster.in_doubt


def test_what_was_lost_shows_after_a_hole():
    room = Room(record(1, "Alice"), record(2, "Bob"), record(3, "Carol"), newest=5)
    room.roster.questions.ask_all(8, 0.0)
    room.answer(record(2, "Bert"), record(3, "Carol"), record(4, "Dave"), newest=9)
    assert room.take() == [
        MemberLeft(1, "Alice", ""),
        NickChanged(2, "Bob", "Bert", own=False),
        MemberJoined(4, "Dave", SESSION),
    ]
    assert room.roster.take_found() == 3
    assert room.roster.take_found() == 0


def test_later_entries_overrule_a_page():
    room = Room(record(1, "Alice"), record(2, "Bob"), newest=5)
    room.roster.questions.ask_all(6, 0.0)
    room.entry(joins(8, 3, "Carol"), leaves(9, 1), renames(9, 2, "Bert"))
    room.entry(renames(9, 4, "Dora"), leaves(9, 5))
    room.answer(
        record(1, "Alice"), record(2, "Bob"), record(4, "Dave"), record(5, "Eve"), newest=7
    )
    assert room.others == {2: "Bert", 3: "Carol", 4: "Dora"}


def test_a_page_tells_nothing_of_the_numbers_outside_of_it():
    room = Room(*(record(n, f"nick{n}") for n in (1, 5, 9)), newest=5)
    room.roster.questions.want(4)
    assert room.answer(record(6, "nick6"), newest=6, more_from=9) == 4
    assert sorted(room.others) == [1, 6, 9]


def test_an_answer_to_no_question_is_ignored():
    room = Room(record(1, "Alice"), newest=5)
    room.roster.page(page(newest=9), 0.0)
    room.roster.settled(9, 0.0)
    assert room.others == {1: "Alice"}


def test_members_own_sequences_are_told_once_their_page_counts():
    room = Room(record(1, "Alice", own=7), newest=5)
    assert room.roster.take_owns() == []
    assert not room.roster.settled(4, 0.0)
    assert room.roster.settled(5, 0.0)
    assert [(member.nick, own) for member, own in room.roster.take_owns()] == [("Alice", 7)]
    assert room.roster.take_owns() == []


def test_so_many_answers_wait_and_no_more():
    room = Room(newest=5)
    room.roster.settled(5, 0.0)
    for number in range(10, 10 + roster_module.MOST_PAGES):
        room.roster.questions.want(number)
        assert room.roster.ask(0.0) == number
        room.roster.page(page(newest=9, first=number), 0.0)
    room.roster.questions.want(50)
    assert room.roster.ask(0.0) is None
    assert room.roster.next_question is None
    room.roster.settled(9, 0.0)
    assert room.roster.ask(0.0) == 50
    assert room.roster.next_question == FIRST_REPEAT


def test_so_many_sessions_without_anything_settled_wait_and_no_more():
    room = Room(record(1, "Alice"), newest=5)
    room.roster.settled(5, 0.0)
    for newest in range(10, 30):
        room.welcome(newest=newest, first=6, new_room=False)
    assert len(room.roster._pages) == roster_module.MOST_PAGES + 1
    assert room.roster.in_doubt
    room.roster.settled(29, 0.0)
    # What was dropped may have told more.
    assert room.answer(record(2, "Bob"), newest=29) == 0
    assert room.others == {2: "Bob"}
    assert not room.roster.in_doubt


def test_the_members_are_bounded(monkeypatch):
    monkeypatch.setattr(roster_module, "MOST_MEMBERS", 3)
    room = Room(record(1, "Alice"))
    room.entry(joins(6, 2, "Bob"), joins(7, 3, "Carol"))
    assert room.others == {1: "Alice", 2: "Bob"}


def test_those_who_have_left_are_bounded(monkeypatch):
    monkeypatch.setattr(numbers_module, "MOST_FORMER", 2)
    room = Room()
    for number in (1, 2, 3):
        room.entry(joins(number, number, "x"), leaves(number + 10, number))
    assert [room.roster.find(number) is None for number in (1, 2, 3)] == [True, False, False]


# Who said it.


def test_whether_it_may_become_known_who_spoke():
    room = Room(record(1, "Alice"), newest=5, more_from=4)
    roster = room.roster
    assert roster.is_hopeless(2, 5)
    assert not roster.is_hopeless(2, 6)
    assert not roster.is_hopeless(4, 5)
    room.entry(leaves(6, 7), renames(7, 8, "x"))
    assert roster.is_hopeless(7, 6)
    assert not roster.is_hopeless(8, 6)
    room.answer(newest=7)
    roster.settled(7, 0.0)
    assert roster.is_hopeless(4, 5)
    assert roster.is_hopeless(5, 5)
    assert not roster.is_hopeless(9, 9)


def test_since_when_a_member_is_known():
    room = Room(record(1, "Alice"))
    room.now = 7.0
    room.entry(joins(6, 2, "Bob"), renames(7, 1, "Anna"))
    assert room.roster.since(1) == 0.0
    assert room.roster.since(2) == 7.0
    assert room.roster.since(3) == float("inf")


# Another session, another room.


def test_resuming_in_the_same_room_tells_only_what_has_changed():
    room = Room(record(1, "Alice"), newest=5)
    room.welcome(record(1, "Alice"), record(2, "Bob"), newest=9, first=6, new_room=False)
    assert room.take() == []
    room.entry(joins(8, 2, "Bob"))
    room.roster.settled(9, 0.0)
    assert room.take() == [MemberJoined(2, "Bob", SESSION)]


def test_the_client_under_another_number_is_nobody_else():
    room = Room(record(1, "Alice"), newest=5)
    room.welcome(record(1, "Alice"), newest=9, number=100, session=OTHER_SESSION, new_room=False)
    room.entry(leaves(8, MY_NUMBER), joins(9, 100, "me"))
    assert sorted(room.roster.members) == [1, 100]
    assert room.take() == []
    assert room.roster.is_self(room.roster.find(MY_NUMBER))


def test_a_client_that_the_relay_still_lists_twice_is_not_told():
    room = Room(newest=5)
    room.welcome(record(98, "m" * 16), newest=9, number=100, session=OTHER_SESSION, new_room=False)
    room.roster.settled(9, 0.0)
    room.entry(leaves(10, 98))
    assert room.take() == []


def restarted(*members, **keywords):
    room = Room(record(1, "Alice"), record(2, "Bob"), record(3, "guest-3", kind=PLAIN), newest=50)
    room.now = 100.0
    room.welcome(*members, tag=OTHER_TAG, number=1, **keywords)
    return room


def test_whoever_comes_back_after_a_restart_never_left():
    room = restarted(record(2, "Alice"), newest=4)
    room.entry(joins(5, 3, "Bob"), joins(6, 4, "guest-3", kind=PLAIN))
    assert room.roster.deadline is None
    room.roster.expire(200.0)
    assert {member.number: member.nick for member in room.roster.members.values()} == {
        1: "me",
        2: "Alice",
        3: "Bob",
        4: "guest-3",
    }
    assert room.take() == []


def test_whoever_does_not_come_back_in_time_has_left():
    room = restarted(record(2, "Alice"), newest=4)
    assert room.roster.deadline == 100.0 + GRACE
    room.roster.expire(100.0 + GRACE)
    assert room.take() == [MemberLeft(2, "Bob", ""), MemberLeft(3, "guest-3", "")]
    assert [member.nick for member, _ in room.roster.take_gone()] == ["Bob", "guest-3"]
    room.now = 120.0
    room.entry(joins(5, 3, "Bob"))
    assert room.take() == [MemberJoined(3, "Bob", SESSION)]


def test_so_many_are_waited_for_and_no_more(monkeypatch):
    monkeypatch.setattr(returning_module, "MOST", 3)
    room = restarted(record(2, "Dora"), record(3, "Emil"), newest=4)
    assert room.roster.deadline == 100.0 + GRACE
    room.welcome(newest=4)
    assert room.roster.deadline == 100.0
    room.roster.expire(100.0)
    assert len([event for event in room.take() if isinstance(event, MemberLeft)]) == 5
    assert room.roster.deadline is None


def test_whoever_comes_back_with_another_nick_has_a_new_one():
    room = restarted(newest=4)
    body = joins(5, 3, "Bob").body
    room.entry(entry(5, 3, type(body)("Bert", SESSION, identity("Bob"), 0, b"")))
    assert room.take() == [NickChanged(3, "Bob", "Bert", own=False)]


def test_whoever_is_new_after_a_restart_has_joined():
    room = restarted(record(2, "Dave"), newest=4)
    assert room.take() == [MemberJoined(2, "Dave", SESSION)]


def test_two_restarts_in_a_row_are_as_one():
    room = restarted(record(2, "Alice"), newest=4)
    room.now = 105.0
    room.welcome(record(7, "Bob"), tag=b"another!", number=8, newest=1)
    room.roster.expire(110.0)
    assert room.take() == []
    room.roster.expire(115.0)
    assert sorted(event.nick for event in room.take()) == ["Alice", "guest-3"]


# Badges.


def vouches(identity, nick, badge):
    return badge == identity[:4] + nick.encode()[:4]


def good(nick):
    return identity(nick)[:4] + nick.encode()[:4]


def test_a_member_is_shown_with_its_nick_if_its_badge_is_right():
    room = Room(
        record(1, "Alice", badge=good("Alice")), record(2, "Bob", badge=b"?"), vouches=vouches
    )
    members = room.roster.members
    assert (members[1].trusted, members[2].trusted) == (True, False)
    assert (members[1].shown, members[2].shown) == ("Alice", None)
    assert room.take() == [Distrusted("badge", 2, None, 1)]


def test_a_new_nick_needs_a_new_badge():
    room = Room(record(1, "Alice", badge=good("Alice")), vouches=vouches)
    room.entry(renames(6, 1, "Anna", good("Alice")))
    assert room.take() == [
        Distrusted("badge", 1, None, 1),
        NickChanged(1, "Alice", None, own=False),
    ]


@pytest.mark.parametrize("kind", [PLAIN, CONSOLE])
def test_whoever_has_no_badge_is_not_accused_and_not_believed(kind):
    room = Room(vouches=vouches)
    room.entry(joins(6, 2, "guest-2", kind=kind))
    assert room.take() == [MemberJoined(2, None, kind)]
