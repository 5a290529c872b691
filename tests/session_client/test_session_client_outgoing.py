"""One outgoing sequence: retransmission, failure, and resubmission."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udprelay.protocol.wire.header import CONTINUED, MORE, RESUBMITTED
from udprelay.session_client.events import Delivered, Event, Failed
from udprelay.session_client.outgoing import Outgoing
from udprelay.session_client.pieces import Message, Piece
from udprelay.session_client.round_trip import RoundTripEstimator
from udprelay.session_client.settings import Statistics

MAX_PIECE = 10
MEMBER = bytes(16)


class Driver:
    """An :class:`Outgoing` and its round trips."""

    def __init__(self) -> None:
        self.round_trip = RoundTripEstimator()
        self.statistics = Statistics()
        self.events: list[Event] = []
        self.outgoing = Outgoing(self.events.append, self.statistics, self.round_trip, MAX_PIECE)
        self.messages = 0

    def append(
        self, count: int = 1, size: int = 1, now: float = 0.0, receiver: bytes = b""
    ) -> None:
        for _ in range(count):
            self.messages += 1
            self.outgoing.append(Message(self.messages, bytes(size), receiver, now))

    def join(
        self,
        following: int = 1,
        now: float = 0.0,
        *,
        max_piece: int = MAX_PIECE,
        new_room: bool = False,
    ) -> None:
        self.outgoing.start_session(following, max_piece, new_room, now)

    def send(self, now: float = 0.0) -> list[int]:
        """Send all that may be sent; return the own sequences."""
        return [piece.own for piece in self.pieces(now)]

    def pieces(self, now: float = 0.0) -> list[Piece]:
        sent = []
        while self.outgoing.ready:
            sent.append(self.outgoing.pop_piece(now))
        return sent

    def drain_delivered(self) -> list[int]:
        """Return the messages delivered since the last call."""
        delivered = [event for event in self.events if isinstance(event, Delivered)]
        return self._drain(delivered)

    def drain_failed(self, reason: str = "unacknowledged") -> list[int]:
        """Return the messages failed for a reason since the last call."""
        failed = [event for event in self.events if isinstance(event, Failed)]
        return self._drain([event for event in failed if event.reason == reason])

    def _drain(self, events: Sequence[Delivered | Failed]) -> list[int]:
        for event in events:
            self.events.remove(event)
        return [event.message for event in events]

    def pass_to(self, until: float) -> list[tuple[float, int]]:
        """Let time pass; return the times and own sequences of what was sent."""
        sent = []
        while self.outgoing.deadline <= until:
            now = self.outgoing.deadline
            self.outgoing.expire(now)
            sent += [(now, own) for own in self.send(now)]
        return sent


@pytest.fixture
def driver() -> Driver:
    return Driver()


@pytest.fixture
def joined(driver: Driver) -> Driver:
    driver.join()
    return driver


def bits(*places: int) -> int:
    return sum(1 << place for place in places)


class TestWindow:
    def test_nothing_is_sent_before_the_session(self, driver: Driver) -> None:
        driver.append()
        assert driver.send() == []
        driver.join()
        assert driver.send() == [1]

    def test_own_sequences_begin_with_one_and_have_no_gaps(self, joined: Driver) -> None:
        joined.append(3)
        assert joined.send() == [1, 2, 3]

    def test_at_most_32_pieces_are_in_flight(self, joined: Driver) -> None:
        joined.append(40)
        assert len(joined.send()) == 32
        assert joined.outgoing.backlog == 8

    def test_acknowledged_pieces_free_the_window(self, joined: Driver) -> None:
        joined.append(40)
        joined.send()
        joined.outgoing.receive_ack(4, 0, 0.1)
        assert joined.send(0.1) == [33, 34, 35]

    def test_pieces_acknowledged_out_of_order_free_the_window(self, joined: Driver) -> None:
        joined.append(40)
        joined.send()
        joined.outgoing.receive_ack(1, bits(0, 1), 0.1)
        assert joined.send(0.1) == [33, 34]

    def test_a_timeout_halves_it_down_to_four(self, joined: Driver) -> None:
        joined.append(64)
        sizes = []
        joined.send()
        for _ in range(5):
            now = joined.outgoing.deadline
            joined.outgoing.expire(now)
            sizes.append(len(joined.send(now)))
        assert sizes == [16, 8, 4, 4, 4]

    def test_simultaneous_timeouts_halve_it_once(self, joined: Driver) -> None:
        joined.append(16)
        for tick in range(16):
            joined.outgoing.pop_piece(tick / 100)
        joined.append(32)
        for tick in range(16):
            joined.outgoing.expire(0.5 + tick / 100)
        assert len(joined.send(0.66)) == 16

    def test_each_acknowledged_window_widens_it_by_one(self, joined: Driver) -> None:
        joined.append(200)
        joined.send()
        joined.outgoing.expire(0.5)
        assert len(joined.send(0.5)) == 16
        joined.outgoing.receive_ack(17, 0, 0.6)
        assert len(joined.send(0.6)) == 17

    def test_it_never_exceeds_32(self, joined: Driver) -> None:
        joined.append(200)
        for _ in range(4):
            sent = joined.send()
            joined.outgoing.receive_ack(sent[-1] + 1, 0, 0.1)
        assert len(joined.send()) == 32

    def test_nothing_is_sent_more_than_64_ahead_of_a_missing_piece(self, joined: Driver) -> None:
        joined.append(200)
        joined.send()
        for _ in range(10):
            joined.outgoing.receive_ack(1, 2**64 - 1, 0.1)
            joined.send(0.1)
        assert joined.outgoing.next == 66


class TestRetransmission:
    def test_the_timeout_doubles_with_each_retransmission_up_to_4_s(self, joined: Driver) -> None:
        joined.append()
        joined.send()
        assert [now for now, _ in joined.pass_to(16.0)] == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5]

    def test_the_second_timeout_of_a_piece_is_reported(self, joined: Driver) -> None:
        joined.append()
        joined.send()
        assert not joined.outgoing.expire(0.5)
        joined.send(0.5)
        assert joined.outgoing.expire(1.5)

    def test_an_acknowledged_piece_is_not_retransmitted(self, joined: Driver) -> None:
        joined.append()
        joined.send()
        joined.outgoing.receive_ack(2, 0, 0.1)
        assert joined.outgoing.deadline == inf

    def test_a_piece_acknowledged_before_its_retransmission_is_not_retransmitted(
        self, joined: Driver
    ) -> None:
        joined.append(2)
        joined.send()
        joined.outgoing.expire(0.5)
        joined.outgoing.receive_ack(1, bits(0), 0.5)
        assert joined.send(0.5) == [1]

    def test_a_piece_is_retransmitted_at_once_when_three_later_ones_are_acknowledged(
        self, joined: Driver
    ) -> None:
        joined.append(4)
        joined.send()
        joined.outgoing.receive_ack(1, bits(0, 1), 0.1)
        assert joined.send(0.1) == []
        joined.outgoing.receive_ack(1, bits(0, 1, 2), 0.1)
        assert joined.send(0.1) == [1]

    def test_a_piece_is_retransmitted_before_its_timeout_only_once(self, joined: Driver) -> None:
        joined.append(6)
        joined.send()
        joined.outgoing.receive_ack(1, bits(0, 1, 2), 0.1)
        joined.send(0.1)
        joined.outgoing.receive_ack(1, bits(0, 1, 2, 3, 4), 0.2)
        assert joined.send(0.2) == []

    def test_a_timed_out_piece_is_queued_for_retransmission_once(self, joined: Driver) -> None:
        joined.append(5)
        joined.send()
        for _ in range(3):
            joined.outgoing.expire(0.5)
        joined.outgoing.receive_ack(1, bits(0, 1, 2), 0.5)
        assert joined.send(0.5) == [1, 5]

    def test_retransmissions_are_counted(self, joined: Driver) -> None:
        joined.append()
        joined.send()
        joined.pass_to(4.0)
        assert joined.statistics.repeated == 3

    def test_a_piece_sent_once_gives_a_round_trip(self, joined: Driver) -> None:
        joined.append()
        joined.send()
        joined.outgoing.receive_ack(2, 0, 0.25)
        assert joined.round_trip.smoothed == 0.25

    def test_a_retransmitted_piece_gives_no_round_trip(self, joined: Driver) -> None:
        joined.append()
        joined.send()
        joined.pass_to(0.5)
        joined.outgoing.receive_ack(2, 0, 0.75)
        assert joined.round_trip.smoothed is None

    def test_the_newest_acknowledged_piece_gives_the_round_trip(self, joined: Driver) -> None:
        joined.append()
        joined.send(0.0)
        joined.append()
        joined.send(0.3)
        joined.outgoing.receive_ack(3, 0, 0.4)
        assert joined.round_trip.smoothed == pytest.approx(0.1)

    def test_an_old_acknowledgement_has_no_effect(self, joined: Driver) -> None:
        joined.append(3)
        joined.send()
        joined.outgoing.receive_ack(3, 0, 0.1)
        joined.outgoing.receive_ack(2, 0, 0.2)
        joined.outgoing.receive_ack(3, 0, 0.2)
        assert (joined.outgoing.first, joined.outgoing.outstanding) == (3, {3})

    def test_an_acknowledgement_beyond_the_last_piece_covers_the_sent_ones(
        self, joined: Driver
    ) -> None:
        joined.append(2)
        joined.send()
        joined.outgoing.receive_ack(1000, 2**64 - 1, 0.1)
        assert (joined.outgoing.first, joined.outgoing.next) == (3, 3)


class TestMessages:
    def test_messages_are_delivered_in_order(self, joined: Driver) -> None:
        joined.append(2)
        joined.send()
        joined.outgoing.receive_ack(1, bits(0), 0.1)
        assert joined.drain_delivered() == []
        joined.outgoing.receive_ack(3, 0, 0.2)
        assert joined.drain_delivered() == [1, 2]
        assert joined.outgoing.outstanding == set()

    def test_a_message_is_delivered_with_its_last_piece(self, joined: Driver) -> None:
        joined.append(size=25)
        assert [piece.flags for piece in joined.pieces()] == [MORE, MORE | CONTINUED, CONTINUED]
        joined.outgoing.receive_ack(3, 0, 0.1)
        assert joined.drain_delivered() == []
        joined.outgoing.receive_ack(4, 0, 0.1)
        assert joined.drain_delivered() == [1]

    def test_the_backlog_is_counted_in_datagrams_and_bytes(self, driver: Driver) -> None:
        driver.append(size=25)
        driver.append(size=10)
        assert (driver.outgoing.backlog, driver.outgoing.backlog_bytes) == (4, 35)

    def test_smaller_pieces_change_the_backlog(self, driver: Driver) -> None:
        driver.append(size=25)
        driver.join(max_piece=5)
        assert driver.outgoing.backlog == 5
        assert len(driver.send()) == 5
        assert (driver.outgoing.backlog, driver.outgoing.backlog_bytes) == (0, 0)

    def test_a_message_fails_60_s_after_its_first_transmission(self, joined: Driver) -> None:
        joined.append()
        joined.send()
        joined.pass_to(59.9)
        assert joined.drain_failed() == []
        joined.pass_to(60.0)
        assert joined.drain_failed() == [1]
        assert joined.outgoing.needs_new_session

    def test_a_message_fails_with_all_its_pieces(self, joined: Driver) -> None:
        joined.append(size=10 * 40)
        joined.append(now=1.0)
        joined.send()
        joined.outgoing.expire(60.0)
        assert joined.drain_failed() == [1]
        assert joined.outgoing.backlog == 1

    def test_messages_after_a_failed_one_are_sent_in_the_next_session(
        self, joined: Driver
    ) -> None:
        joined.append(2)
        joined.outgoing.pop_piece(0.0)
        joined.outgoing.pop_piece(1.0)
        joined.outgoing.expire(60.0)
        joined.outgoing.end_session(60.0, 60.0)
        assert joined.outgoing.offer(60.0) == 2
        joined.join(2, 60.0)
        assert joined.send(60.0) == [2]
        assert not joined.outgoing.needs_new_session

    def test_the_60_s_restart_in_another_session(self, joined: Driver) -> None:
        joined.append()
        joined.send()
        joined.outgoing.end_session(1.0, 25.0)
        joined.join(1, 50.0)
        joined.send(50.0)
        joined.pass_to(109.0)
        assert joined.drain_failed() == []
        joined.pass_to(110.0)
        assert joined.drain_failed() == [1]

    def test_a_message_fails_120_s_after_its_first_transmission_in_any_session(
        self, joined: Driver
    ) -> None:
        joined.append()
        joined.send()
        joined.outgoing.end_session(1.0, 25.0)
        assert joined.outgoing.deadline == 120.0
        joined.outgoing.expire(120.0)
        assert joined.drain_failed() == [1]
        assert not joined.outgoing.needs_new_session

    def test_a_message_fails_after_waiting_120_s_for_a_session(self, driver: Driver) -> None:
        driver.append(now=5.0)
        assert driver.outgoing.deadline == 125.0
        driver.outgoing.expire(125.0)
        assert driver.drain_failed() == [1]
        assert driver.outgoing.backlog == 0

    def test_a_message_that_waits_for_the_window_does_not_fail(self, joined: Driver) -> None:
        joined.append(40)
        for _ in range(100):
            joined.send(0.0)
        assert joined.outgoing.deadline == 0.5
        joined.outgoing.receive_ack(33, 0, 100.0)
        assert joined.outgoing.deadline == inf

    def test_waiting_for_a_session_starts_at_the_end_of_the_last_one(self, joined: Driver) -> None:
        joined.append(33)
        joined.send()
        joined.outgoing.receive_ack(33, 0, 0.0)
        joined.outgoing.end_session(1000.0, 1025.0)
        assert joined.outgoing.deadline == 1145.0

    def test_a_piece_that_fails_after_join_has_offered_it_needs_another_session(
        self, joined: Driver
    ) -> None:
        """JOIN was in flight when the piece that it offered failed."""
        joined.append(2)
        joined.outgoing.pop_piece(0.0)
        joined.outgoing.pop_piece(1.0)
        joined.outgoing.end_session(1.0, 25.0)
        assert joined.outgoing.offer(119.9) == 1
        joined.outgoing.expire(120.0)
        joined.join(1, 120.1)
        assert joined.outgoing.needs_new_session

    def test_a_relay_that_still_waits_for_a_failed_piece_causes_no_endless_sessions(
        self, joined: Driver
    ) -> None:
        joined.append(2)
        joined.outgoing.pop_piece(0.0)
        joined.outgoing.pop_piece(1.0)
        joined.outgoing.expire(60.0)
        joined.outgoing.end_session(60.0, 60.0)
        assert joined.outgoing.offer(60.0) == 2
        joined.join(1, 60.1)
        assert not joined.outgoing.needs_new_session

    def test_a_private_message_fails_once(self, joined: Driver) -> None:
        joined.append(receiver=MEMBER)
        joined.send()
        joined.outgoing.fail(1, "absent")
        joined.outgoing.fail(1, "absent")
        assert joined.drain_failed("absent") == [1]
        joined.outgoing.receive_ack(2, 0, 0.1)
        assert joined.drain_delivered() == []

    def test_the_other_pieces_of_a_failed_message_are_not_sent(self, joined: Driver) -> None:
        joined.append(size=10 * 40, receiver=MEMBER)
        joined.send()
        joined.outgoing.fail(1, "absent")
        joined.outgoing.receive_ack(33, 0, 0.1)
        assert (joined.send(0.1), joined.outgoing.backlog) == ([], 0)

    def test_a_timed_out_message_does_not_fail_again(self, joined: Driver) -> None:
        joined.append(receiver=MEMBER)
        joined.send()
        joined.outgoing.expire(60.0)
        assert joined.drain_failed() == [1]
        joined.outgoing.fail(1, "absent")
        assert joined.events == []

    def test_a_failed_message_is_not_offered_again(self, joined: Driver) -> None:
        joined.append(2, receiver=MEMBER)
        joined.send()
        joined.outgoing.receive_ack(3, 0, 0.1)
        joined.outgoing.fail(1, "absent")
        assert joined.outgoing.offer(1.0) == 2

    def test_receivers_are_those_of_all_unacknowledged_messages(self, joined: Driver) -> None:
        joined.append(33, receiver=MEMBER)
        joined.send()
        joined.append(receiver=b"another")
        assert joined.outgoing.receivers == {MEMBER, b"another"}


class TestSessions:
    def test_a_resumed_session_retransmits_what_the_relay_lacks(self, joined: Driver) -> None:
        joined.append(4)
        joined.send()
        joined.outgoing.receive_ack(2, bits(0), 0.1)
        joined.outgoing.end_session(0.1, 10.0)
        joined.outgoing.offer(10.0)
        joined.join(3, 10.0)
        assert [(p.own, p.flags) for p in joined.pieces(10.0)] == [(3, 0), (4, 0)]
        assert joined.drain_delivered() == [1, 2]

    def test_a_resumed_session_retransmits_pieces_acknowledged_out_of_order(
        self, joined: Driver
    ) -> None:
        joined.append(3)
        joined.send()
        joined.outgoing.receive_ack(1, bits(0), 0.1)
        joined.outgoing.end_session(0.1, 10.0)
        joined.join(1, 10.0)
        assert joined.send(10.0) == [1, 2, 3]

    def test_acknowledged_messages_are_offered(self, joined: Driver) -> None:
        joined.append(3)
        joined.send()
        joined.outgoing.receive_ack(3, 0, 0.1)
        assert joined.outgoing.offer(1.0) == 1

    def test_a_new_room_gets_acknowledged_messages_marked_as_resubmitted(
        self, joined: Driver
    ) -> None:
        joined.append(3)
        joined.send()
        joined.outgoing.receive_ack(3, 0, 0.1)
        joined.append()
        joined.drain_delivered()
        joined.outgoing.end_session(0.1, 25.0)
        joined.outgoing.offer(25.0)
        joined.join(1, 25.0, new_room=True)
        sent = [(piece.own, piece.flags & RESUBMITTED) for piece in joined.pieces(25.0)]
        assert sent == [(1, RESUBMITTED), (2, RESUBMITTED), (3, RESUBMITTED), (4, 0)]
        joined.outgoing.receive_ack(5, 0, 25.1)
        assert joined.drain_delivered() == [3, 4]

    def test_the_same_room_gets_them_marked_if_the_relay_has_lost_them(
        self, joined: Driver
    ) -> None:
        joined.append(2)
        joined.send()
        joined.outgoing.receive_ack(2, 0, 0.1)
        joined.outgoing.end_session(0.1, 25.0)
        joined.outgoing.offer(25.0)
        joined.join(1, 25.0)
        sent = [(piece.own, piece.flags) for piece in joined.pieces(25.0)]
        assert sent == [(1, RESUBMITTED), (2, RESUBMITTED)]

    def test_they_are_offered_if_acknowledged_30_s_before_the_relay_was_last_heard(
        self, joined: Driver
    ) -> None:
        joined.append(2)
        joined.send()
        joined.outgoing.receive_ack(2, 0, 1.0)
        joined.outgoing.receive_ack(3, 0, 2.0)
        joined.outgoing.end_session(31.5, 56.0)
        assert joined.outgoing.offer(56.0) == 2

    def test_they_are_offered_for_150_s_at_most(self, joined: Driver) -> None:
        joined.append(2)
        joined.send()
        joined.outgoing.receive_ack(2, 0, 1.0)
        joined.outgoing.receive_ack(3, 0, 2.0)
        joined.outgoing.end_session(2.0, 27.0)
        assert joined.outgoing.offer(151.5) == 2

    def test_nothing_before_a_failed_message_is_offered(self, joined: Driver) -> None:
        joined.append(2)
        joined.send()
        joined.outgoing.receive_ack(2, 0, 50.0)
        joined.outgoing.expire(60.0)
        joined.outgoing.end_session(60.0, 60.0)
        assert joined.outgoing.offer(60.0) == 3

    def test_the_timeouts_of_a_resubmitted_message_restart(self, joined: Driver) -> None:
        joined.append()
        joined.send()
        joined.outgoing.receive_ack(2, 0, 50.0)
        joined.outgoing.end_session(50.0, 75.0)
        joined.outgoing.offer(119.0)
        joined.join(1, 119.0, new_room=True)
        joined.send(119.0)
        joined.outgoing.expire(178.0)
        assert joined.send(178.0) == [1]
        joined.outgoing.expire(179.0)
        assert joined.outgoing.needs_new_session
        assert joined.drain_failed() == []

    def test_a_delivered_private_message_can_fail_when_it_is_resubmitted(
        self, joined: Driver
    ) -> None:
        joined.append(receiver=MEMBER)
        joined.send()
        joined.outgoing.receive_ack(2, 0, 0.1)
        joined.outgoing.end_session(0.1, 25.0)
        joined.outgoing.offer(25.0)
        joined.join(1, 25.0, new_room=True)
        joined.send(25.0)
        # The relay that acknowledged it may have died before it forwarded it.
        joined.outgoing.fail(1, "absent")
        assert joined.drain_failed("absent") == [1]

    def test_a_relay_that_claims_unsent_pieces_does_not_change_own_sequences(
        self, joined: Driver
    ) -> None:
        joined.append(2)
        joined.send()
        joined.outgoing.end_session(0.1, 25.0)
        joined.join(100, 25.0)
        assert joined.drain_delivered() == [1, 2]
        joined.append()
        assert joined.send(25.0) == [3]

    def test_ending_a_session_that_never_began_has_no_effect(self, driver: Driver) -> None:
        driver.append(now=1.0)
        driver.outgoing.end_session(5.0, 10.0)
        assert driver.outgoing.deadline == 121.0

    def test_a_restart_begins_with_own_sequence_1(self, joined: Driver) -> None:
        joined.append(40)
        joined.send()
        joined.outgoing.receive_ack(11, 0, 0.1)
        joined.outgoing.end_session(0.1, 1.0)
        joined.outgoing.restart()
        assert joined.drain_failed() == list(range(11, 33))
        assert joined.outgoing.offer(1.0) == 1
        joined.join(1, 1.0)
        assert joined.send(1.0) == [1, 2, 3, 4, 5, 6, 7, 8]

    def test_a_message_sent_in_part_fails_at_a_restart(self, joined: Driver) -> None:
        joined.append(size=10 * 40)
        joined.append()
        joined.send()
        joined.outgoing.receive_ack(33, 0, 0.1)
        joined.outgoing.end_session(0.1, 1.0)
        joined.outgoing.restart()
        assert (joined.drain_failed(), joined.outgoing.backlog) == ([1], 1)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.integers(1, 40)),
            st.tuples(st.just("acknowledge"), st.integers(1, 100), st.integers(0, 2**64 - 1)),
            st.tuples(st.just("pass"), st.floats(0, 50)),
            st.tuples(st.just("lose"), st.floats(0, 50)),
            st.tuples(st.just("join"), st.integers(1, 100), st.booleans()),
            st.tuples(st.just("fail"), st.integers(1, 100)),
        ),
        max_size=40,
    )
)
def test_any_steps_end_each_message_once_and_send_no_piece_twice_at_a_time(
    steps: list[tuple[object, ...]],
) -> None:
    driver, now = Driver(), 0.0
    outgoing = driver.outgoing
    ended: list[int] = []
    for step in steps:
        match step:
            case ("append", int(size)):
                driver.append(size=size, now=now)
            case ("acknowledge", int(following), int(bitmap)):
                outgoing.receive_ack(following, bitmap, now)
            case ("pass", float(seconds)):
                now += seconds
                outgoing.expire(now)
                assert outgoing.deadline > now
            case ("lose", float(seconds)):
                outgoing.end_session(now, now + seconds)
                now += seconds
            case ("join", int(following), bool(new_room)):
                outgoing.end_session(now, now)
                outgoing.offer(now)
                driver.join(following, now, new_room=new_room)
            case ("fail", int(own)):
                outgoing.fail(own, "absent")
        sent = driver.send(now)
        assert len(sent) == len(set(sent)) <= 32
        assert all(outgoing.first <= own < outgoing.next for own in sent)
        # A private message can fail after it was delivered.
        ended += [message for message in driver.drain_failed("absent") if message not in ended]
        ended += driver.drain_delivered() + driver.drain_failed()
        assert len(ended) == len(set(ended))
        assert outgoing.outstanding == set(range(1, driver.messages + 1)) - set(ended)


def test_pieces_from_the_bitmap_are_delivered_when_ack_only_moves_on() -> None:
    driver = Driver()
    driver.join()
    driver.append(5)
    driver.send()
    driver.outgoing.receive_ack(1, 0b1111, 0.1)
    driver.outgoing.receive_ack(3, 0b11, 0.2)
    assert driver.drain_delivered() == [1, 2]
    driver.outgoing.receive_ack(6, 0, 0.3)
    assert driver.drain_delivered() == [3, 4, 5]
