"""PRIVATE and NOTICE: datagrams for one member."""

from __future__ import annotations

from attrs import evolve
from relay_driver import BERT, CARL
from relay_session import Client, SessionRelay, joined, session_rules

from udprelay.protocol.wire.entries import FailedNotice, MissedNotice
from udprelay.protocol.wire.from_client import Missed, PrivateUp
from udprelay.protocol.wire.from_relay import Ack, Gone, Pong
from udprelay.protocol.wire.header import CONTINUED, MORE, RELIABLE, SEALED
from udprelay.protocol.wire.sequenced import Notice, Private
from udprelay.relay.rules import Limits


class TestPrivate:
    def test_only_the_receiver_gets_it_in_its_private_sequence(self) -> None:
        anna, bert, carl = joined(SessionRelay(), "anna", "bert", "carl")
        anna.send_private(bert, b"one", RELIABLE | SEALED)
        carl.send_private(bert, b"two")
        assert bert.drain() == [
            Private(bert.id, RELIABLE | SEALED, 1, 1, 1, b"one"),
            Private(bert.id, RELIABLE, 2, 3, 1, b"two"),
        ]
        assert anna.drain() == [Ack(anna.id, 1, 0, 2, 0, ())]
        assert carl.drain(Private) == []

    def test_is_forwarded_in_its_senders_order_to_any_receiver(self) -> None:
        anna, bert, carl = joined(SessionRelay(), "anna", "bert", "carl")
        anna.send_private(carl, b"two", own=2)
        assert carl.drain() == []
        assert anna.drain(Ack) == [Ack(anna.id, 1, 0, 1, 1, ())]
        anna.send_private(bert, b"one", RELIABLE | MORE | CONTINUED, own=1)
        assert [p.payload for p in bert.drain()] == [b"one"]
        assert [p.payload for p in carl.drain()] == [b"two"]

    def test_is_forwarded_once(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        for _ in range(3):
            anna.send_private(bert, b"one", own=1)
        assert len(bert.drain()) == 1
        assert [ack.next_private for ack in anna.drain()] == [2, 2, 2]
        assert relay.dropped() == {"repeated": 2}

    def test_its_sender_is_notified_if_the_receiver_times_out(self) -> None:
        relay = SessionRelay()
        anna, bert, carl = joined(relay, "anna", "bert", "carl")
        for number in (1, 2, 3):
            anna.send_private(bert, b"%d" % number)
            relay.wait(10.0)
            anna.ping()
            if number < 3:
                bert.ping()
        carl.ping()
        anna.drain()
        relay.wait(40.0)
        assert [read.body for read in anna.drain() if isinstance(read, Notice)] == [
            FailedNotice(3, "absent")
        ]

    def test_its_sender_is_notified_if_a_silent_receiver_is_kicked(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.send_private(bert, b"1")
        relay.wait(2.0)
        bert.ping()
        anna.send_private(bert, b"2")
        relay.wait(2.0)
        anna.drain()
        relay.hub.kick(bert.session, relay.now)
        relay.settle()
        assert [read.body for read in anna.drain(Notice)] == [FailedNotice(2, "absent")]

    def test_a_sender_that_has_left_is_not_notified(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        relay.wait(20.0)
        anna.ping()
        anna.send_private(bert, b"1")
        relay.hub.kick(anna.session, relay.now)
        relay.settle()
        anna.drain()
        relay.wait(60.0)
        assert anna.drain() == []

    def test_a_member_may_send_to_itself(self) -> None:
        (anna,) = joined(SessionRelay(), "anna")
        anna.send_private(anna, b"do not forget")
        assert [p.payload for p in anna.drain(Private)] == [b"do not forget"]

    def test_its_sender_is_notified_if_the_receiver_is_absent(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        anna.send_private(Client(relay, BERT, "bert"), b"anybody?")
        assert anna.drain() == [
            Notice(anna.id, 1, FailedNotice(1, "absent")),
            Ack(anna.id, 1, 0, 2, 0, ()),
        ]
        assert relay.dropped() == {"absent": 1}

    def test_a_payload_of_more_than_1184_bytes_is_dropped(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.send_private(bert, b"x" * 1184)
        anna.send_private(bert, b"x" * 1185)
        assert [len(p.payload) for p in bert.drain()] == [1184]
        assert relay.dropped() == {"malformed": 1}

    def test_one_member_cannot_use_up_the_memory_for_early_messages(self) -> None:
        relay = SessionRelay(session_rules(Limits(memory=16 * 2**20)))
        anna, bert = joined(relay, "anna", "bert")
        for client in (anna, bert):
            message = PrivateUp(client.id, RELIABLE, 2, client.identity, bytes(1184))
            for own in range(2, 66):
                client.send(evolve(message, own=own).encode())
            assert client.drain(Ack)[-1].private_bitmap == 2**11 - 1
        assert relay.dropped() == {"early-limit": 2 * 53}

    def test_counts_towards_member_rate(self) -> None:
        relay = SessionRelay(session_rules(room={"member_rate": 1.0}))
        anna, bert = joined(relay, "anna", "bert")
        anna.send_private(bert, b"one")
        anna.send_private(bert, b"two")
        assert len(bert.drain()) == 1
        assert relay.dropped() == {"member-limit": 1}


class TestUnreliable:
    def test_is_forwarded_at_once_without_a_sequence(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        for own in (3, 3, 1):
            anna.send_private(bert, b"x", 0, own)
        assert bert.drain() == [Private(bert.id, 0, 0, 1, own, b"x") for own in (3, 3, 1)]
        assert anna.drain() == []

    def test_may_be_larger_than_a_reliable_one(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        anna.send_private(bert, bytes(60_000), SEALED)
        assert len(bert.drain()[0].payload) == 60_000

    def test_its_sender_is_not_notified_if_the_receiver_is_absent(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        anna.send_private(Client(relay, BERT, "bert"), b"anybody?", 0)
        assert anna.drain() == []
        assert relay.dropped() == {"absent": 1}


class TestRecovery:
    def test_the_last_64_are_retransmitted(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        for _ in range(70):
            anna.send_private(bert, b"x")
        answers = bert.nack((1, 100), stream=1)
        assert [p.sequence for p in answers if isinstance(p, Private)] == list(range(7, 71))
        assert answers[-1] == Gone(bert.id, 1, ((1, 6, 0),))

    def test_a_range_that_is_not_stored_is_gone(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        for _ in range(70):
            anna.send_private(bert, b"x")
        assert bert.nack((2, 3), stream=1) == [Gone(bert.id, 1, ((2, 3, 0),))]

    def test_continues_for_a_member_that_resumes(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        anna.send_private(bert, b"x")
        assert bert.join().newest_private == 1
        assert len(bert.nack((1, 1), stream=1)) == 1


class TestMissed:
    def test_is_forwarded_to_the_sender(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        bert.send(Missed(bert.id, 1, ((4, 2), (9, 1))).encode())
        assert anna.drain() == [Notice(anna.id, 1, MissedNotice(2, ((4, 2), (9, 1))))]
        assert bert.drain() == []

    def test_is_not_forwarded_if_the_sender_is_absent_or_plain(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        relay.receive(CARL)
        anna.drain()
        for number in (2, 3):
            anna.send(Missed(anna.id, number, ((1, 1),)).encode())
        assert anna.drain() == []
        assert relay.inboxes == {}

    def test_with_a_token_it_is_answered_and_forwarded_once(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        for _ in range(2):
            bert.send(Missed(bert.id, 1, ((4, 2),), b"a token.").encode())
            assert bert.drain() == [Pong(bert.id, b"a token.", 2, 0)]
        assert anna.drain() == [Notice(anna.id, 1, MissedNotice(2, ((4, 2),)))]

    def test_is_answered_if_the_sender_has_left(self) -> None:
        (anna,) = joined(SessionRelay(), "anna")
        anna.send(Missed(anna.id, 7, ((4, 2),), b"a token.").encode())
        assert anna.drain() == [Pong(anna.id, b"a token.", 1, 0)]

    def test_is_forwarded_again_after_64_other_tokens(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        for number in (*range(65), 0):
            token = number.to_bytes(8, "big")
            bert.send(Missed(bert.id, 1, ((4, 2),), token).encode())
            relay.wait(0.1)
        notices = [read for read in anna.drain() if isinstance(read, Notice)]
        assert len(notices) == 66

    def test_is_limited_for_each_notified_sender(self) -> None:
        relay = SessionRelay()
        anna, bert, carl = joined(relay, "anna", "bert", "carl")
        for reporter in (bert, carl):
            for _ in range(6):
                reporter.send(Missed(reporter.id, 1, ((1, 1),)).encode())
        carl.send(Missed(carl.id, 2, ((1, 1),)).encode())
        assert (len(anna.drain()), len(bert.drain())) == (10, 1)
        assert relay.dropped() == {"repair-limit": 2}


class TestFromTheConsole:
    def test_is_a_private_message_with_the_consoles_number(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        console = relay.console()
        relay.settle()
        anna.drain()
        for text in (b"one", b"two"):
            relay.hub.send_to(anna.session, text, relay.now, console)
        relay.settle()
        assert anna.drain() == [
            Private(anna.id, RELIABLE, 1, 2, 1, b"one"),
            Private(anna.id, RELIABLE, 2, 2, 2, b"two"),
        ]

    def test_may_have_no_sender(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        relay.hub.send_to(anna.session, b"psst", relay.now)
        relay.settle()
        assert [p.number for p in anna.drain(Private)] == [0]


def test_a_receiver_is_addressed_by_its_whole_identity() -> None:
    relay = SessionRelay()
    anna, bert = joined(relay, "anna", "bert")
    receiver = bert.identity[:15] + bytes([bert.identity[15] ^ 1])
    anna.send(PrivateUp(anna.id, RELIABLE, 1, receiver, b"x").encode())
    assert bert.drain() == []
