"""How a client becomes a member, and how it is refused."""

from __future__ import annotations

import pytest
from session_client_machine import (
    COOKIE,
    KEYS,
    OWN_NUMBER,
    SALT,
    SESSION,
    TAG,
    Client,
    joined,
    started,
)

from udprelay.protocol.keys import badge, identity, proof
from udprelay.protocol.wire import joining
from udprelay.protocol.wire.from_client import DataUp, Leave, NickRequest
from udprelay.protocol.wire.from_relay import Bye, Data
from udprelay.protocol.wire.joining import Challenge, Hello, Join, Versions
from udprelay.session_client.events import (
    Closed,
    Joined,
    KeysNeeded,
    NickRefused,
    NoAnswer,
    Refused,
)
from udprelay.session_client.settings import Settings
from udprelay.session_client.state import State

OTHER_SALT = bytes(16)


def nonce_of(client: Client) -> bytes:
    """Return the nonce of the latest attempt."""
    return client.membership._machine.handshake.nonce


class TestGreeting:
    def test_nothing_happens_before_it_is_started(self) -> None:
        client = Client()
        client.pass_time(100)
        assert (client.sent, client.events, client.membership.state) == ([], [], State.NEW)
        assert client.membership.next_deadline() is None

    def test_hello_goes_at_once_and_then_less_and_less_often(self) -> None:
        client = started()
        client.pass_time(24)
        begin = [0, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5]
        assert client.times(Hello) == [*begin, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 20, 24]

    def test_hello_has_the_room_and_one_nonce(self) -> None:
        client = started()
        client.pass_time(5)
        hellos = client.take(Hello)
        assert {hello.room for hello in hellos} == {"lobby"}
        assert len({hello.nonce for hello in hellos}) == 1

    def test_it_is_started_once(self) -> None:
        client = started()
        client.do("start")
        assert len(client.take(Hello)) == 1

    def test_that_nobody_answers_is_told_every_5_s(self) -> None:
        client = started()
        client.pass_time(16)
        assert client.told(NoAnswer) == [NoAnswer(1000.0)] * 3

    def test_it_goes_on_for_ever(self) -> None:
        client = started()
        client.pass_time(3600)
        assert client.membership.state is State.GREETING

    def test_a_challenge_is_answered_with_join(self) -> None:
        client = started()
        client.challenge()
        (join,) = client.take(Join)
        assert (join.room, join.nick, join.cookie, join.own) == ("lobby", "anna", COOKIE, (1, 1))
        assert (join.proof, join.badge, join.tag, join.settled) == (None, None, None, None)
        assert client.membership.state is State.JOINING

    def test_a_challenge_with_another_nonce_is_ignored(self) -> None:
        client = started()
        client.hear(Challenge(b"another ", COOKIE, SALT))
        assert client.take(Join) == []
        assert client.membership.statistics.ignored == 1

    def test_a_relay_of_other_versions_is_given_up(self) -> None:
        client = started()
        client.hear(Versions(nonce_of(client), (2, 3)))
        (refused,) = client.told(Refused)
        assert refused.code == "version"
        assert "2, 3" in refused.sentence

    def test_a_relay_that_speaks_this_version_is_not(self) -> None:
        client = started()
        client.hear(Versions(nonce_of(client), (1, 2)))
        assert client.membership.state is State.GREETING

    def test_versions_are_ignored_by_a_member(self) -> None:
        client = joined()
        client.hear(Versions(nonce_of(client), (2,)))
        assert client.membership.state is State.JOINED

    def test_icmp_errors_change_nothing(self) -> None:
        client = started()
        client.do("unreachable")
        client.pass_time(1)
        assert client.times(Hello) == [0, 0.25, 0.5, 0.75, 1]

    def test_no_room_can_have_a_name_with_spaces(self) -> None:
        with pytest.raises(ValueError, match="room"):
            Settings("a room", "anna")


class TestJoining:
    def test_join_is_repeated_with_growing_pauses(self) -> None:
        client = started()
        client.challenge()
        client.pass_time(4.9)
        assert client.times(Join) == [0, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 4]

    def test_after_5_s_without_an_answer_it_begins_again(self) -> None:
        client = started()
        client.challenge()
        client.pass_time(5)
        assert client.times(Hello) == [0, 5]
        nonces = {d.nonce for _, d in client.sent if isinstance(d, Hello)}
        assert len(nonces) == 2

    def test_that_nobody_answers_is_told_over_all_attempts(self) -> None:
        client = started()
        for _ in range(3):
            client.challenge()
            client.pass_time(4)
        assert client.told(NoAnswer) == [NoAnswer(1000.0)] * 2

    def test_a_welcome_makes_it_a_member(self) -> None:
        client = started()
        client.join()
        assert client.told(Joined) == [Joined("lobby", "anna", OWN_NUMBER, resumed=False)]
        membership = client.membership
        assert (membership.state, membership.number) == (State.JOINED, OWN_NUMBER)
        assert (membership.room, membership.nick) == ("lobby", "anna")
        assert [known.nick for known in membership.members.values()] == ["anna"]

    def test_a_welcome_with_another_nonce_is_ignored(self) -> None:
        client = started()
        client.challenge()
        client.welcome(nonce=b"another ")
        assert client.membership.state is State.JOINING

    def test_a_second_welcome_is_ignored(self) -> None:
        client = joined()
        client.welcome(session_id=b"another ")
        assert client.told(Joined) == []
        client.do("send", b"x")
        assert [datagram.session_id for datagram in client.take(DataUp)] == [SESSION]

    def test_join_and_welcome_are_a_round_trip(self) -> None:
        client = started()
        client.challenge()
        client.now += 0.125
        client.welcome()
        assert client.membership.statistics.round_trip == 0.125

    def test_they_are_none_if_join_was_repeated(self) -> None:
        client = started()
        client.challenge()
        client.pass_time(0.3)
        client.welcome()
        assert client.membership.statistics.round_trip is None

    def test_what_members_say_is_ignored_before(self) -> None:
        client = started()
        client.challenge()
        client.hear(Data(TAG, 1, 1, 8, 1, b"x"))
        assert client.events == []


class TestRefusals:
    def test_a_refusal_ends_it(self) -> None:
        client = started()
        client.challenge()
        client.refuse("room-full", 1000)
        assert client.told(Refused) == [Refused("room-full", "No.")]
        assert client.membership.state is State.CLOSED
        client.pass_time(100)
        assert client.times(Hello) == [0]

    def test_a_nick_that_is_none_is_refused_at_once(self) -> None:
        client = started(nick="\t")
        (refused,) = client.told(Refused)
        assert refused.code == "nick-invalid"
        assert client.sent == []

    def test_the_nick_is_normalised_first(self) -> None:
        client = started(nick="  anna   b ")
        client.challenge()
        assert client.take(Join)[0].nick == "anna b"

    def test_a_nick_that_is_taken_is_refused(self) -> None:
        client = started()
        client.challenge()
        client.refuse("nick-taken")
        assert client.told(Refused) == [Refused("nick-taken", "No.")]

    def test_other_nicks_are_tried_if_that_is_wanted(self) -> None:
        client = started(other_nicks=True)
        client.challenge()
        for _ in range(8):
            client.refuse("nick-taken")
        joins = client.take(Join)
        assert [join.nick for join in joins] == ["anna"] + [f"anna-{n}" for n in range(2, 10)]
        assert len({join.nonce for join in joins}) == 9
        client.refuse("nick-taken")
        assert client.told(Refused) == [Refused("nick-taken", "No.")]

    def test_a_late_refusal_of_the_nick_before_is_ignored(self) -> None:
        client = started(other_nicks=True)
        client.challenge()
        nonce = client.nonce
        client.refuse("nick-taken")
        client.hear(joining.Refused(nonce, "nick-taken", "No.", 0))
        assert client.membership.state is State.JOINING

    def test_another_nick_takes_another_cookie_if_the_first_is_too_old(self) -> None:
        client = started(other_nicks=True, keyed=True)
        client.challenge()
        client.do("provide_keys", SALT, KEYS)
        client.now += 30
        client.refuse("nick-taken")
        assert client.membership.state is State.GREETING
        client.challenge()
        assert client.take(Join)[-1].nick == "anna-2"

    def test_a_long_nick_is_cut_for_it(self) -> None:
        client = started(nick="a" * 32, other_nicks=True)
        client.challenge()
        client.refuse("nick-taken")
        assert client.take(Join)[-1].nick == "a" * 30 + "-2"

    def test_a_nick_that_leaves_no_room_for_it_is_refused(self) -> None:
        client = started(nick="é" * 31 + "a", other_nicks=True)
        client.challenge()
        client.refuse("nick-taken")
        assert client.take(Join)[-1].nick == "é" * 30 + "-2"
        client = started(nick="字" * 21, other_nicks=True)
        client.challenge()
        client.refuse("nick-taken")
        assert client.told(Refused) == [Refused("nick-taken", "No.")]

    def test_the_nick_that_it_had_is_not_tried_twice(self) -> None:
        client = started(other_nicks=True)
        client.challenge()
        client.refuse("nick-taken")
        client.welcome()
        client.now += 5
        client.hear(Bye(SESSION, "stopping", "Back soon.", retry_after=1))
        client.pass_time(1)
        client.challenge()
        client.refuse("nick-taken")
        assert [join.nick for join in client.take(Join)] == ["anna", "anna-2", "anna-2", "anna-3"]


class TestKeys:
    def test_keys_are_asked_for_with_the_salt(self) -> None:
        client = started(keyed=True)
        client.challenge()
        assert client.told(KeysNeeded) == [KeysNeeded(SALT)]
        assert client.membership.state is State.KEYING

    def test_nothing_is_sent_while_they_are_computed(self) -> None:
        client = started(keyed=True)
        client.challenge()
        client.take(Hello)
        client.pass_time(20)
        assert client.said == []

    def test_join_has_the_proof_and_the_badge(self) -> None:
        client = started(keyed=True)
        client.challenge()
        client.do("provide_keys", SALT, KEYS)
        (join,) = client.take(Join)
        own = identity(join.secret)
        assert join.proof == proof(KEYS.access, COOKIE, "lobby", "anna", client.nonce, own)
        assert join.badge == badge(KEYS.content, "lobby", own, "anna")

    def test_keys_for_another_salt_are_not_waited_for(self) -> None:
        client = started(keyed=True)
        client.challenge()
        client.do("provide_keys", OTHER_SALT, KEYS)
        assert client.membership.state is State.KEYING

    def test_keys_that_are_known_are_not_asked_for_again(self) -> None:
        client = started(keyed=True)
        client.challenge()
        client.do("provide_keys", SALT, KEYS)
        client.pass_time(4)
        client.challenge()
        assert len(client.told(KeysNeeded)) == 1
        assert client.membership.state is State.JOINING

    def test_keys_can_be_known_beforehand(self) -> None:
        client = Client(keyed=True)
        client.do("provide_keys", SALT, KEYS)
        client.do("start")
        client.challenge()
        assert client.membership.state is State.JOINING

    def test_the_keys_of_four_salts_are_known(self) -> None:
        client = Client(keyed=True)
        for number in range(5):
            client.do("provide_keys", bytes((number,)) * 16, KEYS)
        client.do("start")
        client.challenge(bytes(16))
        assert client.membership.state is State.KEYING

    def test_it_begins_again_if_computing_takes_longer_than_a_cookie_lasts(self) -> None:
        client = started(keyed=True)
        client.challenge()
        client.pass_time(30)
        client.do("provide_keys", SALT, KEYS)
        assert client.membership.state is State.GREETING
        client.challenge()
        assert client.membership.state is State.JOINING

    def test_keys_and_secrets_are_not_shown(self) -> None:
        assert "aaaa" not in repr(KEYS)


class TestNickBefore:
    def test_a_nick_can_be_changed_before_joining(self) -> None:
        client = started()
        client.do("change_nick", "berta")
        assert client.membership.nick == "berta"
        client.challenge()
        assert client.take(Join)[0].nick == "berta"

    def test_while_joining_it_is_asked_for_once_it_is_a_member(self) -> None:
        client = started()
        client.challenge()
        client.do("change_nick", "berta")
        assert client.membership.nick == "anna"
        client.welcome()
        assert [request.nick for request in client.take(NickRequest)] == ["berta"]

    def test_a_nick_that_is_none_is_refused(self) -> None:
        client = started()
        client.do("change_nick", "\n")
        (refused,) = client.told(NickRefused)
        assert refused.code == "nick-invalid"
        assert client.membership.nick == "anna"


class TestLeavingBefore:
    def test_leaving_before_it_was_ever_a_member_needs_no_farewell(self) -> None:
        client = started()
        client.do("leave")
        assert client.told(Closed) == [Closed("left", "")]
        assert client.take(Leave) == []

    def test_leaving_before_it_was_started_ends_it(self) -> None:
        client = Client()
        client.do("leave")
        client.do("start")
        assert client.membership.state is State.CLOSED
