"""Rooms with session members and plain members: renderings, entries, counters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from relay_driver import ANNA, BERT, CARL, Relay
from relay_session import SessionRelay, data_for, joined, session_rules

from udprelay.protocol.wire.entries import JoinEntry, LeaveEntry
from udprelay.protocol.wire.from_relay import Ack
from udprelay.protocol.wire.header import RELIABLE, RESUBMITTED
from udprelay.protocol.wire.sequenced import Data, Entry
from udprelay.relay import events
from udprelay.relay.room import NOBODY


class TestMixedRooms:
    def test_plain_members_send_and_get_bare_payloads(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        relay.receive(CARL, b"plain")
        anna.send_data(b"framed")
        assert relay.inboxes[CARL] == [b"framed"]
        assert bert.drain(Data) == [
            data_for(bert, 4, 3, 0, b"plain", RELIABLE),
            data_for(bert, 5, 1, 1, b"framed", RELIABLE),
        ]

    def test_plain_members_get_all_payloads_of_a_run(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        relay.join(CARL)
        payloads = [b"%d" % number for number in range(20)]
        relay.receive_batch(*[(anna.source, anna.data(payload, 0)) for payload in payloads])
        assert relay.inboxes[CARL] == payloads
        assert [d.payload for d in bert.drain(Data)] == payloads

    def test_resubmitted_data_is_for_session_members_only(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        relay.join(CARL)
        relay.target("192.0.2.7:2055")
        anna.send_data(b"again", RELIABLE | RESUBMITTED)
        assert len(bert.drain(Data)) == 1
        assert relay.inboxes == {anna.source: relay.inboxes[anna.source]}

    def test_joins_and_leaves_of_plain_members_have_room_sequences(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        relay.receive_batch((BERT, b"1"), (anna.source, anna.data(b"2")), (CARL, b"3"))
        sequence = [
            (one.sequence, type(getattr(one, "body", one)))
            for one in anna.drain()
            if type(one) is not Ack
        ]
        assert sequence == [(2, JoinEntry), (3, Data), (5, JoinEntry), (6, Data)]
        relay.hub.kick(relay.member(BERT), relay.now)
        relay.settle()
        assert anna.drain() == [Entry(anna.welcome.tag, 7, 2, LeaveEntry("kicked"))]

    def test_a_join_by_an_empty_datagram_is_an_entry(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        relay.receive(CARL, b"")
        assert [type(one) for one in anna.drain()] == [Entry]

    def test_targets_have_no_entries(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        relay.hub.remove_target(relay.target("192.0.2.7:2055"), relay.now)
        relay.settle()
        assert anna.drain() == []

    def test_the_console_sends_and_gets_bare_payloads(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        console = relay.console()
        relay.settle()
        anna.send_data(b"hello")
        relay.deliver(relay.hub.send(console, b"hello to you", relay.now))
        assert relay.inboxes["console"] == [b"hello"]
        assert anna.drain(Data) == [data_for(anna, 4, 2, 0, b"hello to you", RELIABLE)]

    def test_the_first_session_member_gets_the_plain_members_in_its_roster(self) -> None:
        relay = SessionRelay()
        relay.receive(BERT, b"before the first session")
        relay.receive(CARL, b"another")
        (anna,) = joined(relay, "anna")
        assert [m.nick for m in anna.welcome.members] == ["guest-1", "guest-2", "anna"]
        relay.receive(BERT, b"after")
        assert anna.drain() == [data_for(anna, 2, 1, 0, b"after", RELIABLE)]

    def test_payloads_are_logged_once(self) -> None:
        relay = SessionRelay(session_rules(log_payloads=True))
        anna, _ = joined(relay, "anna", "bert")
        anna.send_data(b"hello")
        (relayed,) = relay.events(events.DatagramRelayed)
        assert (relayed.member, relayed.payload) == ("anna", "hello")


class TestCounters:
    def test_payloads_and_deliveries_are_counted_in_all_renderings(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        before = relay.room().deliveries
        relay.join(CARL)
        # Two members got the entry of his join.
        assert relay.room().deliveries == before + 2
        relay.receive_batch((anna.source, anna.data(b"12345")), (CARL, b"123"))
        room, listener = relay.room(), relay.listeners["main"]
        assert (room.datagrams, room.bytes) == (2, 8)
        assert (listener.datagrams, listener.bytes) == (2, 8)
        assert room.deliveries == listener.deliveries == before + 2 + 4
        assert bert.drain(Data)

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 2),
                st.sampled_from([b"", b"x", b"longer"]),
                st.sampled_from([0, RELIABLE, RELIABLE | RESUBMITTED]),
            )
        ),
        st.booleans(),
    )
    def test_the_counters_agree_with_the_deliveries(
        self, datagrams: list[tuple[int, bytes, int]], at_once: bool
    ) -> None:
        relay = SessionRelay()
        clients = joined(relay, "anna", "bert")
        relay.inboxes.clear()
        before = relay.hub.roster.deliveries
        batch = [
            (BERT, payload)
            if who == 2
            else (clients[who].source, clients[who].data(payload or b"y", flags))
            for who, payload, flags in datagrams
        ]
        batches = [batch] if at_once else [[one] for one in batch]
        for one in batches:
            relay.receive_batch(*one)
        delivered = sum(
            not datagram.startswith(b"\xfdUR\x01\x24")
            for inbox in relay.inboxes.values()
            for datagram in inbox
        )
        assert relay.hub.roster.deliveries - before == delivered
        payloads = sum(who < 2 or bool(payload) for who, payload, _ in datagrams)
        assert relay.hub.roster.datagrams == payloads


class TestRoomsWithoutSessions:
    """A room of plain members has no log."""

    def test_a_room_of_plain_members_has_no_log(self) -> None:
        relay = Relay()
        relay.join(ANNA, BERT)
        assert relay.hub.roster.rooms["lobby"].log is None

    def test_the_log_is_removed_history_age_after_the_last_session_member(self) -> None:
        relay = SessionRelay(session_rules(room={"idle_timeout": 1000.0}))
        joined(relay, "anna")
        relay.join(BERT)
        relay.wait(46)
        assert len(relay.room()) == 1
        assert relay.room().log
        relay.wait(130)
        assert relay.room().log is None
        assert relay.deadline() > relay.now + 500

    def test_each_room_has_its_own_log(self) -> None:
        relay = SessionRelay(session_rules(room={"idle_timeout": 1000.0}))
        relay.join(BERT)
        (anna,) = joined(relay, "anna", room="attic")
        for _ in range(3):
            relay.wait(15)
            anna.ping()
        assert relay.room().log is None
        assert relay.room("attic").log is not None

    def test_the_log_stays_if_a_session_member_returns(self) -> None:
        relay = SessionRelay(session_rules(room={"idle_timeout": 1000.0}))
        (anna,) = joined(relay, "anna")
        relay.join(BERT)
        tag = anna.welcome.tag
        relay.wait(100)
        relay.receive(BERT, b"meanwhile")
        welcome = anna.join(tag=tag, settled=1)
        assert welcome.tag == tag
        for _ in range(40):
            relay.wait(10)
            anna.ping()
        assert relay.room().log
        assert anna.nack((2, 10))


def test_the_sender_of_entries_is_in_no_group() -> None:
    assert (NOBODY.slot, NOBODY.group.members, NOBODY.address) == (-1, [], "")
