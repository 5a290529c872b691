"""DATA of session members: order, ACK, limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from relay_driver import CARL
from relay_session import Client, SessionRelay, data_for, joined, session_rules

from udprelay.protocol.wire.from_client import Leave
from udprelay.protocol.wire.from_relay import Ack
from udprelay.protocol.wire.header import CONTINUED, MORE, RELIABLE, RESUBMITTED, SEALED
from udprelay.protocol.wire.sequenced import Data
from udprelay.relay.rules import Limits
from udprelay.relay.sizes import EARLY_SIZE


class TestReliable:
    def test_all_other_members_get_it_with_its_room_sequence(self) -> None:
        relay = SessionRelay()
        anna, bert, carl = joined(relay, "anna", "bert", "carl")
        anna.send_data(b"hello")
        expected = data_for(anna, 4, 1, 1, b"hello", RELIABLE)
        assert (bert.drain(), carl.drain()) == ([expected], [expected])
        assert anna.drain(Data) == []

    @pytest.mark.parametrize(
        "flags",
        [RELIABLE | more for more in (SEALED, CONTINUED, MORE, CONTINUED | MORE, RESUBMITTED)],
    )
    def test_flags_are_forwarded(self, flags: int) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        anna.send_data(b"hello", flags)
        assert bert.drain() == [data_for(anna, 3, 1, 1, b"hello", flags)]

    def test_a_batch_is_acknowledged_once(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        batch = [(anna.source, anna.data(b"%d" % number)) for number in range(5)]
        relay.receive_batch(*batch, (bert.source, bert.data(b"x")))
        assert anna.drain(Ack) == [Ack(anna.id, 6, 0, 1, 0, ((3, 5),))]
        assert bert.drain(Ack) == [Ack(bert.id, 2, 0, 1, 0, ((8, 1),))]

    def test_an_early_datagram_waits_for_the_missing_ones(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        anna.send_data(b"three", own=3)
        anna.send_data(b"two", own=2)
        assert bert.drain() == []
        assert anna.drain(Ack)[-1] == Ack(anna.id, 1, 0b11, 1, 0, ())
        anna.send_data(b"one", own=1)
        assert [(d.sequence, d.own, d.payload) for d in bert.drain()] == [
            (3, 1, b"one"),
            (4, 2, b"two"),
            (5, 3, b"three"),
        ]
        assert anna.drain(Ack) == [Ack(anna.id, 4, 0, 1, 0, ((3, 3),))]

    def test_a_duplicate_is_dropped_and_acknowledged(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        for own in (1, 1, 3, 3):
            anna.send_data(b"x", own=own)
        assert len(bert.drain()) == 1
        assert [(ack.next, ack.bitmap) for ack in anna.drain()] == [(2, 0), (2, 0), (2, 1), (2, 1)]
        assert relay.dropped() == {"repeated": 2}

    @pytest.mark.parametrize(("own", "accepted"), [(65, True), (66, False), (2**32 - 2, False)])
    def test_a_datagram_beyond_the_receive_window_is_dropped(
        self, own: int, accepted: bool
    ) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        anna.send_data(b"x", own=own)
        assert anna.drain(Ack)[0].bitmap == (1 << 63 if accepted else 0)
        assert relay.dropped() == ({} if accepted else {"repeated": 1})

    @given(st.permutations(range(1, 9)), st.data())
    def test_datagrams_in_any_order_are_delivered_once_in_order(
        self, order: list[int], repeats: st.DataObject
    ) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        for own in order:
            for _ in range(repeats.draw(st.integers(1, 2))):
                anna.send_data(b"%d" % own, own=own)
        assert [d.payload for d in bert.drain()] == [b"%d" % own for own in range(1, 9)]

    def test_a_payload_of_more_than_1200_bytes_is_dropped(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.send_data(b"x" * 1200)
        anna.send_data(b"x" * 1201)
        assert [len(d.payload) for d in bert.drain()] == [1200]
        assert relay.dropped() == {"malformed": 1}

    def test_one_of_more_than_1200_bytes_costs_no_shorter_one_after_it(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        long, short = anna.data(b"x" * 1201, own=1), anna.data(b"short", own=1)
        relay.receive_batch((anna.source, long), (anna.source, short))
        assert [d.payload for d in bert.drain(Data)] == [b"short"]
        assert relay.dropped() == {"malformed": 1}

    @pytest.mark.parametrize("freed_by", ["delivery", "leave", "join"])
    def test_the_bytes_of_early_datagrams_are_freed(self, freed_by: str) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        for own in range(2, 66):
            anna.send_data(bytes(1200), own=own)
        assert anna.drain(Ack)[-1].bitmap == 2**64 - 1
        assert relay.hub.census.read()["early.bytes"] == 64 * (EARLY_SIZE + 1218)
        if freed_by == "delivery":
            anna.send_data(b"x", own=1)
        elif freed_by == "leave":
            anna.send(Leave(anna.id).encode())
        else:
            anna.join(own=(66, 1))
        assert relay.hub.census.read()["early.bytes"] == 0

    def test_one_member_cannot_use_up_the_memory_for_early_datagrams(self) -> None:
        """A sixteenth of the memory is for them; a member has a 64th of what is free in that."""
        relay = SessionRelay(session_rules(Limits(memory=16 * 2**20)))
        clients = joined(relay, *(f"n{number}" for number in range(20)))
        stored = []
        for client in clients:
            for own in range(2, 66):
                client.send_data(bytes(1200), own=own)
            stored.append(client.drain(Ack)[-1].bitmap.bit_count())
        assert 11 == stored[0] >= stored[-1] >= 8
        assert relay.hub.census.read()["early.bytes"] < 2**20
        assert relay.dropped() == {"early-limit": 20 * 64 - sum(stored)}


class TestInvalid:
    @pytest.mark.parametrize(
        ("place", "value"),
        [
            pytest.param(5, bytes([flags]), id=f"flags {flags}")
            for flags in (CONTINUED, MORE, RESUBMITTED, RESUBMITTED | SEALED, 32, 33, 128)
        ]
        + [
            pytest.param(14, bytes(4), id="own 0"),
            pytest.param(14, b"\xff" * 4, id="own 2**32 - 1"),
            pytest.param(18, b"", id="no payload"),
        ],
    )
    def test_is_dropped(self, place: int, value: bytes) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        valid = anna.data(b"x", 0)
        invalid = valid[:place] + value + (valid[place + len(value) :] if value else b"")
        anna.send(invalid)
        assert (anna.drain(), bert.drain()) == ([], [])
        assert relay.dropped() == {"malformed": 1}


class TestAllowance:
    RULES = session_rules(room={"member_rate": 2.0})

    def test_datagrams_beyond_member_rate_are_dropped(self) -> None:
        relay = SessionRelay(self.RULES)
        anna, bert = joined(relay, "anna", "bert")
        for number in range(4):
            anna.send_data(b"%d" % number, 0)
        assert len(bert.drain()) == 2
        relay.now += 0.5
        anna.send_data(b"later", 0)
        assert len(bert.drain()) == 1
        assert relay.dropped() == {"member-limit": 2}

    def test_bytes_beyond_member_bandwidth_are_dropped(self) -> None:
        relay = SessionRelay(session_rules(room={"member_bandwidth": 10}))
        anna, bert = joined(relay, "anna", "bert")
        for _ in range(3):
            anna.send_data(b"12345", 0)
        assert len(bert.drain()) == 2

    def test_datagrams_dropped_by_the_limit_are_not_acknowledged(self) -> None:
        relay = SessionRelay(self.RULES)
        anna, bert = joined(relay, "anna", "bert")
        for _ in range(3):
            anna.send_data(b"x")
        assert [ack.next for ack in anna.drain(Ack)] == [2, 3]
        assert len(bert.drain()) == 2


def test_rooms_in_one_batch_have_separate_sequences() -> None:
    relay = SessionRelay()
    anna, bert = joined(relay, "anna", "bert", room="red")
    carl = Client(relay, CARL, "carl", "blue")
    dora = Client(relay, "10.0.9.9:9", "dora", "blue")
    for one in (carl, dora):
        one.join()
    carl.drain()
    senders = [anna, carl, anna, carl]
    relay.receive_batch(*[(one.source, one.data(b"x")) for one in senders])
    assert [d.sequence for d in bert.drain(Data)] == [3, 4]
    assert [d.sequence for d in dora.drain(Data)] == [3, 4]
