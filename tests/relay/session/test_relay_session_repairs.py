"""Answers to NACK: what others have said earns them, and each answers for a limited number."""

from __future__ import annotations

from relay_driver import CARL
from relay_session import Client, SessionRelay, joined, session_rules

from udprelay.protocol.wire import FromRelay
from udprelay.protocol.wire.from_client import Leave
from udprelay.protocol.wire.from_relay import Gone
from udprelay.protocol.wire.header import RELIABLE
from udprelay.protocol.wire.ranges import Reason
from udprelay.protocol.wire.sequenced import Data, Entry, Notice, Private
from udprelay.relay.session.nack_answer import MAX_PARTS

NACK = 25
"""Bytes of a NACK with one range."""


def size(answers: list[FromRelay]) -> int:
    return sum(len(answer.encode()) for answer in answers)


def sequences(answers: list[FromRelay]) -> list[int]:
    """Return the room sequences among the answers."""
    return [answer.sequence for answer in answers if isinstance(answer, (Data, Entry))]


def repeated_nacks(client: Client, first: int, last: int, stream: int = 0) -> int:
    """Ask for the same a thousand times, as fast as the rate allows; return the bytes."""
    total = 0
    for _ in range(1000):
        client.relay.now += 0.5
        client.session.last_heard = client.relay.now
        total += size(client.nack((first, last + 1 - first), stream=stream))
    return total


def test_one_nack_is_answered_with_128_parts_and_the_next_with_the_rest() -> None:
    anna, bert = joined(SessionRelay(), "anna", "bert")
    for number in range(100):
        anna.send_data(b"x")
        anna.send_data(b"x", 0)
        bert.send_data(b"x", number % 2)
    settled: set[int] = set()
    wanted = set(range(3, 303))
    asked = 0
    while missing := wanted - settled:
        asked += 1
        answers = bert.nack((min(missing), 303 - min(missing)))
        gone = [one for answer in answers if isinstance(answer, Gone) for one in answer.ranges]
        sent = [answer.sequence for answer in answers if isinstance(answer, Data)]
        assert len(gone) + len(sent) <= MAX_PARTS
        settled |= set(sent)
        settled |= {n for first, count, _ in gone for n in range(first, first + count)}
    assert (settled, asked) == (wanted, 3)


def test_datagrams_of_one_run_are_limited_like_others() -> None:
    relay = SessionRelay()
    anna, bert = joined(relay, "anna", "bert")
    batch = [(anna.source, anna.data(b"x")) for _ in range(200)]
    relay.receive_batch(*batch)
    bert.drain()
    assert sequences(bert.nack((3, 200))) == [*range(3, 3 + MAX_PARTS)]


def test_the_lowest_ranges_of_a_nack_are_answered_first() -> None:
    anna, bert = joined(SessionRelay(), "anna", "bert")
    for _ in range(300):
        anna.send_data(b"x")
    answers = bert.nack((3, 100), (110, 100), (250, 20))
    wanted = [*range(3, 103), *range(110, 110 + MAX_PARTS - 100)]
    assert sequences(answers) == wanted


def test_entries_are_limited_like_others() -> None:
    relay = SessionRelay()
    (anna,) = joined(relay, "anna")
    for number in range(200):
        relay.receive(f"10.7.0.1:{number + 1}")
    assert sequences(anna.nack((2, 200))) == [*range(2, 2 + MAX_PARTS)]


def test_own_datagrams_are_one_range_however_many_they_are() -> None:
    (anna,) = joined(SessionRelay(), "anna")
    for number in range(1000):
        anna.send_data(b"x", number % 2)
    (answer,) = anna.nack((2, 65_000))
    assert isinstance(answer, Gone)
    assert answer.ranges == ((2, 1000, Reason.OWN),)


def test_own_datagrams_are_known_after_the_list_of_them_has_forgotten_them() -> None:
    anna, bert = joined(SessionRelay(), "anna", "bert")
    for _ in range(600):
        anna.send_data(b"x")
        bert.send_data(b"x", 0)
    answers = anna.nack((200, 10))
    gone = [one for answer in answers if isinstance(answer, Gone) for one in answer.ranges]
    assert (200, 1, Reason.UNRELIABLE) in gone
    assert (201, 1, Reason.OWN) in gone


def test_a_range_begins_in_an_own_one_and_ends_in_another() -> None:
    anna, bert = joined(SessionRelay(), "anna", "bert")
    for who in (anna, anna, bert, anna, anna):
        who.send_data(b"x", 0)
    (answer,) = anna.nack((4, 3))
    assert isinstance(answer, Gone)
    assert answer.ranges == (
        (4, 1, Reason.OWN),
        (5, 1, Reason.UNRELIABLE),
        (6, 1, Reason.OWN),
    )


def test_each_message_is_retransmitted_at_most_some_times_on_average() -> None:
    anna, bert = joined(SessionRelay(), "anna", "bert")
    for _ in range(20):
        anna.send_data(b"x" * 1000)
    said = 20 * 1030
    assert 3 * said < repeated_nacks(bert, 3, 22) < 6 * said + 1000 * 8 * NACK


def test_who_is_alone_in_a_room_gets_no_more_than_8_times_its_nacks() -> None:
    relay = SessionRelay()
    (anna,) = joined(relay, "anna")
    # A private sequence of notices: nobody is there.
    for own in range(1, 65):
        anna.send_private(Client(relay, nick="nobody"), b"x", RELIABLE, own)
    assert len(anna.drain(Notice)) == 64
    assert repeated_nacks(anna, 1, 64, stream=1) <= 8 * 1000 * NACK


def test_who_writes_to_itself_earns_nothing() -> None:
    (anna,) = joined(SessionRelay(), "anna")
    for own in range(1, 65):
        anna.send_private(anna, b"x" * 1000, RELIABLE, own)
    assert repeated_nacks(anna, 1, 64, stream=1) <= 8 * 1000 * NACK


def test_private_messages_of_others_are_retransmitted() -> None:
    anna, bert = joined(SessionRelay(), "anna", "bert")
    for own in range(1, 65):
        anna.send_private(bert, b"x" * 1000, RELIABLE, own)
    assert len([a for a in bert.nack((1, 64), stream=1) if isinstance(a, Private)]) == 64


def test_what_was_said_before_the_others_left_is_retransmitted_to_the_last_one() -> None:
    anna, bert = joined(SessionRelay(), "anna", "bert")
    for _ in range(50):
        anna.send_data(b"x" * 1000)
    anna.send(Leave(anna.id).encode())
    assert [type(answer) for answer in bert.nack((3, 51))] == [Data] * 50 + [Entry]


def test_plain_members_are_others() -> None:
    relay = SessionRelay()
    relay.receive(CARL)
    (anna,) = joined(relay, "anna")
    for _ in range(50):
        relay.receive(CARL, b"x" * 1000)
    assert len(anna.nack((2, 60))) == 50


def test_a_new_member_may_ask_for_the_history_that_it_gets_on_joining() -> None:
    relay = SessionRelay(session_rules(room={"history_on_join": 30}))
    (anna,) = joined(relay, "anna")
    for _ in range(50):
        anna.send_data(b"x" * 1000)
    bert = Client(relay, "10.0.1.9:9", "bert")
    first = bert.join().first
    assert [type(answer) for answer in bert.nack((first, 50))] == [Data] * 30 + [Entry]


def test_who_leaves_and_comes_back_has_what_was_left_of_its_budget() -> None:
    relay = SessionRelay()
    anna, bert = joined(relay, "anna", "bert")
    Client(relay, CARL, "carl").join()
    for _ in range(20):
        anna.send_data(b"x" * 1000)
    total, cycles = 0, 100
    for _ in range(cycles):
        relay.now += 10
        for client in relay.listeners["main"].sessions.values():
            client.last_heard = relay.now
        total += size(bert.nack((3, 200)))
        bert.send(Leave(bert.id).encode())
        bert.join(tag=bert.welcome.tag, settled=2)
    churn = cycles * 500
    assert total <= 6 * 20 * 1030 + churn + 8 * NACK * cycles


def test_the_rate_limits_what_the_credit_allows() -> None:
    relay = SessionRelay()
    anna, bert = joined(relay, "anna", "bert")
    for _ in range(600):
        anna.send_data(b"x" * 1000)
    sent = sum(size(bert.nack((300, 600))) for _ in range(10))
    assert 255 * 1024 < sent <= 256 * 1024
