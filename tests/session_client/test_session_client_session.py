"""A session: liveness, nicks, leaving, and joining again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_client_machine import (
    BERT,
    BERT_RECORD,
    OTHER_SESSION,
    OTHER_TAG,
    OWN_NUMBER,
    SESSION,
    TAG,
    ClientDriver,
    joined,
    started,
)

from udprelay.protocol.keys import identity
from udprelay.protocol.wire import FromRelay
from udprelay.protocol.wire.from_client import (
    DataUp,
    Leave,
    NickRequest,
    PathResponse,
    Ping,
)
from udprelay.protocol.wire.from_relay import Bye, Heartbeat, Nicked, PathChallenge, Pong
from udprelay.protocol.wire.header import RELIABLE
from udprelay.protocol.wire.joining import Hello, Join, Unknown
from udprelay.protocol.wire.sequenced import Data
from udprelay.session_client.events import (
    Closed,
    ContactLost,
    Failed,
    Joined,
    NickChanged,
    NickRefused,
    Ponged,
    Received,
    Refused,
)
from udprelay.session_client.message_sender import MessageError
from udprelay.session_client.settings import State


def contact_losses(client: ClientDriver) -> list[str]:
    return [event.reason for event in client.drain_events(ContactLost)]


class TestLiveness:
    def test_a_ping_is_sent_at_each_keepalive(self) -> None:
        client = joined()
        client.pass_time(10)
        client.receive(Heartbeat(TAG, 0))
        client.pass_time(10)
        assert client.times(Ping) == [10, 20]

    def test_unanswered_nacks_cause_a_ping_at_once(self) -> None:
        client = joined()
        # Two NACKs are not answered.
        client.receive(Pong(SESSION, bytes(8), 5, 1))
        client.pass_time(0.5)
        assert len(client.times(Ping)) == 1

    def test_the_keepalive_is_at_least_100_ms(self) -> None:
        client = started()
        client.join(keepalive=1)
        client.pass_time(0.15)
        client.receive(Heartbeat(TAG, 0))
        client.pass_time(0.1)
        assert client.times(Ping) == [0.1, 0.2]

    def test_ping_has_the_settled_room_sequence(self) -> None:
        client = joined(BERT_RECORD)
        client.receive(Data(TAG, RELIABLE, 1, BERT, 1, b"x"))
        client.call("ping")
        assert [ping.settled for ping in client.drain(Ping)] == [1]

    def test_the_user_can_measure_the_round_trip(self) -> None:
        client = joined()
        client.call("ping")
        (token,) = client.drain_tokens()
        client.now += 0.25
        client.receive(Pong(SESSION, token, 0, 0))
        assert client.drain_events(Ponged) == [Ponged(0.25)]

    def test_pongs_of_keepalives_cause_no_event(self) -> None:
        client = joined()
        client.pass_time(10)
        (token,) = client.drain_tokens()
        client.receive(Pong(SESSION, token, 0, 0))
        assert client.drain_events(Ponged) == []

    def test_the_user_cannot_ping_before_the_session(self) -> None:
        client = started()
        client.call("ping")
        assert client.drain(Ping) == []

    def test_six_unanswered_pings_lose_contact_and_it_joins_again(self) -> None:
        client = joined()
        client.pass_time(15.9)
        assert contact_losses(client) == []
        client.pass_time(0.1)
        assert contact_losses(client) == ["silent"]
        assert client.times(Hello) == [0, 16]

    def test_a_datagram_of_another_session_is_no_sign_of_life(self) -> None:
        client = joined()
        client.pass_time(15)
        client.receive(Pong(OTHER_SESSION, bytes(8), 0, 0), Heartbeat(OTHER_TAG, 0))
        client.pass_time(1)
        assert contact_losses(client) == ["silent"]

    def test_the_second_retransmission_causes_a_ping(self) -> None:
        client = joined()
        client.now += 2
        client.call("send", b"x")
        client.pass_time(0.4)
        assert client.times(DataUp) == [2, 2.1, 2.3]
        assert client.times(Ping) == [2.3]

    def test_unacknowledged_messages_make_it_lose_contact_sooner(self) -> None:
        client = joined()
        client.call("send", b"x")
        client.pass_time(8)
        assert contact_losses(client) == ["silent"]

    def test_an_icmp_error_causes_a_ping(self) -> None:
        client = joined()
        client.now += 3
        client.call("receive_icmp_error")
        assert client.times(Ping) == [3]

    def test_icmp_errors_to_three_pings_lose_contact(self) -> None:
        client = joined()
        client.call("receive_icmp_error")
        for _ in range(3):
            client.call("receive_icmp_error")
            client.pass_time(1)
        assert contact_losses(client) == ["unreachable"]
        assert client.session_client.state is State.GREETING

    def test_a_path_challenge_is_answered_at_once(self) -> None:
        client = joined()
        client.receive(PathChallenge(SESSION, b"new path"))
        assert client.drain(PathResponse) == [PathResponse(SESSION, b"new path")]

    def test_a_path_challenge_for_another_session_is_ignored(self) -> None:
        client = joined()
        client.receive(PathChallenge(OTHER_SESSION, b"new path"))
        assert client.datagrams == []


class TestRejoining:
    def test_unknown_makes_it_join_again_at_once(self) -> None:
        client = joined()
        client.now += 5
        client.receive(Unknown(SESSION))
        assert contact_losses(client) == ["unknown"]
        assert client.times(Hello) == [0, 5]

    def test_it_joins_again_at_most_once_per_second(self) -> None:
        client = joined()
        client.receive(Unknown(SESSION))
        assert client.session_client.state is State.WAITING
        client.pass_time(0.9)
        assert client.times(Hello) == [0]
        client.pass_time(0.1)
        assert client.times(Hello) == [0, 1]

    def test_unknown_for_another_session_is_ignored(self) -> None:
        client = joined()
        client.receive(Unknown(OTHER_SESSION))
        assert client.session_client.state is State.JOINED

    def test_join_has_the_same_secret_and_the_settled_sequence(self) -> None:
        client = joined(BERT_RECORD)
        client.receive(Data(TAG, RELIABLE, 1, BERT, 1, b"x"))
        client.now += 5
        client.receive(Unknown(SESSION))
        client.challenge()
        first, second = (d for _, d in client.log if isinstance(d, Join))
        assert (second.secret, second.tag, second.settled) == (first.secret, TAG, 1)

    def test_the_event_says_that_it_resumes(self) -> None:
        client = joined()
        client.now += 5
        client.receive(Unknown(SESSION))
        client.join(session_id=OTHER_SESSION, number=20)
        assert client.drain_events(Joined) == [Joined("lobby", "anna", 20, resumed=True)]
        assert client.session_client.number == 20

    def test_a_new_room_does_not_deliver_a_message_twice(self) -> None:
        client = joined(BERT_RECORD)
        client.receive(Data(TAG, RELIABLE, 1, BERT, 1, b"x"))
        client.now += 5
        client.receive(Unknown(SESSION))
        client.join((BERT_RECORD,), session_id=OTHER_SESSION, tag=OTHER_TAG)
        client.receive(Data(OTHER_TAG, RELIABLE, 1, BERT, 1, b"x"))
        client.receive(Data(OTHER_TAG, RELIABLE, 2, BERT, 2, b"y"))
        assert [event.payload for event in client.drain_events(Received)] == [b"x", b"y"]

    @pytest.mark.parametrize("datagram", [Unknown(SESSION), Heartbeat(TAG, 1)], ids=type)
    def test_messages_acknowledged_30_s_before_the_relay_was_last_heard_are_not_offered(
        self, datagram: FromRelay
    ) -> None:
        client = joined()
        client.call("send", b"x")
        client.acknowledge(2)
        client.now += 60
        client.receive(datagram, Unknown(SESSION))
        client.join(session_id=OTHER_SESSION, tag=OTHER_TAG)
        *_, join = (d for _, d in client.log if isinstance(d, Join))
        assert join.own == ((1, 1) if isinstance(datagram, Unknown) else (2, 1))

    def test_a_bye_with_a_delay_makes_it_join_again_after_that(self) -> None:
        client = joined()
        client.now += 5
        client.receive(Bye(SESSION, "stopping", "Back soon.", retry_after=3000))
        assert contact_losses(client) == ["stopping"]
        assert client.session_client.state is State.WAITING
        client.pass_time(60)
        assert 8 <= client.times(Hello)[1] <= 9.5

    def test_a_bye_without_a_delay_closes_the_client(self) -> None:
        client = joined()
        client.receive(Bye(SESSION, "kicked", "Go away.", retry_after=0))
        assert client.drain_events(Closed) == [Closed("kicked", "Go away.")]
        assert client.session_client.state is State.CLOSED

    def test_a_refusal_with_a_delay_makes_it_join_again_after_that(self) -> None:
        client = joined()
        client.now += 5
        client.receive(Unknown(SESSION))
        client.challenge()
        client.refuse("relay-full", retry_after=2000)
        assert client.session_client.state is State.WAITING
        assert client.drain_events(ContactLost) == [ContactLost("unknown")]
        client.pass_time(3)
        assert 7 <= client.times(Hello)[2] <= 8

    def test_a_refusal_without_a_delay_closes_the_client(self) -> None:
        client = joined()
        client.now += 5
        client.receive(Unknown(SESSION))
        client.challenge()
        client.refuse("wrong-key")
        assert client.drain_events(Refused) == [Refused("wrong-key", "No.")]

    def test_if_its_nick_is_taken_it_joins_with_another(self) -> None:
        client = joined()
        client.now += 5
        client.receive(Unknown(SESSION))
        client.challenge()
        client.refuse("nick-taken")
        client.drain_events(ContactLost)
        client.welcome(number=20)
        assert client.events == [
            Joined("lobby", "anna-2", 20, resumed=True),
            NickChanged(20, "anna", "anna-2", own=True),
        ]
        assert client.session_client.nick == "anna-2"

    def test_if_all_other_nicks_are_taken_it_is_refused(self) -> None:
        client = joined()
        client.now += 5
        client.receive(Unknown(SESSION))
        client.challenge()
        for _ in range(9):
            client.refuse("nick-taken")
        assert client.drain_events(Refused) == [Refused("nick-taken", "No.")]

    def test_the_delay_before_joining_again_has_jitter(self) -> None:
        times = set()
        for number in range(3):
            client = joined()
            for _ in range(number * 100):
                client.random_bytes(2)
            client.now += 5
            client.receive(Bye(SESSION, "stopping", "Back soon.", retry_after=60_000))
            times.add(client.session_client.next_deadline())
        assert len(times) == 3

    def test_it_changes_its_identity_when_own_sequences_end(self) -> None:
        client = joined(last_own=3)
        client.now += 5
        for _ in range(2):
            client.call("send", b"x", reliable=False)
        assert len(client.drain(Leave)) == 1
        client.receive(Bye(SESSION, "left", "Bye.", 0))
        assert contact_losses(client) == ["renewed"]
        client.join(session_id=OTHER_SESSION)
        first, second = (d for _, d in client.log if isinstance(d, Join))
        assert first.secret != second.secret
        (itself,) = client.session_client.members.values()
        assert itself.identity == identity(second.secret)
        client.call("send", b"y", reliable=False)
        assert [datagram.own for datagram in client.drain(DataUp)][-1] == 1

    def test_it_changes_its_identity_even_if_leave_is_not_answered(self) -> None:
        client = joined(last_own=2)
        client.call("send", b"x", reliable=False)
        client.pass_time(1)
        assert client.times(Leave) == [0, 0.25, 0.5, 0.75]
        assert client.times(Hello) == [0, 1]

    def test_a_user_who_leaves_during_the_change_of_identity_has_left(self) -> None:
        client = joined(last_own=2)
        client.call("send", b"x", reliable=False)
        client.call("leave")
        client.pass_time(1)
        assert client.drain_events(Closed) == [Closed("left", "")]

    def test_a_relay_that_claims_all_own_sequences_does_not_change_them(self) -> None:
        client = started()
        client.challenge()
        client.welcome(next_own=(2**32 - 1, 2**32 - 1))
        client.call("send", b"x")
        assert [datagram.own for datagram in client.drain(DataUp)] == [1]


class TestNicks:
    def test_a_nick_is_requested_six_times_at_intervals_of_1_s(self) -> None:
        client = joined()
        client.call("change_nick", "berta")
        client.receive(Heartbeat(TAG, 0))
        client.pass_time(6)
        assert client.times(NickRequest) == [0, 1, 2, 3, 4, 5]
        assert client.drain_events(NickRefused) == [
            NickRefused("no-answer", "The relay does not answer.")
        ]

    def test_the_answer_changes_the_nick(self) -> None:
        client = joined()
        client.call("change_nick", "berta")
        (request,) = client.drain(NickRequest)
        client.receive(Nicked(SESSION, request.request, "berta"))
        assert client.drain_events(NickChanged) == [
            NickChanged(OWN_NUMBER, "anna", "berta", own=True)
        ]
        assert client.session_client.nick == "berta"
        client.pass_time(5)
        assert client.drain(NickRequest) == []

    def test_a_refusal_is_reported(self) -> None:
        client = joined()
        client.call("change_nick", "berta")
        (request,) = client.drain(NickRequest)
        client.receive(Nicked(SESSION, request.request, None, "nick-taken", "Somebody has it."))
        assert client.drain_events(NickRefused) == [NickRefused("nick-taken", "Somebody has it.")]
        assert client.session_client.nick == "anna"

    def test_only_the_answer_to_the_last_request_counts(self) -> None:
        client = joined()
        client.call("change_nick", "berta")
        (first,) = client.drain(NickRequest)
        client.call("change_nick", "berta2")
        client.receive(Nicked(SESSION, first.request, "berta"))
        assert client.drain_events(NickChanged) == []

    def test_an_answer_without_a_request_is_ignored(self) -> None:
        client = joined()
        client.receive(Nicked(SESSION, 0, "berta"))
        assert client.events == []

    def test_the_next_session_is_joined_with_the_new_nick(self) -> None:
        client = joined()
        client.call("change_nick", "berta")
        client.receive(Nicked(SESSION, client.drain(NickRequest)[0].request, "berta"))
        client.now += 5
        client.receive(Unknown(SESSION))
        client.challenge()
        assert client.drain(Join)[-1].nick == "berta"

    def test_an_unanswered_request_is_sent_again_in_the_next_session(self) -> None:
        client = joined()
        client.call("change_nick", "berta")
        client.now += 5
        client.receive(Unknown(SESSION))
        client.drain(NickRequest)
        client.join(session_id=OTHER_SESSION)
        assert [request.session_id for request in client.drain(NickRequest)] == [OTHER_SESSION]

    def test_a_nick_changed_between_sessions_is_requested_in_the_next_one(self) -> None:
        client = joined()
        client.now += 5
        client.receive(Unknown(SESSION))
        client.call("change_nick", "berta")
        client.join()
        assert [request.nick for request in client.drain(NickRequest)] == ["berta"]

    def test_a_leaving_client_cannot_change_its_nick(self) -> None:
        client = joined()
        client.call("leave")
        client.call("change_nick", "\n")
        assert client.events == []


class TestLeaving:
    def test_leave_is_retried_three_times(self) -> None:
        client = joined()
        client.call("leave")
        assert client.session_client.state is State.LEAVING
        client.pass_time(60)
        assert client.times(Leave) == [0, 0.25, 0.5, 0.75]

    def test_it_closes_after_1_s_without_an_answer(self) -> None:
        client = joined()
        client.call("leave")
        client.pass_time(0.9)
        assert client.drain_events(Closed) == []
        client.pass_time(0.1)
        assert client.drain_events(Closed) == [Closed("left", "")]

    @pytest.mark.parametrize("answer", [Bye(SESSION, "left", "Bye.", 0), Unknown(SESSION)])
    def test_an_answer_closes_it_at_once(self, answer: Bye | Unknown) -> None:
        client = joined()
        client.call("leave")
        client.receive(answer)
        assert client.drain_events(Closed) == [Closed("left", "")]
        client.pass_time(60)
        assert client.times(Leave) == [0]

    def test_undelivered_messages_fail(self) -> None:
        client = joined()
        first = client.call("send", b"x")
        second = client.call("send", b"y")
        client.acknowledge(2)
        client.call("leave")
        client.receive(Bye(SESSION, "left", "Bye.", 0))
        failed = client.drain_events(Failed)
        assert first != second
        assert failed == [Failed(second, "closed")]
        assert client.session_client.outstanding == 0

    def test_a_leaving_client_cannot_send(self) -> None:
        client = joined()
        client.call("leave")
        with pytest.raises(MessageError, match="left"):
            client.call("send", b"x")
        with pytest.raises(MessageError, match="left"):
            client.call("send_private", BERT, b"x")

    def test_leaving_again_has_no_effect(self) -> None:
        client = joined()
        client.call("leave")
        client.call("leave")
        client.pass_time(1)
        client.call("leave")
        assert client.drain_events(Closed) == [Closed("left", "")]
        assert len(client.times(Leave)) == 4

    def test_leave_is_sent_once_while_waiting(self) -> None:
        client = joined()
        client.receive(Bye(SESSION, "stopping", "Back soon.", retry_after=60_000))
        client.call("leave")
        assert client.drain(Leave) == [Leave(SESSION)]
        client.pass_time(100)
        assert client.session_client.state is State.CLOSED

    def test_leave_is_sent_once_between_sessions(self) -> None:
        client = joined()
        client.now += 5
        client.receive(Unknown(SESSION))
        client.call("leave")
        assert client.drain(Leave) == [Leave(SESSION)]
        assert client.drain_events(Closed) == [Closed("left", "")]

    def test_a_closed_client_is_idle(self) -> None:
        client = joined()
        client.call("leave")
        client.pass_time(1)
        client.log.clear()
        for method in ("start", "expire", "receive_icmp_error", "ping"):
            client.call(method)
        client.receive(Unknown(SESSION), Heartbeat(TAG, 7))
        assert client.log == []
        assert client.session_client.next_deadline() is None


@given(st.floats(0, 200), st.floats(0, 200))
def test_a_late_call_handles_all_timeouts_at_once(first: float, second: float) -> None:
    client = joined()
    client.call("send", b"x")
    for seconds in (first, second):
        client.now += seconds
        client.call("expire")
        deadline = client.session_client.next_deadline()
        assert deadline is not None
        assert deadline > client.now
