"""HELLO and JOIN: who becomes a session member, and who does not."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from relay_driver import ANNA, BERT, CARL, START
from relay_session import Client, SessionRelay, joined, session_rules

from udprelay.protocol import keys
from udprelay.protocol.access_key import AccessKey
from udprelay.protocol.wire.entries import JoinEntry, LeaveEntry
from udprelay.protocol.wire.from_relay import Entry
from udprelay.protocol.wire.header import LEAST_HELLO
from udprelay.protocol.wire.joining import Challenge, Hello, Refused, Welcome
from udprelay.protocol.wire.members import MemberKind
from udprelay.relay.events import MemberJoined, MemberLeft, MemberMoved, MemberRejected
from udprelay.relay.rules import Label, Limits, ListenerRules, Protocol, RelayRules, RoomRules
from udprelay.relay.session import sessions as sessions_module

KEY = AccessKey(b"s" * 16, b"k" * 32)
WITH_KEY = session_rules(room={"access_key": KEY})


def refused(client: Client, **changes: Any) -> Refused:
    answer = client.try_to_join(**changes)
    assert isinstance(answer, Refused), answer
    return answer


class TestHello:
    def test_gets_a_challenge_and_nothing_is_kept(self) -> None:
        relay = SessionRelay()
        challenge = Client(relay).hello(b"my nonce")
        assert challenge.nonce == b"my nonce"
        assert relay.hub.roster.rooms == {}
        assert relay.dropped() == {}

    def test_the_challenge_is_never_larger(self) -> None:
        relay = SessionRelay()
        relay.receive(ANNA, Hello(bytes(8), "r" * 64).encode())
        (challenge,) = relay.inboxes[ANNA]
        assert len(challenge) <= LEAST_HELLO

    def test_one_that_is_too_small_gets_nothing(self) -> None:
        relay = SessionRelay()
        relay.receive(ANNA, Hello(bytes(8), "lobby").encode()[: LEAST_HELLO - 1])
        assert relay.inboxes == {}
        assert relay.dropped() == {"malformed": 1}

    def test_has_a_budget_for_each_source_prefix(self) -> None:
        relay = SessionRelay(session_rules(Limits(session_rate=1, session_burst=2)))
        for _ in range(4):
            relay.receive(ANNA, Hello(bytes(8), "lobby").encode())
        relay.receive(BERT, Hello(bytes(8), "lobby").encode())
        assert (len(relay.inboxes[ANNA]), len(relay.inboxes[BERT])) == (2, 1)
        assert relay.dropped() == {"session-limit": 2}

    def test_the_cookie_is_of_address_and_room_and_time(self) -> None:
        relay = SessionRelay()
        cookies = {Client(relay).hello().cookie}
        cookies.add(Client(relay, source=BERT).hello().cookie)
        cookies.add(Client(relay, room="attic").hello().cookie)
        relay.wait(30)
        cookies.add(Client(relay).hello().cookie)
        assert len(cookies) == 4

    @pytest.mark.parametrize("source", ["10.0.0.1:0", "224.0.0.1:4000", "0.0.0.0:4000"])
    def test_where_nobody_can_be_nothing_is_sent(self, source: str) -> None:
        relay = SessionRelay()
        relay.receive(source, Hello(bytes(8), "lobby").encode())
        assert relay.inboxes == {}
        assert relay.dropped() == {"invalid-source": 1}

    def test_the_relay_does_not_talk_to_itself(self) -> None:
        relay = SessionRelay(own=[ANNA])
        relay.receive(ANNA, Hello(bytes(8), "lobby").encode())
        assert relay.inboxes == {}
        assert relay.dropped() == {"own-address": 1}

    def test_a_target_only_receives(self) -> None:
        relay = SessionRelay()
        relay.target(ANNA)
        relay.receive(ANNA, Hello(bytes(8), "lobby").encode())
        assert relay.inboxes == {}
        assert relay.dropped() == {"from-target": 1}


class TestSalt:
    def salts(self, rules: RelayRules, *rooms: str) -> list[bytes]:
        relay = SessionRelay(rules)
        return [Client(relay, room=room).hello().salt for room in rooms]

    def test_is_that_of_the_access_key(self) -> None:
        assert self.salts(WITH_KEY, "lobby") == [KEY.salt]

    def test_looks_the_same_whether_there_is_a_room_or_a_key(self) -> None:
        rules = RelayRules(rooms={"secret": RoomRules(access_key=KEY), "open": RoomRules()})
        salts = self.salts(rules, "secret", "open", "none")
        assert len(set(salts)) == 3
        assert {len(salt) for salt in salts} == {16}

    def test_outlives_the_relay_if_that_of_any_room_does(self) -> None:
        rules = RelayRules(rooms={"secret": RoomRules(access_key=KEY)})
        relay = SessionRelay(rules)
        again = SessionRelay(rules)
        again.hub = type(again.hub)(rules, b"another secret of 32 bytes......", lambda _: False, 0)
        again.listeners["main"] = again.hub.open_listener("main", relay.listeners["main"].endpoint)
        assert Client(relay, room="x").hello().salt == Client(again, room="x").hello().salt


class TestJoin:
    def test_makes_a_member(self) -> None:
        relay = SessionRelay()
        client = Client(relay)
        welcome = client.join()
        session = client.session
        assert (session.name, session.source, session.room.name) == ("anna", ANNA, "lobby")
        assert welcome == Welcome(
            nonce=client.nonces.to_bytes(8, "big"),
            session_id=session.id,
            number=1,
            tag=relay.room().sessions.tag,
            newest=1,
            first=2,
            nick="anna",
            keepalive=10_000,
            idle=45_000,
            largest=1200,
            allowance=(0, 0),
            next_own=(1, 1),
            newest_private=0,
            members=(relay.room().sessions.record(session),),
        )

    def test_is_an_event(self) -> None:
        relay = SessionRelay()
        Client(relay).join()
        assert relay.events(MemberJoined) == [
            MemberJoined(
                room="lobby", member="anna", kind="session", address=ANNA, listener="main"
            )
        ]

    def test_is_told_to_the_members_that_are_there(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        bert = Client(relay, BERT, "bert")
        bert.join(own=(7, 1))
        (entry,) = anna.take(Entry)
        assert (entry.sequence, entry.number) == (2, 2)
        assert entry.body == JoinEntry("bert", MemberKind.SESSION, bert.identity, 6, b"")
        assert bert.take() == []

    def test_what_the_room_has_configured_is_in_the_welcome(self) -> None:
        room = {"session_timeout": 8.0, "member_rate": 0.5, "member_bandwidth": 1000}
        welcome = Client(SessionRelay(session_rules(room=room))).join()
        assert (welcome.keepalive, welcome.idle) == (2000, 8000)
        assert welcome.allowance == (1, 1000)

    def test_the_members_are_in_the_welcome_without_targets(self) -> None:
        relay = SessionRelay()
        relay.receive(CARL)
        relay.target("192.0.2.7:2055")
        relay.hub.add_console("lobby", "terminal", relay.now)
        welcome = Client(relay).join()
        assert [(m.number, m.nick, m.kind) for m in welcome.members] == [
            (1, "guest-1", MemberKind.PLAIN),
            (3, "console", MemberKind.CONSOLE),
            (4, "anna", MemberKind.SESSION),
        ]

    def test_a_roster_that_is_too_long_goes_on_elsewhere(self) -> None:
        relay = SessionRelay()
        for number in range(200):
            relay.receive(f"10.1.0.1:{1000 + number}")
        welcome = Client(relay).join()
        assert welcome.more_from == len(welcome.members) + 1

    def test_the_nick_is_normalised(self) -> None:
        assert Client(SessionRelay(), nick="  Anna ").join().nick == "Anna"

    def test_a_wrong_cookie_gets_no_answer(self) -> None:
        relay = SessionRelay()
        client = Client(relay)
        assert client.try_to_join(cookie=b"wrong") is None
        assert relay.dropped() == {"cookie": 1}

    def test_the_cookie_of_another_address_proves_nothing(self) -> None:
        relay = SessionRelay()
        stolen = Client(relay, BERT).hello()
        assert Client(relay, ANNA).try_to_join(cookie=stolen.cookie) is None

    def test_a_cookie_gets_old(self) -> None:
        relay = SessionRelay()
        client = Client(relay)
        join = client.join_datagram()
        relay.wait(60)
        client.send(join.encode())
        assert client.take() == []
        assert relay.dropped() == {"cookie": 1}

    def test_two_clients_at_one_address_are_two_members(self) -> None:
        relay = SessionRelay()
        assert Client(relay, ANNA, "anna").join().number == 1
        assert Client(relay, ANNA, "bert").join().number == 2

    def test_the_plain_member_at_that_address_is_replaced(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        relay.receive(BERT, b"plain")
        Client(relay, BERT, "bert").join()
        assert relay.members() == set()
        assert [event.reason for event in relay.events(MemberLeft)] == ["replaced"]
        bodies = [entry.body for entry in anna.take(Entry)]
        assert bodies[1] == LeaveEntry("replaced")
        assert [type(body) for body in bodies] == [JoinEntry, LeaveEntry, JoinEntry]

    def test_a_plain_listener_knows_no_sessions(self) -> None:
        relay = SessionRelay(session_rules(protocol=Protocol.PLAIN))
        relay.join(BERT)
        hello = Hello(bytes(8), "lobby").encode()
        relay.receive(ANNA, hello)
        assert relay.inboxes == {BERT: [hello]}

    def test_a_session_listener_knows_nothing_else(self) -> None:
        relay = SessionRelay(session_rules(protocol=Protocol.SESSION))
        relay.receive(CARL, b"plain")
        assert Client(relay).join().number == 1
        assert relay.members() == set()
        assert relay.dropped() == {"session-only": 1}


class TestAgain:
    """A client that is a member already stays that member."""

    def test_a_repeated_join_gets_the_same_welcome_without_the_members(self) -> None:
        relay = SessionRelay()
        client = Client(relay)
        join = client.join_datagram()
        client.send(join.encode())
        client.send(join.encode())
        first, second = client.take(Welcome)
        assert second == evolve(first, members=(), more_from=1)
        assert len(relay.room()) == 1

    def test_what_was_said_in_between_is_not_skipped(self) -> None:
        relay = SessionRelay()
        client = Client(relay)
        join = client.join_datagram()
        client.send(join.encode())
        relay.receive(CARL, b"meanwhile")
        client.send(join.encode())
        first, second = client.take(Welcome)
        assert (first.newest, first.first) == (1, 2)
        assert (second.newest, second.first) == (3, 2)
        welcome = client.join()
        assert (welcome.newest, welcome.first) == (3, 2)

    def test_is_sent_within_the_budget_for_repairs(self) -> None:
        relay = SessionRelay(session_rules(Limits(repair_rate=300)))
        client = Client(relay)
        answers = [client.try_to_join() for _ in range(6)]
        # A new member's is no repair.
        assert [answer is None for answer in answers] == [False] * 4 + [True] * 2

    def test_it_moves_to_the_address_of_the_join(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.source = BERT
        before = anna.welcome
        assert anna.join().session_id == before.session_id
        anna.take()
        bert.say(b"hello")
        assert len(anna.take()) == 1
        assert relay.events(MemberMoved) == [
            MemberMoved(
                room="lobby",
                member="anna",
                before="10.0.1.1:4000",
                address=BERT,
                listener="main",
            )
        ]

    def test_it_moves_to_another_listener_of_the_relay(self) -> None:
        rules = RelayRules(listeners={name: ListenerRules() for name in ("main", "side")})
        relay = SessionRelay(rules)
        anna, bert = joined(relay, "anna", "bert")
        anna.listener = "side"
        assert anna.join().number == 1
        assert list(relay.listeners["side"].sessions) == [anna.id]
        assert list(relay.listeners["main"].sessions) == [bert.id]
        bert.say(b"hello")
        anna.say(b"hello to you")
        assert (len(anna.take()), len(bert.take())) == (2, 2)

    def test_the_nick_stays_too(self) -> None:
        client = Client(SessionRelay())
        client.join()
        assert client.join(nick="another").nick == "anna"

    def test_what_is_waited_for_no_longer_holds_nothing_up(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.say(b"2", own=2)
        anna.say(b"4", own=4)
        anna.tell(bert, b"two", own=2)
        assert bert.take() == []
        assert anna.join(own=(4, 2)).next_own == (5, 3)
        assert [one.payload for one in bert.take()] == [b"two", b"2", b"4"]
        assert relay.hub._sessions._held == 0

    def test_an_own_sequence_from_before_changes_nothing(self) -> None:
        (anna,) = joined(SessionRelay(), "anna")
        anna.say(b"1")
        assert anna.join(own=(1, 1)).next_own == (2, 1)

    def test_it_is_refused_like_anybody_and_stays_a_member(self) -> None:
        relay = SessionRelay(WITH_KEY)
        client = Client(relay, access_key=KEY.key)
        client.join()
        assert refused(client, proof=bytes(32), badge=bytes(16)).code == "wrong-key"
        assert client.is_member

    def test_neither_a_full_room_nor_its_own_nick_stands_in_its_way(self) -> None:
        client = Client(SessionRelay(session_rules(room={"max_members": 1})))
        client.join()
        assert client.join().number == 1


class TestResumption:
    def test_a_member_gets_what_it_has_not_settled(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        for number in range(5):
            bert.say(b"%d" % number)
        welcome = anna.join(tag=anna.welcome.tag, settled=4)
        assert (welcome.first, welcome.newest) == (5, 7)

    def test_but_never_what_was_before_it(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        anna.say(b"3")
        assert bert.join(tag=bert.welcome.tag, settled=0).first == 3

    def test_another_tag_is_nothing_that_it_could_have_settled(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        anna.say(b"3")
        assert bert.join(tag=bytes(8), settled=3).first == 3

    def test_so_does_one_that_has_left_meanwhile_as_a_new_member(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        relay.wait(30)
        bert.say(b"still here")
        relay.wait(20)
        assert not anna.is_member
        welcome = anna.join(tag=anna.welcome.tag, settled=2)
        assert welcome.number == 3
        # What bert has said, that anna has left, and that she is back.
        assert (welcome.first, welcome.newest) == (3, 5)

    def test_and_not_what_was_before_it_either(self) -> None:
        relay = SessionRelay()
        _, bert = joined(relay, "anna", "bert")
        relay.hub.roster.leave(bert.session, "left", relay.now)
        assert bert.join(tag=bert.welcome.tag, settled=0).first == 3

    def test_whoever_was_not_there_has_nothing_to_resume(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        welcome = Client(relay, BERT, "bert").join(tag=anna.welcome.tag, settled=0)
        assert welcome.first == welcome.newest + 1

    def test_after_the_room_was_closed_all_that_was_said_since_is_missing(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        relay.wait(1000)
        bert.join()
        bert.say(b"anybody?")
        welcome = anna.join(tag=anna.welcome.tag, settled=7)
        assert (welcome.first, welcome.newest) == (1, 3)

    def test_the_tags_of_rooms_that_were_closed_are_not_remembered_for_ever(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sessions_module, "_MOST_TAGS", 2)
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        for room in ("red", "blue"):
            Client(relay, BERT, "bert", room).join()
        relay.wait(1000)
        joined(relay, "carl")
        welcome = anna.join(tag=anna.welcome.tag, settled=7)
        assert welcome.first == welcome.newest + 1
        assert len(relay.hub._sessions._tags) == 2

    def test_who_has_settled_everything_misses_nothing(self) -> None:
        anna, _ = joined(SessionRelay(), "anna", "bert")
        welcome = anna.join(tag=anna.welcome.tag, settled=2)
        assert (welcome.first, welcome.newest) == (3, 2)

    def test_nobody_has_settled_what_is_to_come(self) -> None:
        (anna,) = joined(SessionRelay(), "anna")
        assert anna.join(tag=anna.welcome.tag, settled=10**9).first == 2

    def test_after_a_restart_all_since_the_start_is_missing(self) -> None:
        relay = SessionRelay()
        joined(relay, "anna", "bert")
        relay.now = START + 299.9
        assert Client(relay, CARL, "carl").join(tag=bytes(8), settled=17).first == 1

    def test_much_later_another_tag_means_nothing(self) -> None:
        relay = SessionRelay()
        joined(relay, "anna", "bert")
        relay.now = START + 300
        welcome = Client(relay, CARL, "carl").join(tag=bytes(8), settled=17)
        assert welcome.first == welcome.newest + 1

    def test_own_sequences_go_on_where_they_were(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.say(b"1")
        anna.say(b"2")
        anna.tell(bert, b"1")
        relay.wait(44)
        bert.ping()
        relay.wait(10)
        assert not anna.is_member
        assert anna.join(own=(1, 1)).next_own == (3, 2)
        bert.take()
        anna.say(b"2", own=2)
        assert bert.take() == []

    def test_what_the_client_has_given_up_is_not_waited_for(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        relay.wait(44)
        bert.ping()
        relay.wait(10)
        assert anna.join(own=(9, 4)).next_own == (9, 4)

    def test_a_fresh_member_gets_the_last_entries_of_the_room(self) -> None:
        relay = SessionRelay(session_rules(room={"history_on_join": 3}))
        (anna,) = joined(relay, "anna")
        for number in range(5):
            anna.say(b"%d" % number)
        welcome = Client(relay, BERT, "bert").join()
        assert (welcome.first, welcome.newest) == (4, 7)


class TestRefusals:
    def test_a_full_room(self) -> None:
        relay = SessionRelay(session_rules(room={"max_members": 1}))
        joined(relay, "anna")
        answer = refused(Client(relay, BERT, "bert"))
        assert (answer.code, answer.retry_after) == ("room-full", 10_000)
        assert relay.dropped() == {"room-full": 1}

    def test_a_full_relay(self) -> None:
        relay = SessionRelay(session_rules(max_members=1))
        joined(relay, "anna", room="attic")
        assert refused(Client(relay, BERT, "bert")).code == "relay-full"

    def test_the_plain_member_that_it_replaces_leaves_its_place(self) -> None:
        relay = SessionRelay(session_rules(max_members=1, room={"max_members": 1}))
        relay.receive(ANNA)
        assert Client(relay).join().number == 1

    def test_a_room_that_is_not_there(self) -> None:
        relay = SessionRelay(session_rules(open_rooms=False))
        answer = refused(Client(relay, room="attic"))
        assert (answer.code, answer.retry_after) == ("no-room", 0)

    @pytest.mark.parametrize("room", ["lobby", "attic"])
    def test_rooms_with_a_name_in_the_configuration_can_always_be_opened(self, room: str) -> None:
        rules = session_rules(open_rooms=False, max_rooms=0, rooms={"attic": RoomRules()})
        assert Client(SessionRelay(rules), room=room).join().number == 1

    def test_too_many_rooms(self) -> None:
        relay = SessionRelay(session_rules(max_rooms=1))
        joined(relay, "anna", room="attic")
        answer = refused(Client(relay, BERT, "bert", room="cellar"))
        assert (answer.code, answer.retry_after) == ("relay-full", 10_000)
        assert Client(relay, CARL, "carl", room="attic").join().number == 2

    def test_a_kicked_address_whoever_is_there(self) -> None:
        relay = SessionRelay(session_rules(Limits(kick_time=60)))
        (anna,) = joined(relay, "anna")
        relay.hub.kick(anna.session, relay.now)
        relay.now += 20
        answer = refused(Client(relay, anna.source, "bert"))
        assert (answer.code, answer.retry_after) == ("kicked", 40_000)

    def test_a_kicked_identity_wherever_it_is(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        relay.hub.kick(anna.session, relay.now)
        anna.source = BERT
        assert refused(anna).code == "kicked"
        assert Client(relay, BERT, "anna", secret=b"somebody else...").join()

    def test_a_kicked_plain_member(self) -> None:
        relay = SessionRelay()
        relay.join(ANNA)
        relay.hub.kick(relay.member(ANNA), relay.now)
        assert refused(Client(relay)).code == "kicked"

    @pytest.mark.parametrize("nick", ["anna", "ANNA", " anna ", "\uff41\uff4e\uff4e\uff41"])
    def test_a_nick_that_somebody_has_or_one_that_looks_like_it(self, nick: str) -> None:
        relay = SessionRelay()
        joined(relay, "anna")
        answer = refused(Client(relay, BERT, nick, secret=b"somebody else..."))
        assert (answer.code, answer.retry_after) == ("nick-taken", 45_000)

    @pytest.mark.parametrize("nick", ["console", "guest-7"])
    def test_a_nick_of_the_relay(self, nick: str) -> None:
        assert refused(Client(SessionRelay(), nick=nick)).code == "nick-taken"

    @pytest.mark.parametrize("nick", ["", "\n", "two\nlines", "x" * 33, "x" * 200])
    def test_what_is_no_nick(self, nick: str) -> None:
        answer = refused(Client(SessionRelay(), room="r"), nick=nick)
        assert (answer.code, answer.retry_after) == ("nick-invalid", 0)
        assert answer.sentence

    def test_what_is_wrong_with_a_nick_is_said_if_the_answer_may_be_so_long(self) -> None:
        answer = refused(Client(SessionRelay(), room="r" * 40), nick="two\nlines")
        assert "U+000A" in answer.sentence
        assert refused(Client(SessionRelay(), room="r"), nick="\n").sentence == "That is no nick."

    def test_a_nick_is_free_again_when_its_member_has_left(self) -> None:
        relay = SessionRelay()
        joined(relay, "anna", "bert")
        relay.wait(46)
        assert Client(relay, CARL, "anna", secret=b"somebody else...").join()

    def test_is_said_and_counted_under_the_name_of_a_known_room_only(self) -> None:
        relay = SessionRelay(session_rules(open_rooms=False))
        refused(Client(relay, room="attic"))
        assert relay.events(MemberRejected) == [
            MemberRejected(room="attic", address=ANNA, listener="main", reason="no-room")
        ]
        assert list(relay.hub._drops._current) == [("main", "", "no-room")]

    def test_is_never_larger_than_the_join(self) -> None:
        relay = SessionRelay(session_rules(room={"access_key": KEY}))
        client = Client(relay, room="r", nick="n")
        join = client.join_datagram()
        client.send(join.encode())
        (answer,) = client.raw()
        assert len(answer) <= len(join.encode())

    def test_has_a_budget_for_each_source_prefix(self) -> None:
        relay = SessionRelay(
            session_rules(Limits(session_rate=1, session_burst=2), open_rooms=False)
        )
        client = Client(relay, room="attic")
        join = client.join_datagram().encode()
        for _ in range(4):
            client.send(join)
        assert len(client.take(Refused)) == 2
        assert relay.dropped() == {"no-room": 4}
        relay.now += 1
        assert refused(client)


class TestAccessKey:
    def test_the_proof_admits(self) -> None:
        client = Client(SessionRelay(WITH_KEY), access_key=KEY.key)
        assert client.join(badge=b"b" * 16).members[0].badge == b"b" * 16

    def test_without_a_proof_there_is_no_way(self) -> None:
        answer = refused(Client(SessionRelay(WITH_KEY)))
        assert (answer.code, answer.retry_after) == ("key-required", 0)

    def test_a_wrong_proof_does_not_admit(self) -> None:
        assert refused(Client(SessionRelay(WITH_KEY), access_key=bytes(32))).code == "wrong-key"

    @pytest.mark.parametrize("field", ["nick", "nonce", "secret", "room"])
    def test_a_proof_is_good_for_one_join_alone(self, field: str) -> None:
        rules = evolve(WITH_KEY, rooms={"attic": RoomRules(access_key=KEY)})
        client = Client(SessionRelay(rules), access_key=KEY.key)
        join = client.join_datagram()
        other = {"nick": "bert", "nonce": bytes(8), "secret": bytes(16), "room": "attic"}
        cookie = Client(client.relay, room="attic").hello().cookie
        stolen = evolve(join, **{field: other[field]})
        if field == "room":
            stolen = evolve(stolen, cookie=cookie)
        client.send(stolen.encode())
        (answer,) = client.take(Refused)
        assert answer.code == "wrong-key"

    def test_a_proof_where_there_is_no_key_is_refused_as_it_would_protect_nothing(self) -> None:
        client = Client(SessionRelay(), access_key=KEY.key)
        assert refused(client).code == "no-key-here"

    def test_wrong_proofs_have_a_budget_and_then_not_even_the_right_one_is_looked_at(self) -> None:
        relay = SessionRelay(
            session_rules(Limits(proof_rate=0.1, proof_burst=3), room={"access_key": KEY})
        )
        guesses = [Client(relay, access_key=bytes([n] * 32)).try_to_join() for n in range(5)]
        assert [type(answer) for answer in guesses] == [Refused] * 3 + [type(None)] * 2
        client = Client(relay, access_key=KEY.key)
        assert client.try_to_join() is None
        assert relay.dropped() == {"wrong-key": 3, "proof-limit": 3}
        relay.now += 10
        assert isinstance(client.try_to_join(), Welcome)

    def test_right_ones_use_up_nothing(self) -> None:
        relay = SessionRelay(session_rules(Limits(proof_burst=1), room={"access_key": KEY}))
        for number in range(5):
            Client(relay, nick=f"n{number}", access_key=KEY.key).join()

    def test_plain_members_are_not_admitted(self) -> None:
        relay = SessionRelay(WITH_KEY)
        relay.receive(ANNA, b"let me in")
        assert relay.members() == set()
        assert relay.dropped() == {"key-required": 1}

    def test_unless_the_room_says_so(self) -> None:
        relay = SessionRelay(session_rules(room={"access_key": KEY, "plain_with_key": True}))
        relay.receive(ANNA, b"let me in")
        assert relay.members() == {ANNA}

    def test_targets_and_the_console_are_the_operators_own(self) -> None:
        relay = SessionRelay(WITH_KEY)
        relay.target(CARL)
        relay.hub.add_console("lobby", "terminal", relay.now)
        assert len(relay.room()) == 2


def test_ids_are_never_given_twice_and_cannot_be_foreseen() -> None:
    relay = SessionRelay()
    ids = {client.id for client in joined(relay, *(f"n{n}" for n in range(50)))}
    tags = {Client(relay, nick=f"x{n}", room=f"room-{n}").join().tag for n in range(50)}
    assert len(ids | tags) == 100
    assert not any(keys.identity(bytes(16))[:8] == one for one in ids)


def test_a_room_that_is_opened_again_has_another_tag() -> None:
    relay = SessionRelay()
    (anna,) = joined(relay, "anna")
    before = anna.welcome.tag
    relay.wait(46)
    assert anna.join().tag != before


def test_a_label_is_no_matter_for_session_members() -> None:
    relay = SessionRelay(session_rules(room={"label": Label.NICK}))
    anna, bert = joined(relay, "anna", "bert")
    relay.receive(CARL, b"plain")
    anna.say(b"hello")
    assert [one.payload for one in bert.take() if not isinstance(one, Entry)] == [
        b"plain",
        b"hello",
    ]
    assert relay.inboxes[CARL] == [b"anna: hello"]


def test_a_challenge_is_of_its_attempt() -> None:
    relay = SessionRelay()
    client = Client(relay)
    client.send(Hello(b"attempt1", "lobby").encode())
    client.send(Hello(b"attempt2", "lobby").encode())
    assert [challenge.nonce for challenge in client.take(Challenge)] == [b"attempt1", b"attempt2"]
