"""Flow control: senders wait for receivers that report, before these lose something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from relay_driver import CARL
from relay_session import Client, SessionRelay, session_rules

from udprelay.protocol.wire.entries import FailedNotice
from udprelay.protocol.wire.from_client import Leave
from udprelay.protocol.wire.from_relay import Ack, Gone, Waiting
from udprelay.protocol.wire.header import RELIABLE
from udprelay.protocol.wire.sequenced import Data, Notice, Private
from udprelay.relay.events import MemberAwaited
from udprelay.relay.rules import Limits

HISTORY = 128
FULL = 97
"""Datagrams that a receiver may be behind: more than three quarters of the history."""


def relay_with(**room: Any) -> SessionRelay:
    """Return a relay with a short history."""
    return SessionRelay(session_rules(room={"history": HISTORY, **room}))


def entered(relay: SessionRelay, *nicks: str, **changes: Any) -> list[Client]:
    """Return clients that have joined and report, with empty inboxes."""
    clients = [
        Client(relay, f"10.0.1.{number}:4000", nick) for number, nick in enumerate(nicks, 1)
    ]
    for client in clients:
        client.join(**{"reports": True, **changes})
    for client in clients:
        client.report(relay.room_log().newest)
        client.drain()
    return clients


def pair(**room: Any) -> tuple[SessionRelay, Client, Client]:
    """Return a relay, a sender, and a receiver that reports."""
    relay = relay_with(**room)
    anna, bert = entered(relay, "anna", "bert")
    return relay, anna, bert


def send(client: Client, count: int) -> None:
    """Send so much reliable DATA, each in a batch of its own."""
    for _ in range(count):
        client.send_data(b"line")


def owns(client: Client) -> list[int]:
    """Return the own sequences of the DATA that a client was sent."""
    return [data.own for data in client.drain(Data)]


def waiting(client: Client) -> list[tuple[int, ...]]:
    """Return for whom a client was told to wait."""
    return [told.numbers for told in client.drain(Waiting)]


def caught_up(client: Client) -> None:
    client.report(client.relay.room_log().newest)


class TestWelcome:
    @pytest.mark.parametrize(
        ("room", "length"),
        [
            ({}, 852),
            ({"history": 10}, 10),
            ({"history": 1}, 1),
            ({"history": 0}, 0),
            ({"history_size": 0}, 0),
            ({"history_size": 12_300}, 10),
            ({"history_size": 100}, 1),
        ],
    )
    def test_tells_how_many_large_datagrams_the_histories_hold(
        self, room: dict[str, int], length: int
    ) -> None:
        anna = Client(SessionRelay(session_rules(room=room)))
        assert anna.join().history == (length, 64)


class TestRoom:
    def test_a_sender_waits_for_a_receiver_that_is_far_behind(self) -> None:
        _, anna, bert = pair()
        send(anna, FULL + 5)
        assert owns(bert) == list(range(1, FULL + 1))
        ack = anna.drain(Ack)[-1]
        assert (ack.next, ack.bitmap) == (FULL + 1, 0b1111)

    def test_what_has_waited_is_relayed_and_acknowledged_once_the_receiver_has_caught_up(
        self,
    ) -> None:
        relay, anna, bert = pair()
        send(anna, FULL + 5)
        first = relay.room_log().newest - FULL
        bert.drain()
        anna.drain()
        bert.report(first + 32)
        assert owns(bert) == []
        bert.report(first + 33)
        assert owns(bert) == list(range(FULL + 1, FULL + 6))
        assert [ack.next for ack in anna.drain(Ack)] == [FULL + 6]
        assert relay.dropped() == {}

    def test_nobody_waits_for_a_receiver_that_reports_in_time(self) -> None:
        relay, anna, bert = pair()
        for _ in range(20):
            send(anna, 60)
            caught_up(bert)
        assert owns(bert) == list(range(1, 1201))
        assert waiting(anna) == waiting(bert) == []
        assert relay.dropped() == {}

    @pytest.mark.parametrize("says", [None, False])
    def test_nobody_waits_for_a_client_that_does_not_say_that_it_reports(
        self, says: bool | None
    ) -> None:
        relay = relay_with()
        anna, bert = entered(relay, "anna", "bert", reports=says)
        bert.ping()
        send(anna, 300)
        assert owns(bert) == list(range(1, 301))

    def test_a_report_beyond_the_newest_sequence_counts_as_that(self) -> None:
        _, anna, bert = pair()
        bert.report(2**64 - 1, 2**64 - 1)
        send(anna, FULL + 1)
        assert owns(bert) == list(range(1, FULL + 1))

    def test_an_older_report_that_comes_late_changes_nothing(self) -> None:
        relay, anna, bert = pair()
        before = relay.room_log().newest
        send(anna, 50)
        caught_up(bert)
        bert.report(before)
        send(anna, FULL)
        assert owns(bert) == list(range(1, 50 + FULL + 1))

    def test_a_batch_is_accepted_only_as_far_as_the_history_holds_it(self) -> None:
        relay, anna, bert = pair(history=10)
        batch = [(anna.source, anna.data(b"%d" % number)) for number in range(32)]
        relay.receive_batch(*batch)
        assert owns(bert) == list(range(1, 9))
        assert relay.room_log().history.first <= relay.room_log().newest - 8 + 1

    @pytest.mark.parametrize(("history", "accepted"), [(1, 1), (2, 2), (4, 4), (10, 8)])
    def test_a_short_history_holds_all_that_is_not_settled(
        self, history: int, accepted: int
    ) -> None:
        _, anna, bert = pair(history=history)
        got = []
        for _ in range(3):
            send(anna, 5)
        while new := owns(bert):
            assert len(new) <= accepted
            got += new
            caught_up(bert)
        assert got == list(range(1, 16))

    def test_nobody_waits_if_there_is_no_history(self) -> None:
        _, anna, bert = pair(history=0)
        send(anna, 100)
        assert owns(bert) == list(range(1, 101))

    def test_a_history_is_full_by_bytes_too(self) -> None:
        _, anna, bert = pair(history_size=12_300)
        for _ in range(20):
            anna.send_data(bytes(1200))
        assert owns(bert) == list(range(1, 9))

    def test_what_plain_members_send_does_not_wait_but_counts(self) -> None:
        relay, anna, bert = pair()
        relay.receive(CARL)
        for _ in range(HISTORY):
            relay.receive(CARL, b"plain")
        send(anna, 1)
        assert owns(bert) == [0] * HISTORY

    def test_unreliable_datagrams_do_not_wait_and_do_not_count(self) -> None:
        _, anna, bert = pair()
        for _ in range(HISTORY):
            anna.send_data(b"now", flags=0)
        send(anna, FULL + 1)
        anna.send_data(b"now", flags=0)
        assert owns(bert)[-2:] == [FULL, HISTORY + 1]

    def test_a_sender_is_not_behind_with_its_own_datagrams(self) -> None:
        relay = relay_with(history=10)
        (anna,) = entered(relay, "anna")
        send(anna, 100)
        assert anna.drain(Ack)[-1].next == 101
        assert anna.session.flow.senders == {}

    def test_several_senders_wait_and_go_on_in_turn(self) -> None:
        relay = relay_with(history=40)
        anna, bert, carl = entered(relay, "anna", "bert", "carl")
        got: dict[int, list[int]] = {anna.welcome.number: [], bert.welcome.number: []}
        for _ in range(30):
            send(anna, 1)
            send(bert, 1)
        assert relay.hub.census.read()["early.waiting"] == 2
        for _ in range(10):
            for data in carl.drain(Data):
                got[data.number].append(data.own)
            for client in (anna, bert, carl):
                caught_up(client)
        assert list(got.values()) == [list(range(1, 31))] * 2
        assert relay.hub.census.read()["early.waiting"] == 0

    def test_a_member_that_joins_in_the_middle_is_waited_for_too(self) -> None:
        relay, anna, bert = pair()
        send(anna, 50)
        carl = Client(relay, "10.0.1.9:4000", "carl")
        carl.join(reports=True)
        caught_up(anna)
        caught_up(bert)
        carl.drain()
        send(anna, FULL + 5)
        caught_up(bert)
        assert len(owns(carl)) == FULL

    def test_nobody_waits_for_a_new_member_that_reads_the_history(self) -> None:
        relay, anna, bert = pair(history_on_join=1000)
        send(anna, 80)
        caught_up(bert)
        carl = Client(relay, "10.0.1.9:4000", "carl")
        carl.join(reports=True)
        caught_up(anna)
        send(anna, 80)
        assert len(owns(bert)) == 160

    def test_the_own_messages_of_a_receiver_are_relayed_while_others_wait_for_it(self) -> None:
        _, anna, bert = pair()
        send(anna, FULL + 1)
        anna.drain()
        bert.send_data(b"now", flags=0)
        assert [data.payload for data in anna.drain(Data)] == [b"now"]


class TestLimits:
    def test_a_wait_ends_after_ten_seconds(self) -> None:
        relay, anna, bert = pair()
        send(anna, FULL + 5)
        bert.drain()
        relay.wait(9.7)
        assert owns(bert) == []
        relay.wait(0.3)
        assert owns(bert) == list(range(FULL + 1, FULL + 6))
        send(anna, 100)
        assert bert.nack((4, 10))[0] == Gone(bert.id, 0, ((4, 10, 0),))

    def test_who_was_too_slow_is_waited_for_only_after_it_has_caught_up(self) -> None:
        relay, anna, bert = pair()
        send(anna, FULL + 5)
        relay.wait(10.0)
        keep_in_touch(relay, 80, anna, bert, settled=(None, 0))
        send(anna, 200)
        assert owns(bert)[-1] == FULL + 205
        caught_up(bert)
        send(anna, FULL + 1)
        assert len(owns(bert)) == FULL

    def test_a_receiver_is_waited_for_ten_seconds_in_any_sixty(self) -> None:
        relay, anna, bert = pair()
        waits = []
        for _ in range(4):
            began = relay.now
            send(anna, FULL + 1)
            # It comes in time, as long as it is waited for.
            while bert.session.flow.receivers and relay.now < began + 4.0:
                relay.wait(0.25)
            waits.append(relay.now - began)
            caught_up(anna)
            caught_up(bert)
        assert waits == [4.0, 4.0, pytest.approx(2.0, abs=0.25), 0.0]
        keep_in_touch(relay, 61, anna, bert)
        send(anna, FULL + 1)
        assert bert.session.flow.receivers

    def test_several_receivers_together_hold_a_room_for_twenty_seconds_in_any_sixty(self) -> None:
        relay = relay_with()
        anna, *slow = entered(relay, "anna", "bert", "carl", "dora", "emil")
        began = relay.now
        for receiver in slow:
            for other in slow:
                caught_up(other)
            caught_up(anna)
            send(anna, FULL)
            for other in slow:
                if other is not receiver:
                    caught_up(other)
            send(anna, 1)
            relay.wait(10.0)
            caught_up(receiver)
        assert not anna.session.flow.receivers
        awaited = relay.events(MemberAwaited)
        assert sum(event.seconds for event in awaited) == pytest.approx(20.0, abs=0.5)
        assert relay.now == began + 40.0

    def test_a_wait_for_several_receivers_ends_with_the_last(self) -> None:
        relay = relay_with()
        anna, bert, carl = entered(relay, "anna", "bert", "carl")
        send(anna, FULL + 1)
        caught_up(bert)
        assert owns(bert)[-1] == FULL
        caught_up(carl)
        assert owns(bert) == [FULL + 1]

    @pytest.mark.parametrize("how", ["leaves", "is kicked", "times out"])
    def test_a_wait_ends_when_its_receiver_is_gone(self, how: str) -> None:
        relay, anna, bert = pair(session_timeout=8.0)
        carl = Client(relay, "10.0.1.9:4000", "carl")
        carl.join()
        caught_up(anna)
        caught_up(bert)
        send(anna, FULL + 1)
        assert owns(carl)[-1] == FULL
        if how == "leaves":
            bert.send(Leave(bert.id).encode())
        elif how == "is kicked":
            relay.hub.kick(bert.session, relay.now)
            relay.settle()
        else:
            keep_in_touch(relay, 9, anna, carl)
        assert owns(carl) == [FULL + 1]

    @pytest.mark.parametrize("leaves", ["sender", "both"])
    def test_what_waits_is_forgotten_with_its_sender(self, leaves: str) -> None:
        relay, anna, bert = pair()
        send(anna, FULL + 5)
        anna.send(Leave(anna.id).encode())
        if leaves == "both":
            bert.send(Leave(bert.id).encode())
        else:
            caught_up(bert)
            assert owns(bert)[-1] == FULL
        read = relay.hub.census.read()
        assert (read["early.bytes"], read["early.waiting"]) == (0, 0)

    def test_what_waits_counts_as_early_and_is_bounded(self) -> None:
        room = {"history": HISTORY, "member_output": 0, "room_output": 0}
        relay = SessionRelay(session_rules(Limits(output=0), room))
        slow, *senders = entered(relay, "slow", *(f"n{n}" for n in range(220)))
        for other in senders:
            caught_up(other)
        while not slow.session.flow.receivers:
            send(senders[0], 1)
        for sender in senders[1:]:
            batch = [(sender.source, sender.data(bytes(1200))) for _ in range(65)]
            relay.receive_batch(*batch)
        assert relay.hub.census.read()["early.bytes"] <= 16 * 2**20
        assert relay.dropped()["early-limit"] > 0


def keep_in_touch(
    relay: SessionRelay, seconds: int, *clients: Client, settled: Sequence[int | None] = ()
) -> None:
    """Let time pass; the clients send PING, which reports all to be settled, or ``settled``."""
    for _ in range(seconds):
        for client, own in zip(clients, settled or (None,) * len(clients), strict=True):
            client.report(relay.room_log().newest if own is None else own)
        relay.wait(1.0)


class TestTelling:
    def test_a_receiver_is_asked_for_a_report_at_once_and_again(self) -> None:
        relay, anna, bert = pair()
        send(anna, FULL + 1)
        assert waiting(bert) == [(bert.welcome.number,)]
        relay.wait(1.0)
        assert len(waiting(bert)) == 4
        relay.wait(5.0)
        assert len(waiting(bert)) == 5

    def test_a_sender_is_told_after_a_second_and_when_the_wait_is_over(self) -> None:
        relay, anna, bert = pair()
        send(anna, FULL + 1)
        relay.wait(0.9)
        assert waiting(anna) == []
        relay.wait(1.2)
        assert waiting(anna) == [(bert.welcome.number,)] * 2
        caught_up(bert)
        assert waiting(anna) == [()]

    def test_a_sender_is_not_told_of_a_short_wait(self) -> None:
        relay, anna, bert = pair()
        send(anna, FULL + 1)
        relay.wait(0.9)
        caught_up(bert)
        assert waiting(anna) == []
        assert relay.events(MemberAwaited) == []

    def test_only_those_whose_datagrams_wait_are_told(self) -> None:
        relay = relay_with()
        anna, bert, carl = entered(relay, "anna", "bert", "carl")
        send(anna, FULL)
        caught_up(carl)
        send(anna, 1)
        relay.wait(1.0)
        assert waiting(anna) == [(bert.welcome.number,)]
        assert waiting(carl) == []

    def test_a_sender_is_told_of_eight_receivers_at_most(self) -> None:
        relay = relay_with()
        anna, *others = entered(relay, "anna", *(f"n{n}" for n in range(10)))
        send(anna, FULL + 1)
        relay.wait(1.0)
        assert waiting(anna) == [tuple(other.welcome.number for other in others[:8])]

    @pytest.mark.parametrize(
        ("seconds", "outcome"), [(2.0, "caught up"), (3.0, "left"), (10.0, "too slow")]
    )
    def test_a_long_wait_is_an_event(self, seconds: float, outcome: str) -> None:
        relay, anna, bert = pair()
        send(anna, FULL + 1)
        relay.wait(seconds)
        if outcome == "caught up":
            caught_up(bert)
        elif outcome == "left":
            bert.send(Leave(bert.id).encode())
        assert relay.events(MemberAwaited) == [
            MemberAwaited("lobby", "bert", bert.source, "main", seconds, outcome)
        ]


class TestPrivate:
    def test_a_sender_waits_for_the_receiver_of_private_messages(self) -> None:
        _, anna, bert = pair()
        for _ in range(60):
            anna.send_private(bert, b"psst")
        assert [private.own for private in bert.drain(Private)] == list(range(1, 50))
        ack = anna.drain(Ack)[-1]
        assert (ack.next_private, ack.private_bitmap) == (50, 2**10 - 1)

    def test_they_are_delivered_once_the_receiver_has_caught_up(self) -> None:
        relay, anna, bert = pair()
        for _ in range(60):
            anna.send_private(bert, b"psst")
        bert.drain()
        anna.drain()
        bert.report(0, 16)
        assert bert.drain(Private) == []
        bert.report(0, 17)
        assert [private.own for private in bert.drain(Private)] == list(range(50, 61))
        assert [ack.next_private for ack in anna.drain(Ack)] == [61]
        assert relay.dropped() == {}

    def test_nobody_waits_for_a_receiver_that_does_not_report(self) -> None:
        relay = relay_with()
        anna, bert = entered(relay, "anna", "bert", reports=None)
        for _ in range(100):
            anna.send_private(bert, b"psst")
        assert len(bert.drain(Private)) == 100

    def test_unreliable_ones_do_not_wait(self) -> None:
        _, anna, bert = pair()
        for _ in range(60):
            anna.send_private(bert, b"psst")
        anna.send_private(bert, b"now", flags=0)
        assert bert.drain(Private)[-1].payload == b"now"

    def test_the_room_does_not_wait(self) -> None:
        _, anna, bert = pair()
        for _ in range(60):
            anna.send_private(bert, b"psst")
        send(anna, 90)
        assert len(owns(bert)) == 90

    def test_what_others_are_sent_does_not_wait(self) -> None:
        relay = relay_with()
        anna, bert, carl = entered(relay, "anna", "bert", "carl")
        for _ in range(60):
            anna.send_private(bert, b"psst")
        bert.send_private(carl, b"hello")
        assert [private.payload for private in carl.drain(Private)] == [b"hello"]

    def test_a_wait_ends_after_ten_seconds_and_the_receiver_has_to_catch_up(self) -> None:
        relay, anna, bert = pair()
        for _ in range(60):
            anna.send_private(bert, b"psst")
        bert.drain()
        relay.wait(10.0)
        assert len(bert.drain(Private)) == 11
        bert.report(0, 10)
        for _ in range(60):
            anna.send_private(bert, b"psst")
        assert len(bert.drain(Private)) == 60
        bert.report(0, 120)
        for _ in range(60):
            anna.send_private(bert, b"psst")
        # It was waited for long enough in these 60 seconds.
        assert len(bert.drain(Private)) == 60

    def test_a_sender_is_told(self) -> None:
        relay, anna, bert = pair()
        for _ in range(60):
            anna.send_private(bert, b"psst")
        relay.wait(1.0)
        assert waiting(anna) == [(bert.welcome.number,)]
        bert.report(0, 49)
        assert waiting(anna) == [()]

    def test_the_sender_learns_that_the_receiver_has_left(self) -> None:
        _, anna, bert = pair()
        for _ in range(51):
            anna.send_private(bert, b"psst")
        bert.send(Leave(bert.id).encode())
        notices = [notice.body for notice in anna.drain(Notice)]
        assert notices == [FailedNotice(50, "absent"), FailedNotice(51, "absent")]

    def test_the_time_of_both_waits_for_a_receiver_counts_once(self) -> None:
        relay, anna, bert = pair()
        for _ in range(60):
            anna.send_private(bert, b"psst")
        send(anna, FULL + 1)
        bert.drain()
        relay.wait(9.5)
        assert bert.drain(Data) == []
        relay.wait(0.5)
        assert {type(one) for one in bert.drain()} >= {Data, Private}

    def test_several_receivers_hold_private_messages_for_twenty_seconds_in_any_sixty(self) -> None:
        relay = relay_with()
        anna, *slow = entered(relay, "anna", "bert", "carl", "dora", "emil")
        for receiver in slow:
            for _ in range(60):
                anna.send_private(receiver, b"psst")
            relay.wait(10.0)
        seconds = sum(event.seconds for event in relay.events(MemberAwaited))
        assert seconds == pytest.approx(20.0, abs=0.5)

    def test_a_sender_that_has_left_is_not_served_after_the_wait(self) -> None:
        relay, anna, bert = pair()
        for _ in range(60):
            anna.send_private(bert, b"psst")
        anna.send(Leave(anna.id).encode())
        bert.drain()
        relay.wait(1.0)
        bert.report(0, 49)
        assert bert.drain(Private) == []


class TestResuming:
    def test_a_sender_that_joins_again_finds_what_waits(self) -> None:
        _, anna, bert = pair()
        send(anna, FULL + 5)
        welcome = anna.join(reports=True, own=(FULL - 10, 1))
        assert welcome.next_own == (FULL + 1, 1)
        bert.drain()
        caught_up(anna)
        caught_up(bert)
        assert owns(bert) == list(range(FULL + 1, FULL + 6))

    def test_a_receiver_that_joins_again_goes_on(self) -> None:
        relay, anna, bert = pair()
        send(anna, FULL + 5)
        bert.drain()
        newest = relay.room_log().newest
        bert.join(reports=True, tag=bert.welcome.tag, settled=newest)
        relay.wait(1.0)
        bert.drain()
        caught_up(bert)
        assert owns(bert) == list(range(FULL + 1, FULL + 6))

    def test_an_older_client_resumes_without_reports(self) -> None:
        _, anna, bert = pair()
        assert bert.join().session_id == bert.id
        send(anna, 10)
        assert len(owns(bert)) == 10


@pytest.mark.parametrize("flags", [RELIABLE])
def test_early_datagrams_wait_too(flags: int) -> None:
    _, anna, bert = pair(history=4)
    for own in (2, 3, 4, 5, 6, 1):
        anna.send_data(b"line", flags, own=own)
    assert owns(bert) == [1, 2, 3, 4]
    caught_up(bert)
    caught_up(anna)
    assert owns(bert) == [5, 6]


def test_of_an_older_client_all_that_waits_goes_on_at_once() -> None:
    relay = relay_with(history=20)
    (bert,) = entered(relay, "bert")
    anna = Client(relay, "10.0.1.9:4000", "anna")
    anna.join()
    for own in range(1, 17):
        anna.send_data(b"line", own=own)
    for own in (*range(18, 60), 17):
        anna.send_data(b"line", own=own)
    shown: set[int] = set()
    while anna.session.window.next < 60:
        for ack in anna.drain(Ack):
            # It does not take this ACK for a sign that the datagram has come.
            assert ack.next not in shown
            shown |= {ack.next + 1 + bit for bit in range(64) if ack.bitmap >> bit & 1}
        caught_up(bert)
    assert owns(bert) == list(range(1, 60))


def test_of_an_older_client_all_private_that_waits_goes_on_at_once() -> None:
    relay = relay_with()
    (bert,) = entered(relay, "bert")
    anna = Client(relay, "10.0.1.9:4000", "anna")
    anna.join()
    for own in (*range(1, 49), *range(50, 112), 49):
        anna.send_private(bert, b"psst", own=own)
        bert.report(0, min(own, 1))
    assert anna.drain(Ack)[-1].next_private == 112
