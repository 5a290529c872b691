"""Unreliable DATA: single datagrams and runs."""

from __future__ import annotations

import pytest
from relay_driver import CARL
from relay_session import SessionRelay, data_for, joined

from udprelay.protocol.wire.from_relay import Ack
from udprelay.protocol.wire.header import RELIABLE, SEALED
from udprelay.protocol.wire.sequenced import Data
from udprelay.relay.session.schedule import ACK_AT_ONCE
from udprelay.segments import runs_by_source


class TestUnreliable:
    @pytest.mark.parametrize("flags", [0, SEALED])
    def test_is_relayed_in_order_of_arrival(self, flags: int) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        all_own = (5, 3, 3, 2**32 - 2)
        for own in all_own:
            anna.send_data(b"x", flags, own)
        assert bert.drain() == [
            data_for(anna, 3 + n, 1, own, b"x", flags) for n, own in enumerate(all_own)
        ]

    def test_may_have_the_largest_size_of_a_datagram(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        payload = bytes(65_507 - 30)
        anna.send_data(payload, 0)
        assert bert.drain(Data)[0].payload == payload

    def test_its_room_sequences_are_acknowledged_after_50_ms(self) -> None:
        relay = SessionRelay()
        anna, _ = joined(relay, "anna", "bert")
        anna.send_data(b"1", 0)
        anna.send_data(b"2", 0)
        relay.wait(0.049)
        assert anna.drain() == []
        relay.wait(0.001)
        assert anna.drain() == [Ack(anna.id, 1, 0, 1, 0, ((3, 2),))]
        relay.wait(0.05)
        assert anna.drain() == []

    def test_a_batch_up_to_10_ms_earlier_takes_the_acks_along(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.send_data(b"1", 0)
        relay.wait(0.0399)
        bert.send_data(b"2", 0)
        assert anna.drain(Ack) == []
        relay.wait(0.0002)
        bert.send_data(b"3", 0)
        assert anna.drain(Ack) == [Ack(anna.id, 1, 0, 1, 0, ((3, 1),))]
        assert bert.drain(Ack) == [Ack(bert.id, 1, 0, 1, 0, ((4, 2),))]
        relay.wait(0.05)
        assert (anna.drain(Ack), bert.drain(Ack)) == ([], [])

    def test_64_ranges_in_one_batch_are_acknowledged_at_once(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        relay.receive_batch(
            *[(one.source, one.data(b"x", 0)) for _ in range(64) for one in (anna, bert)]
        )
        expected = tuple((3 + 2 * number, 1) for number in range(64))
        assert anna.drain(Ack) == [Ack(anna.id, 1, 0, 1, 0, expected)]
        relay.wait(0.05)
        assert anna.drain(Ack) == []

    def test_the_last_of_64_ranges_sends_the_ack_with_its_own_batch(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        for number in (1, 63):
            batch = [(c.source, c.data(b"x", 0)) for _ in range(number) for c in (anna, bert)]
            runs = runs_by_source(batch)
            relay.driver.receive(relay.listeners["main"], runs, relay.now)
        (ack,) = anna.drain(Ack)
        assert len(ack.ranges) == 64

    def test_64_ranges_in_many_batches_are_acknowledged_at_once(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        for _ in range(ACK_AT_ONCE - 1):
            anna.send_data(b"a", 0)
            bert.send_data(b"b", 0)
        assert (anna.drain(Ack), bert.drain(Ack)) == ([], [])
        anna.send_data(b"a", 0)
        (ack,) = anna.drain(Ack)
        assert len(ack.ranges) == ACK_AT_ONCE

    def test_ranges_beyond_one_ack_are_in_the_next(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        relay.receive_batch(
            *[(one.source, one.data(b"x", 0)) for _ in range(100) for one in (anna, bert)]
        )
        (first,) = anna.drain(Ack)
        relay.wait(0.05)
        (second,) = anna.drain(Ack)
        assert (len(first.ranges), len(second.ranges)) == (64, 36)
        assert first.ranges[0] == (3, 1)
        assert second.ranges[-1] == (201, 1)

    def test_a_member_that_has_left_gets_no_ack(self) -> None:
        relay = SessionRelay()
        anna, _ = joined(relay, "anna", "bert")
        anna.send_data(b"x", 0)
        relay.hub.kick(anna.session, relay.now)
        relay.settle()
        anna.drain()
        relay.wait(0.05)
        assert anna.drain() == []

    def test_runs_have_consecutive_room_sequences(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        for flags in (0, SEALED, 0):
            relay.receive_batch(*[(anna.source, anna.data(b"x", flags)) for _ in range(3)])
        assert [data.sequence for data in bert.drain(Data)] == list(range(3, 12))


class TestRuns:
    """A run of unreliable data is checked as a whole, with the same result as one by one."""

    @pytest.fixture
    def relay(self) -> SessionRelay:
        return SessionRelay()

    def test_own_sequences_may_be_in_any_order(self, relay: SessionRelay) -> None:
        anna, bert = joined(relay, "anna", "bert")
        all_own = [1, 255, 256, 511, 2**24, 2**32 - 2, 7]
        relay.receive_batch(*[(anna.source, anna.data(b"x", 0, own)) for own in all_own])
        assert [d.own for d in bert.drain(Data)] == all_own

    @pytest.mark.parametrize("length", [0, 3, 13, 14, 17, 18])
    def test_a_truncated_datagram_is_dropped(self, relay: SessionRelay, length: int) -> None:
        anna, bert = joined(relay, "anna", "bert")
        stream = [anna.data(b"x", 0) for _ in range(4)]
        stream[2] = stream[2][:length]
        relay.receive_batch(*[(anna.source, datagram) for datagram in stream])
        # Without the signature it is a payload of a plain member.
        assert [d.own for d in bert.drain(Data)] == [1, 2, 4]

    def test_datagrams_without_a_payload_are_dropped(self, relay: SessionRelay) -> None:
        anna, bert = joined(relay, "anna", "bert")
        relay.receive_batch(*[(anna.source, anna.data(b"x", 0)[:18]) for _ in range(4)])
        assert bert.drain() == []
        assert relay.dropped() == {"malformed": 4}

    def test_datagrams_without_the_signature_are_plain_payloads(self, relay: SessionRelay) -> None:
        anna, bert = joined(relay, "anna", "bert")
        payloads = [b"\xfdXX" + anna.data(b"x", 0)[3:] for _ in range(3)]
        relay.receive_batch(*[(anna.source, payload) for payload in payloads])
        # They are payloads of a plain member that begin like the signature.
        assert [(d.own, d.payload) for d in bert.drain(Data)] == [
            (0, payload) for payload in payloads
        ]

    def test_reliable_data_within_a_run_keeps_its_place(self, relay: SessionRelay) -> None:
        anna, bert = joined(relay, "anna", "bert")
        stream = [anna.data(b"12345", 0) for _ in range(6)]
        stream[2] = anna.data(b"12345", RELIABLE, own=1)
        relay.receive_batch(*[(anna.source, datagram) for datagram in stream])
        assert [d.flags for d in bert.drain(Data)] == [0, 0, RELIABLE, 0, 0, 0]

    def test_a_reserved_own_sequence_is_dropped(self, relay: SessionRelay) -> None:
        anna, bert = joined(relay, "anna", "bert")
        stream = [anna.data(b"x", 0) for _ in range(4)]
        stream[2] = stream[2][:14] + bytes(4) + b"x"
        relay.receive_batch(*[(anna.source, datagram) for datagram in stream])
        assert [d.own for d in bert.drain(Data)] == [1, 2, 4]
        assert relay.dropped() == {"malformed": 1}

    def test_a_datagram_from_another_address_is_relayed_and_challenged(
        self, relay: SessionRelay
    ) -> None:
        anna, bert = joined(relay, "anna", "bert")
        stream = [(anna.source, anna.data(b"12345", 0)) for _ in range(4)]
        stream[2] = (CARL, stream[2][1])
        relay.receive_batch(*stream)
        assert len(bert.drain(Data)) == 4
        assert len(relay.inboxes[CARL]) == 1

    def test_runs_of_several_senders_keep_their_order(self, relay: SessionRelay) -> None:
        anna, bert = joined(relay, "anna", "bert")
        relay.receive_batch(
            (anna.source, anna.data(b"1", 0)),
            (anna.source, anna.data(b"2", 0)),
            (CARL, b"3"),
            (anna.source, anna.data(b"4", SEALED)),
            (anna.source, anna.data(b"5")),
            (bert.source, bert.data(b"6", 0)),
            (bert.source, bert.data(b"7", 0)),
        )
        assert [d.payload for d in bert.drain(Data)] == [b"1", b"2", b"3", b"4", b"5"]
        assert relay.inboxes[CARL] == [b"4", b"5", b"6", b"7"]
