"""What members may send, and what the relay may send because of them."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from relay_driver import ANNA, BERT, CARL, Relay
from relay_session import SessionRelay, joined, session_rules

from udprelay.protocol.wire.entries import LimitedNotice
from udprelay.protocol.wire.from_client import Ping
from udprelay.protocol.wire.sequenced import Data, Notice
from udprelay.relay.excess import MAX_MEMBERS
from udprelay.relay.rules import Limits, RelayRules, RoomRules

NETWORK = (ip_network("10.0.0.1/32"),)
PING = bytes(8)


def with_limits(limits: Limits | None = None, **room: Any) -> Relay:
    """Return a relay with three plain members."""
    rules = RelayRules(room_defaults=RoomRules(**room), limits=limits or Limits())
    relay = Relay(rules)
    relay.join(ANNA, BERT, CARL)
    relay.inboxes[BERT].clear()
    return relay


def sent(relay: Relay, count: int, payload: bytes = b"x", sender: str = ANNA) -> int:
    """Return how many of some payloads reach another member."""
    receiver = CARL if sender == BERT else BERT
    before = len(relay.inboxes[receiver])
    relay.receive_batch(*[(sender, payload)] * count)
    return len(relay.inboxes[receiver]) - before


class TestDefaults:
    @pytest.mark.parametrize(
        ("members", "senders", "rate", "size"),
        [(150, 1, 1000, 100), (100, 20, 50, 160), (20, 20, 128, 1200), (1000, 20, 50, 160)],
        ids=["telemetry", "voice", "game", "large-voice"],
    )
    def test_are_not_met_by(self, members: int, senders: int, rate: int, size: int) -> None:
        relay = Relay()
        sources = [f"10.1.{n >> 8}.{n & 255}:1000" for n in range(members)]
        for source in sources:
            relay.receive(source, b"")
        # Nothing is delivered, which takes long.
        gate, payload = relay.hub.gate, size
        speakers = [relay.member(source) for source in sources[:senders]]
        for tick in range(3 * rate):
            now = relay.now + tick / rate
            for speaker in speakers:
                assert gate.accept(speaker, 1, payload, payload, now) == 1

    def test_do_not_let_one_member_take_the_relay(self) -> None:
        relay = Relay()
        for n in range(100):
            relay.receive(f"10.1.0.{n}:1000", b"")
        flooder = relay.member("10.1.0.1:1000")
        accepted = sum(
            relay.hub.gate.accept(flooder, 64, 64 * 100, 100, relay.now + turn / 2000)
            for turn in range(20_000)
        )
        # In 10 s, and what may come at once.
        assert accepted * 99 < 11 * 250_000


class TestMembers:
    @pytest.mark.parametrize("limit", ["member_rate", "member_bandwidth"])
    def test_plain_ones_have_a_rate_and_a_bandwidth(self, limit: str) -> None:
        room: dict[str, Any] = {limit: 10}
        relay = with_limits(**room)
        assert sent(relay, 15) == 10
        relay.wait(0.5)
        assert sent(relay, 15) == 5
        relay.wait(60.0)
        assert sent(relay, 15) == 10
        assert relay.dropped() == {"member-limit": 20}

    def test_the_first_datagram_is_charged(self) -> None:
        relay = with_limits(member_rate=1)
        relay.receive_batch(*[("10.0.0.4:4", b"x")] * 3)
        assert relay.inboxes[BERT] == [b"x"]
        assert relay.dropped() == {"member-limit": 2}

    def test_output_is_what_is_sent_times_the_receivers(self) -> None:
        # Two receivers, 1,000 bytes and 200 for each delivery.
        relay = with_limits(member_output=12_000)
        assert sent(relay, 10, bytes(1000)) == 5
        assert relay.dropped() == {"member-output": 5}

    def test_a_member_that_is_alone_has_no_output(self) -> None:
        relay = Relay(RelayRules(room_defaults=RoomRules(member_output=1)))
        relay.join(ANNA)
        relay.receive_batch(*[(ANNA, b"x")] * 100)
        assert relay.dropped() == {}

    def test_who_has_left_is_no_receiver(self) -> None:
        relay = with_limits(member_output=12_000)
        relay.hub.kick(relay.member(CARL), relay.now)
        assert sent(relay, 20, bytes(1000)) == 10

    def test_a_datagram_that_is_larger_than_a_limit_passes_after_a_while(self) -> None:
        relay = with_limits(member_bandwidth=1000)
        assert sent(relay, 2, bytes(3000)) == 1
        relay.wait(2.9)
        assert sent(relay, 1, bytes(3000)) == 0
        relay.wait(0.2)
        assert sent(relay, 1, bytes(3000)) == 1

    def test_empty_datagrams_are_control_datagrams(self) -> None:
        relay = with_limits(control_rate=10)
        relay.wait(1.0)
        relay.receive_batch(*[(ANNA, b"")] * 15)
        assert relay.dropped() == {"control-rate": 5}
        assert sent(relay, 1) == 1

    def test_no_limit_is_no_limit(self) -> None:
        none: dict[str, Any] = dict.fromkeys(
            ("member_rate", "member_bandwidth", "member_output", "room_output", "control_rate"), 0
        )
        relay = with_limits(Limits(output=0), **none)
        assert sent(relay, 20_000, bytes(2000)) == 20_000
        relay.receive_batch(*[(ANNA, b"")] * 1000)
        assert relay.dropped() == {}

    def test_in_exempt_networks_have_no_limits(self) -> None:
        room = {"member_rate": 1, "control_rate": 10, "room_output": 10}
        relay = with_limits(Limits(output=10, exempt_networks=NETWORK), **room)
        assert sent(relay, 100) == 100
        relay.receive_batch(*[(ANNA, b"")] * 100)
        assert sent(relay, 100, sender=BERT) == 1


class TestSessions:
    def test_pay_for_control_datagrams_before_they_are_read(self) -> None:
        relay = SessionRelay(session_rules(room={"control_rate": 10}))
        (anna,) = joined(relay, "anna")
        malformed = Ping(anna.id, PING, 0).encode()[:-1]
        relay.receive_batch(*[(anna.source, malformed)] * 30)
        assert relay.dropped() == {"control-rate": 20, "malformed": 10}

    def test_pay_for_control_datagrams_behind_data(self) -> None:
        relay = SessionRelay(session_rules(room={"control_rate": 10}))
        anna, bert = joined(relay, "anna", "bert")
        ping = Ping(anna.id, PING, 0).encode()
        data = anna.data(b"x", 0).ljust(len(ping), b"x")
        relay.receive_batch((anna.source, data), *[(anna.source, ping)] * 30)
        assert len(bert.drain(Data)) == 1
        assert relay.dropped() == {"control-rate": 20}

    def test_pay_for_one_receiver_of_a_private_message(self) -> None:
        relay = SessionRelay(session_rules(room={"member_output": 2500}))
        anna, bert, *_ = joined(relay, "anna", "bert", "carl", "dora")
        for _ in range(3):
            anna.send_private(bert, bytes(1000), 0)
        assert relay.dropped() == {"member-output": 1}

    def test_keep_what_they_have_sent_when_they_move(self) -> None:
        relay = SessionRelay(session_rules(room={"member_rate": 10}))
        anna, bert = joined(relay, "anna", "bert")
        relay.receive_batch(*[(anna.source, anna.data(b"x", 0)) for _ in range(10)])
        anna.source = "10.9.9.9:9"
        anna.join()
        anna.send_data(b"x", 0)
        assert len(bert.drain(Data)) == 10

    def test_that_move_into_an_exempt_network_have_no_limits_there(self) -> None:
        exempt = (ip_network("10.9.9.9/32"),)
        rules = session_rules(Limits(exempt_networks=exempt), room={"member_rate": 1})
        relay = SessionRelay(rules)
        anna, bert = joined(relay, "anna", "bert")
        before, anna.source = anna.source, "10.9.9.9:9"
        anna.join()
        for _ in range(20):
            anna.send_data(b"x", 0)
        assert len(bert.drain(Data)) == 20
        anna.source = before
        anna.join()
        for _ in range(20):
            anna.send_data(b"x", 0)
        assert len(bert.drain(Data)) == 1


class TestTelling:
    RULES = session_rules(room={"member_rate": 10})

    def test_a_session_member_is_told_at_most_every_5_s(self) -> None:
        relay = SessionRelay(self.RULES)
        anna, bert = joined(relay, "anna", "bert")
        for _ in range(3):
            relay.receive_batch(*[(anna.source, anna.data(b"x", 0)) for _ in range(15)])
        relay.wait(5.0)
        relay.receive_batch(*[(anna.source, anna.data(b"x", 0)) for _ in range(15)])
        told = [notice.body for notice in anna.drain(Notice)]
        assert told == [LimitedNotice("member-limit", 5), LimitedNotice("member-limit", 35)]
        assert bert.drain(Notice) == []

    def test_a_member_that_has_left_is_not_told(self) -> None:
        relay = SessionRelay(self.RULES)
        (anna,) = joined(relay, "anna")
        datagrams = [anna.data(b"x", 0) for _ in range(15)]
        relay.receive_batch(*[(anna.source, datagram) for datagram in datagrams])
        anna.drain()
        relay.hub.kick(anna.session, relay.now)
        relay.settle()
        assert anna.drain(Notice) == []

    def test_plain_members_are_sent_nothing(self) -> None:
        relay = with_limits(member_rate=10)
        sent(relay, 15)
        assert relay.replies() == []
        assert not relay.unsettled()


class TestFlooders:
    def test_are_those_that_exceed_limits_of_their_own(self) -> None:
        relay = with_limits(member_rate=10)
        assert relay.hub.gate.flooders(relay.now) == {}
        sent(relay, 15)
        sent(relay, 3, sender=BERT)
        assert relay.hub.gate.flooders(relay.now) == {relay.member(ANNA): 5}

    def test_are_counted_by_the_second(self) -> None:
        relay = with_limits(member_rate=10)
        sent(relay, 40)
        relay.wait(1.0)
        sent(relay, 30)
        assert relay.hub.gate.flooders(relay.now) == {relay.member(ANNA): 30}
        relay.wait(1.0)
        sent(relay, 15)
        assert relay.hub.gate.flooders(relay.now) == {relay.member(ANNA): 20}
        relay.wait(3.0)
        assert relay.hub.gate.flooders(relay.now) == {}

    def test_are_not_those_that_a_shared_limit_has_cut(self) -> None:
        relay = with_limits(room_output=10)
        sent(relay, 15)
        assert relay.dropped() == {"room-output": 14}
        assert relay.hub.gate.flooders(relay.now) == {}

    def test_are_forgotten_when_they_leave(self) -> None:
        relay = with_limits(member_rate=10)
        sent(relay, 15)
        relay.hub.kick(relay.member(ANNA), relay.now)
        assert relay.hub.gate.flooders(relay.now) == {}
        assert relay.hub.census.read()["tables.excess"] == 0

    def test_are_bounded_in_number(self) -> None:
        relay = Relay(
            RelayRules(room_defaults=RoomRules(member_rate=1, max_members=MAX_MEMBERS + 1))
        )
        for n in range(MAX_MEMBERS + 1):
            relay.receive_batch(*[(f"10.1.{n >> 8}.{n & 255}:1000", b"")] * 2)
        for n in range(MAX_MEMBERS + 1):
            member = relay.member(f"10.1.{n >> 8}.{n & 255}:1000")
            relay.hub.gate.accept(member, 2, 2, 1, relay.now)
        assert relay.hub.census.read()["tables.excess"] == MAX_MEMBERS
