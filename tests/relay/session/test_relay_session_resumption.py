"""JOIN of a client that was a member before: what it gets, and where its sequences go on."""

from __future__ import annotations

import pytest
from attrs import evolve
from relay_driver import BERT, CARL, START
from relay_session import Client, SessionRelay, joined, refused, session_rules

from udprelay.protocol.access_key import AccessKey
from udprelay.protocol.wire.from_client import Leave
from udprelay.protocol.wire.joining import Welcome
from udprelay.protocol.wire.sequenced import Private
from udprelay.relay.events import MemberMoved
from udprelay.relay.rules import Limits, ListenerRules, RelayRules

KEY = AccessKey(b"s" * 16, b"k" * 32)
WITH_KEY = session_rules(room={"access_key": KEY})


class TestDuplicateJoin:
    """A JOIN of a member resumes its session."""

    def test_gets_the_same_welcome_without_the_members(self) -> None:
        relay = SessionRelay()
        client = Client(relay)
        join = client.join_datagram()
        client.send(join.encode())
        client.send(join.encode())
        first, second = client.drain(Welcome)
        assert second == evolve(first, members=(), more_from=1)
        assert len(relay.room()) == 1

    def test_skips_no_datagrams_since_the_first_join(self) -> None:
        relay = SessionRelay()
        client = Client(relay)
        join = client.join_datagram()
        client.send(join.encode())
        relay.receive(CARL, b"meanwhile")
        client.send(join.encode())
        first, second = client.drain(Welcome)
        assert (first.newest, first.first) == (1, 2)
        assert (second.newest, second.first) == (3, 2)
        welcome = client.join()
        assert (welcome.newest, welcome.first) == (3, 2)

    def test_its_welcome_is_limited_by_the_repair_rate(self) -> None:
        relay = SessionRelay(session_rules(Limits(repair_rate=320)))
        client = Client(relay)
        answers = [client.try_to_join() for _ in range(6)]
        # The first WELCOME is no repair.
        assert [answer is None for answer in answers] == [False] * 4 + [True] * 2

    def test_moves_the_member_to_the_address_of_the_join(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.source = BERT
        before = anna.welcome
        assert anna.join().session_id == before.session_id
        anna.drain()
        bert.send_data(b"hello")
        assert len(anna.drain()) == 1
        assert relay.events(MemberMoved) == [
            MemberMoved(
                room="lobby",
                member="anna",
                before="10.0.1.1:4000",
                address=BERT,
                listener="main",
            )
        ]

    def test_moves_the_member_to_another_listener(self) -> None:
        rules = RelayRules(listeners={name: ListenerRules() for name in ("main", "side")})
        relay = SessionRelay(rules)
        anna, bert = joined(relay, "anna", "bert")
        anna.listener = "side"
        assert anna.join().number == 1
        assert list(relay.listeners["side"].sessions) == [anna.id]
        assert list(relay.listeners["main"].sessions) == [bert.id]
        bert.send_data(b"hello")
        anna.send_data(b"hello to you")
        assert (len(anna.drain()), len(bert.drain())) == (2, 2)

    def test_does_not_change_the_nick(self) -> None:
        client = Client(SessionRelay())
        client.join()
        assert client.join(nick="another").nick == "anna"

    def test_releases_early_private_messages_that_are_skipped_with_the_gap(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.send_private(bert, b"two", own=2)
        assert bert.drain(Private) == []
        assert anna.join(own=(1, 3)).next_own == (1, 3)
        assert [message.payload for message in bert.drain(Private)] == [b"two"]

    def test_releases_early_datagrams_behind_a_skipped_gap(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.send_data(b"2", own=2)
        anna.send_data(b"4", own=4)
        anna.send_private(bert, b"two", own=2)
        assert bert.drain() == []
        assert anna.join(own=(4, 2)).next_own == (5, 3)
        assert [one.payload for one in bert.drain()] == [b"two", b"2", b"4"]

    def test_an_earlier_own_sequence_changes_nothing(self) -> None:
        (anna,) = joined(SessionRelay(), "anna")
        anna.send_data(b"1")
        assert anna.join(own=(1, 1)).next_own == (2, 1)

    def test_a_wrong_proof_is_refused_and_removes_no_member(self) -> None:
        relay = SessionRelay(WITH_KEY)
        client = Client(relay, access_key=KEY.key)
        client.join()
        assert refused(client, proof=bytes(32), badge=bytes(16)).code == "wrong-key"
        assert client.is_member()

    def test_succeeds_in_a_full_room_with_the_same_nick(self) -> None:
        client = Client(SessionRelay(session_rules(room={"max_members": 1})))
        client.join()
        assert client.join().number == 1


class TestResumption:
    def test_a_member_gets_the_datagrams_that_it_has_not_settled(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        for number in range(5):
            bert.send_data(b"%d" % number)
        welcome = anna.join(tag=anna.welcome.tag, settled=4)
        assert (welcome.first, welcome.newest) == (5, 7)

    def test_a_member_gets_no_datagrams_before_its_join(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        anna.send_data(b"3")
        assert bert.join(tag=bert.welcome.tag, settled=0).first == 3

    def test_the_settled_sequence_of_another_tag_is_ignored(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        anna.send_data(b"3")
        assert bert.join(tag=bytes(8), settled=3).first == 3

    def test_a_member_that_timed_out_gets_the_datagrams_that_it_missed(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        relay.wait(30)
        bert.send_data(b"still here")
        relay.wait(20)
        assert not anna.is_member()
        welcome = anna.join(tag=anna.welcome.tag, settled=2)
        assert welcome.number == 3
        # Data of bert, and the entries of the leave and the join of anna.
        assert (welcome.first, welcome.newest) == (3, 5)

    def test_a_member_that_left_gets_no_datagrams_before_its_first_join(self) -> None:
        relay = SessionRelay()
        _, bert = joined(relay, "anna", "bert")
        relay.hub.roster.leave(bert.session, "left", relay.now)
        assert bert.join(tag=bert.welcome.tag, settled=0).first == 3

    def test_a_new_member_resumes_nothing(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        welcome = Client(relay, BERT, "bert").join(tag=anna.welcome.tag, settled=0)
        assert welcome.first == welcome.newest + 1

    def test_a_member_of_a_closed_room_gets_all_since_it_was_reopened(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        relay.wait(1000)
        bert.join()
        bert.send_data(b"anybody?")
        welcome = anna.join(tag=anna.welcome.tag, settled=7)
        assert (welcome.first, welcome.newest) == (1, 3)

    @pytest.mark.parametrize(("others", "remembered"), [(2046, True), (2048, False)])
    def test_the_tags_of_the_last_2048_rooms_are_remembered(
        self, others: int, remembered: bool
    ) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        anna.send(Leave(anna.id).encode())
        for number in range(others):
            other = Client(relay, BERT, "bert", f"room-{number}")
            other.join()
            other.send(Leave(other.id).encode())
            relay.now += 0.2
        joined(relay, "carl")
        welcome = anna.join(tag=anna.welcome.tag, settled=7)
        assert welcome.first == (1 if remembered else welcome.newest + 1)

    def test_a_member_that_has_settled_all_gets_nothing(self) -> None:
        anna, _ = joined(SessionRelay(), "anna", "bert")
        welcome = anna.join(tag=anna.welcome.tag, settled=2)
        assert (welcome.first, welcome.newest) == (3, 2)

    def test_a_settled_sequence_beyond_the_newest_is_reduced_to_it(self) -> None:
        (anna,) = joined(SessionRelay(), "anna")
        assert anna.join(tag=anna.welcome.tag, settled=10**9).first == 2

    def test_a_member_of_an_earlier_run_gets_all_since_the_start(self) -> None:
        relay = SessionRelay()
        joined(relay, "anna", "bert")
        relay.now = START + 299.9
        assert Client(relay, CARL, "carl").join(tag=bytes(8), settled=17).first == 1

    def test_300_seconds_after_the_start_an_unknown_tag_is_ignored(self) -> None:
        relay = SessionRelay()
        joined(relay, "anna", "bert")
        relay.now = START + 300
        welcome = Client(relay, CARL, "carl").join(tag=bytes(8), settled=17)
        assert welcome.first == welcome.newest + 1

    def test_own_sequences_continue(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.send_data(b"1")
        anna.send_data(b"2")
        anna.send_private(bert, b"1")
        relay.wait(44)
        bert.ping()
        relay.wait(10)
        assert not anna.is_member()
        assert anna.join(own=(1, 1)).next_own == (3, 2)
        bert.drain()
        anna.send_data(b"2", own=2)
        assert bert.drain() == []

    def test_own_sequences_that_the_client_skips_are_not_expected(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        relay.wait(44)
        bert.ping()
        relay.wait(10)
        assert anna.join(own=(9, 4)).next_own == (9, 4)

    def test_a_new_member_gets_history_on_join_datagrams(self) -> None:
        relay = SessionRelay(session_rules(room={"history_on_join": 3}))
        (anna,) = joined(relay, "anna")
        for number in range(5):
            anna.send_data(b"%d" % number)
        welcome = Client(relay, BERT, "bert").join()
        assert (welcome.first, welcome.newest) == (4, 7)
