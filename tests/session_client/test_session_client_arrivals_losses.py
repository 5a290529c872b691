"""Each loss is reported once, with its sender if that can be known."""

from __future__ import annotations

from session_client_arrivals import (
    OTHER_SESSION,
    OTHER_TAG,
    SESSION,
    TAG,
    Client,
    join_entry,
    leave_entry,
    message,
    private_message,
    record,
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

NOT_IN_HISTORY, UNRELIABLE = 0, 1
FIRST_REPORT = b"missed\0\1"
PLAIN = MemberKind.PLAIN


def test_a_loss_is_attributed_by_the_senders_next_message() -> None:
    client = with_alice()
    client.receive(message(1, 1, 1, b"a"), message(4, 1, 4, b"d"))
    client.receive_gone((2, 2, NOT_IN_HISTORY))
    assert client.drain_messages() == ["a", Lost(2, "Alice"), "d"]
    assert client.drain_requests()[:2] == [
        RosterRequest(SESSION, 0),
        Missed(SESSION, 1, ((2, 2),), FIRST_REPORT),
    ]


def test_a_loss_is_attributed_by_the_roster() -> None:
    client = with_alice()
    client.receive(message(1, 1, 1, b"a"), join_entry(2, 3, "Carol"), Heartbeat(TAG, 5))
    client.receive_gone((3, 3, NOT_IN_HISTORY))
    assert client.drain_messages() == ["a"]
    client.answer_roster(
        record(1, "Alice", own=3), record(2, "Bob"), record(3, "Carol", own=1), newest=5
    )
    assert client.drain_messages() == [Lost(2, "Alice"), Lost(1, "Carol")]
    client.wait(0.5)
    reports = [request for request in client.drain_requests() if isinstance(request, Missed)]
    assert [(report.number, report.ranges) for report in reports] == [
        (1, ((2, 2),)),
        (3, ((1, 1),)),
    ]
    client.receive(message(6, 1, 4, b"e"), message(7, 3, 2, b"f"))
    assert client.drain_messages() == ["e", "f"]


def test_the_rest_of_a_loss_is_reported_without_a_sender() -> None:
    client = Client(record(1, "Alice"), record(2, "Bob", own=5))
    client.receive(message(1, 1, 1, b"a"), Heartbeat(TAG, 4))
    client.receive_gone((2, 3, NOT_IN_HISTORY))
    client.answer_roster(record(1, "Alice", own=2), record(2, "Bob", own=5), newest=4)
    assert client.drain_messages() == ["a", Lost(1, "Alice"), Lost(2, None)]
    client.receive(message(5, 2, 6, b"b"))
    assert client.drain_messages() == ["b"]


def test_lost_entries_are_not_reported_as_messages() -> None:
    client = with_alice()
    client.receive(Heartbeat(TAG, 4))
    client.receive_gone((1, 4, NOT_IN_HISTORY))
    client.answer_roster(record(1, "Anna"), record(3, "Carol"), newest=4)
    events = client.drain_events()
    assert [event for event in events if isinstance(event, Lost)] == [Lost(1, None)]
    assert [type(event) for event in events[:3]] == [MemberLeft, NickChanged, MemberJoined]


def test_a_loss_without_roster_is_reported_after_5_s() -> None:
    client = with_alice()
    client.receive(message(1, 1, 1, b"a"), Heartbeat(TAG, 2))
    client.receive_gone((2, 1, NOT_IN_HISTORY))
    client.wait(4.9)
    assert client.drain_messages() == ["a"]
    client.wait(0.2)
    assert client.drain_messages() == [Lost(1, None)]
    client.receive(message(3, 1, 3, b"c"))
    assert client.drain_messages() == ["c"]
    assert client.statistics.lost == 1


def test_lost_unreliable_messages_are_counted_only() -> None:
    client = with_alice()
    client.receive(message(3, 1, 1, b"c"))
    client.receive_gone((1, 2, UNRELIABLE))
    assert client.drain_messages() == ["c"]
    assert client.statistics.lost == 2


def test_a_gap_that_times_out_is_lost() -> None:
    client = with_alice()
    client.receive(message(2, 1, 1, b"b"))
    client.wait(36)
    assert client.drain_messages() == ["b", Lost(1, None)]
    assert client.arrivals.room.settled == 2


def test_a_private_loss_is_reported_without_a_sender() -> None:
    client = with_alice()
    client.receive(private_message(3, 1, 9, b"c"))
    client.receive_gone((1, 2, NOT_IN_HISTORY), stream=1)
    assert client.drain_messages() == [Lost(2, None), "c"]
    assert client.drain_requests() == []


def test_a_gap_in_an_own_sequence_alone_is_reported() -> None:
    client = with_alice()
    client.receive(message(1, 1, 1, b"a"), message(2, 1, 3, b"c"))
    assert client.drain_messages() == ["a", Lost(1, "Alice"), "c"]


def test_messages_sent_between_two_joins_are_lost() -> None:
    client = Client(record(1, "Alice", own=4))
    client.receive(message(1, 1, 5, b"a"), leave_entry(2, 1), join_entry(3, 7, "Alice", own=8))
    assert client.drain_messages() == ["a", Lost(3, "Alice")]
    client.receive(message(4, 7, 9, b"b"))
    assert client.drain_messages() == ["b"]


def test_messages_to_the_relay_before_its_restart_are_lost() -> None:
    client = Client(record(1, "Alice", own=4))
    client.end_session()
    client.start_session(tag=OTHER_TAG, session=OTHER_SESSION, newest=1)
    client.receive(join_entry(2, 7, "Alice", own=8))
    assert client.drain_messages() == [Lost(4, "Alice")]
    client.receive(message(3, 7, 9, b"b"))
    assert client.drain_messages() == ["b"]


def test_messages_to_the_relay_before_its_restart_are_lost_with_a_roster_in_pages() -> None:
    client = Client(newest=1, more_from=1)
    client.answer_roster(record(1, "Alice", own=4), newest=1)
    client.end_session()
    client.start_session(tag=OTHER_TAG, session=OTHER_SESSION, newest=1, more_from=1)
    client.receive(message(2, 7, 9, b"b"))
    client.answer_roster(record(7, "Alice", own=9), newest=2)
    assert client.drain_messages() == [Lost(4, "Alice"), "b"]


def test_messages_from_before_the_welcome_are_not_lost() -> None:
    client = Client(record(1, "Alice", own=4), newest=6)
    client.receive(message(7, 1, 5, b"a"))
    assert client.drain_messages() == ["a"]


def test_the_own_sequences_of_welcome_count_after_the_history() -> None:
    client = Client(record(1, "Alice", own=4), newest=2, first=1)
    client.receive(message(3, 1, 5, b"c"), message(2, 1, 4, b"b"), message(1, 1, 3, b"a"))
    assert client.drain_messages() == ["a", "b", "c"]


def test_losses_are_not_reported_to_senders_that_have_left() -> None:
    client = with_alice()
    client.receive(
        message(1, 1, 1, b"a"), leave_entry(4, 1), Heartbeat(TAG, 4), message(3, 1, 3, b"c")
    )
    client.receive_gone((2, 1, NOT_IN_HISTORY))
    assert client.drain_messages() == ["a", Lost(1, "Alice"), "c"]
    assert not [request for request in client.drain_requests() if isinstance(request, Missed)]


def test_a_loss_ends_an_incomplete_message_and_counts_once() -> None:
    client = with_alice()
    client.receive(
        message(1, 1, 1, b"x", flags=RELIABLE | MORE),
        message(3, 1, 3, b"y", flags=RELIABLE | CONTINUED),
        message(4, 1, 4, b"whole"),
    )
    client.receive_gone((2, 1, NOT_IN_HISTORY))
    assert client.drain_messages() == [Lost(1, "Alice"), "whole"]


def test_an_incomplete_message_is_lost_when_its_sender_leaves() -> None:
    client = with_alice()
    client.receive(message(1, 1, 1, b"x", flags=RELIABLE | MORE), leave_entry(2, 1))
    assert client.drain_messages() == [Lost(1, "Alice")]


def test_an_incomplete_message_is_lost_after_60_s() -> None:
    client = with_alice()
    client.receive(message(1, 1, 1, b"x", flags=RELIABLE | MORE))
    client.wait(61)
    assert client.drain_messages() == [Lost(1, "Alice")]


def test_an_outage_does_not_count_for_the_timeout_of_a_message() -> None:
    client = with_alice()
    client.receive(message(1, 1, 1, b"x", flags=RELIABLE | MORE))
    client.wait(100, silent=True)
    assert client.drain_messages() == []
    client.receive(Heartbeat(TAG, 3))
    client.wait(0.01, silent=True)
    client.receive(message(2, 1, 2, b"y", flags=RELIABLE | CONTINUED))
    assert client.drain_messages() == ["xy"]
    client.receive(message(3, 1, 3, b"z", flags=RELIABLE | MORE))
    client.wait(61)
    assert client.drain_messages() == [Lost(1, "Alice")]


def test_the_time_between_two_sessions_does_not_count_for_the_timeout_of_a_message() -> None:
    client = with_alice()
    client.receive(message(1, 1, 1, b"x", flags=RELIABLE | MORE))
    client.end_session()
    client.wait(100)
    client.start_session(record(1, "Alice"), newest=1)
    client.wait(59)
    assert client.drain_messages() == []
    client.wait(2)
    assert client.drain_messages() == [Lost(1, "Alice")]
