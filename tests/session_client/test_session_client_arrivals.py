"""From datagrams to events: in order, once, and nothing lost silently."""

from __future__ import annotations

import pytest
from session_client_arrivals import (
    MY_NUMBER,
    OTHER_SESSION,
    OTHER_TAG,
    SESSION,
    TAG,
    Client,
    entry,
    joins,
    leaves,
    page,
    record,
    renames,
    says,
    whispers,
    with_alice,
)

from udprelay.protocol.wire.entries import FailedNotice, MissedNotice
from udprelay.protocol.wire.from_client import Nack, RosterRequest
from udprelay.protocol.wire.from_relay import Ack, Heartbeat, Pong
from udprelay.protocol.wire.header import CONTINUED, MORE, RELIABLE
from udprelay.protocol.wire.members import MemberKind
from udprelay.protocol.wire.sequenced import Notice
from udprelay.session_client.events import (
    Lost,
    MemberJoined,
    MemberLeft,
    NickChanged,
    Received,
)

GONE, UNRELIABLE = 0, 1
PLAIN = MemberKind.PLAIN


# Order.


def test_messages_and_entries_come_in_the_order_of_the_room():
    client = with_alice()
    client.take(says(3, 3, 1, b"c"), joins(2, 3, "Carol"), says(1, 1, 1, b"a"))
    assert client.events == [
        Received(1, "Alice", b"a", True, False, False),
        MemberJoined(3, "Carol", MemberKind.SESSION),
        Received(3, "Carol", b"c", True, False, False),
    ]
    assert client.arrivals.settled == 3
    assert client.arrivals.received == 2


def test_what_is_unreliable_waits_for_nothing():
    client = with_alice()
    client.take(says(2, 1, 1, b"now", flags=0))
    assert client.events == [Received(1, "Alice", b"now", False, False, False)]
    client.take(says(3, 1, 1, b"again", flags=0), says(3, 1, 2, b"same number", flags=0))
    assert client.events == []
    assert client.arrivals.duplicates == 2


def test_private_messages_have_their_own_order():
    client = with_alice()
    client.take(whispers(2, 1, 2, b"two"), whispers(1, 1, 1, b"one"))
    assert client.events == [
        Received(1, "Alice", b"one", True, True, False),
        Received(1, "Alice", b"two", True, True, False),
    ]


def test_unreliable_private_messages_have_none():
    client = with_alice()
    client.take(whispers(0, 1, 1, b"one", flags=0), whispers(0, 1, 1, b"one", flags=0))
    assert client.events == [Received(1, "Alice", b"one", False, True, False)]


def test_what_plain_members_and_the_console_say_has_no_own_sequence():
    client = Client(record(4, "guest-4", kind=PLAIN))
    client.take(says(1, 4, 0, b"a"), says(2, 4, 0, b"a"))
    assert client.heard == ["a", "a"]


def test_messages_are_put_together():
    client = with_alice()
    client.take(
        says(1, 1, 1, b"long ", flags=RELIABLE | MORE),
        says(2, 2, 1, b"Bob"),
        says(3, 1, 2, b"message", flags=RELIABLE | CONTINUED),
        whispers(1, 1, 1, b"long ", flags=RELIABLE | MORE),
        whispers(2, 1, 2, b"whisper", flags=RELIABLE | CONTINUED),
    )
    assert client.heard == ["Bob", "long message", "long whisper"]


def test_notices_come_in_order_and_once():
    client = with_alice()
    missed, failed = MissedNotice(1, ((4, 1),)), FailedNotice(3, "absent")
    second, first = Notice(SESSION, 2, failed), Notice(SESSION, 1, missed)
    client.take(second, Notice(SESSION, 3, None))
    assert client.arrivals.take_notices() == []
    client.take(first, second)
    assert client.arrivals.take_notices() == [missed, failed]
    assert client.arrivals.take_notices() == []


def test_the_clients_own_are_not_waited_for_and_not_heard():
    client = with_alice()
    client.take(says(3, 1, 1, b"c"), Ack(SESSION, 3, 0, 1, 0, ((1, 1),)))
    assert client.heard == []
    client.take(says(2, MY_NUMBER, 7, b"mine"))
    assert client.heard == ["c"]


# Questions.


def test_what_is_missing_is_asked_for_in_both_streams():
    client = with_alice()
    client.take(says(3, 1, 3), whispers(2, 1, 2))
    assert client.questions == []
    client.wait(0.05)
    assert client.questions == [Nack(SESSION, 0, ((1, 2),)), Nack(SESSION, 1, ((1, 1),))]
    client.take(says(1, 1, 1), says(2, 1, 2), whispers(1, 1, 1))
    assert client.arrivals.repaired == 3
    client.wait(100)
    assert client.questions == []


def test_what_is_too_old_for_the_room_sequence_is_dropped():
    client = Client(record(1, "Alice"), newest=5)
    client.take(says(5, 1, 1, b"old"))
    assert client.heard == []
    assert client.arrivals.duplicates == 1


def test_what_is_far_ahead_counts_once_the_relay_has_confirmed_it():
    client = with_alice()
    client.take(says(5000, 1, 1, b"far"))
    assert client.heard == []
    assert client.arrivals.take_doubt()
    assert not client.arrivals.take_doubt()
    client.take(Pong(SESSION, bytes(8), 5000, 0))
    client.wait(0.05)
    assert client.questions == [Nack(SESSION, 0, ((1, 128),))]


@pytest.mark.parametrize(
    "told", [Heartbeat(TAG, 2), Pong(SESSION, bytes(8), 2, 0), page(newest=2)]
)
def test_the_last_ones_are_missed_too(told):
    client = with_alice()
    client.take(told)
    client.wait(0.05)
    assert client.questions == [Nack(SESSION, 0, ((1, 2),))]


def test_the_last_private_one_is_missed_too():
    client = with_alice()
    client.take(Pong(SESSION, bytes(8), 0, 1))
    client.wait(0.05)
    assert client.questions == [Nack(SESSION, 1, ((1, 1),))]


def test_a_fresh_member_asks_for_the_history_it_is_to_have():
    client = Client(record(1, "Alice", own=9), newest=7, first=6, newest_private=1)
    client.wait(0.05)
    assert client.questions == [Nack(SESSION, 0, ((6, 2),)), Nack(SESSION, 1, ((1, 1),))]
    client.take(says(6, 1, 8, b"a"), says(7, 1, 9, b"b"), says(8, 1, 10, b"c"))
    assert client.heard == ["a", "b", "c"]


def test_the_rest_of_the_roster_is_asked_for():
    client = Client(record(1, "Alice"), more_from=2)
    client.answers(record(2, "Bob"), newest=0)
    assert client.arrivals.members[2].nick == "Bob"
    assert client.events == []


# Who said it.


def test_a_message_waits_until_its_sender_is_known():
    client = Client(more_from=5, newest=9)
    client.take(says(10, 7, 1, b"a"), says(11, 7, 1, b"b", flags=0))
    assert client.events == []
    client.take(page(newest=9, first=5, more_from=6))
    assert client.questions == [RosterRequest(SESSION, 5), RosterRequest(SESSION, 7)]
    client.take(page(record(7, "Carol", own=1), newest=11, first=7))
    assert client.events == [
        Received(7, "Carol", b"a", True, False, False),
        Received(7, "Carol", b"b", False, False, False),
    ]


def test_the_entry_that_tells_who_it_is_releases_what_it_said():
    client = Client()
    client.take(whispers(1, 7, 1, b"early"))
    assert client.events == []
    client.take(joins(1, 7, "Carol"))
    assert [event for event in client.events if isinstance(event, Received)] == [
        Received(7, "Carol", b"early", True, True, False)
    ]


def test_after_a_while_a_message_is_told_without_a_nick():
    client = Client(more_from=5, newest=9)
    client.take(says(10, 7, 1, b"a"), says(11, 7, 3, b"c"))
    client.wait(9.9)
    assert client.events == []
    client.wait(0.2)
    assert client.events == [
        Received(7, None, b"a", True, False, False),
        Lost(1, None),
        Received(7, None, b"c", True, False, False),
    ]


def test_the_time_in_which_nobody_can_be_asked_does_not_count():
    client = Client(more_from=5, newest=9)
    client.take(says(10, 7, 1, b"a"))
    client.wait(30, silent=True)
    client.wait(8)
    assert client.events == []
    client.wait(2)
    assert client.heard == ["a"]


def test_what_is_deliverable_only_in_another_session_does_not_wait_for_the_time_before_it():
    client = with_alice()
    client.take(whispers(2, 7, 1))
    client.wait(100, silent=True)
    client.lose_contact()
    client.joined(record(1, "Alice"), session=OTHER_SESSION)
    client.wait(9)
    assert client.heard == [Lost(1, None)]
    client.wait(2)
    assert client.heard == ["psst"]


def test_whoever_spoke_and_has_left_long_ago_is_not_waited_for():
    client = Client(record(1, "Alice"), newest=9, first=8)
    client.take(says(8, 7, 1, b"a"))
    assert client.events == [Received(7, None, b"a", True, False, False)]


def test_whoever_leaves_before_it_is_known_is_not_waited_for():
    client = Client(more_from=5, newest=9)
    client.take(says(10, 7, 1, b"a"), leaves(11, 7))
    assert client.events == [Received(7, None, b"a", True, False, False)]


# Sessions.


def test_resuming_in_the_same_room_goes_on():
    client = with_alice()
    client.take(says(1, 1, 1, b"a"), says(3, 1, 3, b"c"), whispers(2, 2, 2, b"w2"))
    client.wait(0.05)
    assert len(client.questions) == 2
    client.lose_contact()
    assert client.arrivals.tag == TAG
    assert client.arrivals.settled == 1
    client.wait(100)
    assert client.questions == []
    client.joined(record(1, "Alice", own=4), record(2, "Bob"), newest=4, first=2, newest_private=2)
    assert client.questions == [Nack(SESSION, 0, ((2, 1),)), Nack(SESSION, 1, ((1, 1),))]
    client.take(says(2, 1, 2, b"b"), says(4, 1, 4, b"d"), whispers(1, 2, 1, b"w1"))
    assert client.heard == ["a", "b", "c", "d", "w1", "w2"]


def test_a_new_session_in_the_same_room_has_another_private_sequence():
    client = with_alice()
    client.take(says(1, 1, 1, b"a"), whispers(2, 2, 2, b"w2"))
    client.joined(
        record(1, "Alice", own=1),
        record(2, "Bob"),
        newest=1,
        number=100,
        session=OTHER_SESSION,
    )
    assert client.arrivals.number == 100
    assert client.heard == ["a", Lost(1, None), "w2"]
    client.take(whispers(1, 2, 3, b"w3"))
    assert client.heard == ["w3"]


def test_what_the_relay_no_longer_has_when_resuming_is_a_hole():
    client = with_alice()
    client.take(says(1, 1, 1, b"a"))
    client.joined(record(1, "Alice", own=5), record(2, "Bob"), newest=6, first=5)
    client.take(says(5, 1, 4, b"d"), says(6, 1, 5, b"e"))
    assert client.heard == ["a", Lost(2, "Alice"), "d", "e"]


def restarted(*members, **keywords):
    client = with_alice()
    client.take(
        says(1, 1, 1, b"a1"),
        says(2, 1, 2, b"a2, ", flags=RELIABLE | MORE),
        says(4, 2, 1, b"b1"),
        whispers(1, 1, 1, b"w1"),
    )
    assert client.heard == ["a1", "w1"]
    client.lose_contact()
    client.joined(*members, tag=OTHER_TAG, session=OTHER_SESSION, number=1, **keywords)
    return client


def test_after_a_restart_nothing_counts_twice_and_pieces_go_on():
    client = restarted(newest=0)
    client.take(
        joins(1, 2, "Bob"),
        joins(2, 3, "Alice"),
        says(3, 2, 1, b"b1"),
        says(4, 3, 1, b"a1"),
        says(5, 3, 2, b"a2, ", flags=RELIABLE | MORE),
        says(6, 3, 3, b"a3", flags=RELIABLE | CONTINUED),
        whispers(1, 3, 1, b"w1"),
        whispers(2, 3, 2, b"w2"),
    )
    assert client.events == [
        Received(2, "Bob", b"b1", True, False, False),
        Received(3, "Alice", b"a2, a3", True, False, False),
        Received(3, "Alice", b"w2", True, True, False),
    ]
    assert client.arrivals.tag == OTHER_TAG
    assert client.arrivals.duplicates == 3


def test_after_a_restart_what_a_sender_no_longer_has_is_lost():
    client = restarted(record(2, "Alice", own=5), newest=3)
    assert client.heard == [Lost(3, "Alice")]
    client.take(says(4, 2, 6, b"a6"))
    assert client.heard == ["a6"]


def test_whoever_does_not_come_back_after_a_restart_has_left():
    client = restarted(record(2, "Bob"), newest=3)
    assert client.events == []
    client.wait(11)
    assert client.events == [MemberLeft(1, "Alice", "")]


def test_half_a_message_is_lost_with_whoever_leaves_for_good():
    client = with_alice()
    client.take(says(1, 1, 1, b"half", RELIABLE | MORE), leaves(2, 1))
    assert client.events == [MemberLeft(1, "Alice", "left"), Lost(1, "Alice")]


def test_whoever_was_silent_for_too_long_may_finish_its_message():
    client = with_alice()
    client.take(says(1, 1, 1, b"half and ", RELIABLE | MORE), leaves(2, 1, "idle"))
    assert client.events == [MemberLeft(1, "Alice", "idle")]
    client.take(joins(3, 3, "Alice", own=1), says(4, 3, 2, b"half", RELIABLE | CONTINUED))
    assert client.heard == ["half and half"]


def test_what_is_held_when_the_room_changes_is_dropped_as_it_comes_again():
    client = restarted(newest=0)
    client.gone((1, 1, GONE))
    client.take(joins(1, 2, "Bob"), says(2, 2, 1, b"b1"))
    assert client.heard == ["b1"]


def test_strangers_are_forgotten_with_the_room():
    client = Client(more_from=5, newest=9)
    client.take(says(10, 7, 1, b"a"))
    client.joined(tag=OTHER_TAG, session=OTHER_SESSION, newest=0)
    client.take(joins(1, 3, "Carol"), says(2, 3, 1, b"a"))
    client.wait(10)
    assert client.heard == ["a"]


def test_the_client_may_come_as_somebody_else():
    client = with_alice()
    client.arrivals.identity = b"n" * 16
    client.joined(tag=OTHER_TAG, session=OTHER_SESSION)
    assert client.arrivals.members[MY_NUMBER].identity == b"n" * 16


def test_the_clients_own_messages_from_an_earlier_session_are_not_heard():
    client = with_alice()
    client.joined(record(1, "Alice"), newest=3, first=1, number=100, session=OTHER_SESSION)
    client.take(says(1, MY_NUMBER, 1, b"mine"), leaves(2, MY_NUMBER), joins(3, 100, "me"))
    client.take(says(4, 1, 1, b"hers"))
    assert client.heard == ["hers"]


def test_the_clients_nick():
    client = with_alice()
    client.arrivals.renamed("I")
    client.take(renames(1, MY_NUMBER, "I"))
    assert client.arrivals.nick == "I"
    assert client.events == [NickChanged(MY_NUMBER, "me", "I", own=True)]


def test_an_entry_of_a_later_kind_takes_its_place():
    client = with_alice()
    client.take(entry(1, 1, None), says(2, 1, 1, b"a"))
    assert client.heard == ["a"]


# Without recovery.


def test_without_recovery_messages_come_as_they_come():
    client = with_alice(recover=False)
    client.take(says(3, 1, 3, b"c"), says(2, 1, 2, b"b"), says(2, 1, 2, b"b"))
    assert client.heard == ["c", "b"]
    client.wait(2)
    assert client.questions[-1] == RosterRequest(SESSION, 0)
    client.take(page(record(1, "Alice", own=3), record(2, "Bob"), newest=3))
    assert client.heard == [Lost(1, None)]


def test_without_recovery_the_roster_is_right_in_the_end():
    client = with_alice(recover=False)
    client.take(leaves(2, 3), joins(1, 3, "Carol"), Heartbeat(TAG, 4))
    client.wait(2)
    client.answers(record(2, "Bob"), record(4, "Dave"), newest=4)
    assert sorted(client.arrivals.members) == [2, 4, MY_NUMBER]


def test_without_recovery_the_roster_is_not_asked_for_too_often():
    client = with_alice(recover=False)
    asked = 0
    for sequence in range(2, 200, 2):
        client.take(says(sequence, 1, sequence))
        client.wait(0.1)
        for question in client.questions:
            if isinstance(question, RosterRequest):
                asked += 1
                client.take(page(record(1, "Alice"), record(2, "Bob"), newest=sequence))
    assert 2 <= asked <= 6
