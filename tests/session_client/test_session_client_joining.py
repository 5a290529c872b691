"""How a client joins, and how it is refused."""

from __future__ import annotations

import pytest
from session_client_machine import (
    COOKIE,
    KEYS,
    OWN_NUMBER,
    SALT,
    SESSION,
    TAG,
    ClientDriver,
    joined,
    started,
)

from udprelay.protocol.keys import badge, identity, proof
from udprelay.protocol.wire import joining
from udprelay.protocol.wire.from_client import DataUp, Leave, NickRequest
from udprelay.protocol.wire.from_relay import Bye
from udprelay.protocol.wire.joining import Challenge, Hello, Join, Versions
from udprelay.protocol.wire.sequenced import Data
from udprelay.session_client.events import (
    Closed,
    Joined,
    KeysNeeded,
    NickRefused,
    NoAnswer,
    Refused,
)
from udprelay.session_client.settings import Settings, State

OTHER_SALT = bytes(16)


class TestGreeting:
    def test_a_new_client_is_idle(self) -> None:
        client = ClientDriver()
        client.pass_time(100)
        assert (client.log, client.events, client.session_client.state) == ([], [], State.NEW)
        assert client.session_client.next_deadline() is None

    def test_hello_is_sent_at_once_and_then_at_growing_intervals(self) -> None:
        client = started()
        client.pass_time(24)
        begin = [0, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5]
        assert client.times(Hello) == [*begin, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 20, 24]

    def test_hello_has_the_room_and_one_nonce(self) -> None:
        client = started()
        client.pass_time(5)
        hellos = client.drain(Hello)
        assert {hello.room for hello in hellos} == {"lobby"}
        assert len({hello.nonce for hello in hellos}) == 1

    def test_a_second_start_has_no_effect(self) -> None:
        client = started()
        client.call("start")
        assert len(client.drain(Hello)) == 1

    def test_no_answer_is_reported_every_5_s(self) -> None:
        client = started()
        client.pass_time(16)
        assert client.drain_events(NoAnswer) == [NoAnswer(1000.0)] * 3

    def test_it_never_gives_up(self) -> None:
        client = started()
        client.pass_time(3600)
        assert client.session_client.state is State.GREETING

    def test_a_challenge_is_answered_with_join(self) -> None:
        client = started()
        client.challenge()
        (join,) = client.drain(Join)
        assert (join.room, join.nick, join.cookie, join.own) == ("lobby", "anna", COOKIE, (1, 1))
        assert (join.proof, join.badge, join.tag, join.settled) == (None, None, None, None)
        assert client.session_client.state is State.JOINING

    def test_a_challenge_with_another_nonce_is_ignored(self) -> None:
        client = started()
        client.receive(Challenge(b"another ", COOKIE, SALT))
        assert client.drain(Join) == []
        assert client.session_client.statistics.ignored == 1

    def test_a_relay_without_this_version_refuses_the_client(self) -> None:
        client = started()
        client.receive(Versions(client.nonce, (2, 3)))
        (refused,) = client.drain_events(Refused)
        assert refused.code == "version"
        assert "2, 3" in refused.sentence

    def test_versions_with_this_version_are_ignored(self) -> None:
        client = started()
        client.receive(Versions(client.nonce, (1, 2)))
        assert client.session_client.state is State.GREETING

    def test_versions_are_ignored_by_a_member(self) -> None:
        client = joined()
        client.receive(Versions(client.nonce, (2,)))
        assert client.session_client.state is State.JOINED

    def test_icmp_errors_have_no_effect(self) -> None:
        client = started()
        client.call("receive_icmp_error")
        client.pass_time(1)
        assert client.times(Hello) == [0, 0.25, 0.5, 0.75, 1]

    def test_a_room_name_with_spaces_is_invalid(self) -> None:
        with pytest.raises(ValueError, match="room"):
            Settings("a room", "anna")


class TestJoining:
    def test_join_is_retried_at_growing_intervals(self) -> None:
        client = started()
        client.challenge()
        client.pass_time(4.9)
        assert client.times(Join) == [0, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 4]

    def test_after_5_s_without_an_answer_to_join_another_attempt_begins(self) -> None:
        client = started()
        client.challenge()
        client.pass_time(5)
        assert client.times(Hello) == [0, 5]
        nonces = {d.nonce for _, d in client.log if isinstance(d, Hello)}
        assert len(nonces) == 2

    def test_no_answer_is_reported_across_attempts(self) -> None:
        client = started()
        for _ in range(3):
            client.challenge()
            client.pass_time(4)
        assert client.drain_events(NoAnswer) == [NoAnswer(1000.0)] * 2

    def test_welcome_starts_the_session(self) -> None:
        client = started()
        client.join()
        assert client.drain_events(Joined) == [Joined("lobby", "anna", OWN_NUMBER, resumed=False)]
        session_client = client.session_client
        assert (session_client.state, session_client.number) == (State.JOINED, OWN_NUMBER)
        assert session_client.nick == "anna"
        assert [known.nick for known in session_client.members.values()] == ["anna"]

    def test_a_welcome_with_another_nonce_is_ignored(self) -> None:
        client = started()
        client.challenge()
        client.welcome(nonce=b"another ")
        assert client.session_client.state is State.JOINING

    def test_a_second_welcome_is_ignored(self) -> None:
        client = joined()
        client.welcome(session_id=b"another ")
        assert client.drain_events(Joined) == []
        client.call("send", b"x")
        assert [datagram.session_id for datagram in client.drain(DataUp)] == [SESSION]

    def test_join_and_welcome_give_a_round_trip(self) -> None:
        client = started()
        client.challenge()
        client.now += 0.125
        client.welcome()
        assert client.session_client.statistics.round_trip == 0.125

    def test_a_retried_join_gives_no_round_trip(self) -> None:
        client = started()
        client.challenge()
        client.pass_time(0.3)
        client.welcome()
        assert client.session_client.statistics.round_trip is None

    def test_data_before_welcome_is_ignored(self) -> None:
        client = started()
        client.challenge()
        client.receive(Data(TAG, 1, 1, 8, 1, b"x"))
        assert client.events == []


class TestRefusals:
    def test_too_many_joins_at_its_address_make_it_try_again(self) -> None:
        client = started()
        client.challenge()
        client.refuse("join-limit", 2000)
        assert client.session_client.state is State.WAITING
        client.pass_time(3)
        assert 2 <= client.times(Hello)[1] <= 3

    def test_a_refusal_closes_the_client(self) -> None:
        client = started()
        client.challenge()
        client.refuse("room-full", 1000)
        assert client.drain_events(Refused) == [Refused("room-full", "No.")]
        assert client.session_client.state is State.CLOSED
        client.pass_time(100)
        assert client.times(Hello) == [0]

    def test_an_invalid_nick_is_refused_at_once(self) -> None:
        client = started(nick="\t")
        (refused,) = client.drain_events(Refused)
        assert refused.code == "nick-invalid"
        assert client.log == []

    def test_the_nick_is_normalised(self) -> None:
        client = started(nick="  anna   b ")
        client.challenge()
        assert client.drain(Join)[0].nick == "anna b"

    def test_a_taken_nick_is_refused(self) -> None:
        client = started()
        client.challenge()
        client.refuse("nick-taken")
        assert client.drain_events(Refused) == [Refused("nick-taken", "No.")]

    def test_other_nicks_are_tried_if_the_settings_allow_it(self) -> None:
        client = started(other_nicks=True)
        client.challenge()
        for _ in range(8):
            client.refuse("nick-taken")
        joins = client.drain(Join)
        assert [join.nick for join in joins] == ["anna"] + [f"anna-{n}" for n in range(2, 10)]
        assert len({join.nonce for join in joins}) == 9
        client.refuse("nick-taken")
        assert client.drain_events(Refused) == [Refused("nick-taken", "No.")]

    def test_a_late_refusal_of_the_previous_nick_is_ignored(self) -> None:
        client = started(other_nicks=True)
        client.challenge()
        nonce = client.nonce
        client.refuse("nick-taken")
        client.receive(joining.Refused(nonce, "nick-taken", "No.", 0))
        assert client.session_client.state is State.JOINING

    def test_another_nick_needs_another_cookie_after_30_s(self) -> None:
        client = started(other_nicks=True, keyed=True)
        client.challenge()
        client.call("provide_keys", SALT, KEYS)
        client.now += 30
        client.refuse("nick-taken")
        assert client.session_client.state is State.GREETING
        client.challenge()
        assert client.drain(Join)[-1].nick == "anna-2"

    def test_a_long_nick_is_shortened_for_the_suffix(self) -> None:
        client = started(nick="a" * 32, other_nicks=True)
        client.challenge()
        client.refuse("nick-taken")
        assert client.drain(Join)[-1].nick == "a" * 30 + "-2"

    def test_a_nick_too_long_in_bytes_for_a_suffix_is_refused(self) -> None:
        client = started(nick="é" * 31 + "a", other_nicks=True)
        client.challenge()
        client.refuse("nick-taken")
        assert client.drain(Join)[-1].nick == "é" * 30 + "-2"
        client = started(nick="字" * 21, other_nicks=True)
        client.challenge()
        client.refuse("nick-taken")
        assert client.drain_events(Refused) == [Refused("nick-taken", "No.")]

    def test_the_nick_of_the_last_session_is_not_tried_twice(self) -> None:
        client = started(other_nicks=True)
        client.challenge()
        client.refuse("nick-taken")
        client.welcome()
        client.now += 5
        client.receive(Bye(SESSION, "stopping", "Back soon.", retry_after=1))
        client.pass_time(1)
        client.challenge()
        client.refuse("nick-taken")
        assert [join.nick for join in client.drain(Join)] == ["anna", "anna-2", "anna-2", "anna-3"]


class TestKeys:
    def test_the_event_for_keys_has_the_salt(self) -> None:
        client = started(keyed=True)
        client.challenge()
        assert client.drain_events(KeysNeeded) == [KeysNeeded(SALT)]
        assert client.session_client.state is State.KEYING

    def test_nothing_is_sent_while_keys_are_computed(self) -> None:
        client = started(keyed=True)
        client.challenge()
        client.drain(Hello)
        client.pass_time(20)
        assert client.datagrams == []

    def test_join_has_the_proof_and_the_badge(self) -> None:
        client = started(keyed=True)
        client.challenge()
        client.call("provide_keys", SALT, KEYS)
        (join,) = client.drain(Join)
        own = identity(join.secret)
        assert join.proof == proof(KEYS.access, COOKIE, "lobby", "anna", client.nonce, own)
        assert join.badge == badge(KEYS.content, "lobby", own, "anna")

    def test_keys_for_another_salt_do_not_continue_the_handshake(self) -> None:
        client = started(keyed=True)
        client.challenge()
        client.call("provide_keys", OTHER_SALT, KEYS)
        assert client.session_client.state is State.KEYING

    def test_known_keys_are_used_again(self) -> None:
        client = started(keyed=True)
        client.challenge()
        client.call("provide_keys", SALT, KEYS)
        client.pass_time(4)
        client.challenge()
        assert len(client.drain_events(KeysNeeded)) == 1
        assert client.session_client.state is State.JOINING

    def test_keys_can_be_provided_before_the_start(self) -> None:
        client = ClientDriver(keyed=True)
        client.call("provide_keys", SALT, KEYS)
        client.call("start")
        client.challenge()
        assert client.session_client.state is State.JOINING

    def test_the_keys_of_the_last_four_salts_are_known(self) -> None:
        client = ClientDriver(keyed=True)
        for number in range(5):
            client.call("provide_keys", bytes((number,)) * 16, KEYS)
        client.call("start")
        client.challenge(bytes(16))
        assert client.session_client.state is State.KEYING

    def test_keys_that_take_longer_than_the_cookie_lasts_restart_the_handshake(self) -> None:
        client = started(keyed=True)
        client.challenge()
        client.pass_time(30)
        client.call("provide_keys", SALT, KEYS)
        state = client.session_client.state
        assert state is State.GREETING
        client.challenge()
        assert client.session_client.state is State.JOINING

    def test_keys_are_not_in_the_repr(self) -> None:
        assert "aaaa" not in repr(KEYS)


class TestNickBeforeJoining:
    def test_the_nick_can_be_changed_before_joining(self) -> None:
        client = started()
        client.call("change_nick", "berta")
        assert client.session_client.nick == "berta"
        client.challenge()
        assert client.drain(Join)[0].nick == "berta"

    def test_a_nick_changed_while_joining_is_requested_in_the_session(self) -> None:
        client = started()
        client.challenge()
        client.call("change_nick", "berta")
        assert client.session_client.nick == "anna"
        client.welcome()
        assert [request.nick for request in client.drain(NickRequest)] == ["berta"]

    def test_an_invalid_nick_is_refused(self) -> None:
        client = started()
        client.call("change_nick", "\n")
        (refused,) = client.drain_events(NickRefused)
        assert refused.code == "nick-invalid"
        assert client.session_client.nick == "anna"


class TestLeavingBeforeJoining:
    def test_leaving_before_the_first_session_sends_nothing(self) -> None:
        client = started()
        client.call("leave")
        assert client.drain_events(Closed) == [Closed("left", "")]
        assert client.drain(Leave) == []

    def test_leaving_before_the_start_closes_the_client(self) -> None:
        client = ClientDriver()
        client.call("leave")
        client.call("start")
        assert client.session_client.state is State.CLOSED
