"""What members are sent because they ask, or because a room has fallen silent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from relay_driver import BERT, CARL
from relay_session import Client, SessionRelay, joined, session_rules

from udprelay.protocol.wire.entries import LeaveEntry
from udprelay.protocol.wire.from_client import Nack, RosterRequest
from udprelay.protocol.wire.from_relay import Data, Entry, Gone, Heartbeat, Members, Pong
from udprelay.protocol.wire.header import RELIABLE
from udprelay.protocol.wire.ranges import Reason
from udprelay.relay.rules import Limits

NO_TOKEN = bytes(8)


def gone(answers: list[object]) -> list[tuple[int, int, int]]:
    """Return all ranges of the GONEs among some datagrams."""
    return [one for answer in answers if isinstance(answer, Gone) for one in answer.ranges]


class TestNack:
    def test_gets_the_same_datagrams_as_before(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        relay.receive(CARL, b"plain")
        anna.say(b"hello")
        before = bert.raw()
        bert.send(Nack(bert.id, 0, ((3, 3),)).encode())
        assert bert.raw() == before

    def test_only_what_was_asked_for(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        for number in range(10):
            anna.say(b"%d" % number)
        assert [d.sequence for d in bert.nack((4, 2), (9, 1))] == [4, 5, 9]

    def test_what_is_unreliable_is_gone(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        anna.say(b"3", 0)
        anna.say(b"4")
        anna.say(b"5", 0)
        answers = bert.nack((3, 3))
        assert [d.payload for d in answers if isinstance(d, Data)] == [b"4"]
        assert gone(answers) == [(3, 1, Reason.UNRELIABLE), (5, 1, Reason.UNRELIABLE)]

    def test_so_is_what_is_too_old(self) -> None:
        anna, bert = joined(SessionRelay(session_rules(room={"history": 2})), "anna", "bert")
        for number in range(5):
            anna.say(b"%d" % number)
        answers = bert.nack((3, 5))
        assert [d.sequence for d in answers if isinstance(d, Data)] == [6, 7]
        assert gone(answers) == [(3, 3, Reason.NOT_KEPT)]

    def test_history_ends_with_its_age_in_a_silent_room_too(self) -> None:
        relay = SessionRelay(session_rules(room={"session_timeout": 1000.0}))
        anna, bert = joined(relay, "anna", "bert")
        anna.say(b"3")
        relay.wait(131)
        assert gone(bert.nack((3, 1))) == [(3, 1, Reason.NOT_KEPT)]
        assert len(relay.room().sessions.history) == 0

    def test_so_is_the_members_own(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        anna.say(b"3", 0)
        anna.say(b"4")
        bert.say(b"5", 0)
        bert.say(b"6")
        anna.say(b"7")
        assert gone(anna.nack((3, 5))) == [
            (3, 2, Reason.OWN),
            (5, 1, Reason.UNRELIABLE),
            (7, 1, Reason.OWN),
        ]

    def test_what_is_before_its_first_or_not_yet_there_is_not_answered(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        assert bert.nack((1, 2), (3, 5), (2**63, 10)) == []
        assert relay.dropped() == {"outside-sequence": 3}
        anna.say(b"3")
        assert [d.sequence for d in bert.nack((1, 65_535))] == [3]

    def test_a_member_that_comes_after_a_restart_may_ask_for_all(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        anna.say(b"2")
        bert = Client(relay, BERT, "bert")
        bert.join(tag=bytes(8), settled=17)
        assert [type(one) for one in bert.nack((1, 3))] == [Entry, Data, Entry]

    def test_millions_of_sequences_cost_nothing(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        relay.room().sessions.history.skip(64 * 65_535)
        anna.say(b"the last")
        answers = bert.nack(*((3 + n * 65_535, 65_535) for n in range(64)))
        assert gone(answers) == [(3 + n * 65_535, 65_535, Reason.UNRELIABLE) for n in range(64)]

    def test_more_ranges_than_one_gone_has_room_for(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        for number in range(200):
            anna.say(b"x", RELIABLE if number % 2 else 0)
        answers = bert.nack((3, 200))
        assert len([one for one in answers if isinstance(one, Gone)]) == 2
        assert [first for first, _, _ in gone(answers)] == list(range(3, 203, 2))

    @given(
        st.lists(
            st.tuples(st.sampled_from(["anna", "bert", "plain"]), st.sampled_from([0, RELIABLE]))
        ),
        st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=5),
        st.integers(1, 20),
    )
    def test_each_sequence_that_a_member_may_have_is_answered_once(
        self,
        said: list[tuple[str, int]],
        wanted: list[tuple[int, int]],
        history: int,
    ) -> None:
        relay = SessionRelay(session_rules(room={"history": history}))
        anna, bert = joined(relay, "anna", "bert")
        relay.receive(CARL, b"x")
        for who, flags in said:
            if who == "plain":
                relay.receive(CARL, b"x")
            else:
                (anna if who == "anna" else bert).say(b"x", flags)
        newest, ranges, following = relay.room().sessions.newest, [], 1
        for gap, length in wanted:
            ranges.append((following + gap, length))
            following += gap + length
        answered = []
        for answer in anna.nack(*ranges):
            if isinstance(answer, Gone):
                for first, number, _ in answer.ranges:
                    answered += range(first, first + number)
            else:
                assert answer.number != 1
                answered.append(answer.sequence)
        asked = [n for first, length in ranges for n in range(first, first + length)]
        assert sorted(answered) == [n for n in asked if anna.welcome.first <= n <= newest]


class TestRepairBudget:
    def test_bounds_what_is_sent_again(self) -> None:
        relay = SessionRelay(session_rules(Limits(repair_rate=5000)))
        anna, bert = joined(relay, "anna", "bert")
        for _ in range(10):
            anna.say(b"x" * 1000)
        assert len(bert.nack((3, 10))) == 4
        assert relay.dropped() == {"repair-limit": 1}
        relay.now += 1
        assert len(bert.nack((7, 10))) == 4

    def test_bounds_gone_too(self) -> None:
        relay = SessionRelay(session_rules(Limits(repair_rate=700)))
        anna, bert = joined(relay, "anna", "bert")
        for number in range(200):
            anna.say(b"x", RELIABLE if number % 2 else 0)
        relay.room().sessions.history.extend([b""], relay.now)
        assert bert.nack((3, 201))
        assert relay.dropped() == {"repair-limit": 1}

    def test_and_the_roster(self) -> None:
        relay = SessionRelay(session_rules(Limits(repair_rate=100)))
        (anna,) = joined(relay, "anna")
        for _ in range(3):
            anna.send(RosterRequest(anna.id, 0).encode())
        assert len(anna.take(Members)) == 1
        assert relay.dropped() == {"repair-limit": 2}


class TestSilence:
    def test_a_room_has_four_heartbeats(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        relay.wait(5)
        bert.take()
        anna.say(b"3")
        bert.take()
        start = relay.now
        for step in (0.1, 0.3, 1.0, 3.0):
            for time, heartbeats in ((start + step - 0.001, 0), (start + step, 1)):
                relay.wait(time - relay.now)
                assert len(bert.take(Heartbeat)) == heartbeats
        relay.wait(10)
        assert bert.take() == []

    def test_they_tell_the_newest_sequence(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.say(b"3")
        bert.take()
        relay.wait(0.1)
        assert bert.take() == [Heartbeat(bert.welcome.tag, 3)]

    def test_they_take_nothing_from_what_happens_at_the_same_time(self) -> None:
        relay = SessionRelay(session_rules(room={"idle_timeout": 3.0}))
        (anna,) = joined(relay, "anna")
        relay.receive(CARL, b"plain")
        anna.take()
        relay.now += 3.5
        relay.deliver(relay.hub.expire(relay.now))
        tag = anna.welcome.tag
        left = Entry(tag, 4, 2, LeaveEntry("idle"))
        assert anna.take() == [left, Heartbeat(tag, 4)]

    def test_they_are_deliveries_but_nothing_that_was_said(self) -> None:
        relay = SessionRelay()
        joined(relay, "anna", "bert")
        before = relay.room().deliveries
        relay.wait(0.1)
        assert (relay.room().deliveries, relay.room().datagrams) == (before + 2, 0)

    def test_where_plain_members_speak_they_begin_anew(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        relay.receive(CARL, b"1")
        for _ in range(5):
            relay.wait(0.09)
            relay.receive(CARL, b"x")
        assert anna.take(Heartbeat) == []

    def test_a_room_that_speaks_again_is_due_before_all_that_are_silent(self) -> None:
        relay = SessionRelay()
        joined(relay, "anna")
        relay.receive(CARL, b"1")
        relay.wait(1.5)
        relay.hub.take_events()
        assert relay.hub.next_deadline() > relay.now + 1
        assert not relay.hub.unsettled
        relay.receive(CARL, b"2")
        assert relay.hub.unsettled
        assert relay.hub.next_deadline() == relay.now + 0.1

    def test_nobody_is_told_in_a_room_without_session_members(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        relay.receive(CARL, b"1")
        relay.hub.kick(anna.session, relay.now)
        relay.settle()
        before = relay.room().deliveries
        relay.wait(5)
        assert relay.room().deliveries == before

    def test_a_room_that_is_closed_is_forgotten(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        relay.hub.kick(anna.session, relay.now)
        relay.wait(5)
        assert relay.hub.roster.rooms == {}

    def test_a_private_sequence_has_three_pongs(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.tell(bert, b"psst")
        relay.wait(5)
        assert bert.take(Pong) == [Pong(bert.id, NO_TOKEN, 2, 1)] * 3
        assert anna.take(Pong) == []

    def test_who_has_left_gets_none(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.tell(bert, b"psst")
        relay.hub.kick(bert.session, relay.now)
        relay.settle()
        bert.take()
        relay.wait(5)
        assert bert.take() == []


class TestPing:
    def test_gets_a_pong_with_its_token_and_what_is_newest(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.say(b"3")
        bert.tell(anna, b"psst")
        assert anna.ping(b"mytoken!") == [Pong(anna.id, b"mytoken!", 3, 1)]


class TestRoster:
    def roster(self, client: Client, number: int) -> Members:
        client.take()
        client.send(RosterRequest(client.id, number).encode())
        (answer,) = client.take(Members)
        return answer

    def test_is_everybody_from_a_number_on(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        relay.receive(CARL)
        bert.say(b"x")
        answer = self.roster(anna, 2)
        assert (answer.first, answer.newest, answer.more_from) == (2, 4, None)
        assert [(m.number, m.nick, m.own) for m in answer.members] == [
            (2, "bert", 1),
            (3, "guest-3", 0),
        ]

    def test_has_no_holes_where_somebody_has_left(self) -> None:
        relay = SessionRelay()
        anna, bert, _ = joined(relay, "anna", "bert", "carl")
        relay.hub.kick(bert.session, relay.now)
        relay.settle()
        assert [m.nick for m in self.roster(anna, 0).members] == ["anna", "carl"]

    def test_is_empty_where_there_is_nobody(self) -> None:
        (anna,) = joined(SessionRelay(), "anna")
        assert self.roster(anna, 2).members == ()

    def test_of_many_is_read_page_by_page(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        for number in range(300):
            relay.receive(f"10.1.0.1:{1000 + number}")
        members, number = [], 0
        while number is not None:
            answer = self.roster(anna, number)
            members += answer.members
            number = answer.more_from
        assert [m.number for m in members] == list(range(1, 302))


@pytest.mark.parametrize("stream", [0, 1])
def test_what_nobody_has_said_cannot_be_asked_for(stream: int) -> None:
    relay = SessionRelay()
    (anna,) = joined(relay, "anna")
    assert anna.nack((5, 3), stream=stream) == []
    assert relay.dropped() == {"outside-sequence": 1}


def test_entries_are_sent_again_like_data() -> None:
    relay = SessionRelay()
    (anna,) = joined(relay, "anna")
    Client(relay, BERT, "bert").join()
    (entry,) = anna.take(Entry)
    assert anna.nack((2, 1)) == [entry]
