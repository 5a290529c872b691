"""From datagrams to events: in order, without duplicates, no loss unreported."""

from __future__ import annotations

from typing import Any

import pytest
from session_client_arrivals import (
    MY_NUMBER,
    OTHER_SESSION,
    OTHER_TAG,
    SESSION,
    TAG,
    Client,
    drained,
    entry,
    join_entry,
    leave_entry,
    message,
    nick_entry,
    page,
    private_message,
    record,
    with_alice,
)

from udprelay.protocol.wire.entries import FailedNotice, MissedNotice
from udprelay.protocol.wire.from_client import Missed, Nack, RosterRequest
from udprelay.protocol.wire.from_relay import Ack, Heartbeat, Pong
from udprelay.protocol.wire.header import CONTINUED, MORE, RELIABLE
from udprelay.protocol.wire.members import MemberKind, MemberRecord
from udprelay.protocol.wire.sequenced import Notice
from udprelay.session_client.arrivals import Arrival
from udprelay.session_client.events import (
    Lost,
    MemberJoined,
    MemberLeft,
    MembersKnown,
    NickChanged,
    Received,
)

NOT_IN_HISTORY, UNRELIABLE = 0, 1
PLAIN = MemberKind.PLAIN


# Order.


def test_messages_and_entries_come_in_room_order() -> None:
    client = with_alice()
    client.receive(message(3, 3, 1, b"c"), join_entry(2, 3, "Carol"), message(1, 1, 1, b"a"))
    assert client.drain_events() == [
        Received(1, "Alice", b"a", True, False, False),
        MemberJoined(3, "Carol", MemberKind.SESSION),
        Received(3, "Carol", b"c", True, False, False),
    ]
    assert client.arrivals.room.settled == 3
    assert client.statistics.received == 2


def test_unreliable_messages_do_not_wait() -> None:
    client = with_alice()
    client.receive(message(2, 1, 1, b"now", flags=0))
    assert client.drain_events() == [Received(1, "Alice", b"now", False, False, False)]
    client.receive(
        message(3, 1, 1, b"duplicate", flags=0), message(3, 1, 2, b"same number", flags=0)
    )
    assert client.drain_events() == []
    assert client.statistics.duplicates == 2


def test_private_messages_have_their_own_order() -> None:
    client = with_alice()
    client.receive(private_message(2, 1, 2, b"two"), private_message(1, 1, 1, b"one"))
    assert client.drain_events() == [
        Received(1, "Alice", b"one", True, True, False),
        Received(1, "Alice", b"two", True, True, False),
    ]


def test_duplicates_of_unreliable_private_messages_are_dropped() -> None:
    client = with_alice()
    client.receive(
        private_message(0, 1, 1, b"one", flags=0), private_message(0, 1, 1, b"one", flags=0)
    )
    assert client.drain_events() == [Received(1, "Alice", b"one", False, True, False)]


def test_messages_without_an_own_sequence_are_no_duplicates() -> None:
    client = Client(record(4, "guest-4", kind=PLAIN))
    client.receive(message(1, 4, 0, b"a"), message(2, 4, 0, b"a"))
    assert client.drain_messages() == ["a", "a"]


def test_messages_are_reassembled() -> None:
    client = with_alice()
    client.receive(
        message(1, 1, 1, b"long ", flags=RELIABLE | MORE),
        message(2, 2, 1, b"Bob"),
        message(3, 1, 2, b"message", flags=RELIABLE | CONTINUED),
        private_message(1, 1, 1, b"long ", flags=RELIABLE | MORE),
        private_message(2, 1, 2, b"whisper", flags=RELIABLE | CONTINUED),
    )
    assert client.drain_messages() == ["Bob", "long message", "long whisper"]


def test_notices_come_in_order_without_duplicates() -> None:
    client = with_alice()
    missed, failed = MissedNotice(1, ((4, 1),)), FailedNotice(3, "absent")
    second, first = Notice(SESSION, 2, failed), Notice(SESSION, 1, missed)
    client.receive(second, Notice(SESSION, 3, None))
    assert drained(client.arrivals.notices) == []
    client.receive(first, second)
    assert drained(client.arrivals.notices) == [missed, failed]
    assert drained(client.arrivals.notices) == []


def test_the_clients_own_messages_are_neither_awaited_nor_received() -> None:
    client = with_alice()
    client.receive(message(3, 1, 1, b"c"), Ack(SESSION, 3, 0, 1, 0, ((1, 1),)))
    assert client.drain_messages() == []
    client.receive(message(2, MY_NUMBER, 7, b"mine"))
    assert client.drain_messages() == ["c"]


# Requests.


def test_gaps_are_requested_in_both_streams() -> None:
    client = with_alice()
    client.receive(message(3, 1, 3), private_message(2, 1, 2))
    assert client.drain_requests() == []
    client.wait(0.05)
    assert client.drain_requests() == [Nack(SESSION, 0, ((1, 2),)), Nack(SESSION, 1, ((1, 1),))]
    client.receive(message(1, 1, 1), message(2, 1, 2), private_message(1, 1, 1))
    assert client.statistics.repaired == 3
    client.wait(100)
    assert client.drain_requests() == []


def test_datagrams_from_before_the_welcome_are_dropped() -> None:
    client = Client(record(1, "Alice"), newest=5)
    client.receive(message(5, 1, 1, b"old"))
    assert client.drain_messages() == []
    assert client.statistics.duplicates == 1


def test_a_message_far_ahead_counts_after_confirmation() -> None:
    client = with_alice()
    client.receive(message(5000, 1, 1, b"far"))
    assert client.drain_messages() == []
    assert client.liveness.deadline == client.now
    client.receive(Pong(SESSION, bytes(8), 5000, 0))
    client.wait(0.05)
    assert client.drain_requests() == [Nack(SESSION, 0, ((1, 128),))]


@pytest.mark.parametrize(
    "arrival", [Heartbeat(TAG, 2), Pong(SESSION, bytes(8), 2, 0), page(newest=2)]
)
def test_the_newest_number_reveals_a_gap_at_the_end(arrival: Arrival) -> None:
    client = with_alice()
    client.receive(arrival)
    client.wait(0.05)
    assert client.drain_requests() == [Nack(SESSION, 0, ((1, 2),))]


def test_pong_reveals_a_private_gap_at_the_end() -> None:
    client = with_alice()
    client.receive(Pong(SESSION, bytes(8), 0, 1))
    client.wait(0.05)
    assert client.drain_requests() == [Nack(SESSION, 1, ((1, 1),))]


def test_a_new_member_requests_the_history_that_welcome_offers() -> None:
    client = Client(record(1, "Alice", own=9), newest=7, first=6, newest_private=1)
    client.wait(0.05)
    assert client.drain_requests() == [Nack(SESSION, 0, ((6, 2),)), Nack(SESSION, 1, ((1, 1),))]
    client.receive(message(6, 1, 8, b"a"), message(7, 1, 9, b"b"), message(8, 1, 10, b"c"))
    assert client.drain_messages() == ["a", "b", "c"]


def test_the_rest_of_the_roster_is_requested() -> None:
    client = Client(record(1, "Alice"), more_from=2)
    client.answer_roster(record(2, "Bob"), newest=0)
    assert client.arrivals.roster.members[2].nick == "Bob"
    assert client.drain_events() == [MembersKnown()]


# Unknown senders.


def test_a_message_waits_until_its_sender_is_known() -> None:
    client = Client(more_from=5, newest=9)
    client.receive(message(10, 7, 1, b"a"), message(11, 7, 1, b"b", flags=0))
    assert client.drain_events() == []
    client.receive(page(newest=9, first=5, more_from=6))
    assert client.drain_requests() == [RosterRequest(SESSION, 5), RosterRequest(SESSION, 7)]
    client.receive(page(record(7, "Carol", own=1), newest=11, first=7))
    assert client.drain_events() == [
        Received(7, "Carol", b"a", True, False, False),
        Received(7, "Carol", b"b", False, False, False),
    ]


def test_the_senders_join_entry_releases_its_messages() -> None:
    client = Client()
    client.receive(private_message(1, 7, 1, b"early"))
    assert client.drain_events() == []
    client.receive(join_entry(1, 7, "Carol"))
    assert [event for event in client.drain_events() if isinstance(event, Received)] == [
        Received(7, "Carol", b"early", True, True, False)
    ]


def test_a_message_of_an_unknown_sender_is_delivered_without_nick_after_10_s() -> None:
    client = Client(more_from=5, newest=9)
    client.receive(message(10, 7, 1, b"a"), message(11, 7, 3, b"c"))
    client.wait(9.9)
    assert client.drain_events() == []
    client.wait(0.2)
    assert client.drain_events() == [
        Received(7, None, b"a", True, False, False),
        Lost(1, None),
        Received(7, None, b"c", True, False, False),
    ]


def test_an_outage_does_not_count_for_the_roster_timeout() -> None:
    client = Client(more_from=5, newest=9)
    client.receive(message(10, 7, 1, b"a"))
    client.wait(30, silent=True)
    client.wait(8)
    assert client.drain_events() == []
    client.wait(2)
    assert client.drain_messages() == ["a"]


def test_an_outage_before_a_new_session_does_not_count_for_the_roster_timeout() -> None:
    client = with_alice()
    client.receive(private_message(2, 7, 1))
    client.wait(100, silent=True)
    client.end_session()
    client.start_session(record(1, "Alice"), session=OTHER_SESSION)
    client.wait(9)
    assert client.drain_messages() == [Lost(1, None)]
    client.wait(2)
    assert client.drain_messages() == ["psst"]


def test_messages_of_members_that_left_before_the_welcome_do_not_wait() -> None:
    client = Client(record(1, "Alice"), newest=9, first=8)
    client.receive(message(8, 7, 1, b"a"))
    assert client.drain_events() == [Received(7, None, b"a", True, False, False)]


def test_messages_of_a_member_that_leaves_before_it_is_known_do_not_wait() -> None:
    client = Client(more_from=5, newest=9)
    client.receive(message(10, 7, 1, b"a"), leave_entry(11, 7))
    assert client.drain_events() == [Received(7, None, b"a", True, False, False)]


# Sessions.


def test_a_resumed_session_recovers_the_gaps() -> None:
    client = with_alice()
    client.receive(message(1, 1, 1, b"a"), message(3, 1, 3, b"c"), private_message(2, 2, 2, b"w2"))
    client.wait(0.05)
    assert len(client.drain_requests()) == 2
    client.end_session()
    assert client.arrivals.tag == TAG
    assert client.arrivals.room.settled == 1
    client.wait(100)
    assert client.drain_requests() == []
    client.start_session(
        record(1, "Alice", own=4), record(2, "Bob"), newest=4, first=2, newest_private=2
    )
    assert client.drain_requests() == [Nack(SESSION, 0, ((2, 1),)), Nack(SESSION, 1, ((1, 1),))]
    client.receive(message(2, 1, 2, b"b"), message(4, 1, 4, b"d"), private_message(1, 2, 1, b"w1"))
    assert client.drain_messages() == ["a", "b", "c", "d", "w1", "w2"]


def test_a_new_session_has_a_new_private_sequence() -> None:
    client = with_alice()
    client.receive(message(1, 1, 1, b"a"), private_message(2, 2, 2, b"w2"))
    client.start_session(
        record(1, "Alice", own=1),
        record(2, "Bob"),
        newest=1,
        number=100,
        session=OTHER_SESSION,
    )
    assert client.arrivals.roster.number == 100
    assert client.drain_messages() == ["a", Lost(1, None), "w2"]
    client.receive(private_message(1, 2, 3, b"w3"))
    assert client.drain_messages() == ["w3"]


def test_messages_that_the_relay_dropped_before_resuming_are_lost() -> None:
    client = with_alice()
    client.receive(message(1, 1, 1, b"a"))
    client.start_session(record(1, "Alice", own=5), record(2, "Bob"), newest=6, first=5)
    client.receive(message(5, 1, 4, b"d"), message(6, 1, 5, b"e"))
    assert client.drain_messages() == ["a", Lost(2, "Alice"), "d", "e"]


def restarted(*members: MemberRecord, **keywords: Any) -> Client:
    client = with_alice()
    client.receive(
        message(1, 1, 1, b"a1"),
        message(2, 1, 2, b"a2, ", flags=RELIABLE | MORE),
        message(4, 2, 1, b"b1"),
        private_message(1, 1, 1, b"w1"),
    )
    assert client.drain_messages() == ["a1", "w1"]
    client.end_session()
    client.start_session(*members, tag=OTHER_TAG, session=OTHER_SESSION, number=1, **keywords)
    return client


def test_after_a_restart_duplicates_are_dropped_and_messages_completed() -> None:
    client = restarted(newest=0)
    client.receive(
        join_entry(1, 2, "Bob"),
        join_entry(2, 3, "Alice"),
        message(3, 2, 1, b"b1"),
        message(4, 3, 1, b"a1"),
        message(5, 3, 2, b"a2, ", flags=RELIABLE | MORE),
        message(6, 3, 3, b"a3", flags=RELIABLE | CONTINUED),
        private_message(1, 3, 1, b"w1"),
        private_message(2, 3, 2, b"w2"),
    )
    assert client.drain_events() == [
        Received(2, "Bob", b"b1", True, False, False),
        Received(3, "Alice", b"a2, a3", True, False, False),
        Received(3, "Alice", b"w2", True, True, False),
    ]
    assert client.arrivals.tag == OTHER_TAG
    assert client.statistics.duplicates == 3


def test_after_a_restart_messages_that_the_sender_dropped_are_lost() -> None:
    client = restarted(record(2, "Alice", own=5), newest=3)
    assert client.drain_messages() == [Lost(3, "Alice")]
    client.receive(message(4, 2, 6, b"a6"))
    assert client.drain_messages() == ["a6"]


def test_a_member_that_does_not_come_back_after_a_restart_has_left() -> None:
    client = restarted(record(2, "Bob"), newest=3)
    assert client.drain_events() == []
    client.wait(11)
    assert client.drain_events() == [MemberLeft(1, "Alice", "")]


def test_an_incomplete_message_is_lost_when_its_sender_leaves() -> None:
    client = with_alice()
    client.receive(message(1, 1, 1, b"half", RELIABLE | MORE), leave_entry(2, 1))
    assert client.drain_events() == [MemberLeft(1, "Alice", "left"), Lost(1, "Alice")]


def test_a_member_that_timed_out_can_complete_its_message() -> None:
    client = with_alice()
    client.receive(message(1, 1, 1, b"half and ", RELIABLE | MORE), leave_entry(2, 1, "idle"))
    assert client.drain_events() == [MemberLeft(1, "Alice", "idle")]
    client.receive(
        join_entry(3, 3, "Alice", own=1), message(4, 3, 2, b"half", RELIABLE | CONTINUED)
    )
    assert client.drain_messages() == ["half and half"]


def test_buffered_messages_are_dropped_when_the_room_changes() -> None:
    client = restarted(newest=0)
    client.receive_gone((1, 1, NOT_IN_HISTORY))
    client.receive(join_entry(1, 2, "Bob"), message(2, 2, 1, b"b1"))
    assert client.drain_messages() == ["b1"]


def test_messages_of_unknown_senders_are_dropped_when_the_room_changes() -> None:
    client = Client(more_from=5, newest=9)
    client.receive(message(10, 7, 1, b"a"))
    client.start_session(tag=OTHER_TAG, session=OTHER_SESSION, newest=0)
    client.receive(join_entry(1, 3, "Carol"), message(2, 3, 1, b"a"))
    client.wait(10)
    assert client.drain_messages() == ["a"]


def test_the_client_may_change_its_identity() -> None:
    client = with_alice()
    client.identity = b"n" * 16
    client.start_session(tag=OTHER_TAG, session=OTHER_SESSION)
    assert client.arrivals.roster.members[MY_NUMBER].identity == b"n" * 16


def test_the_clients_own_messages_of_an_earlier_session_are_not_received() -> None:
    client = with_alice()
    client.start_session(record(1, "Alice"), newest=3, first=1, number=100, session=OTHER_SESSION)
    client.receive(
        message(1, MY_NUMBER, 1, b"mine"), leave_entry(2, MY_NUMBER), join_entry(3, 100, "me")
    )
    client.receive(message(4, 1, 1, b"hers"))
    assert client.drain_messages() == ["hers"]


def test_the_clients_own_nick_changes_once() -> None:
    client = with_alice()
    client.arrivals.roster.set_own_nick("I")
    client.receive(nick_entry(1, MY_NUMBER, "I"))
    assert client.arrivals.roster.nick == "I"
    assert client.drain_events() == [NickChanged(MY_NUMBER, "me", "I", own=True)]


def test_an_entry_of_an_unknown_kind_is_skipped() -> None:
    client = with_alice()
    client.receive(entry(1, 1, None), message(2, 1, 1, b"a"))
    assert client.drain_messages() == ["a"]


# Without recovery.


def test_without_recovery_messages_come_in_order_of_arrival() -> None:
    client = with_alice(recover=False)
    client.receive(message(3, 1, 3, b"c"), message(2, 1, 2, b"b"), message(2, 1, 2, b"b"))
    assert client.drain_messages() == ["c", "b"]
    client.wait(2)
    assert client.drain_requests()[-1] == RosterRequest(SESSION, 0)
    client.receive(page(record(1, "Alice", own=3), record(2, "Bob"), newest=3))
    assert client.drain_messages() == [Lost(1, None)]


def test_without_recovery_the_roster_is_still_complete() -> None:
    client = with_alice(recover=False)
    client.receive(leave_entry(2, 3), join_entry(1, 3, "Carol"), Heartbeat(TAG, 4))
    client.wait(2)
    client.answer_roster(record(2, "Bob"), record(4, "Dave"), newest=4)
    assert sorted(client.arrivals.roster.members) == [2, 4, MY_NUMBER]


def test_without_recovery_the_roster_is_requested_at_most_every_2_s() -> None:
    client = with_alice(recover=False)
    requests = 0
    for sequence in range(2, 200, 2):
        client.receive(message(sequence, 1, sequence))
        client.wait(0.1)
        for request in client.drain_requests():
            if isinstance(request, RosterRequest):
                requests += 1
                client.receive(page(record(1, "Alice"), record(2, "Bob"), newest=sequence))
    assert 2 <= requests <= 6


def test_own_sequences_of_members_without_identity_are_not_reported_as_missed() -> None:
    client = Client(record(1, "guest-1", kind=PLAIN), record(2, "guest-2", kind=PLAIN))
    for sequence, (number, own) in enumerate(
        [(1, 1), (2, 2), (2, 8), (1, 9), (1, 12), (2, 12)], start=1
    ):
        client.receive(message(sequence, number, own))
    client.wait(60.0)
    assert not [r for r in client.drain_requests() if isinstance(r, Missed)]
