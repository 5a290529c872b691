"""JOINs that are refused, and access keys."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from relay_driver import ANNA, BERT, CARL, reports
from relay_session import Client, SessionRelay, joined, refused, session_rules

from udprelay.protocol.access_key import AccessKey
from udprelay.protocol.wire.from_client import Leave
from udprelay.protocol.wire.joining import Refused, Welcome
from udprelay.relay.events import MemberRejected
from udprelay.relay.rules import Limits, RoomRules

KEY = AccessKey(b"s" * 16, b"k" * 32)
WITH_KEY = session_rules(room={"access_key": KEY})


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

    def test_the_replaced_plain_member_makes_space(self) -> None:
        relay = SessionRelay(session_rules(max_members=1, room={"max_members": 1}))
        relay.receive(ANNA)
        assert Client(relay).join().number == 1

    def test_a_room_that_does_not_exist(self) -> None:
        relay = SessionRelay(session_rules(open_rooms=False))
        answer = refused(Client(relay, room="attic"))
        assert (answer.code, answer.retry_after) == ("no-room", 0)

    @pytest.mark.parametrize("room", ["lobby", "attic"])
    def test_configured_rooms_can_always_be_opened(self, room: str) -> None:
        rules = session_rules(open_rooms=False, max_rooms=0, rooms={"attic": RoomRules()})
        assert Client(SessionRelay(rules), room=room).join().number == 1

    def test_too_many_rooms(self) -> None:
        relay = SessionRelay(session_rules(max_rooms=1))
        joined(relay, "anna", room="attic")
        answer = refused(Client(relay, BERT, "bert", room="cellar"))
        assert (answer.code, answer.retry_after) == ("relay-full", 10_000)
        assert Client(relay, CARL, "carl", room="attic").join().number == 2

    def test_a_kicked_address_with_another_identity(self) -> None:
        relay = SessionRelay(session_rules(Limits(kick_time=60)))
        (anna,) = joined(relay, "anna")
        relay.hub.kick(anna.session, relay.now)
        relay.now += 20
        answer = refused(Client(relay, anna.source, "bert"))
        assert (answer.code, answer.retry_after) == ("kicked", 40_000)

    def test_a_kicked_identity_at_another_address(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        relay.hub.kick(anna.session, relay.now)
        anna.source = BERT
        assert refused(anna).code == "kicked"
        assert Client(relay, BERT, "anna", secret=b"another client..").join()

    def test_a_kicked_plain_member(self) -> None:
        relay = SessionRelay()
        relay.join(ANNA)
        relay.hub.kick(relay.member(ANNA), relay.now)
        assert refused(Client(relay)).code == "kicked"

    @pytest.mark.parametrize("nick", ["anna", "ANNA", " anna ", "\uff41\uff4e\uff4e\uff41"])
    def test_a_nick_that_compares_equal_to_one_in_use(self, nick: str) -> None:
        relay = SessionRelay()
        joined(relay, "anna")
        answer = refused(Client(relay, BERT, nick, secret=b"another client.."))
        assert (answer.code, answer.retry_after) == ("nick-taken", 45_000)

    @pytest.mark.parametrize("nick", ["console", "guest-7"])
    def test_a_reserved_nick(self, nick: str) -> None:
        assert refused(Client(SessionRelay(), nick=nick)).code == "nick-taken"

    @pytest.mark.parametrize("nick", ["", "\n", "two\nlines", "x" * 33, "x" * 200])
    def test_an_invalid_nick(self, nick: str) -> None:
        answer = refused(Client(SessionRelay(), room="r"), nick=nick)
        assert (answer.code, answer.retry_after) == ("nick-invalid", 0)
        assert answer.sentence

    def test_the_details_of_an_invalid_nick_are_sent_if_they_fit(self) -> None:
        answer = refused(Client(SessionRelay(), room="r" * 64), nick="two\nlines")
        assert "U+000A" in answer.sentence
        assert refused(Client(SessionRelay(), room="r"), nick="\n").sentence == "Invalid nick."

    def test_the_nick_of_a_member_that_has_left_is_free(self) -> None:
        relay = SessionRelay()
        joined(relay, "anna", "bert")
        relay.wait(46)
        assert Client(relay, CARL, "anna", secret=b"another client..").join()

    def test_only_configured_rooms_have_drop_counters_of_their_own(self) -> None:
        relay = SessionRelay(session_rules(open_rooms=False))
        refused(Client(relay, room="attic"))
        assert relay.events(MemberRejected) == [
            MemberRejected(room="attic", address=ANNA, listener="main", reason="no-room")
        ]
        relay.wait(10)
        assert [(e.listener, e.room, e.reason) for e in reports(relay.drain_events())] == [
            ("main", "", "no-room")
        ]

    def test_the_answer_is_not_larger_than_the_join(self) -> None:
        relay = SessionRelay(session_rules(room={"access_key": KEY}))
        client = Client(relay, room="r", nick="n")
        join = client.join_datagram()
        client.send(join.encode())
        (answer,) = client.drain_raw()
        assert len(answer) <= len(join.encode())

    def test_is_limited_for_each_source_prefix(self) -> None:
        relay = SessionRelay(
            session_rules(Limits(session_rate=1, session_burst=2), open_rooms=False)
        )
        client = Client(relay, room="attic")
        join = client.join_datagram().encode()
        for _ in range(4):
            client.send(join)
        assert len(client.drain(Refused)) == 2
        relay.now += 1
        assert refused(client)
        assert relay.dropped() == {"no-room": 5}


class TestAccessKey:
    def test_a_proof_admits(self) -> None:
        client = Client(SessionRelay(WITH_KEY), access_key=KEY.key)
        assert client.join(badge=b"b" * 16).members[0].badge == b"b" * 16

    def test_a_join_without_a_proof_is_refused(self) -> None:
        answer = refused(Client(SessionRelay(WITH_KEY)))
        assert (answer.code, answer.retry_after) == ("key-required", 0)

    def test_a_wrong_proof_is_refused(self) -> None:
        assert refused(Client(SessionRelay(WITH_KEY), access_key=bytes(32))).code == "wrong-key"

    @pytest.mark.parametrize("field", ["nick", "nonce", "secret", "room"])
    def test_a_proof_is_valid_for_one_join(self, field: str) -> None:
        rules = evolve(WITH_KEY, rooms={"attic": RoomRules(access_key=KEY)})
        client = Client(SessionRelay(rules), access_key=KEY.key)
        join = client.join_datagram()
        other: dict[str, Any] = {
            "nick": "bert",
            "nonce": bytes(8),
            "secret": bytes(16),
            "room": "attic",
        }
        cookie = Client(client.relay, room="attic").hello().cookie
        stolen = evolve(join, **{field: other[field]})
        if field == "room":
            stolen = evolve(stolen, cookie=cookie)
        client.send(stolen.encode())
        (answer,) = client.drain(Refused)
        assert answer.code == "wrong-key"

    def test_a_proof_for_a_room_without_a_key_is_refused(self) -> None:
        client = Client(SessionRelay(), access_key=KEY.key)
        assert refused(client).code == "no-key-here"

    def test_after_too_many_wrong_proofs_no_proof_is_checked(self) -> None:
        relay = SessionRelay(
            session_rules(Limits(proof_rate=0.2, proof_burst=6), room={"access_key": KEY})
        )
        guesses = [refused(Client(relay, access_key=bytes([n] * 32))) for n in range(5)]
        assert [answer.code for answer in guesses] == ["wrong-key"] * 3 + ["proof-limit"] * 2
        client = Client(relay, access_key=KEY.key)
        later = refused(client)
        assert (later.code, later.retry_after) == ("proof-limit", 10_000)
        relay.now += 10
        assert isinstance(client.try_to_join(), Welcome)
        assert relay.dropped() == {"wrong-key": 3, "proof-limit": 3}

    def test_who_guesses_from_one_port_leaves_others_at_the_address_their_budget(self) -> None:
        relay = SessionRelay(session_rules(room={"access_key": KEY}))
        for number in range(20):
            refused(Client(relay, "192.0.2.1:1", access_key=bytes([number] * 32)))
        Client(relay, "192.0.2.1:2", "bert", access_key=KEY.key).join()

    def test_who_guesses_from_all_ports_meets_the_budget_of_the_address(self) -> None:
        relay = SessionRelay(session_rules(room={"access_key": KEY}))
        codes = [
            refused(Client(relay, f"192.0.2.1:{port}", access_key=bytes(32))).code
            for port in range(1, 30)
        ]
        assert codes == ["wrong-key"] * 10 + ["proof-limit"] * 19

    @pytest.mark.parametrize("leaves", [True, False], ids=["resumes", "returns"])
    def test_known_members_come_back_while_others_guess(self, leaves: bool) -> None:
        relay = SessionRelay(session_rules(room={"access_key": KEY}))
        Client(relay, "192.0.2.2:9", "bert", access_key=KEY.key).join()
        client = Client(relay, "192.0.2.1:1", access_key=KEY.key)
        client.join()
        for port in range(2, 30):
            refused(Client(relay, f"192.0.2.1:{port}", nick="eve", access_key=bytes(32)))
        if leaves:
            client.send(Leave(client.id).encode())
        client.join()

    def test_an_endless_wait_is_said_to_be_one(self) -> None:
        limits = Limits(proof_rate=0, proof_burst=1)
        relay = SessionRelay(session_rules(limits, room={"access_key": KEY}))
        refused(Client(relay, access_key=bytes(32)))
        assert refused(Client(relay, access_key=KEY.key)).retry_after == 0

    def test_right_proofs_consume_no_budget(self) -> None:
        relay = SessionRelay(session_rules(Limits(proof_burst=1), room={"access_key": KEY}))
        for number in range(5):
            Client(relay, nick=f"n{number}", access_key=KEY.key).join()

    def test_plain_members_are_not_admitted(self) -> None:
        relay = SessionRelay(WITH_KEY)
        relay.receive(ANNA, b"let me in")
        assert relay.members() == set()
        assert relay.dropped() == {"key-required": 1}

    def test_plain_members_are_admitted_with_plain_with_key(self) -> None:
        relay = SessionRelay(session_rules(room={"access_key": KEY, "plain_with_key": True}))
        relay.receive(ANNA, b"let me in")
        assert relay.members() == {ANNA}

    def test_targets_and_the_console_need_no_key(self) -> None:
        relay = SessionRelay(WITH_KEY)
        relay.target(CARL)
        relay.console()
        assert len(relay.room()) == 2
