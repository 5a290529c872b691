"""The gate: rules for all that members send, asked before anything is decoded."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from relay_driver import ANNA, BERT, Relay
from relay_session import SessionRelay, joined, session_rules

from udprelay.protocol.wire.from_client import Ping, PrivateUp
from udprelay.protocol.wire.from_relay import Pong
from udprelay.protocol.wire.header import HEADER_SIZE, UP_PAYLOAD_OFFSET
from udprelay.protocol.wire.sequenced import Data, Private
from udprelay.relay.drops import DropReason
from udprelay.relay.room import Member


class Mute:
    """Accepts a number of datagrams, and no control datagrams if it is told so."""

    reason = DropReason.KICKED

    def __init__(self, left: int, mute_control: bool = False) -> None:
        self.left = left
        self.mute_control = mute_control
        self.asked: list[tuple[str, int, int, bool]] = []

    def accept(self, member: Member, count: int, size: int, now: float, control: bool) -> int:
        self.asked.append((member.name, count, size, control))
        if control:
            return 0 if self.mute_control else count
        accepted = min(self.left, count)
        self.left -= accepted
        return accepted


def with_rules(relay: Relay, *rules: Mute) -> Sequence[Mute]:
    relay.hub.gate.rules = rules
    return rules


def test_a_rule_is_asked_once_for_a_run_of_payloads() -> None:
    relay = Relay()
    relay.join(ANNA, BERT)
    (rule,) = with_rules(relay, Mute(100))
    relay.receive_batch(*[(ANNA, b"12345")] * 64)
    assert rule.asked == [("guest-1", 64, 320, False)]
    assert len(relay.inboxes[BERT]) == 64


def test_the_first_datagrams_of_a_run_pass_and_the_others_are_counted() -> None:
    relay = Relay()
    relay.join(ANNA, BERT)
    with_rules(relay, Mute(3))
    relay.receive_batch(*[(ANNA, b"%d" % n) for n in range(5)], (ANNA, b"long"))
    assert relay.inboxes[BERT] == [b"0", b"1", b"2"]
    assert relay.dropped() == {"kicked": 3}


def test_empty_datagrams_are_control() -> None:
    relay = Relay()
    relay.join(ANNA)
    (rule,) = with_rules(relay, Mute(0))
    relay.receive(ANNA, b"")
    assert rule.asked == [("guest-1", 1, 0, True)]


def test_a_new_member_is_asked_for_too() -> None:
    relay = Relay()
    (rule,) = with_rules(relay, Mute(0))
    relay.receive(ANNA, b"hello")
    assert rule.asked == [("guest-1", 1, 5, False)]
    assert relay.dropped() == {"kicked": 1}


def test_data_of_sessions_is_asked_for_without_what_surrounds_it() -> None:
    relay = SessionRelay()
    anna, bert = joined(relay, "anna", "bert")
    (rule,) = with_rules(relay, Mute(2))
    relay.receive_batch(*[(anna.source, anna.data(b"12345")) for _ in range(3)])
    assert rule.asked == [("anna", 3, 15, False)]
    assert len(bert.drain(Data)) == 2


def test_a_session_that_may_not_send_does_not_time_out() -> None:
    relay = SessionRelay()
    anna, _ = joined(relay, "anna", "bert")
    with_rules(relay, Mute(0))
    for _ in range(3):
        relay.wait(30.0)
        anna.send_data(b"x")
    assert [member.name for member in relay.room().members()] == ["anna"]


def test_private_messages_are_payloads() -> None:
    relay = SessionRelay()
    anna, bert = joined(relay, "anna", "bert")
    (rule,) = with_rules(relay, Mute(0))
    anna.send_private(bert, b"psst")
    assert rule.asked == [("anna", 1, 4, False)]
    assert bert.drain() == []


def test_a_run_is_paid_for_before_its_sequences_are_read() -> None:
    relay = SessionRelay()
    anna, bert = joined(relay, "anna", "bert")
    (rule,) = with_rules(relay, Mute(2))
    valid = anna.data(b"12345", 0)
    invalid = valid[:HEADER_SIZE] + bytes(4) + b"12345"
    relay.receive_batch((anna.source, valid), (anna.source, invalid))
    relay.receive_batch(*[(anna.source, invalid) for _ in range(3)])
    assert rule.asked == [("anna", 2, 10, False), ("anna", 3, 15, False)]
    assert relay.dropped() == {"kicked": 3, "malformed": 1}
    assert len(bert.drain(Data)) == 1


def test_control_datagrams_amid_data_are_paid_for_as_data_and_as_what_they_are() -> None:
    relay = SessionRelay()
    anna, bert = joined(relay, "anna", "bert")
    (rule,) = with_rules(relay, Mute(100))
    ping = Ping(anna.id, bytes(8), 0).encode()
    size = len(ping) - UP_PAYLOAD_OFFSET
    datagrams = [anna.data(b"x" * size, 0, own=1), ping, anna.data(b"x" * size, 0, own=2)]
    relay.receive_batch(*[(anna.source, datagram) for datagram in datagrams])
    assert rule.asked == [("anna", 3, 3 * size, False), ("anna", 1, len(ping), True)]
    assert [data.own for data in bert.drain(Data)] == [1, 2]
    assert len(anna.drain(Pong)) == 1


def test_data_behind_a_control_datagram_is_paid_for_as_data() -> None:
    relay = SessionRelay()
    anna, bert = joined(relay, "anna", "bert")
    (rule,) = with_rules(relay, Mute(1))
    ping = Ping(anna.id, bytes(8), 0).encode()
    size = len(ping) - UP_PAYLOAD_OFFSET
    data = [anna.data(b"x" * size, 0, own) for own in (1, 2)]
    relay.receive_batch(*[(anna.source, datagram) for datagram in [ping, *data, ping]])
    asked = [("anna", 4, 4 * len(ping), True), ("anna", 2, 2 * size, False)]
    assert rule.asked == asked
    assert [data.own for data in bert.drain(Data)] == [1]
    assert len(anna.drain(Pong)) == 2


def test_sessions_at_one_address_pay_each_for_itself() -> None:
    relay = SessionRelay()
    anna, bert = joined(relay, "anna", "bert")
    (rule,) = with_rules(relay, Mute(100))
    datagrams = [sender.data(b"12345", 0) for sender in (anna, bert, anna)]
    relay.receive_batch(*[(anna.source, datagram) for datagram in datagrams])
    # The first datagram is charged for those that turn out to be another's.
    assert rule.asked == [("anna", 3, 15, False), ("bert", 1, 5, False)]


def test_a_plain_member_pays_before_its_run_is_searched_for_session_datagrams() -> None:
    relay = SessionRelay()
    (anna,) = joined(relay, "anna")
    relay.join(BERT)
    (rule,) = with_rules(relay, Mute(3))
    framed = anna.data(b"12345", 0)
    plain = bytes(len(framed))
    relay.receive_batch(*[(BERT, datagram) for datagram in [plain, framed, plain, plain]])
    asked = [("guest-2", 4, 4 * len(framed), False), ("anna", 1, 5, False)]
    assert rule.asked == asked
    assert [data.payload for data in anna.drain(Data)] == [plain, plain]
    relay.receive_batch(*[(BERT, datagram) for datagram in [plain, framed]])
    assert anna.drain(Data) == []


def test_control_datagrams_of_sessions_are_asked_for() -> None:
    relay = SessionRelay()
    (anna,) = joined(relay, "anna")
    (rule,) = with_rules(relay, Mute(0, mute_control=True))
    anna.send(Ping(anna.id, bytes(8), 0).encode())
    assert [asked[0::3] for asked in rule.asked] == [("anna", True)]
    assert anna.drain() == []


def test_every_rule_is_asked_for_what_the_one_before_accepts() -> None:
    relay = Relay()
    relay.join(ANNA)
    first, second = with_rules(relay, Mute(2), Mute(1))
    relay.receive_batch(*[(ANNA, b"12345")] * 4)
    assert first.asked == [("guest-1", 4, 20, False)]
    assert second.asked == [("guest-1", 2, 10, False)]
    assert relay.dropped() == {"kicked": 3}


def test_no_rule_is_asked_for_nothing() -> None:
    relay = Relay()
    relay.join(ANNA)
    _, second = with_rules(relay, Mute(0), Mute(1))
    relay.receive(ANNA, b"12345")
    assert second.asked == []


def test_an_allowance_is_consumed_by_a_run_as_by_its_datagrams() -> None:
    relay = SessionRelay(session_rules(room={"member_rate": 10.0}))
    anna, bert = joined(relay, "anna", "bert")
    relay.receive_batch(*[(anna.source, anna.data(b"x", 0)) for _ in range(15)])
    assert [data.own for data in bert.drain(Data)] == list(range(1, 11))
    relay.wait(0.5)
    relay.receive_batch(*[(anna.source, anna.data(b"x", 0)) for _ in range(15)])
    assert len(bert.drain(Data)) == 5
    assert relay.dropped() == {"member-limit": 15}


def test_control_datagrams_use_up_no_member_rate() -> None:
    relay = SessionRelay(session_rules(room={"member_rate": 1.0}))
    anna, bert = joined(relay, "anna", "bert")
    for _ in range(5):
        anna.send(Ping(anna.id, bytes(8), 0).encode())
    anna.send_data(b"x")
    assert [data.payload for data in bert.drain(Data)] == [b"x"]
    assert relay.dropped() == {}


@pytest.mark.parametrize("private", [False, True])
def test_a_short_datagram_behind_a_long_one_makes_it_no_cheaper(private: bool) -> None:
    relay = SessionRelay(session_rules(room={"member_bandwidth": 1000}))
    anna, bert = joined(relay, "anna", "bert")
    passed = 0
    for own in range(1, 201, 2):
        payloads = [(own, b"x" * 1000), (own + 1, b"y")]
        datagrams = [anna.data(payload, 0, own) for own, payload in payloads]
        if private:
            datagrams = [
                PrivateUp(anna.id, 0, own, bert.identity, payload).encode()
                for own, payload in payloads
            ]
        relay.receive_batch(*[(anna.source, datagram) for datagram in datagrams])
        passed += sum(len(got.payload) for got in bert.drain() if isinstance(got, (Data, Private)))
        relay.wait(0.1)
    # A full bucket, and 10 s.
    assert passed <= 11_000
