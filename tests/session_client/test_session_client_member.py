"""A member: contact, nicks, leaving, and coming back."""

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
    Client,
    joined,
    started,
)

from udprelay.protocol.wire import FromRelay
from udprelay.protocol.wire.from_client import (
    DataUp,
    Leave,
    NickRequest,
    PathResponse,
    Ping,
)
from udprelay.protocol.wire.from_relay import (
    Bye,
    Data,
    Heartbeat,
    Nicked,
    PathChallenge,
    Pong,
)
from udprelay.protocol.wire.header import RELIABLE
from udprelay.protocol.wire.joining import Hello, Join, Unknown
from udprelay.session_client import sending
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
from udprelay.session_client.sending import MessageError
from udprelay.session_client.state import State


def lost(client: Client) -> list[str]:
    return [event.reason for event in client.told(ContactLost)]


class TestContact:
    def test_a_ping_goes_each_keepalive(self) -> None:
        client = joined()
        client.pass_time(10)
        client.hear(Heartbeat(TAG, 0))
        client.pass_time(10)
        assert client.times(Ping) == [10, 20]

    def test_doubt_that_comes_with_time_makes_a_ping_at_once(self) -> None:
        client = joined()
        # What is missing is asked for twice, and nothing comes.
        client.hear(Pong(SESSION, bytes(8), 5, 1))
        client.pass_time(0.5)
        assert len(client.times(Ping)) == 1

    def test_a_keepalive_is_100_ms_at_least(self) -> None:
        client = started()
        client.join(keepalive=1)
        client.pass_time(0.15)
        client.hear(Heartbeat(TAG, 0))
        client.pass_time(0.1)
        assert client.times(Ping) == [0.1, 0.2]

    def test_ping_has_the_room_sequence_that_is_settled(self) -> None:
        client = joined(BERT_RECORD)
        client.hear(Data(TAG, RELIABLE, 1, BERT, 1, b"x"))
        client.do("ping")
        assert [ping.settled for ping in client.take(Ping)] == [1]

    def test_the_user_can_ask_for_the_round_trip(self) -> None:
        client = joined()
        client.do("ping")
        (token,) = client.tokens()
        client.now += 0.25
        client.hear(Pong(SESSION, token, 0, 0))
        assert client.told(Ponged) == [Ponged(0.25)]

    def test_pongs_of_keepalives_are_not_told(self) -> None:
        client = joined()
        client.pass_time(10)
        (token,) = client.tokens()
        client.hear(Pong(SESSION, token, 0, 0))
        assert client.told(Ponged) == []

    def test_whoever_is_no_member_pings_nobody(self) -> None:
        client = started()
        client.do("ping")
        assert client.take(Ping) == []

    def test_when_nothing_follows_six_pings_it_joins_again(self) -> None:
        client = joined()
        client.pass_time(15.9)
        assert lost(client) == []
        client.pass_time(0.1)
        assert lost(client) == ["silent"]
        assert client.times(Hello) == [0, 16]

    def test_a_datagram_of_another_session_is_no_word_from_the_relay(self) -> None:
        client = joined()
        client.pass_time(15)
        client.hear(Pong(OTHER_SESSION, bytes(8), 0, 0), Heartbeat(OTHER_TAG, 0))
        client.pass_time(1)
        assert lost(client) == ["silent"]

    def test_what_goes_for_the_third_time_makes_it_ask(self) -> None:
        client = joined()
        client.now += 2
        client.do("send", b"x")
        client.pass_time(0.4)
        assert client.times(DataUp) == [2, 2.1, 2.3]
        assert client.times(Ping) == [2.3]

    def test_it_joins_again_soon_when_the_relay_is_gone(self) -> None:
        client = joined()
        client.do("send", b"x")
        client.pass_time(8)
        assert lost(client) == ["silent"]

    def test_icmp_errors_make_it_ask(self) -> None:
        client = joined()
        client.now += 3
        client.do("unreachable")
        assert client.times(Ping) == [3]

    def test_when_all_pings_meet_icmp_errors_it_joins_again(self) -> None:
        client = joined()
        client.do("unreachable")
        for _ in range(3):
            client.do("unreachable")
            client.pass_time(1)
        assert lost(client) == ["unreachable"]
        assert client.membership.state is State.GREETING

    def test_a_path_challenge_is_answered_at_once(self) -> None:
        client = joined()
        client.hear(PathChallenge(SESSION, b"new path"))
        assert client.take(PathResponse) == [PathResponse(SESSION, b"new path")]

    def test_a_path_challenge_for_another_session_is_not(self) -> None:
        client = joined()
        client.hear(PathChallenge(OTHER_SESSION, b"new path"))
        assert client.said == []


class TestComingBack:
    def test_an_unknown_session_is_begun_again_at_once(self) -> None:
        client = joined()
        client.now += 5
        client.hear(Unknown(SESSION))
        assert lost(client) == ["unknown"]
        assert client.times(Hello) == [0, 5]

    def test_but_at_most_once_a_second(self) -> None:
        client = joined()
        client.hear(Unknown(SESSION))
        assert client.membership.state is State.WAITING
        client.pass_time(0.9)
        assert client.times(Hello) == [0]
        client.pass_time(0.1)
        assert client.times(Hello) == [0, 1]

    def test_unknown_about_another_session_is_ignored(self) -> None:
        client = joined()
        client.hear(Unknown(OTHER_SESSION))
        assert client.membership.state is State.JOINED

    def test_join_has_the_same_secret_and_where_it_was(self) -> None:
        client = joined(BERT_RECORD)
        client.hear(Data(TAG, RELIABLE, 1, BERT, 1, b"x"))
        client.now += 5
        client.hear(Unknown(SESSION))
        client.challenge()
        first, second = (d for _, d in client.sent if isinstance(d, Join))
        assert (second.secret, second.tag, second.settled) == (first.secret, TAG, 1)

    def test_it_is_told_that_it_resumes(self) -> None:
        client = joined()
        client.now += 5
        client.hear(Unknown(SESSION))
        client.join(session_id=OTHER_SESSION, number=20)
        assert client.told(Joined) == [Joined("lobby", "anna", 20, resumed=True)]
        assert client.membership.number == 20

    def test_messages_that_it_has_had_are_not_told_twice(self) -> None:
        client = joined(BERT_RECORD)
        client.hear(Data(TAG, RELIABLE, 1, BERT, 1, b"x"))
        client.now += 5
        client.hear(Unknown(SESSION))
        client.join((BERT_RECORD,), session_id=OTHER_SESSION, tag=OTHER_TAG)
        client.hear(Data(OTHER_TAG, RELIABLE, 1, BERT, 1, b"x"))
        client.hear(Data(OTHER_TAG, RELIABLE, 2, BERT, 2, b"y"))
        assert [event.payload for event in client.told(Received)] == [b"x", b"y"]

    @pytest.mark.parametrize("word", [Unknown(SESSION), Heartbeat(TAG, 1)], ids=type)
    def test_what_the_last_relay_had_is_kept_until_that_is_heard(self, word: FromRelay) -> None:
        client = joined()
        client.do("send", b"x")
        client.acknowledge(2)
        client.now += 60
        client.hear(word, Unknown(SESSION))
        client.join(session_id=OTHER_SESSION, tag=OTHER_TAG)
        *_, join = (datagram for _, datagram in client.sent if isinstance(datagram, Join))
        assert join.own == ((1, 1) if isinstance(word, Unknown) else (2, 1))

    def test_a_relay_that_stops_for_a_while_is_come_back_to(self) -> None:
        client = joined()
        client.now += 5
        client.hear(Bye(SESSION, "stopping", "Back soon.", retry_after=3000))
        assert lost(client) == ["stopping"]
        assert client.membership.state is State.WAITING
        client.pass_time(60)
        assert 8 <= client.times(Hello)[1] <= 9.5

    def test_a_relay_that_stops_for_good_ends_it(self) -> None:
        client = joined()
        client.hear(Bye(SESSION, "kicked", "Go away.", retry_after=0))
        assert client.told(Closed) == [Closed("kicked", "Go away.")]
        assert client.membership.state is State.CLOSED

    def test_a_refusal_that_says_when_to_come_back_is_obeyed(self) -> None:
        client = joined()
        client.now += 5
        client.hear(Unknown(SESSION))
        client.challenge()
        client.refuse("relay-full", retry_after=2000)
        assert client.membership.state is State.WAITING
        assert client.told(ContactLost) == [ContactLost("unknown")]
        client.pass_time(3)
        assert 7 <= client.times(Hello)[2] <= 8

    def test_any_other_refusal_ends_it(self) -> None:
        client = joined()
        client.now += 5
        client.hear(Unknown(SESSION))
        client.challenge()
        client.refuse("wrong-key")
        assert client.told(Refused) == [Refused("wrong-key", "No.")]

    def test_a_nick_that_was_taken_meanwhile_is_changed(self) -> None:
        client = joined()
        client.now += 5
        client.hear(Unknown(SESSION))
        client.challenge()
        client.refuse("nick-taken")
        client.told(ContactLost)
        client.welcome(number=20)
        assert client.events == [
            Joined("lobby", "anna-2", 20, resumed=True),
            NickChanged(20, "anna", "anna-2", own=True),
        ]
        assert client.membership.nick == "anna-2"

    def test_if_all_others_are_taken_too_it_ends(self) -> None:
        client = joined()
        client.now += 5
        client.hear(Unknown(SESSION))
        client.challenge()
        for _ in range(9):
            client.refuse("nick-taken")
        assert client.told(Refused) == [Refused("nick-taken", "No.")]

    def test_not_all_come_back_at_the_same_time(self) -> None:
        times = set()
        for number in range(3):
            client = joined()
            for _ in range(number * 100):
                client.random_bytes(2)
            client.now += 5
            client.hear(Bye(SESSION, "stopping", "Back soon.", retry_after=60_000))
            times.add(client.membership.next_deadline())
        assert len(times) == 3

    def test_another_identity_is_taken_when_own_sequences_end(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sending, "LAST_OWN", 3)
        client = joined()
        client.now += 5
        for _ in range(2):
            client.do("send", b"x", reliable=False)
        assert len(client.take(Leave)) == 1
        client.hear(Bye(SESSION, "left", "Bye.", 0))
        assert lost(client) == ["renewed"]
        client.join(session_id=OTHER_SESSION)
        first, second = (d for _, d in client.sent if isinstance(d, Join))
        assert first.secret != second.secret
        client.do("send", b"y", reliable=False)
        assert [datagram.own for datagram in client.take(DataUp)][-1] == 1

    def test_it_is_taken_even_if_the_relay_does_not_answer(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sending, "LAST_OWN", 2)
        client = joined()
        client.do("send", b"x", reliable=False)
        client.pass_time(1)
        assert client.times(Leave) == [0, 0.25, 0.5, 0.75]
        assert client.times(Hello) == [0, 1]

    def test_whoever_leaves_meanwhile_does_not_come_back(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sending, "LAST_OWN", 2)
        client = joined()
        client.do("send", b"x", reliable=False)
        client.do("leave")
        client.pass_time(1)
        assert client.told(Closed) == [Closed("left", "")]

    def test_a_relay_that_claims_to_have_had_everything_makes_no_trouble(self) -> None:
        client = started()
        client.challenge()
        client.welcome(next_own=(2**32 - 1, 2**32 - 1))
        client.do("send", b"x")
        assert [datagram.own for datagram in client.take(DataUp)] == [1]


class TestNicks:
    def test_a_nick_is_asked_for_each_second_six_times_in_all(self) -> None:
        client = joined()
        client.do("change_nick", "berta")
        client.hear(Heartbeat(TAG, 0))
        client.pass_time(6)
        assert client.times(NickRequest) == [0, 1, 2, 3, 4, 5]
        assert client.told(NickRefused) == [NickRefused("no-answer", "The relay does not answer.")]

    def test_the_answer_changes_it(self) -> None:
        client = joined()
        client.do("change_nick", "berta")
        (request,) = client.take(NickRequest)
        client.hear(Nicked(SESSION, request.request, "berta"))
        assert client.told(NickChanged) == [NickChanged(OWN_NUMBER, "anna", "berta", own=True)]
        assert client.membership.nick == "berta"
        client.pass_time(5)
        assert client.take(NickRequest) == []

    def test_a_refusal_is_told(self) -> None:
        client = joined()
        client.do("change_nick", "berta")
        (request,) = client.take(NickRequest)
        client.hear(Nicked(SESSION, request.request, None, "nick-taken", "Somebody has it."))
        assert client.told(NickRefused) == [NickRefused("nick-taken", "Somebody has it.")]
        assert client.membership.nick == "anna"

    def test_only_the_answer_to_the_last_request_counts(self) -> None:
        client = joined()
        client.do("change_nick", "berta")
        (first,) = client.take(NickRequest)
        client.do("change_nick", "berta2")
        client.hear(Nicked(SESSION, first.request, "berta"))
        assert client.told(NickChanged) == []

    def test_an_answer_that_nobody_waits_for_is_ignored(self) -> None:
        client = joined()
        client.hear(Nicked(SESSION, 0, "berta"))
        assert client.events == []

    def test_the_next_session_is_joined_with_it(self) -> None:
        client = joined()
        client.do("change_nick", "berta")
        client.hear(Nicked(SESSION, client.take(NickRequest)[0].request, "berta"))
        client.now += 5
        client.hear(Unknown(SESSION))
        client.challenge()
        assert client.take(Join)[-1].nick == "berta"

    def test_a_request_that_was_not_answered_is_made_again_in_the_next_session(self) -> None:
        client = joined()
        client.do("change_nick", "berta")
        client.now += 5
        client.hear(Unknown(SESSION))
        client.take(NickRequest)
        client.join(session_id=OTHER_SESSION)
        assert [request.session_id for request in client.take(NickRequest)] == [OTHER_SESSION]

    def test_a_nick_wanted_between_sessions_is_asked_for_in_the_next_one(self) -> None:
        client = joined()
        client.now += 5
        client.hear(Unknown(SESSION))
        client.do("change_nick", "berta")
        client.join()
        assert [request.nick for request in client.take(NickRequest)] == ["berta"]

    def test_whoever_leaves_can_t_change_it(self) -> None:
        client = joined()
        client.do("leave")
        client.do("change_nick", "\n")
        assert client.events == []


class TestLeaving:
    def test_leave_is_repeated_three_times(self) -> None:
        client = joined()
        client.do("leave")
        assert client.membership.state is State.LEAVING
        client.pass_time(60)
        assert client.times(Leave) == [0, 0.25, 0.5, 0.75]

    def test_it_goes_after_a_second_anyhow(self) -> None:
        client = joined()
        client.do("leave")
        client.pass_time(0.9)
        assert client.told(Closed) == []
        client.pass_time(0.1)
        assert client.told(Closed) == [Closed("left", "")]

    @pytest.mark.parametrize("answer", [Bye(SESSION, "left", "Bye.", 0), Unknown(SESSION)])
    def test_an_answer_ends_it(self, answer: Bye | Unknown) -> None:
        client = joined()
        client.do("leave")
        client.hear(answer)
        assert client.told(Closed) == [Closed("left", "")]
        client.pass_time(60)
        assert client.times(Leave) == [0]

    def test_what_was_not_delivered_has_failed(self) -> None:
        client = joined()
        first = client.do("send", b"x")
        second = client.do("send", b"y")
        client.acknowledge(2)
        client.do("leave")
        client.pass_time(1)
        failed = client.told(Failed)
        assert first != second
        assert failed == [Failed(second, "closed")]
        assert client.membership.outstanding == 0

    def test_nothing_can_be_sent_any_more(self) -> None:
        client = joined()
        client.do("leave")
        with pytest.raises(MessageError, match="over"):
            client.do("send", b"x")
        with pytest.raises(MessageError, match="over"):
            client.do("send_private", BERT, b"x")

    def test_leaving_twice_is_leaving_once(self) -> None:
        client = joined()
        client.do("leave")
        client.do("leave")
        client.pass_time(1)
        client.do("leave")
        assert client.told(Closed) == [Closed("left", "")]
        assert len(client.times(Leave)) == 4

    def test_whoever_leaves_while_it_waits_says_so_once(self) -> None:
        client = joined()
        client.hear(Bye(SESSION, "stopping", "Back soon.", retry_after=60_000))
        client.do("leave")
        assert client.take(Leave) == [Leave(SESSION)]
        client.pass_time(100)
        assert client.membership.state is State.CLOSED

    def test_whoever_leaves_between_sessions_says_so_once(self) -> None:
        client = joined()
        client.now += 5
        client.hear(Unknown(SESSION))
        client.do("leave")
        assert client.take(Leave) == [Leave(SESSION)]
        assert client.told(Closed) == [Closed("left", "")]

    def test_a_closed_membership_does_nothing(self) -> None:
        client = joined()
        client.do("leave")
        client.pass_time(1)
        client.sent.clear()
        for method in ("start", "expire", "unreachable", "ping"):
            client.do(method)
        client.hear(Unknown(SESSION), Heartbeat(TAG, 7))
        assert client.sent == []
        assert client.membership.next_deadline() is None


@given(st.floats(0, 200), st.floats(0, 200))
def test_an_owner_that_is_late_gets_all_that_is_due_at_once(first: float, second: float) -> None:
    client = joined()
    client.do("send", b"x")
    for seconds in (first, second):
        client.now += seconds
        client.do("expire")
        deadline = client.membership.next_deadline()
        assert deadline is not None
        assert deadline > client.now
