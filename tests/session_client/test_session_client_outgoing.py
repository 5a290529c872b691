"""What is sent reliably: repeated, given up, kept, and offered again."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udprelay.protocol.wire.header import AGAIN, CONTINUED, MORE
from udprelay.session_client.outgoing import Outgoing
from udprelay.session_client.pieces import Message, Piece
from udprelay.session_client.round_trip import RoundTrip

ROOM = 10
MEMBER = bytes(16)


class Sender:
    """An :class:`Outgoing`, and what it has put out."""

    def __init__(self) -> None:
        self.round_trip = RoundTrip()
        self.outgoing = Outgoing(self.round_trip, ROOM)
        self.messages = 0

    def say(self, count: int = 1, size: int = 1, now: float = 0.0, receiver: bytes = b"") -> None:
        for _ in range(count):
            self.messages += 1
            self.outgoing.append(Message(self.messages, bytes(size), receiver, now))

    def join(
        self, following: int = 1, now: float = 0.0, *, room: int = ROOM, another: bool = False
    ) -> None:
        self.outgoing.begin(following, room, another, now)

    def go(self, now: float = 0.0) -> list[int]:
        """Send what may go; return the own sequences."""
        return [piece.own for piece in self.pieces(now)]

    def pieces(self, now: float = 0.0) -> list[Piece]:
        sent = []
        while self.outgoing.ready:
            sent.append(self.outgoing.take(now))
        return sent

    def pass_to(self, until: float) -> list[tuple[float, int]]:
        """Let time pass; return when what was sent."""
        sent = []
        while self.outgoing.deadline <= until:
            now = self.outgoing.deadline
            self.outgoing.expire(now)
            sent += [(now, own) for own in self.go(now)]
        return sent


@pytest.fixture
def sender() -> Sender:
    return Sender()


@pytest.fixture
def joined(sender: Sender) -> Sender:
    sender.join()
    return sender


def bits(*places: int) -> int:
    return sum(1 << place for place in places)


class TestWindow:
    def test_nothing_goes_before_the_client_is_a_member(self, sender: Sender) -> None:
        sender.say()
        assert sender.go() == []
        sender.join()
        assert sender.go() == [1]

    def test_own_sequences_begin_with_one_and_have_no_gaps(self, joined: Sender) -> None:
        joined.say(3)
        assert joined.go() == [1, 2, 3]

    def test_at_most_32_are_under_way(self, joined: Sender) -> None:
        joined.say(40)
        assert len(joined.go()) == 32
        assert joined.outgoing.backlog == 8

    def test_what_is_acknowledged_makes_room(self, joined: Sender) -> None:
        joined.say(40)
        joined.go()
        joined.outgoing.acknowledge(4, 0, 0.1)
        assert joined.go(0.1) == [33, 34, 35]

    def test_what_is_acknowledged_out_of_order_makes_room_too(self, joined: Sender) -> None:
        joined.say(40)
        joined.go()
        joined.outgoing.acknowledge(1, bits(0, 1), 0.1)
        assert joined.go(0.1) == [33, 34]

    def test_it_is_halved_when_a_timer_runs_out_but_not_below_four(self, joined: Sender) -> None:
        joined.say(64)
        sizes = []
        joined.go()
        for _ in range(5):
            now = joined.outgoing.deadline
            joined.outgoing.expire(now)
            sizes.append(len(joined.go(now)))
        assert sizes == [16, 8, 4, 4, 4]

    def test_timers_that_run_out_together_halve_it_once(self, joined: Sender) -> None:
        joined.say(16)
        for tick in range(16):
            joined.outgoing.take(tick / 100)
        joined.say(32)
        for tick in range(16):
            joined.outgoing.expire(0.5 + tick / 100)
        assert len(joined.go(0.66)) == 16

    def test_it_grows_by_one_with_each_window_acknowledged(self, joined: Sender) -> None:
        joined.say(200)
        joined.go()
        joined.outgoing.expire(0.5)
        assert len(joined.go(0.5)) == 16
        joined.outgoing.acknowledge(17, 0, 0.6)
        assert len(joined.go(0.6)) == 17

    def test_it_does_not_grow_beyond_32(self, joined: Sender) -> None:
        joined.say(200)
        for _ in range(4):
            sent = joined.go()
            joined.outgoing.acknowledge(sent[-1] + 1, 0, 0.1)
        assert len(joined.go()) == 32

    def test_nothing_goes_more_than_64_ahead_of_what_is_missing(self, joined: Sender) -> None:
        joined.say(200)
        joined.go()
        for _ in range(10):
            joined.outgoing.acknowledge(1, 2**64 - 1, 0.1)
            joined.go(0.1)
        assert joined.outgoing.next == 66


class TestRepeating:
    def test_what_is_not_acknowledged_is_repeated_after_pauses_that_double(
        self, joined: Sender
    ) -> None:
        joined.say()
        joined.go()
        assert [now for now, _ in joined.pass_to(16.0)] == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5]

    def test_what_goes_for_the_third_time_is_a_reason_to_doubt(self, joined: Sender) -> None:
        joined.say()
        joined.go()
        assert not joined.outgoing.expire(0.5)
        joined.go(0.5)
        assert joined.outgoing.expire(1.5)

    def test_what_is_acknowledged_is_not_repeated(self, joined: Sender) -> None:
        joined.say()
        joined.go()
        joined.outgoing.acknowledge(2, 0, 0.1)
        assert joined.outgoing.deadline == inf

    def test_what_was_to_be_repeated_when_it_was_acknowledged_is_not(self, joined: Sender) -> None:
        joined.say(2)
        joined.go()
        joined.outgoing.expire(0.5)
        joined.outgoing.acknowledge(1, bits(0), 0.5)
        assert joined.go(0.5) == [1]

    def test_what_three_later_ones_overtake_is_repeated_at_once(self, joined: Sender) -> None:
        joined.say(4)
        joined.go()
        joined.outgoing.acknowledge(1, bits(0, 1), 0.1)
        assert joined.go(0.1) == []
        joined.outgoing.acknowledge(1, bits(0, 1, 2), 0.1)
        assert joined.go(0.1) == [1]

    def test_it_is_repeated_at_once_only_once(self, joined: Sender) -> None:
        joined.say(6)
        joined.go()
        joined.outgoing.acknowledge(1, bits(0, 1, 2), 0.1)
        joined.go(0.1)
        joined.outgoing.acknowledge(1, bits(0, 1, 2, 3, 4), 0.2)
        assert joined.go(0.2) == []

    def test_it_is_not_repeated_at_once_if_its_timer_has_run_out(self, joined: Sender) -> None:
        joined.say(5)
        joined.go()
        for _ in range(3):
            joined.outgoing.expire(0.5)
        joined.outgoing.acknowledge(1, bits(0, 1, 2), 0.5)
        assert joined.go(0.5) == [1, 5]

    def test_repetitions_are_counted(self, joined: Sender) -> None:
        joined.say()
        joined.go()
        joined.pass_to(4.0)
        assert joined.outgoing.repeated == 3

    def test_round_trips_are_learned_from_what_was_sent_once(self, joined: Sender) -> None:
        joined.say()
        joined.go()
        joined.outgoing.acknowledge(2, 0, 0.25)
        assert joined.round_trip.smoothed == 0.25

    def test_round_trips_are_not_learned_from_what_was_repeated(self, joined: Sender) -> None:
        joined.say()
        joined.go()
        joined.pass_to(0.5)
        joined.outgoing.acknowledge(2, 0, 0.75)
        assert joined.round_trip.smoothed is None

    def test_the_round_trip_is_that_of_the_newest_acknowledged(self, joined: Sender) -> None:
        joined.say()
        joined.go(0.0)
        joined.say()
        joined.go(0.3)
        joined.outgoing.acknowledge(3, 0, 0.4)
        assert joined.round_trip.smoothed == pytest.approx(0.1)

    def test_an_old_acknowledgement_changes_nothing(self, joined: Sender) -> None:
        joined.say(3)
        joined.go()
        joined.outgoing.acknowledge(3, 0, 0.1)
        joined.outgoing.acknowledge(2, 0, 0.2)
        joined.outgoing.acknowledge(3, 0, 0.2)
        assert (joined.outgoing.first, joined.outgoing.open) == (3, {3})

    def test_an_acknowledgement_of_what_was_not_sent_counts_for_what_was(
        self, joined: Sender
    ) -> None:
        joined.say(2)
        joined.go()
        joined.outgoing.acknowledge(1000, 2**64 - 1, 0.1)
        assert (joined.outgoing.first, joined.outgoing.next) == (3, 3)


class TestMessages:
    def test_a_message_is_delivered_when_all_before_it_is(self, joined: Sender) -> None:
        joined.say(2)
        joined.go()
        joined.outgoing.acknowledge(1, bits(0), 0.1)
        assert joined.outgoing.take_delivered() == []
        joined.outgoing.acknowledge(3, 0, 0.2)
        assert joined.outgoing.take_delivered() == [1, 2]
        assert joined.outgoing.open == set()

    def test_a_message_in_pieces_is_delivered_with_the_last_one(self, joined: Sender) -> None:
        joined.say(size=25)
        assert [piece.flags for piece in joined.pieces()] == [MORE, MORE | CONTINUED, CONTINUED]
        joined.outgoing.acknowledge(3, 0, 0.1)
        assert joined.outgoing.take_delivered() == []
        joined.outgoing.acknowledge(4, 0, 0.1)
        assert joined.outgoing.take_delivered() == [1]

    def test_the_backlog_is_counted_in_datagrams_and_bytes(self, sender: Sender) -> None:
        sender.say(size=25)
        sender.say(size=10)
        assert (sender.outgoing.backlog, sender.outgoing.backlog_bytes) == (4, 35)

    def test_the_backlog_is_counted_anew_when_pieces_are_smaller(self, sender: Sender) -> None:
        sender.say(size=25)
        sender.join(room=5)
        assert sender.outgoing.backlog == 5
        assert len(sender.go()) == 5
        assert (sender.outgoing.backlog, sender.outgoing.backlog_bytes) == (0, 0)

    def test_60_s_after_it_was_sent_first_a_message_has_failed(self, joined: Sender) -> None:
        joined.say()
        joined.go()
        joined.pass_to(59.9)
        assert joined.outgoing.take_failed() == []
        joined.pass_to(60.0)
        assert joined.outgoing.take_failed() == [1]
        assert joined.outgoing.stuck

    def test_it_fails_with_all_its_pieces(self, joined: Sender) -> None:
        joined.say(size=10 * 40)
        joined.say(now=1.0)
        joined.go()
        joined.outgoing.expire(60.0)
        assert joined.outgoing.take_failed() == [1]
        assert joined.outgoing.backlog == 1

    def test_what_came_after_it_goes_on_in_the_next_session(self, joined: Sender) -> None:
        joined.say(2)
        joined.outgoing.take(0.0)
        joined.outgoing.take(1.0)
        joined.outgoing.expire(60.0)
        joined.outgoing.end(60.0, 60.0)
        assert joined.outgoing.offer(60.0) == 2
        joined.join(2, 60.0)
        assert joined.go(60.0) == [2]
        assert not joined.outgoing.stuck

    def test_60_s_begin_anew_in_another_session(self, joined: Sender) -> None:
        joined.say()
        joined.go()
        joined.outgoing.end(1.0, 25.0)
        joined.join(1, 50.0)
        joined.go(50.0)
        joined.pass_to(109.0)
        assert joined.outgoing.take_failed() == []
        joined.pass_to(110.0)
        assert joined.outgoing.take_failed() == [1]

    def test_120_s_after_it_was_sent_first_at_all_it_has_failed(self, joined: Sender) -> None:
        joined.say()
        joined.go()
        joined.outgoing.end(1.0, 25.0)
        assert joined.outgoing.deadline == 120.0
        joined.outgoing.expire(120.0)
        assert joined.outgoing.take_failed() == [1]
        assert not joined.outgoing.stuck

    def test_what_has_waited_120_s_for_a_session_has_failed(self, sender: Sender) -> None:
        sender.say(now=5.0)
        assert sender.outgoing.deadline == 125.0
        sender.outgoing.expire(125.0)
        assert sender.outgoing.take_failed() == [1]
        assert sender.outgoing.backlog == 0

    def test_what_waits_for_the_window_does_not_fail(self, joined: Sender) -> None:
        joined.say(40)
        for _ in range(100):
            joined.go(0.0)
        assert joined.outgoing.deadline == 0.5
        joined.outgoing.acknowledge(33, 0, 100.0)
        assert joined.outgoing.deadline == inf

    def test_waiting_for_a_session_begins_when_the_last_one_ends(self, joined: Sender) -> None:
        joined.say(33)
        joined.go()
        joined.outgoing.acknowledge(33, 0, 0.0)
        joined.outgoing.end(1000.0, 1025.0)
        assert joined.outgoing.deadline == 1145.0

    def test_a_gap_that_the_relay_may_wait_for_takes_another_session(self, joined: Sender) -> None:
        """The JOIN was under way when what it offered was given up."""
        joined.say(2)
        joined.outgoing.take(0.0)
        joined.outgoing.take(1.0)
        joined.outgoing.end(1.0, 25.0)
        assert joined.outgoing.offer(119.9) == 1
        joined.outgoing.expire(120.0)
        joined.join(1, 120.1)
        assert joined.outgoing.stuck

    def test_a_relay_that_waits_all_the_same_is_not_asked_for_ever(self, joined: Sender) -> None:
        joined.say(2)
        joined.outgoing.take(0.0)
        joined.outgoing.take(1.0)
        joined.outgoing.expire(60.0)
        joined.outgoing.end(60.0, 60.0)
        assert joined.outgoing.offer(60.0) == 2
        joined.join(1, 60.1)
        assert not joined.outgoing.stuck

    def test_a_private_message_that_the_relay_reports_has_failed(self, joined: Sender) -> None:
        joined.say(receiver=MEMBER)
        joined.go()
        assert joined.outgoing.fail(1) == 1
        assert joined.outgoing.fail(1) is None
        joined.outgoing.acknowledge(2, 0, 0.1)
        assert joined.outgoing.take_delivered() == []

    def test_its_other_pieces_don_t_go(self, joined: Sender) -> None:
        joined.say(size=10 * 40, receiver=MEMBER)
        joined.go()
        joined.outgoing.fail(1)
        joined.outgoing.acknowledge(33, 0, 0.1)
        assert (joined.go(0.1), joined.outgoing.backlog) == ([], 0)

    def test_what_was_given_up_does_not_fail_again(self, joined: Sender) -> None:
        joined.say(receiver=MEMBER)
        joined.go()
        joined.outgoing.expire(60.0)
        assert joined.outgoing.take_failed() == [1]
        assert joined.outgoing.fail(1) is None

    def test_what_has_failed_is_not_offered_again(self, joined: Sender) -> None:
        joined.say(2, receiver=MEMBER)
        joined.go()
        joined.outgoing.acknowledge(3, 0, 0.1)
        joined.outgoing.fail(1)
        assert joined.outgoing.offer(1.0) == 2

    def test_it_knows_whom_it_has_private_messages_for(self, joined: Sender) -> None:
        joined.say(33, receiver=MEMBER)
        joined.go()
        joined.say(receiver=b"another")
        assert joined.outgoing.receivers == {MEMBER, b"another"}


class TestSessions:
    def test_a_session_resumed_repeats_what_the_relay_has_not(self, joined: Sender) -> None:
        joined.say(4)
        joined.go()
        joined.outgoing.acknowledge(2, bits(0), 0.1)
        joined.outgoing.end(0.1, 10.0)
        joined.outgoing.offer(10.0)
        joined.join(3, 10.0)
        assert [(p.own, p.flags) for p in joined.pieces(10.0)] == [(3, 0), (4, 0)]
        assert joined.outgoing.take_delivered() == [1, 2]

    def test_it_repeats_what_was_acknowledged_out_of_order_too(self, joined: Sender) -> None:
        joined.say(3)
        joined.go()
        joined.outgoing.acknowledge(1, bits(0), 0.1)
        joined.outgoing.end(0.1, 10.0)
        joined.join(1, 10.0)
        assert joined.go(10.0) == [1, 2, 3]

    def test_kept_messages_are_offered(self, joined: Sender) -> None:
        joined.say(3)
        joined.go()
        joined.outgoing.acknowledge(3, 0, 0.1)
        assert joined.outgoing.offer(1.0) == 1

    def test_another_room_gets_them_again_and_what_was_sent_before(self, joined: Sender) -> None:
        joined.say(3)
        joined.go()
        joined.outgoing.acknowledge(3, 0, 0.1)
        joined.say()
        joined.outgoing.take_delivered()
        joined.outgoing.end(0.1, 25.0)
        joined.outgoing.offer(25.0)
        joined.join(1, 25.0, another=True)
        sent = [(piece.own, piece.flags & AGAIN) for piece in joined.pieces(25.0)]
        assert sent == [(1, AGAIN), (2, AGAIN), (3, AGAIN), (4, 0)]
        joined.outgoing.acknowledge(5, 0, 25.1)
        assert joined.outgoing.take_delivered() == [3, 4]

    def test_the_same_room_gets_them_again_if_the_relay_has_forgotten(
        self, joined: Sender
    ) -> None:
        joined.say(2)
        joined.go()
        joined.outgoing.acknowledge(2, 0, 0.1)
        joined.outgoing.end(0.1, 25.0)
        joined.outgoing.offer(25.0)
        joined.join(1, 25.0)
        sent = [(piece.own, piece.flags) for piece in joined.pieces(25.0)]
        assert sent == [(1, AGAIN), (2, AGAIN)]

    def test_they_are_kept_30_s_by_the_time_that_the_relay_was_heard(self, joined: Sender) -> None:
        joined.say(2)
        joined.go()
        joined.outgoing.acknowledge(2, 0, 1.0)
        joined.outgoing.acknowledge(3, 0, 2.0)
        joined.outgoing.end(31.5, 56.0)
        assert joined.outgoing.offer(56.0) == 2

    def test_they_are_kept_150_s_at_most(self, joined: Sender) -> None:
        joined.say(2)
        joined.go()
        joined.outgoing.acknowledge(2, 0, 1.0)
        joined.outgoing.acknowledge(3, 0, 2.0)
        joined.outgoing.end(2.0, 27.0)
        assert joined.outgoing.offer(151.5) == 2

    def test_nothing_from_before_what_has_failed_is_offered(self, joined: Sender) -> None:
        joined.say(2)
        joined.go()
        joined.outgoing.acknowledge(2, 0, 50.0)
        joined.outgoing.expire(60.0)
        joined.outgoing.end(60.0, 60.0)
        assert joined.outgoing.offer(60.0) == 3

    def test_what_is_offered_again_has_its_time_anew(self, joined: Sender) -> None:
        joined.say()
        joined.go()
        joined.outgoing.acknowledge(2, 0, 50.0)
        joined.outgoing.end(50.0, 75.0)
        joined.outgoing.offer(119.0)
        joined.join(1, 119.0, another=True)
        joined.go(119.0)
        joined.outgoing.expire(178.0)
        assert joined.go(178.0) == [1]
        joined.outgoing.expire(179.0)
        assert joined.outgoing.stuck
        assert joined.outgoing.take_failed() == []

    def test_a_private_message_delivered_can_fail_when_it_is_offered_again(
        self, joined: Sender
    ) -> None:
        joined.say(receiver=MEMBER)
        joined.go()
        joined.outgoing.acknowledge(2, 0, 0.1)
        joined.outgoing.end(0.1, 25.0)
        joined.outgoing.offer(25.0)
        joined.join(1, 25.0, another=True)
        joined.go(25.0)
        # The relay that had it may have died before it passed it on.
        assert joined.outgoing.fail(1) == 1

    def test_nothing_is_numbered_anew_because_of_what_a_relay_claims(self, joined: Sender) -> None:
        joined.say(2)
        joined.go()
        joined.outgoing.end(0.1, 25.0)
        joined.join(100, 25.0)
        assert joined.outgoing.take_delivered() == [1, 2]
        joined.say()
        assert joined.go(25.0) == [3]

    def test_the_end_of_a_session_that_was_none_changes_nothing(self, sender: Sender) -> None:
        sender.say(now=1.0)
        sender.outgoing.end(5.0, 10.0)
        assert sender.outgoing.deadline == 121.0

    def test_somebody_else_begins_with_one(self, joined: Sender) -> None:
        joined.say(40)
        joined.go()
        joined.outgoing.acknowledge(11, 0, 0.1)
        joined.outgoing.end(0.1, 1.0)
        joined.outgoing.renew()
        assert joined.outgoing.take_failed() == list(range(11, 33))
        assert joined.outgoing.offer(1.0) == 1
        joined.join(1, 1.0)
        assert joined.go(1.0) == [1, 2, 3, 4, 5, 6, 7, 8]

    def test_what_is_half_sent_fails_then(self, joined: Sender) -> None:
        joined.say(size=10 * 40)
        joined.say()
        joined.go()
        joined.outgoing.acknowledge(33, 0, 0.1)
        joined.outgoing.end(0.1, 1.0)
        joined.outgoing.renew()
        assert (joined.outgoing.take_failed(), joined.outgoing.backlog) == ([1], 1)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("say"), st.integers(1, 40)),
            st.tuples(st.just("acknowledge"), st.integers(1, 100), st.integers(0, 2**64 - 1)),
            st.tuples(st.just("pass"), st.floats(0, 50)),
            st.tuples(st.just("lose"), st.floats(0, 50)),
            st.tuples(st.just("join"), st.integers(1, 100), st.booleans()),
            st.tuples(st.just("fail"), st.integers(1, 100)),
        ),
        max_size=40,
    )
)
def test_whatever_comes_each_message_has_one_end_and_nothing_goes_twice(
    steps: list[tuple[object, ...]],
) -> None:
    sender, now = Sender(), 0.0
    outgoing = sender.outgoing
    ended: list[int] = []
    for step in steps:
        match step:
            case ("say", int(size)):
                sender.say(size=size, now=now)
            case ("acknowledge", int(following), int(bitmap)):
                outgoing.acknowledge(following, bitmap, now)
            case ("pass", float(seconds)):
                now += seconds
                outgoing.expire(now)
                assert outgoing.deadline > now
            case ("lose", float(seconds)):
                outgoing.end(now, now + seconds)
                now += seconds
            case ("join", int(following), bool(another)):
                outgoing.end(now, now)
                outgoing.offer(now)
                sender.join(following, now, another=another)
            case ("fail", int(own)):
                failed = outgoing.fail(own)
                if failed is not None and failed not in ended:
                    ended.append(failed)
        sent = sender.go(now)
        assert len(sent) == len(set(sent)) <= 32
        assert all(outgoing.first <= own < outgoing.next for own in sent)
        ended += outgoing.take_delivered() + outgoing.take_failed()
        assert len(ended) == len(set(ended))
        assert outgoing.open == set(range(1, sender.messages + 1)) - set(ended)
