"""Recovery: answers to NACK, PING and ROSTER, and heartbeats in a silent room."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from relay_driver import BERT, CARL
from relay_session import Client, SessionRelay, joined, session_rules

from udprelay.protocol.wire import FromRelay
from udprelay.protocol.wire.entries import LeaveEntry
from udprelay.protocol.wire.from_client import Nack, RosterRequest
from udprelay.protocol.wire.from_relay import Gone, Heartbeat, Members, Pong
from udprelay.protocol.wire.header import RELIABLE
from udprelay.protocol.wire.members import MemberRecord
from udprelay.protocol.wire.ranges import Reason
from udprelay.protocol.wire.sequenced import Data, Entry
from udprelay.relay.rules import Limits
from udprelay.segments import Segments

NO_TOKEN = bytes(8)


def sequences(answers: Iterable[FromRelay]) -> list[int]:
    """Return the sequences of datagrams that all have one."""
    found = []
    for answer in answers:
        assert isinstance(answer, (Data, Entry))
        found.append(answer.sequence)
    return found


def gone(answers: Iterable[FromRelay]) -> list[tuple[int, int, int]]:
    """Return all ranges of the GONEs among some datagrams."""
    return [one for answer in answers if isinstance(answer, Gone) for one in answer.ranges]


class TestNack:
    def test_the_same_datagrams_are_retransmitted(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        relay.receive(CARL, b"plain")
        anna.send_data(b"hello")
        before = bert.drain_raw()
        bert.send(Nack(bert.id, 0, ((3, 3),)).encode())
        assert bert.drain_raw() == before

    def test_only_the_ranges_of_the_nack_are_retransmitted(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        for number in range(10):
            anna.send_data(b"%d" % number)
        assert sequences(bert.nack((4, 2), (9, 1))) == [4, 5, 9]

    def test_unreliable_data_is_gone(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        anna.send_data(b"3", 0)
        anna.send_data(b"4")
        anna.send_data(b"5", 0)
        answers = bert.nack((3, 3))
        assert [d.payload for d in answers if isinstance(d, Data)] == [b"4"]
        assert gone(answers) == [(3, 1, Reason.UNRELIABLE), (5, 1, Reason.UNRELIABLE)]

    def test_datagrams_removed_from_the_history_are_gone(self) -> None:
        anna, bert = joined(SessionRelay(session_rules(room={"history": 2})), "anna", "bert")
        for number in range(5):
            anna.send_data(b"%d" % number)
        answers = bert.nack((3, 5))
        assert [d.sequence for d in answers if isinstance(d, Data)] == [6, 7]
        assert gone(answers) == [(3, 3, Reason.NOT_IN_HISTORY)]

    def test_datagrams_expire_in_a_silent_room(self) -> None:
        relay = SessionRelay(session_rules(room={"session_timeout": 1000.0}))
        anna, bert = joined(relay, "anna", "bert")
        anna.send_data(b"3")
        relay.wait(131)
        assert gone(bert.nack((3, 1))) == [(3, 1, Reason.NOT_IN_HISTORY)]
        history = relay.room_log().history
        assert [*history.stored(1, history.newest)] == []

    def test_own_datagrams_are_gone(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        anna.send_data(b"3", 0)
        anna.send_data(b"4")
        bert.send_data(b"5", 0)
        bert.send_data(b"6")
        anna.send_data(b"7")
        assert gone(anna.nack((3, 5))) == [
            (3, 2, Reason.OWN),
            (5, 1, Reason.UNRELIABLE),
            (7, 1, Reason.OWN),
        ]

    def test_sequences_outside_the_members_range_are_not_answered(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        assert bert.nack((1, 2), (3, 5), (2**63, 10)) == []
        anna.send_data(b"3")
        assert sequences(bert.nack((1, 65_535))) == [3]
        assert relay.dropped() == {"outside-sequence": 3}

    def test_a_member_that_joins_after_a_restart_may_request_all(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        anna.send_data(b"2")
        bert = Client(relay, BERT, "bert")
        bert.join(tag=bytes(8), settled=17)
        assert [type(one) for one in bert.nack((1, 3))] == [Entry, Data, Entry]

    def test_millions_of_sequences_are_answered_by_range(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        relay.room_log().history.newest += 64 * 65_535
        anna.send_data(b"the last")
        answers = bert.nack(*((3 + n * 65_535, 65_535) for n in range(64)))
        assert gone(answers) == [(3 + n * 65_535, 65_535, Reason.UNRELIABLE) for n in range(64)]

    def test_ranges_beyond_one_gone_are_in_the_next(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        for number in range(240):
            (anna if number % 3 else bert).send_data(b"x", 0)
        answers = bert.nack((3, 120))
        assert [type(one) for one in answers] == [Gone, Gone]
        assert [one[2] for one in gone(answers)] == [Reason.OWN, Reason.UNRELIABLE] * 40

    @given(
        st.lists(
            st.tuples(st.sampled_from(["anna", "bert", "plain"]), st.sampled_from([0, RELIABLE]))
        ),
        st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=5),
        st.integers(1, 20),
    )
    def test_each_sequence_in_the_members_range_is_answered_once(
        self,
        sent: list[tuple[str, int]],
        wanted: list[tuple[int, int]],
        history: int,
    ) -> None:
        relay = SessionRelay(session_rules(room={"history": history}))
        anna, bert = joined(relay, "anna", "bert")
        relay.receive(CARL, b"x")
        for who, flags in sent:
            if who == "plain":
                relay.receive(CARL, b"x")
            else:
                (anna if who == "anna" else bert).send_data(b"x", flags)
        newest, following = relay.room_log().newest, 1
        ranges: list[tuple[int, int]] = []
        for gap, length in wanted:
            ranges.append((following + gap, length))
            following += gap + length
        answered: list[int] = []
        for answer in anna.nack(*ranges):
            if isinstance(answer, Gone):
                for first, number, _ in answer.ranges:
                    answered += range(first, first + number)
            else:
                assert isinstance(answer, (Data, Entry))
                assert answer.number != 1
                answered.append(answer.sequence)
        asked = [n for first, length in ranges for n in range(first, first + length)]
        assert sorted(answered) == [n for n in asked if anna.welcome.first <= n <= newest]


class TestRepairBudget:
    def test_limits_retransmissions(self) -> None:
        relay = SessionRelay(session_rules(Limits(repair_rate=5000)))
        anna, bert = joined(relay, "anna", "bert")
        for _ in range(10):
            anna.send_data(b"x" * 1000)
        assert len(bert.nack((3, 10))) == 4
        relay.now += 1
        assert len(bert.nack((7, 10))) == 4
        assert relay.dropped() == {"repair-limit": 2}

    def test_limits_gone(self) -> None:
        relay = SessionRelay(session_rules(Limits(repair_rate=700)))
        anna, bert = joined(relay, "anna", "bert")
        for number in range(200):
            anna.send_data(b"x", RELIABLE if number % 2 else 0)
        relay.room_log().history.newest += 1
        assert bert.nack((3, 201))
        assert relay.dropped() == {"repair-limit": 1}

    def test_limits_the_roster(self) -> None:
        relay = SessionRelay(session_rules(Limits(repair_rate=100)))
        (anna,) = joined(relay, "anna")
        for _ in range(3):
            anna.send(RosterRequest(anna.id, 0).encode())
        assert len(anna.drain(Members)) == 1
        assert relay.dropped() == {"repair-limit": 2}


class TestSilence:
    def test_a_silent_room_has_four_heartbeats(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        relay.wait(5)
        bert.drain()
        anna.send_data(b"3")
        bert.drain()
        start = relay.now
        for step in (0.1, 0.3, 1.0, 3.0):
            for time, heartbeats in ((start + step - 0.001, 0), (start + step, 1)):
                relay.wait(time - relay.now)
                assert len(bert.drain(Heartbeat)) == heartbeats
        relay.wait(10)
        assert bert.drain() == []

    def test_a_heartbeat_has_the_newest_sequence(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.send_data(b"3")
        bert.drain()
        relay.wait(0.1)
        assert bert.drain() == [Heartbeat(bert.welcome.tag, 3)]

    def test_an_entry_at_the_time_of_a_heartbeat_is_delivered(self) -> None:
        relay = SessionRelay(session_rules(room={"idle_timeout": 3.0}))
        (anna,) = joined(relay, "anna")
        relay.receive(CARL, b"plain")
        anna.drain()
        relay.now += 3.5
        relay.expire()
        tag = anna.welcome.tag
        left = Entry(tag, 4, 2, LeaveEntry("idle"))
        assert anna.drain() == [left, Heartbeat(tag, 4)]

    def test_heartbeats_are_deliveries_but_no_datagrams(self) -> None:
        relay = SessionRelay()
        joined(relay, "anna", "bert")
        before = relay.room().deliveries
        relay.wait(0.1)
        assert (relay.room().deliveries, relay.room().datagrams) == (before + 2, 0)

    def test_payloads_of_plain_members_restart_the_steps(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        relay.receive(CARL, b"1")
        for _ in range(5):
            relay.wait(0.09)
            relay.receive(CARL, b"x")
        assert anna.drain(Heartbeat) == []

    def test_activity_brings_the_next_heartbeat_forward(self) -> None:
        relay = SessionRelay()
        joined(relay, "anna")
        relay.receive(CARL, b"1")
        relay.wait(1.5)
        relay.drain_events()
        assert relay.deadline() > relay.now + 1
        assert not relay.unsettled()
        relay.hub.receive(relay.listeners["main"], [(CARL, Segments(b"2", 1))], relay.now)
        assert relay.unsettled()
        assert relay.hub.next_deadline() == relay.now + 0.1

    def test_a_room_without_session_members_has_no_heartbeat(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        relay.receive(CARL, b"1")
        relay.hub.kick(anna.session, relay.now)
        relay.settle()
        before = relay.room().deliveries
        relay.wait(5)
        assert relay.room().deliveries == before

    def test_a_closed_room_has_no_heartbeat(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        relay.hub.kick(anna.session, relay.now)
        relay.wait(5)
        assert relay.hub.roster.rooms == {}

    def test_a_silent_private_sequence_has_three_pongs(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.send_private(bert, b"psst")
        relay.wait(5)
        assert bert.drain(Pong) == [Pong(bert.id, NO_TOKEN, 2, 1)] * 3
        assert anna.drain(Pong) == []

    def test_a_member_that_has_left_gets_no_pong(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.send_private(bert, b"psst")
        relay.hub.kick(bert.session, relay.now)
        relay.settle()
        bert.drain()
        relay.wait(5)
        assert bert.drain() == []


class TestPing:
    def test_is_answered_with_its_token_and_the_newest_sequences(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.send_data(b"3")
        bert.send_private(anna, b"psst")
        assert anna.ping(b"mytoken!") == [Pong(anna.id, b"mytoken!", 3, 1)]


class TestRoster:
    def roster(self, client: Client, number: int) -> Members:
        client.drain()
        client.send(RosterRequest(client.id, number).encode())
        (answer,) = client.drain(Members)
        return answer

    def test_has_the_members_from_a_number_on(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        relay.receive(CARL)
        bert.send_data(b"x")
        answer = self.roster(anna, 2)
        assert (answer.first, answer.newest, answer.more_from) == (2, 4, None)
        assert [(m.number, m.nick, m.own) for m in answer.members] == [
            (2, "bert", 1),
            (3, "guest-3", 0),
        ]

    def test_has_no_members_that_have_left(self) -> None:
        relay = SessionRelay()
        anna, bert, _ = joined(relay, "anna", "bert", "carl")
        relay.hub.kick(bert.session, relay.now)
        relay.settle()
        assert [m.nick for m in self.roster(anna, 0).members] == ["anna", "carl"]

    def test_is_empty_beyond_the_last_member(self) -> None:
        (anna,) = joined(SessionRelay(), "anna")
        assert self.roster(anna, 2).members == ()

    def test_of_many_members_has_several_pages(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        for port in range(1000, 1300):
            relay.receive(f"10.1.0.1:{port}")
        members: list[MemberRecord] = []
        number: int | None = 0
        while number is not None:
            answer = self.roster(anna, number)
            members += answer.members
            number = answer.more_from
        assert [m.number for m in members] == list(range(1, 302))


@pytest.mark.parametrize("stream", [0, 1])
def test_a_sequence_that_is_not_assigned_is_not_answered(stream: int) -> None:
    relay = SessionRelay()
    (anna,) = joined(relay, "anna")
    assert anna.nack((5, 3), stream=stream) == []
    assert relay.dropped() == {"outside-sequence": 1}


def test_entries_are_retransmitted_like_data() -> None:
    relay = SessionRelay()
    (anna,) = joined(relay, "anna")
    Client(relay, BERT, "bert").join()
    (entry,) = anna.drain(Entry)
    assert anna.nack((2, 1)) == [entry]
