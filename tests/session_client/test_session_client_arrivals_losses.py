"""What is lost is told: once, and by its sender if that can be known."""

from __future__ import annotations

from session_client_arrivals import (
    OTHER_SESSION,
    OTHER_TAG,
    SESSION,
    TAG,
    Client,
    joins,
    leaves,
    record,
    says,
    whispers,
    with_alice,
)

from udprelay.protocol.wire.from_client import Missed, RosterRequest
from udprelay.protocol.wire.from_relay import Heartbeat
from udprelay.protocol.wire.header import CONTINUED, MORE, RELIABLE
from udprelay.protocol.wire.members import MemberKind
from udprelay.session_client.events import (
    Lost,
    MemberJoined,
    MemberLeft,
    NickChanged,
)

GONE, UNRELIABLE = 0, 1
FIRST_REPORT = b"missed\0\1"
PLAIN = MemberKind.PLAIN


def test_a_hole_is_told_by_sender_as_its_next_message_shows():
    client = with_alice()
    client.take(says(1, 1, 1, b"a"), says(4, 1, 4, b"d"))
    client.gone((2, 2, GONE))
    assert client.heard == ["a", Lost(2, "Alice"), "d"]
    assert client.questions[:2] == [
        RosterRequest(SESSION, 0),
        Missed(SESSION, 1, ((2, 2),), FIRST_REPORT),
    ]


def test_a_hole_is_told_by_sender_as_the_roster_shows():
    client = with_alice()
    client.take(says(1, 1, 1, b"a"), joins(2, 3, "Carol"), Heartbeat(TAG, 5))
    client.gone((3, 3, GONE))
    assert client.heard == ["a"]
    client.answers(
        record(1, "Alice", own=3), record(2, "Bob"), record(3, "Carol", own=1), newest=5
    )
    assert client.heard == [Lost(2, "Alice"), Lost(1, "Carol")]
    client.wait(0.5)
    reports = [question for question in client.questions if isinstance(question, Missed)]
    told = [(report.number, report.ranges) for report in reports]
    assert told == [(1, ((2, 2),)), (3, ((1, 1),))]
    client.take(says(6, 1, 4, b"e"), says(7, 3, 2, b"f"))
    assert client.heard == ["e", "f"]


def test_what_nobody_says_was_its_own_is_told_without_a_sender():
    client = Client(record(1, "Alice"), record(2, "Bob", own=5))
    client.take(says(1, 1, 1, b"a"), Heartbeat(TAG, 4))
    client.gone((2, 3, GONE))
    client.answers(record(1, "Alice", own=2), record(2, "Bob", own=5), newest=4)
    assert client.heard == ["a", Lost(1, "Alice"), Lost(2, None)]
    client.take(says(5, 2, 6, b"b"))
    assert client.heard == ["b"]


def test_lost_entries_are_no_lost_messages():
    client = with_alice()
    client.take(Heartbeat(TAG, 4))
    client.gone((1, 4, GONE))
    client.answers(record(1, "Anna"), record(3, "Carol"), newest=4)
    events = client.events
    assert [event for event in events if isinstance(event, Lost)] == [Lost(1, None)]
    assert [type(event) for event in events[:3]] == [MemberLeft, NickChanged, MemberJoined]


def test_a_loss_that_the_roster_does_not_explain_in_time_is_told():
    client = with_alice()
    client.take(says(1, 1, 1, b"a"), Heartbeat(TAG, 2))
    client.gone((2, 1, GONE))
    client.wait(4.9)
    assert client.heard == ["a"]
    client.wait(0.2)
    assert client.heard == [Lost(1, None)]
    client.take(says(3, 1, 3, b"c"))
    assert client.heard == ["c"]
    assert client.arrivals.lost == 1


def test_unreliable_messages_that_are_missed_are_counted():
    client = with_alice()
    client.take(says(3, 1, 1, b"c"))
    client.gone((1, 2, UNRELIABLE))
    assert client.heard == ["c"]
    assert client.arrivals.lost == 2


def test_what_is_given_up_is_a_hole():
    client = with_alice()
    client.take(says(2, 1, 1, b"b"))
    client.wait(36)
    assert client.heard == ["b", Lost(1, None)]
    assert client.arrivals.settled == 2


def test_a_private_hole_is_told_without_a_sender():
    client = with_alice()
    client.take(whispers(3, 1, 9, b"c"))
    client.gone((1, 2, GONE), stream=1)
    assert client.heard == [Lost(2, None), "c"]
    assert client.questions == []


def test_a_gap_that_is_no_hole_is_told_as_well():
    client = with_alice()
    client.take(says(1, 1, 1, b"a"), says(2, 1, 3, b"c"))
    assert client.heard == ["a", Lost(1, "Alice"), "c"]


def test_what_a_member_had_said_elsewhere_before_it_came_again_is_lost():
    client = Client(record(1, "Alice", own=4))
    client.take(says(1, 1, 5, b"a"), leaves(2, 1), joins(3, 7, "Alice", own=8))
    assert client.heard == ["a", Lost(3, "Alice")]
    client.take(says(4, 7, 9, b"b"))
    assert client.heard == ["b"]


def test_what_a_member_that_was_listed_has_said_to_a_relay_that_died_is_lost():
    client = Client(record(1, "Alice", own=4))
    client.lose_contact()
    client.joined(tag=OTHER_TAG, session=OTHER_SESSION, newest=1)
    client.take(joins(2, 7, "Alice", own=8))
    assert client.heard == [Lost(4, "Alice")]
    client.take(says(3, 7, 9, b"b"))
    assert client.heard == ["b"]


def test_so_it_is_if_the_lists_come_in_pages():
    client = Client(newest=1, more_from=1)
    client.answers(record(1, "Alice", own=4), newest=1)
    client.lose_contact()
    client.joined(tag=OTHER_TAG, session=OTHER_SESSION, newest=1, more_from=1)
    client.take(says(2, 7, 9, b"b"))
    client.answers(record(7, "Alice", own=9), newest=2)
    assert client.heard == [Lost(4, "Alice"), "b"]


def test_what_a_member_has_said_before_it_was_listed_is_not_lost():
    client = Client(record(1, "Alice", own=4), newest=6)
    client.take(says(7, 1, 5, b"a"))
    assert client.heard == ["a"]


def test_a_list_counts_once_all_before_it_has_come():
    client = Client(record(1, "Alice", own=4), newest=2, first=1)
    client.take(says(3, 1, 5, b"c"), says(2, 1, 4, b"b"), says(1, 1, 3, b"a"))
    assert client.heard == ["a", "b", "c"]


def test_whoever_has_left_is_not_told_what_was_missed():
    client = with_alice()
    client.take(says(1, 1, 1, b"a"), leaves(4, 1), Heartbeat(TAG, 4), says(3, 1, 3, b"c"))
    client.gone((2, 1, GONE))
    assert client.heard == ["a", Lost(1, "Alice"), "c"]
    assert not [question for question in client.questions if isinstance(question, Missed)]


def test_a_hole_ends_a_partial_message_and_counts_once():
    client = with_alice()
    client.take(
        says(1, 1, 1, b"x", flags=RELIABLE | MORE),
        says(3, 1, 3, b"y", flags=RELIABLE | CONTINUED),
        says(4, 1, 4, b"whole"),
    )
    client.gone((2, 1, GONE))
    assert client.heard == [Lost(1, "Alice"), "whole"]


def test_a_partial_message_ends_with_its_sender():
    client = with_alice()
    client.take(says(1, 1, 1, b"x", flags=RELIABLE | MORE), leaves(2, 1))
    assert client.heard == [Lost(1, "Alice")]


def test_a_partial_message_is_lost_after_a_minute():
    client = with_alice()
    client.take(says(1, 1, 1, b"x", flags=RELIABLE | MORE))
    client.wait(61)
    assert client.heard == [Lost(1, "Alice")]


def test_a_partial_message_is_not_lost_while_its_receiver_sleeps():
    client = with_alice()
    client.take(says(1, 1, 1, b"x", flags=RELIABLE | MORE))
    client.wait(100, silent=True)
    assert client.heard == []
    client.take(Heartbeat(TAG, 3))
    client.wait(0.01, silent=True)
    client.take(says(2, 1, 2, b"y", flags=RELIABLE | CONTINUED))
    assert client.heard == ["xy"]
    client.take(says(3, 1, 3, b"z", flags=RELIABLE | MORE))
    client.wait(61)
    assert client.heard == [Lost(1, "Alice")]


def test_a_partial_message_is_not_lost_while_nothing_can_come():
    client = with_alice()
    client.take(says(1, 1, 1, b"x", flags=RELIABLE | MORE))
    client.lose_contact()
    client.wait(100)
    client.joined(record(1, "Alice"), newest=1)
    client.wait(59)
    assert client.heard == []
    client.wait(2)
    assert client.heard == [Lost(1, "Alice")]
