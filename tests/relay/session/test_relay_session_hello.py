"""HELLO and its CHALLENGE."""

from __future__ import annotations

import pytest
from relay_driver import ANNA, BERT
from relay_session import Client, SessionRelay, session_rules

from udprelay.protocol.access_key import AccessKey
from udprelay.protocol.wire.header import MIN_HELLO
from udprelay.protocol.wire.joining import Challenge, Hello
from udprelay.relay.hub import Hub
from udprelay.relay.rules import Limits, RelayRules, RoomRules

KEY = AccessKey(b"s" * 16, b"k" * 32)
WITH_KEY = session_rules(room={"access_key": KEY})


class TestHello:
    def test_is_answered_with_a_challenge_and_opens_no_room(self) -> None:
        relay = SessionRelay()
        challenge = Client(relay).hello(b"my nonce")
        assert challenge.nonce == b"my nonce"
        assert relay.hub.roster.rooms == {}
        assert relay.dropped() == {}

    def test_the_challenge_is_not_larger(self) -> None:
        relay = SessionRelay()
        relay.receive(ANNA, Hello(bytes(8), "r" * 64).encode())
        (challenge,) = relay.inboxes[ANNA]
        assert len(challenge) <= MIN_HELLO

    def test_a_hello_that_is_too_small_is_dropped(self) -> None:
        relay = SessionRelay()
        relay.receive(ANNA, Hello(bytes(8), "lobby").encode()[: MIN_HELLO - 1])
        assert relay.inboxes == {}
        assert relay.dropped() == {"malformed": 1}

    def test_is_limited_for_each_source_prefix(self) -> None:
        relay = SessionRelay(session_rules(Limits(session_rate=1, session_burst=2)))
        for _ in range(4):
            relay.receive(ANNA, Hello(bytes(8), "lobby").encode())
        relay.receive(BERT, Hello(bytes(8), "lobby").encode())
        assert (len(relay.inboxes[ANNA]), len(relay.inboxes[BERT])) == (2, 1)
        assert relay.dropped() == {"session-limit": 2}

    def test_the_cookie_depends_on_address_room_and_time(self) -> None:
        relay = SessionRelay()
        cookies = {Client(relay).hello().cookie}
        cookies.add(Client(relay, source=BERT).hello().cookie)
        cookies.add(Client(relay, room="attic").hello().cookie)
        relay.wait(30)
        cookies.add(Client(relay).hello().cookie)
        assert len(cookies) == 4

    @pytest.mark.parametrize("source", ["10.0.0.1:0", "224.0.0.1:4000", "0.0.0.0:4000"])
    def test_an_invalid_source_gets_no_answer(self, source: str) -> None:
        relay = SessionRelay()
        relay.receive(source, Hello(bytes(8), "lobby").encode())
        assert relay.inboxes == {}
        assert relay.dropped() == {"invalid-source": 1}

    def test_an_address_of_the_relay_gets_no_answer(self) -> None:
        relay = SessionRelay(own=[ANNA])
        relay.receive(ANNA, Hello(bytes(8), "lobby").encode())
        assert relay.inboxes == {}
        assert relay.dropped() == {"own-address": 1}

    def test_a_target_gets_no_answer(self) -> None:
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

    def test_does_not_show_whether_a_room_or_a_key_exists(self) -> None:
        rules = RelayRules(rooms={"secret": RoomRules(access_key=KEY), "open": RoomRules()})
        salts = self.salts(rules, "secret", "open", "none")
        assert len(set(salts)) == 3
        assert {len(salt) for salt in salts} == {16}

    def test_survives_a_restart_if_any_room_has_a_key(self) -> None:
        rules = RelayRules(rooms={"secret": RoomRules(access_key=KEY)})
        relay = SessionRelay(rules)
        restarted = SessionRelay(rules)
        hub = Hub(rules, b"another secret of 32 bytes......", lambda _: False, 0)
        restarted.run(hub)
        assert Client(relay, room="x").hello().salt == Client(restarted, room="x").hello().salt


def test_a_challenge_has_the_nonce_of_its_hello() -> None:
    relay = SessionRelay()
    client = Client(relay)
    client.send(Hello(b"attempt1", "lobby").encode())
    client.send(Hello(b"attempt2", "lobby").encode())
    assert [challenge.nonce for challenge in client.drain(Challenge)] == [b"attempt1", b"attempt2"]
