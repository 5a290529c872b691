"""PRIVATE and NOTICE: what one member alone gets."""

from __future__ import annotations

import pytest
from relay_driver import BERT, CARL
from relay_session import Client, SessionRelay, joined, session_rules

from udprelay.protocol.wire.entries import FailedNotice, MissedNotice
from udprelay.protocol.wire.from_client import Missed, PrivateUp
from udprelay.protocol.wire.from_relay import Ack, Gone, Notice, Pong, Private
from udprelay.protocol.wire.header import CONTINUED, MORE, RELIABLE, SEALED
from udprelay.relay.session import sessions as sessions_module


class TestPrivate:
    def test_goes_to_its_receiver_alone_in_the_private_sequence(self) -> None:
        anna, bert, carl = joined(SessionRelay(), "anna", "bert", "carl")
        anna.tell(bert, b"one", RELIABLE | SEALED)
        carl.tell(bert, b"two")
        assert bert.take() == [
            Private(bert.id, RELIABLE | SEALED, 1, 1, 1, b"one"),
            Private(bert.id, RELIABLE, 2, 3, 1, b"two"),
        ]
        assert anna.take() == [Ack(anna.id, 1, 0, 2, 0, ())]
        assert carl.take(Private) == []

    def test_is_taken_in_its_senders_order_whoever_gets_it(self) -> None:
        anna, bert, carl = joined(SessionRelay(), "anna", "bert", "carl")
        anna.tell(carl, b"two", own=2)
        assert carl.take() == []
        assert anna.take(Ack) == [Ack(anna.id, 1, 0, 1, 1, ())]
        anna.tell(bert, b"one", RELIABLE | MORE | CONTINUED, own=1)
        assert [p.payload for p in bert.take()] == [b"one"]
        assert [p.payload for p in carl.take()] == [b"two"]

    def test_is_passed_on_once(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        for _ in range(3):
            anna.tell(bert, b"one", own=1)
        assert len(bert.take()) == 1
        assert [ack.next_private for ack in anna.take()] == [2, 2, 2]
        assert relay.dropped() == {"repeated": 2}

    def test_its_sender_is_told_if_a_member_falls_silent_for_good_as_it_comes(self) -> None:
        relay = SessionRelay()
        anna, bert, carl = joined(relay, "anna", "bert", "carl")
        for number in (1, 2, 3):
            anna.tell(bert, b"%d" % number)
            relay.wait(10.0)
            anna.ping()
            if number < 3:
                bert.ping()
        carl.ping()
        anna.take()
        relay.wait(40.0)
        assert [read.body for read in anna.take() if isinstance(read, Notice)] == [
            FailedNotice(3, "absent")
        ]

    def test_or_if_a_silent_member_is_put_out(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.tell(bert, b"1")
        relay.wait(2.0)
        bert.ping()
        anna.tell(bert, b"2")
        relay.wait(2.0)
        anna.take()
        relay.hub.kick(bert.session, relay.now)
        relay.settle()
        assert [read.body for read in anna.take(Notice)] == [FailedNotice(2, "absent")]

    def test_or_nobody_is_if_its_sender_has_left_before(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        relay.wait(20.0)
        anna.ping()
        anna.tell(bert, b"1")
        relay.hub.kick(anna.session, relay.now)
        relay.settle()
        anna.take()
        relay.wait(60.0)
        assert anna.take() == []

    def test_may_be_for_oneself(self) -> None:
        (anna,) = joined(SessionRelay(), "anna")
        anna.tell(anna, b"do not forget")
        assert [p.payload for p in anna.take(Private)] == [b"do not forget"]

    def test_its_sender_is_told_if_nobody_is_there(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        anna.tell(Client(relay, BERT, "bert"), b"anybody?")
        assert anna.take() == [
            Notice(anna.id, 1, FailedNotice(1, "absent")),
            Ack(anna.id, 1, 0, 2, 0, ()),
        ]
        assert relay.dropped() == {"absent": 1}

    def test_has_at_most_1184_bytes(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.tell(bert, b"x" * 1184)
        anna.tell(bert, b"x" * 1185)
        assert [len(p.payload) for p in bert.take()] == [1184]
        assert relay.dropped() == {"malformed": 1}

    def test_what_waits_is_bounded_for_all_members_together(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sessions_module, "_MOST_HELD", 300)
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        for own in (2, 3, 4):
            anna.tell(bert, b"x" * 140, own=own)
        assert relay.dropped() == {"early-limit": 1}
        anna.tell(bert, b"x", own=1)
        assert [p.own for p in bert.take()] == [1, 2, 3]
        assert relay.hub._sessions._held == 0

    def test_counts_against_what_a_member_may_send(self) -> None:
        relay = SessionRelay(session_rules(room={"member_rate": 1.0}))
        anna, bert = joined(relay, "anna", "bert")
        anna.tell(bert, b"one")
        anna.tell(bert, b"two")
        assert len(bert.take()) == 1
        assert relay.dropped() == {"member-limit": 1}


class TestUnreliable:
    def test_goes_through_at_once_outside_the_sequence(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        for own in (3, 3, 1):
            anna.tell(bert, b"x", 0, own)
        assert bert.take() == [Private(bert.id, 0, 0, 1, own, b"x") for own in (3, 3, 1)]
        assert anna.take() == []

    def test_may_be_as_large_as_a_datagram(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        anna.tell(bert, bytes(60_000), SEALED)
        assert len(bert.take()[0].payload) == 60_000

    def test_nobody_is_told_if_nobody_is_there(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        anna.tell(Client(relay, BERT, "bert"), b"anybody?", 0)
        assert anna.take() == []
        assert relay.dropped() == {"absent": 1}


class TestRecovery:
    def test_the_last_64_are_sent_again(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        for _ in range(70):
            anna.tell(bert, b"x")
        answers = bert.nack((1, 100), stream=1)
        assert [p.sequence for p in answers if isinstance(p, Private)] == list(range(7, 71))
        assert answers[-1] == Gone(bert.id, 1, ((1, 6, 0),))

    def test_what_is_long_gone_is_all_gone(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        for _ in range(70):
            anna.tell(bert, b"x")
        assert bert.nack((2, 3), stream=1) == [Gone(bert.id, 1, ((2, 3, 0),))]

    def test_goes_on_for_a_member_that_joins_again(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        anna.tell(bert, b"x")
        assert bert.join().newest_private == 1
        assert len(bert.nack((1, 1), stream=1)) == 1


class TestMissed:
    def test_is_passed_on_to_who_sent_it(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        bert.send(Missed(bert.id, 1, ((4, 2), (9, 1))).encode())
        assert anna.take() == [Notice(anna.id, 1, MissedNotice(2, ((4, 2), (9, 1))))]
        assert bert.take() == []

    def test_is_not_if_it_is_not_there_or_is_no_session_member(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        relay.receive(CARL)
        anna.take()
        for number in (2, 3):
            anna.send(Missed(anna.id, number, ((1, 1),)).encode())
        assert anna.take() == []
        assert relay.inboxes == {}

    def test_is_answered_if_it_has_a_token_and_passed_on_once(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        for _ in range(2):
            bert.send(Missed(bert.id, 1, ((4, 2),), b"a token.").encode())
            assert bert.take() == [Pong(bert.id, b"a token.", 2, 0)]
        assert anna.take() == [Notice(anna.id, 1, MissedNotice(2, ((4, 2),)))]

    def test_is_answered_if_whom_it_is_about_has_left(self) -> None:
        (anna,) = joined(SessionRelay(), "anna")
        anna.send(Missed(anna.id, 7, ((4, 2),), b"a token.").encode())
        assert anna.take() == [Pong(anna.id, b"a token.", 1, 0)]

    def test_is_passed_on_again_when_its_token_is_no_longer_known(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        for number in (*range(65), 0):
            token = number.to_bytes(8, "big")
            bert.send(Missed(bert.id, 1, ((4, 2),), token).encode())
            relay.wait(0.1)
        notices = [read for read in anna.take() if isinstance(read, Notice)]
        assert len(notices) == 66

    def test_is_limited_for_each_member_that_is_told(self) -> None:
        relay = SessionRelay()
        anna, bert, carl = joined(relay, "anna", "bert", "carl")
        for reporter in (bert, carl):
            for _ in range(6):
                reporter.send(Missed(reporter.id, 1, ((1, 1),)).encode())
        carl.send(Missed(carl.id, 2, ((1, 1),)).encode())
        assert (len(anna.take()), len(bert.take())) == (10, 1)
        assert relay.dropped() == {"repair-limit": 2}


class TestFromTheConsole:
    def test_is_private_with_the_number_of_the_console(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        console = relay.hub.add_console("lobby", "terminal", relay.now)
        relay.settle()
        anna.take()
        for text in (b"one", b"two"):
            relay.hub.tell(anna.session, text, relay.now, console)
        relay.settle()
        assert anna.take() == [
            Private(anna.id, RELIABLE, 1, 2, 1, b"one"),
            Private(anna.id, RELIABLE, 2, 2, 2, b"two"),
        ]

    def test_may_be_from_nobody(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        relay.hub.tell(anna.session, b"psst", relay.now)
        relay.settle()
        assert [p.number for p in anna.take(Private)] == [0]


def test_a_receiver_is_named_by_its_whole_identity() -> None:
    relay = SessionRelay()
    anna, bert = joined(relay, "anna", "bert")
    receiver = bert.identity[:15] + bytes([bert.identity[15] ^ 1])
    anna.send(PrivateUp(anna.id, RELIABLE, 1, receiver, b"x").encode())
    assert bert.take() == []
