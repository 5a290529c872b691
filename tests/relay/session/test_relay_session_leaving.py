"""The end of sessions, their change of address, and their change of nick."""

from __future__ import annotations

import pytest
from relay_driver import ANNA, BERT, CARL
from relay_session import Client, SessionRelay, joined, session_rules

from udprelay.protocol.wire.entries import LeaveEntry, NickEntry
from udprelay.protocol.wire.from_client import Leave, NickRequest, PathResponse, Ping
from udprelay.protocol.wire.from_relay import Bye, Nicked, PathChallenge, Pong
from udprelay.protocol.wire.header import SIGNATURE
from udprelay.protocol.wire.joining import Hello, Unknown, Versions
from udprelay.protocol.wire.sequenced import Data, Entry
from udprelay.relay.events import MemberLeft, MemberMoved, MemberRenamed, RelayStopped
from udprelay.relay.rules import Limits
from udprelay.relay.session.schedule import ENTRIES_DELAY
from udprelay.segments import Segments


def reasons(client: Client) -> list[str]:
    """Return the reasons in the leave entries that a member got."""
    bodies = [entry.body for entry in client.drain(Entry)]
    return [body.reason for body in bodies if isinstance(body, LeaveEntry)]


class TestLeave:
    def test_is_answered_with_bye_and_an_entry_for_the_others(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.send(Leave(anna.id).encode())
        (bye,) = anna.drain(Bye)
        assert (bye.code, bye.retry_after) == ("left", 0)
        assert reasons(bert) == ["left"]
        assert not anna.is_member()
        assert [event.reason for event in relay.events(MemberLeft)] == ["left"]

    def test_a_duplicate_is_answered_with_unknown(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        anna.send(Leave(anna.id).encode())
        anna.drain()
        anna.send(Leave(anna.id).encode())
        assert anna.drain() == [Unknown(anna.id)]

    def test_the_last_member_closes_the_room(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        anna.send(Leave(anna.id).encode())
        assert relay.hub.roster.rooms == {}
        assert relay.hub.roster.member_count == 0


class TestIdle:
    def test_a_session_ends_after_its_timeout(self) -> None:
        relay = SessionRelay(session_rules(room={"session_timeout": 10.0}))
        anna, bert = joined(relay, "anna", "bert")
        relay.wait(5)
        bert.ping()
        relay.wait(4.999)
        assert anna.is_member()
        relay.wait(0.001)
        assert not anna.is_member()
        (bye,) = anna.drain(Bye)
        assert (bye.code, bye.retry_after > 0) == ("idle", True)
        assert reasons(bert) == ["idle"]

    def test_every_datagram_restarts_the_timeout(self) -> None:
        relay = SessionRelay(session_rules(room={"session_timeout": 10.0}))
        (anna,) = joined(relay, "anna")
        for datagram in (anna.data(b"x"), anna.data(b"x", 0), Ping(anna.id, bytes(8), 0).encode()):
            relay.wait(9)
            anna.send(datagram)
        relay.wait(9)
        assert anna.is_member()

    def test_plain_members_have_another_timeout(self) -> None:
        relay = SessionRelay(session_rules(room={"session_timeout": 10.0, "idle_timeout": 5.0}))
        (anna,) = joined(relay, "anna")
        relay.receive(CARL)
        relay.wait(5)
        assert reasons(anna) == ["idle"]
        assert anna.is_member()


class TestKick:
    def test_a_session_member_is_removed_at_once(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        relay.hub.kick(anna.session, relay.now)
        relay.settle()
        (bye,) = anna.drain(Bye)
        assert (bye.code, bye.retry_after) == ("kicked", 0)
        assert reasons(bert) == ["kicked"]

    def test_two_members_may_be_kicked_together(self) -> None:
        relay = SessionRelay()
        anna, bert, carl, dora = joined(relay, "anna", "bert", "carl", "dora")
        relay.hub.kick(anna.session, relay.now)
        relay.hub.kick(carl.session, relay.now)
        relay.settle()
        relay.wait(ENTRIES_DELAY)
        assert reasons(bert) == reasons(dora) == ["kicked", "kicked"]
        assert anna.drain(Entry) == []

    def test_a_new_member_may_be_kicked(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        console = relay.console()
        relay.hub.kick(console, relay.now)
        relay.settle()
        assert len(anna.drain(Entry)) == 2


class TestStop:
    def test_all_session_members_get_bye_with_a_retry_delay(self) -> None:
        relay = SessionRelay()
        clients = joined(relay, "anna", "bert")
        relay.hub.close(relay.now)
        replies = relay.hub.drain_replies()
        assert [source for _, source, _ in replies] == [client.source for client in clients]
        relay.inboxes.update({source: [payload] for _, source, payload in replies})
        for client in clients:
            (bye,) = client.drain(Bye)
            assert (bye.code, bye.retry_after > 0) == ("stopping", True)
        assert isinstance(relay.drain_events()[-1], RelayStopped)

    def test_bye_is_sent_once(self) -> None:
        relay = SessionRelay()
        joined(relay, "anna")
        relay.hub.farewell()
        assert len(relay.hub.drain_replies()) == 1
        relay.hub.close(relay.now)
        assert relay.replies() == []

    def test_plain_members_get_no_bye(self) -> None:
        relay = SessionRelay()
        relay.receive(ANNA)
        relay.hub.close(relay.now)
        assert relay.replies() == []


class TestUnknown:
    @pytest.mark.parametrize("flags", [0, 1])
    def test_answers_data_with_an_unknown_session_id(self, flags: int) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        relay.hub.kick(anna.session, relay.now)
        relay.settle()
        anna.drain()
        anna.send_data(b"x", flags)
        assert anna.drain() == [Unknown(anna.id)]
        assert relay.dropped() == {"unknown-session": 1}

    def test_is_limited_for_each_source_prefix(self) -> None:
        relay = SessionRelay(session_rules(Limits(session_rate=1, session_burst=3)))
        ping = Ping(b"nobodys!", bytes(8), 0).encode()
        for _ in range(5):
            relay.receive(ANNA, ping)
        relay.receive(BERT, ping)
        assert (len(relay.inboxes[ANNA]), len(relay.inboxes[BERT])) == (3, 1)
        assert relay.dropped() == {"unknown-session": 4, "session-limit": 2}

    def test_is_not_sent_to_an_invalid_source(self) -> None:
        relay = SessionRelay()
        relay.receive("10.0.0.1:0", Leave(b"nobodys!").encode())
        assert relay.inboxes == {}
        assert relay.dropped() == {"invalid-source": 1}


class TestVersions:
    def test_answers_another_version(self) -> None:
        relay = SessionRelay()
        relay.receive(ANNA, SIGNATURE + b"\x02\x01\x00" + b"an id..." + b"\x00")
        assert relay.inboxes[ANNA] == [Versions(b"an id...", (1,)).encode()]
        assert relay.dropped() == {"other-version": 1}

    def test_does_not_answer_a_datagram_smaller_than_the_answer(self) -> None:
        relay = SessionRelay()
        relay.receive(ANNA, SIGNATURE + b"\x02" + bytes(10))
        relay.receive(ANNA, SIGNATURE)
        assert relay.inboxes == {}
        assert relay.dropped() == {"malformed": 2}

    def test_does_not_answer_versions(self) -> None:
        relay = SessionRelay()
        relay.receive(ANNA, SIGNATURE + b"\x02" + Versions(bytes(8), (1, 2)).encode()[4:])
        assert relay.inboxes == {}
        assert relay.dropped() == {"malformed": 1}

    def test_answers_a_hello_without_our_version(self) -> None:
        relay = SessionRelay()
        relay.receive(ANNA, Hello(b"my nonce", "lobby", (2, 3)).encode())
        assert relay.inboxes[ANNA] == [Versions(b"my nonce", (1,)).encode()]
        assert relay.dropped() == {"other-version": 1}

    def test_is_limited_for_each_source_prefix(self) -> None:
        relay = SessionRelay(session_rules(Limits(session_rate=1, session_burst=1)))
        for _ in range(2):
            relay.receive(ANNA, SIGNATURE + b"\x02" + bytes(11))
        assert len(relay.inboxes[ANNA]) == 1
        assert relay.dropped() == {"other-version": 1, "session-limit": 1}

    def test_is_not_sent_to_an_invalid_source(self) -> None:
        relay = SessionRelay()
        relay.receive("10.0.0.1:0", SIGNATURE + b"\x02" + bytes(11))
        assert relay.inboxes == {}


class TestAnotherAddress:
    def test_is_challenged_while_its_data_is_relayed(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        old, anna.source = anna.source, BERT
        anna.send_data(b"from here", 0)
        assert len(bert.drain()) == 1
        assert [type(one) for one in anna.drain()] == [PathChallenge]
        bert.send_data(b"to there")
        assert anna.drain() == []
        assert relay.inboxes[old]

    def test_the_token_of_the_challenge_moves_the_member(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        old, anna.source = anna.source, CARL
        relay.receive(CARL, b"a plain member is there")
        bert.drain()
        anna.drain()
        anna.send(Ping(anna.id, bytes(8), 0).encode())
        (challenge,) = anna.drain(PathChallenge)
        relay.inboxes.clear()
        anna.send(PathResponse(anna.id, challenge.token).encode())
        bert.send_data(b"to here")
        # PONG has the newest sequences, as datagrams to the old address may be lost.
        assert [type(one) for one in anna.drain()] == [Pong, Entry, Data]
        assert old not in relay.inboxes
        assert relay.members() == set()
        assert [e.address for e in relay.events(MemberMoved)] == [CARL]
        # A duplicate changes nothing.
        anna.send(PathResponse(anna.id, challenge.token).encode())
        assert relay.events(MemberMoved) == []

    def test_an_expired_token_does_not_move_the_member(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        anna.source = CARL
        anna.send(Ping(anna.id, bytes(8), 0).encode())
        (challenge,) = anna.drain(PathChallenge)
        for _ in range(4):
            relay.wait(30)
            anna.send(Ping(anna.id, bytes(8), 0).encode())
        anna.send(PathResponse(anna.id, challenge.token).encode())
        assert relay.dropped() == {"path": 1}

    def test_a_token_for_another_address_does_not_move_the_member(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        anna.source, home = CARL, anna.source
        anna.send(Ping(anna.id, bytes(8), 0).encode())
        (challenge,) = anna.drain(PathChallenge)
        anna.source = BERT
        anna.send(PathResponse(anna.id, challenge.token).encode())
        assert relay.dropped() == {"path": 1}
        assert relay.listeners["main"].sessions[anna.id].source == home

    def test_is_challenged_once_per_batch(self) -> None:
        relay = SessionRelay()
        anna, _ = joined(relay, "anna", "bert")
        relay.receive_batch(*[(CARL, anna.data(b"12345")) for _ in range(10)])
        assert len(relay.inboxes[CARL]) == 1

    def test_a_datagram_smaller_than_the_challenge_is_not_answered(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.source = CARL
        anna.send_data(b"123", 0)
        assert len(bert.drain()) == 1
        anna.send(Leave(anna.id).encode())
        assert anna.drain() == []
        assert not anna.is_member()

    def test_challenges_are_limited_for_each_source_prefix(self) -> None:
        relay = SessionRelay(session_rules(Limits(session_rate=1, session_burst=2)))
        (anna,) = joined(relay, "anna")
        anna.source = CARL
        for _ in range(5):
            anna.send(Ping(anna.id, bytes(8), 0).encode())
        assert len(anna.drain(PathChallenge)) == 2

    @pytest.mark.parametrize("source", ["10.0.0.1:0", "224.0.0.1:4000"])
    def test_an_invalid_source_is_not_challenged(self, source: str) -> None:
        relay = SessionRelay()
        anna, _ = joined(relay, "anna", "bert")
        anna.source = source
        anna.send_data(b"12345", 0)
        anna.send(PathResponse(anna.id, bytes(8)).encode())
        assert anna.drain() == []
        assert relay.dropped() == {"invalid-source": 2}

    def test_a_member_that_has_just_left_is_not_challenged(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        data = anna.data(b"12345", 0)
        batch = [(CARL, Segments(data, len(data)))]
        assert len(relay.hub.receive(relay.listeners["main"], batch, relay.now)) == 1
        relay.hub.kick(anna.session, relay.now)
        relay.settle()
        assert CARL not in relay.inboxes

    def test_answers_still_go_to_the_old_address(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        home, anna.source = anna.source, CARL
        anna.send(Ping(anna.id, bytes(8), 0).encode())
        anna.source, away = home, anna.drain()
        assert [type(one) for one in away] == [PathChallenge]
        assert len(anna.drain(Pong)) == 1


class TestNick:
    def request(self, client: Client, nick: str, number: int = 1) -> Nicked:
        client.drain()
        client.send(NickRequest(client.id, number, nick).encode())
        (answer,) = client.drain(Nicked)
        return answer

    def test_a_granted_request_is_an_entry_for_all(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.send(NickRequest(anna.id, 7, " Anna  B ", b"b" * 16).encode())
        nick = "Anna B"
        entry = Entry(anna.welcome.tag, 3, 1, NickEntry(nick, b"b" * 16))
        assert bert.drain() == [entry]
        assert anna.drain() == [Nicked(anna.id, 7, nick), entry]
        assert relay.events(MemberRenamed) == [
            MemberRenamed(room="lobby", member=nick, before="anna")
        ]
        assert relay.room_log().record(anna.session).nick == nick

    def test_a_duplicate_request_gets_the_same_answer(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        first = self.request(anna, "dora")
        assert self.request(anna, "dora") == first
        assert len(bert.drain(Entry)) == 1

    def test_a_request_for_the_current_nick_has_no_entry(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        assert self.request(anna, "anna").nick == "anna"
        assert bert.drain() == []

    def test_another_spelling_of_the_nick_has_an_entry(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        assert self.request(anna, "ANNA").nick == "ANNA"
        assert len(bert.drain()) == 1

    @pytest.mark.parametrize(
        ("nick", "code"),
        [
            ("bert", "nick-taken"),
            ("console", "nick-taken"),
            ("", "nick-invalid"),
            ("\n", "nick-invalid"),
        ],
    )
    def test_is_refused_for_the_reasons_of_a_join(self, nick: str, code: str) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        answer = self.request(anna, nick)
        assert (answer.nick, answer.code) == (None, code)
        assert bert.drain() == []
        assert anna.session.name == "anna"

    def test_a_nick_is_changed_at_most_once_in_five_seconds(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        assert self.request(anna, "dora", 1).nick == "dora"
        relay.wait(1.5)
        bert.drain()
        answer = self.request(anna, "emma", 2)
        assert (answer.nick, answer.code) == (None, "nick-limit")
        assert answer.sentence == "You can change your nick again in 4 s."
        assert (anna.session.name, bert.drain()) == ("dora", [])
        relay.wait(3.5)
        assert self.request(anna, "emma", 3).nick == "emma"
        assert relay.dropped()["nick-limit"] == 1

    def test_a_request_within_five_seconds_does_not_begin_them_again(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        self.request(anna, "dora", 1)
        for number in range(2, 7):
            relay.wait(0.99)
            assert self.request(anna, "emma", number).code == "nick-limit"
        relay.wait(0.05)
        assert self.request(anna, "emma", 7).nick == "emma"

    def test_a_repeated_request_within_five_seconds_gets_the_same_answer(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        self.request(anna, "dora", 1)
        refused = self.request(anna, "emma", 2)
        relay.wait(6)
        assert self.request(anna, "emma", 2) == refused
        assert self.request(anna, "emma", 3).nick == "emma"

    def test_another_nick_can_be_asked_for_at_once_after_a_refusal(self) -> None:
        anna, _ = joined(SessionRelay(), "anna", "bert")
        assert self.request(anna, "bert", 1).code == "nick-taken"
        assert self.request(anna, "dora", 2).nick == "dora"

    def test_each_member_has_its_own_five_seconds(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        assert self.request(anna, "dora").nick == "dora"
        assert self.request(bert, "emma").nick == "emma"

    def test_the_old_nick_is_free(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        self.request(anna, "dora")
        assert Client(relay, BERT, "anna", secret=b"another client..").join()
