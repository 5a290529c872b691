"""What members of one source may have, and that those who share an address do not notice it."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_network
from typing import Any

import pytest
from relay_driver import ANNA, UNTRUSTED, Relay, with_policy
from relay_session import Client, SessionRelay, refused, session_rules

from udprelay.protocol import keys
from udprelay.protocol.wire.from_client import Leave
from udprelay.protocol.wire.header import Type
from udprelay.protocol.wire.joining import Hello, Join, Refused, Welcome
from udprelay.relay import challenge
from udprelay.relay.rules import Limits, PlainPolicy, RoomRules

LONG = b"long enough for any challenge"


def crowd(relay: SessionRelay, *sources: str, room: str = "lobby") -> list[str]:
    """Let a client join from each source at the same time; return how many were answered how."""
    answers = (
        Client(relay, source, f"nick-{number}", room=room, secret=number.to_bytes(16, "big"))
        for number, source in enumerate(sources)
    )
    codes = []
    for client in answers:
        answer = client.try_to_join()
        codes.append(answer.code if isinstance(answer, Refused) else type(answer).__name__)
    return codes


class TestTheInnocent:
    @pytest.mark.parametrize("host", ["192.0.2.1", "[2001:db8::1]"])
    def test_64_players_behind_one_address_join_at_once(self, host: str) -> None:
        relay = SessionRelay(session_rules())
        sources = [f"{host}:{5000 + n}" for n in range(64)]
        assert crowd(relay, *sources) == ["Welcome"] * 64

    def test_50_clients_of_an_office_come_back_at_once_after_a_restart(self) -> None:
        for _ in range(2):
            relay = SessionRelay(session_rules())
            assert crowd(relay, *(f"192.0.2.1:{5000 + n}" for n in range(50))) == ["Welcome"] * 50

    def test_50_clients_that_have_not_left_come_back_at_once_with_other_ports(self) -> None:
        relay = SessionRelay(session_rules())
        for first in (5000, 6000, 7000):
            sources = (f"192.0.2.1:{first + n}" for n in range(50))
            assert crowd(relay, *sources) == ["Welcome"] * 50

    @pytest.mark.parametrize("address", ["10.0.{}.{}:5000", "[2001:db8:{:x}:{:x}00::1]:5000"])
    def test_1000_rejoin_from_1000_addresses(self, address: str) -> None:
        relay = SessionRelay(session_rules())
        sources = [address.format(n // 250, n % 250) for n in range(1000)]
        assert crowd(relay, *sources) == ["Welcome"] * 1000


class TestMembers:
    def test_of_one_address_and_port_are_an_eighth(self) -> None:
        relay = SessionRelay(session_rules(Limits(source_members=80)))
        codes = crowd(relay, *["192.0.2.1:1"] * 15)
        assert codes == ["Welcome"] * 10 + ["source-full"] * 5

    @pytest.mark.parametrize("host", ["192.0.2.1", "[2001:db8::{:x}]"])
    def test_of_one_prefix_are_limited(self, host: str) -> None:
        relay = SessionRelay(session_rules(Limits(source_members=16)))
        codes = crowd(relay, *(f"{host.format(n)}:{1 + n}" for n in range(20)))
        assert codes == ["Welcome"] * 16 + ["source-full"] * 4

    @pytest.mark.parametrize("host", ["192.0.2.{}", "[2001:db8:{:x}::1]"])
    def test_of_one_network_are_eight_times_as_many(self, host: str) -> None:
        relay = SessionRelay(session_rules(Limits(source_members=4)))
        codes = crowd(relay, *(f"{host.format(n)}:1" for n in range(40)))
        assert codes == ["Welcome"] * 32 + ["source-full"] * 8

    def test_that_leave_make_place(self) -> None:
        relay = SessionRelay(session_rules(Limits(source_members=8)))
        first = Client(relay, "192.0.2.1:1", "first")
        first.join()
        second = Client(relay, "192.0.2.1:1", "second")
        answer = refused(second)
        assert (answer.code, answer.retry_after) == ("source-full", 10_000)
        first.send(Leave(first.id).encode())
        second.join()

    def test_that_resume_need_no_other_place(self) -> None:
        relay = SessionRelay(session_rules(Limits(source_members=1)))
        client = Client(relay, "192.0.2.1:1")
        client.join()
        client.join()

    def test_that_move_are_counted_where_they_are(self) -> None:
        relay = SessionRelay(session_rules(Limits(source_members=1)))
        client = Client(relay, "192.0.2.1:1")
        client.join()
        client.source = "198.51.100.1:1"
        client.join()
        assert refused(Client(relay, "198.51.100.1:2", "bert")).code == "source-full"
        Client(relay, "192.0.2.1:1", "carl").join()

    def test_have_no_limit_with_0_or_in_exempt_networks(self) -> None:
        exempt = Limits(
            source_members=1, join_burst=1, exempt_networks=(ip_network("192.0.2.0/24"),)
        )
        for limits in (Limits(source_members=0), exempt):
            relay = SessionRelay(session_rules(limits))
            assert crowd(relay, *["192.0.2.1:1"] * 20) == ["Welcome"] * 20

    def test_leave_nothing_behind(self) -> None:
        relay = SessionRelay(session_rules())
        client = Client(relay, room="attic")
        client.join()
        assert relay.hub.census.read()["tables.quotas"] == 6
        client.send(Leave(client.id).encode())
        relay.wait(100)
        counts = relay.hub.census.read()
        assert (counts["tables.quotas"], counts["tables.cookies"]) == (0, 0)

    def test_plain_ones_that_proved_their_address_are_counted(self) -> None:
        rules = with_policy(PlainPolicy.CHALLENGE, limits=Limits(source_members=1))
        relay = Relay(rules)
        for port in (1, 2):
            relay.receive(f"203.0.113.9:{port}", LONG)
            for source, text in relay.replies():
                relay.receive(source, text.split()[-1])
        # Nobody is challenged for a place that there is not.
        assert relay.members() == {"203.0.113.9:1"}
        assert relay.dropped() == {"challenged": 1, "source-full": 1}

    def test_plain_ones_without_a_proof_are_not_counted(self) -> None:
        relay = Relay(with_policy(PlainPolicy.CHALLENGE, limits=Limits(source_members=1)))
        relay.join(*(f"10.0.0.1:{port}" for port in range(1, 20)))
        assert len(relay.members()) == 19


class TestRooms:
    def test_of_one_source_are_limited_until_they_close(self) -> None:
        relay = SessionRelay(session_rules(Limits(source_rooms=1)))
        first = Client(relay, "192.0.2.1:1", room="one")
        first.join()
        second = Client(relay, "192.0.2.1:2", room="two")
        assert refused(second).code == "source-rooms"
        Client(relay, "192.0.2.1:2", "bert", room="one").join()
        # The configuration names it.
        Client(relay, "192.0.2.1:2", "bert").join()
        Client(relay, "198.51.100.1:2", room="two").join()
        first.send(Leave(first.id).encode())
        # Its opener has left, but it is open.
        third = Client(relay, "192.0.2.1:2", room="three")
        assert refused(third).code == "source-rooms"

    def test_that_are_closed_are_not_counted(self) -> None:
        relay = SessionRelay(session_rules(Limits(source_rooms=1)))
        first = Client(relay, "192.0.2.1:1", room="one")
        first.join()
        first.send(Leave(first.id).encode())
        Client(relay, "192.0.2.1:2", room="two").join()


class TestJoins:
    def test_beyond_the_rate_are_told_to_come_back(self) -> None:
        relay = SessionRelay(session_rules(Limits(join_rate=1, join_burst=8)))
        codes = crowd(relay, *(f"192.0.2.1:{1 + n}" for n in range(10)))
        assert codes == ["Welcome"] * 8 + ["join-limit"] * 2
        client = Client(relay, "192.0.2.1:99", "late")
        assert refused(client).retry_after == 2000
        relay.now += 2
        client.join()

    def test_answers_are_not_larger_than_the_shortest_join(self) -> None:
        for limits in (
            Limits(source_members=1, join_burst=10),
            Limits(source_rooms=1),
            Limits(join_rate=1, join_burst=1),
        ):
            relay = SessionRelay(session_rules(limits))
            Client(relay, "192.0.2.1:1", "a", room="a").join()
            client = Client(relay, "192.0.2.1:1", "b", room="b")
            join = client.join_datagram().encode()
            assert refused(client).sentence
            assert len(refused(client).encode()) <= len(join)


class TestCookies:
    def join(self, relay: SessionRelay, cookie: bytes, number: int, **options: Any) -> list[Any]:
        secret = number.to_bytes(16, "big")
        client = Client(relay, f"192.0.2.1:{options.get('port', 1)}", secret=secret)
        client.drain()
        nonce = options.get("nonce", client.nonce())
        client.send(Join(nonce, cookie, "lobby", f"n{number}", secret).encode())
        return [one for one in client.drain() if isinstance(one, (Welcome, Refused))]

    def test_one_makes_one_member(self) -> None:
        relay = SessionRelay()
        cookie = Client(relay, "192.0.2.1:1").hello().cookie
        assert len(self.join(relay, cookie, 1)) == 1
        assert [self.join(relay, cookie, number) for number in range(2, 100)] == [[]] * 98
        assert len(relay.room()) == 1
        assert relay.dropped() == {"cookie": 98}

    def test_one_is_good_for_a_join_that_is_sent_again(self) -> None:
        relay = SessionRelay()
        cookie = Client(relay, "192.0.2.1:1").hello().cookie
        assert [len(self.join(relay, cookie, 1)) for _ in range(3)] == [1, 1, 1]

    def test_one_does_not_bring_back_a_member_that_has_left(self) -> None:
        relay = SessionRelay()
        client = Client(relay, "192.0.2.1:1")
        join = client.join_datagram().encode()
        client.send(join)
        (welcome,) = client.drain(Welcome)
        client.send(Leave(welcome.session_id).encode())
        client.drain()
        client.send(join)
        assert client.drain() == []

    def test_one_is_good_for_another_nick_after_a_refusal(self) -> None:
        relay = SessionRelay()
        Client(relay, "192.0.2.2:1", "n1").join()
        cookie = Client(relay, "192.0.2.1:1").hello().cookie
        (answer,) = self.join(relay, cookie, 1)
        assert isinstance(answer, Refused)
        (answer,) = self.join(relay, cookie, 2)
        assert isinstance(answer, Welcome)

    def test_one_that_has_resumed_a_member_makes_no_other(self) -> None:
        relay = SessionRelay()
        Client(relay, "192.0.2.1:1", secret=(1).to_bytes(16, "big")).join()
        cookie = Client(relay, "192.0.2.1:1").hello().cookie
        assert len(self.join(relay, cookie, 1)) == 1
        assert self.join(relay, cookie, 2) == []

    def test_two_attempts_have_two(self) -> None:
        relay = SessionRelay()
        client = Client(relay)
        assert client.hello().cookie != client.hello().cookie


class TestVictims:
    def test_get_a_code_while_20_datagrams_a_second_come_in_their_name(self) -> None:
        relay = Relay()
        for second in range(60):
            for number in range(20):
                relay.receive(f"203.0.113.9:{1024 + 20 * second + number}", LONG)
            relay.replies()
            relay.receive(UNTRUSTED, LONG)
            assert [source for source, _ in relay.replies()] == [UNTRUSTED]
            relay.now += 1

    def test_get_a_challenge_while_4000_hellos_a_second_come_in_their_name(self) -> None:
        relay = SessionRelay()
        hello = Hello(bytes(8), "lobby").encode()
        for second in range(3):
            for number in range(4000):
                relay.receive(f"192.0.2.1:{1024 + number}", hello)
            relay.inboxes.clear()
            Client(relay, "192.0.2.1:9", f"nick-{second}").join()
            relay.now += 1

    @pytest.mark.parametrize("host", ["203.0.113.9", "[2001:db8::9]"])
    def test_get_less_than_three_times_the_payloads_and_no_more_than_the_budget(
        self, host: str
    ) -> None:
        relay = Relay(with_policy(PlainPolicy.CHALLENGE))
        received: Counter[str] = Counter()
        for size in range(64):
            source = f"{host}:{1000 + size}"
            relay.receive(source, b"x" * size)
            received[source] += size
        for source, text in relay.replies():
            assert len(text) < 3 * received[source]
            assert challenge.is_challenge(text)
        for port in range(2000, 4000):
            relay.receive(f"{host}:{port}", LONG)
        assert len(relay.replies()) <= 200

    @pytest.mark.parametrize("host", ["203.0.113.9", "[2001:db8::9]"])
    def test_get_no_more_bytes_than_were_sent_by_any_datagram_of_sessions(self, host: str) -> None:
        relay = SessionRelay(session_rules(room={"access_key": None}))
        member = Client(relay, ANNA)
        member.join()
        for kind in Type:
            for size in (0, 7, 9, 20, 46, 65, 200, 1200):
                for name in (bytes(8), member.id):
                    source = f"{host}:{1000 + size}"
                    datagram = b"\xfdUR\x01" + bytes([kind, 0]) + name + bytes(size)
                    relay.inboxes.pop(source, None)
                    relay.receive(source, datagram)
                    assert sum(map(len, relay.inboxes[source])) <= len(datagram)


def test_quotas_are_for_rooms_of_the_configuration_too() -> None:
    rules = session_rules(Limits(source_members=1), rooms={"attic": RoomRules()})
    relay = SessionRelay(rules)
    Client(relay, "192.0.2.1:1", room="attic").join()
    assert refused(Client(relay, "192.0.2.1:2", "bert", room="attic")).code == "source-full"
    assert keys.identity(bytes(16)) not in relay.room_log("attic").by_identity
