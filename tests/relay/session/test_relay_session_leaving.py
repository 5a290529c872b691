"""How sessions end, and how they go on at another address or under another nick."""

from __future__ import annotations

import pytest
from relay_driver import ANNA, BERT, CARL
from relay_session import Client, SessionRelay, joined, session_rules

from udprelay.protocol.wire.entries import LeaveEntry, NickEntry
from udprelay.protocol.wire.from_client import Leave, NickRequest, PathResponse, Ping
from udprelay.protocol.wire.from_relay import Bye, Data, Entry, Nicked, PathChallenge, Pong
from udprelay.protocol.wire.header import SIGNATURE
from udprelay.protocol.wire.joining import Hello, Unknown, Versions
from udprelay.relay.events import MemberLeft, MemberMoved, MemberRenamed, RelayStopped
from udprelay.relay.rules import Limits


def reasons(client: Client) -> list[str]:
    """Return why others have left, as a member was told."""
    bodies = [entry.body for entry in client.take(Entry)]
    return [body.reason for body in bodies if isinstance(body, LeaveEntry)]


class TestLeave:
    def test_is_answered_and_told_to_the_others(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.send(Leave(anna.id).encode())
        (bye,) = anna.take(Bye)
        assert (bye.code, bye.retry_after) == ("left", 0)
        assert reasons(bert) == ["left"]
        assert not anna.is_member
        assert [event.reason for event in relay.events(MemberLeft)] == ["left"]

    def test_repeated_it_is_unknown_which_is_as_good(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        anna.send(Leave(anna.id).encode())
        anna.take()
        anna.send(Leave(anna.id).encode())
        assert anna.take() == [Unknown(anna.id)]

    def test_the_last_one_closes_the_room(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        anna.send(Leave(anna.id).encode())
        assert relay.hub.roster.rooms == {}
        assert relay.hub.roster.member_count == 0


class TestIdle:
    def test_a_session_is_over_after_its_timeout(self) -> None:
        relay = SessionRelay(session_rules(room={"session_timeout": 10.0}))
        anna, bert = joined(relay, "anna", "bert")
        relay.wait(5)
        bert.ping()
        relay.wait(4.999)
        assert anna.is_member
        relay.wait(0.001)
        assert not anna.is_member
        (bye,) = anna.take(Bye)
        assert (bye.code, bye.retry_after > 0) == ("idle", True)
        assert reasons(bert) == ["idle"]

    def test_whatever_it_sends_keeps_it(self) -> None:
        relay = SessionRelay(session_rules(room={"session_timeout": 10.0}))
        (anna,) = joined(relay, "anna")
        for datagram in (anna.data(b"x"), anna.data(b"x", 0), Ping(anna.id, bytes(8), 0).encode()):
            relay.wait(9)
            anna.send(datagram)
        relay.wait(9)
        assert anna.is_member

    def test_plain_members_have_their_own_timeout(self) -> None:
        relay = SessionRelay(session_rules(room={"session_timeout": 10.0, "idle_timeout": 5.0}))
        (anna,) = joined(relay, "anna")
        relay.receive(CARL)
        relay.wait(5)
        assert reasons(anna) == ["idle"]
        assert anna.is_member


class TestKick:
    def test_a_session_member_is_out_at_once(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        relay.hub.kick(anna.session, relay.now)
        relay.settle()
        (bye,) = anna.take(Bye)
        assert (bye.code, bye.retry_after) == ("kicked", 0)
        assert reasons(bert) == ["kicked"]

    def test_two_at_once(self) -> None:
        relay = SessionRelay()
        anna, bert, carl, dora = joined(relay, "anna", "bert", "carl", "dora")
        relay.hub.kick(anna.session, relay.now)
        relay.hub.kick(carl.session, relay.now)
        relay.settle()
        assert reasons(bert) == reasons(dora) == ["kicked", "kicked"]
        assert anna.take(Entry) == []

    def test_one_that_has_just_joined(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        console = relay.hub.add_console("lobby", "terminal", relay.now)
        relay.hub.kick(console, relay.now)
        relay.settle()
        assert len(anna.take(Entry)) == 2


class TestTheEnd:
    def test_everybody_is_told_when_to_come_back(self) -> None:
        relay = SessionRelay()
        clients = joined(relay, "anna", "bert")
        relay.hub.close(relay.now)
        replies = relay.replies()
        assert [source for source, _ in replies] == [client.source for client in clients]
        relay.inboxes.update({source: [datagram] for source, datagram in replies})
        for client in clients:
            (bye,) = client.take(Bye)
            assert (bye.code, bye.retry_after > 0) == ("stopping", True)
        assert isinstance(relay.hub.take_events()[-1], RelayStopped)

    def test_once(self) -> None:
        relay = SessionRelay()
        joined(relay, "anna")
        relay.hub.farewell()
        assert len(relay.replies()) == 1
        relay.hub.close(relay.now)
        assert relay.replies() == []

    def test_plain_members_are_not(self) -> None:
        relay = SessionRelay()
        relay.receive(ANNA)
        relay.hub.close(relay.now)
        assert relay.replies() == []


class TestUnknown:
    @pytest.mark.parametrize("flags", [0, 1])
    def test_answers_data_of_a_session_that_is_not_there(self, flags: int) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        relay.hub.kick(anna.session, relay.now)
        relay.settle()
        anna.take()
        anna.say(b"x", flags)
        assert anna.take() == [Unknown(anna.id)]
        assert relay.dropped() == {"unknown-session": 1}

    def test_within_a_budget_for_each_source_prefix(self) -> None:
        relay = SessionRelay(session_rules(Limits(session_rate=1, session_burst=3)))
        ping = Ping(b"nobodys!", bytes(8), 0).encode()
        for _ in range(5):
            relay.receive(ANNA, ping)
        relay.receive(BERT, ping)
        assert (len(relay.inboxes[ANNA]), len(relay.inboxes[BERT])) == (3, 1)
        assert relay.dropped() == {"unknown-session": 4, "session-limit": 2}

    def test_nothing_is_sent_where_nobody_can_be(self) -> None:
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

    def test_but_nothing_smaller_than_the_answer(self) -> None:
        relay = SessionRelay()
        relay.receive(ANNA, SIGNATURE + b"\x02" + bytes(10))
        relay.receive(ANNA, SIGNATURE)
        assert relay.inboxes == {}
        assert relay.dropped() == {"malformed": 2}

    def test_never_an_answer_of_this_kind(self) -> None:
        relay = SessionRelay()
        relay.receive(ANNA, SIGNATURE + b"\x02" + Versions(bytes(8), (1, 2)).encode()[4:])
        assert relay.inboxes == {}
        assert relay.dropped() == {"malformed": 1}

    def test_answers_a_hello_of_somebody_who_does_not_speak_ours(self) -> None:
        relay = SessionRelay()
        relay.receive(ANNA, Hello(b"my nonce", "lobby", (2, 3)).encode())
        assert relay.inboxes[ANNA] == [Versions(b"my nonce", (1,)).encode()]
        assert relay.dropped() == {"other-version": 1}

    def test_within_a_budget(self) -> None:
        relay = SessionRelay(session_rules(Limits(session_rate=1, session_burst=1)))
        for _ in range(2):
            relay.receive(ANNA, SIGNATURE + b"\x02" + bytes(11))
        assert len(relay.inboxes[ANNA]) == 1
        assert relay.dropped() == {"other-version": 1, "session-limit": 1}

    def test_nothing_is_sent_where_nobody_can_be(self) -> None:
        relay = SessionRelay()
        relay.receive("10.0.0.1:0", SIGNATURE + b"\x02" + bytes(11))
        assert relay.inboxes == {}


class TestAnotherAddress:
    def test_is_challenged_and_what_comes_from_there_is_taken(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        old, anna.source = anna.source, BERT
        anna.say(b"from here", 0)
        assert len(bert.take()) == 1
        assert [type(one) for one in anna.take()] == [PathChallenge]
        bert.say(b"to there")
        assert anna.take() == []
        assert relay.inboxes[old]

    def test_the_token_moves_the_member(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        old, anna.source = anna.source, CARL
        relay.receive(CARL, b"a plain member is there")
        bert.take()
        anna.take()
        anna.send(Ping(anna.id, bytes(8), 0).encode())
        (challenge,) = anna.take(PathChallenge)
        relay.inboxes.clear()
        anna.send(PathResponse(anna.id, challenge.token).encode())
        bert.say(b"to here")
        # What went to the old address may be lost: a PONG tells what is newest.
        assert [type(one) for one in anna.take()] == [Pong, Entry, Data]
        assert old not in relay.inboxes
        assert relay.members() == set()
        assert [e.address for e in relay.events(MemberMoved)] == [CARL]
        # Again, it changes nothing.
        anna.send(PathResponse(anna.id, challenge.token).encode())
        assert relay.events(MemberMoved) == []

    def test_an_old_token_does_not(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        anna.source = CARL
        anna.send(Ping(anna.id, bytes(8), 0).encode())
        (challenge,) = anna.take(PathChallenge)
        for _ in range(4):
            relay.wait(30)
            anna.send(Ping(anna.id, bytes(8), 0).encode())
        anna.send(PathResponse(anna.id, challenge.token).encode())
        assert relay.dropped() == {"path": 1}

    def test_no_other_token_does(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        anna.source, home = CARL, anna.source
        anna.send(Ping(anna.id, bytes(8), 0).encode())
        (challenge,) = anna.take(PathChallenge)
        anna.source = BERT
        anna.send(PathResponse(anna.id, challenge.token).encode())
        assert relay.dropped() == {"path": 1}
        assert relay.listeners["main"].sessions[anna.id].source == home

    def test_is_challenged_once_for_a_batch(self) -> None:
        relay = SessionRelay()
        anna, _ = joined(relay, "anna", "bert")
        relay.receive_batch(*[(CARL, anna.data(b"12345")) for _ in range(10)])
        assert len(relay.inboxes[CARL]) == 1

    def test_is_not_for_something_smaller_than_the_challenge(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.source = CARL
        anna.say(b"123", 0)
        assert len(bert.take()) == 1
        anna.send(Leave(anna.id).encode())
        assert anna.take() == []
        assert not anna.is_member

    def test_is_challenged_within_a_budget(self) -> None:
        relay = SessionRelay(session_rules(Limits(session_rate=1, session_burst=2)))
        (anna,) = joined(relay, "anna")
        anna.source = CARL
        for _ in range(5):
            anna.send(Ping(anna.id, bytes(8), 0).encode())
        assert len(anna.take(PathChallenge)) == 2

    @pytest.mark.parametrize("source", ["10.0.0.1:0", "224.0.0.1:4000"])
    def test_is_not_challenged_where_nobody_can_be(self, source: str) -> None:
        relay = SessionRelay()
        anna, _ = joined(relay, "anna", "bert")
        anna.source = source
        anna.say(b"12345", 0)
        anna.send(PathResponse(anna.id, bytes(8)).encode())
        assert anna.take() == []
        assert relay.dropped() == {"invalid-source": 2}

    def test_is_not_for_a_member_that_has_just_left(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        fan_outs = relay.hub.receive(
            relay.listeners["main"], [(CARL, [anna.data(b"12345", 0)])], relay.now
        )
        relay.deliver(fan_outs)
        relay.hub.kick(anna.session, relay.now)
        relay.settle()
        assert CARL not in relay.inboxes

    def test_the_answer_goes_to_the_old_one(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        home, anna.source = anna.source, CARL
        anna.send(Ping(anna.id, bytes(8), 0).encode())
        anna.source, away = home, anna.take()
        assert [type(one) for one in away] == [PathChallenge]
        assert len(anna.take(Pong)) == 1


class TestNick:
    def ask(self, client: Client, nick: str, request: int = 1) -> Nicked:
        client.take()
        client.send(NickRequest(client.id, request, nick).encode())
        (answer,) = client.take(Nicked)
        return answer

    def test_is_granted_and_told_to_everybody(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.send(NickRequest(anna.id, 7, " Anna  B ", b"b" * 16).encode())
        nick = "Anna B"
        entry = Entry(anna.welcome.tag, 3, 1, NickEntry(nick, b"b" * 16))
        assert bert.take() == [entry]
        assert anna.take() == [Nicked(anna.id, 7, nick), entry]
        assert relay.events(MemberRenamed) == [
            MemberRenamed(room="lobby", member=nick, before="anna")
        ]
        assert relay.room().sessions.record(anna.session).nick == nick

    def test_the_same_request_gets_the_same_answer(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        first = self.ask(anna, "dora")
        assert self.ask(anna, "dora") == first
        assert len(bert.take(Entry)) == 1

    def test_the_nick_that_one_has_is_no_news(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        assert self.ask(anna, "anna").nick == "anna"
        assert bert.take() == []

    def test_another_way_to_write_it_is(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        assert self.ask(anna, "ANNA").nick == "ANNA"
        assert len(bert.take()) == 1

    @pytest.mark.parametrize(
        ("nick", "code"),
        [
            ("bert", "nick-taken"),
            ("console", "nick-taken"),
            ("", "nick-invalid"),
            ("\n", "nick-invalid"),
        ],
    )
    def test_is_refused_as_in_a_join(self, nick: str, code: str) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        answer = self.ask(anna, nick)
        assert (answer.nick, answer.code) == (None, code)
        assert bert.take() == []
        assert anna.session.name == "anna"

    def test_the_old_one_is_free(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        self.ask(anna, "dora")
        assert Client(relay, BERT, "anna", secret=b"somebody else...").join()
