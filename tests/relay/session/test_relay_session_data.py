"""DATA: what session members say, and who hears it in which form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from relay_driver import ANNA, BERT, CARL, Relay
from relay_session import Client, SessionRelay, joined, session_rules

from udprelay.protocol.wire.entries import JoinEntry, LeaveEntry
from udprelay.protocol.wire.from_relay import Ack, Data, Entry
from udprelay.protocol.wire.header import AGAIN, CONTINUED, MORE, RELIABLE, SEALED
from udprelay.relay import events
from udprelay.relay.room import NOBODY
from udprelay.relay.session import sessions as sessions_module
from udprelay.relay.session.sessions import ACK_AT_ONCE


def data(client: Client, sequence: int, number: int, own: int, payload: bytes, flags: int) -> Data:
    """Return DATA as a member gets it."""
    return Data(client.welcome.tag, flags, sequence, number, own, payload)


class TestReliable:
    def test_goes_to_everybody_but_its_sender_with_its_place(self) -> None:
        relay = SessionRelay()
        anna, bert, carl = joined(relay, "anna", "bert", "carl")
        anna.say(b"hello")
        expected = data(anna, 4, 1, 1, b"hello", RELIABLE)
        assert (bert.take(), carl.take()) == ([expected], [expected])
        assert anna.take(Data) == []

    @pytest.mark.parametrize(
        "flags",
        [RELIABLE | more for more in (SEALED, CONTINUED, MORE, CONTINUED | MORE, AGAIN)],
    )
    def test_flags_are_forwarded_as_they_are(self, flags: int) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        anna.say(b"hello", flags)
        assert bert.take() == [data(anna, 3, 1, 1, b"hello", flags)]

    def test_is_acknowledged_with_the_batch_once(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        batch = [(anna.source, anna.data(b"%d" % number)) for number in range(5)]
        relay.receive_batch(*batch, (bert.source, bert.data(b"x")))
        assert anna.take(Ack) == [Ack(anna.id, 6, 0, 1, 0, ((3, 5),))]
        assert bert.take(Ack) == [Ack(bert.id, 2, 0, 1, 0, ((8, 1),))]

    def test_what_comes_early_waits_for_what_is_missing(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        anna.say(b"three", own=3)
        anna.say(b"two", own=2)
        assert bert.take() == []
        assert anna.take(Ack)[-1] == Ack(anna.id, 1, 0b11, 1, 0, ())
        anna.say(b"one", own=1)
        assert [(d.sequence, d.own, d.payload) for d in bert.take()] == [
            (3, 1, b"one"),
            (4, 2, b"two"),
            (5, 3, b"three"),
        ]
        assert anna.take(Ack) == [Ack(anna.id, 4, 0, 1, 0, ((3, 3),))]

    def test_what_has_come_before_is_dropped_and_acknowledged_again(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        for own in (1, 1, 3, 3):
            anna.say(b"x", own=own)
        assert len(bert.take()) == 1
        assert [(ack.next, ack.bitmap) for ack in anna.take()] == [(2, 0), (2, 0), (2, 1), (2, 1)]
        assert relay.dropped() == {"repeated": 2}

    @pytest.mark.parametrize(("own", "kept"), [(65, True), (66, False), (2**32 - 2, False)])
    def test_what_is_farther_than_the_window_is_dropped(self, own: int, kept: bool) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        anna.say(b"x", own=own)
        assert anna.take(Ack)[0].bitmap == (1 << 63 if kept else 0)
        assert relay.dropped() == ({} if kept else {"repeated": 1})

    @given(st.permutations(range(1, 9)), st.data())
    def test_arrives_once_and_in_order_however_it_comes(
        self, order: list[int], repeats: st.DataObject
    ) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        for own in order:
            for _ in range(repeats.draw(st.integers(1, 2))):
                anna.say(b"%d" % own, own=own)
        assert [d.payload for d in bert.take()] == [b"%d" % own for own in range(1, 9)]

    def test_has_at_most_1200_bytes(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.say(b"x" * 1200)
        anna.say(b"x" * 1201)
        assert [len(d.payload) for d in bert.take()] == [1200]
        assert relay.dropped() == {"malformed": 1}

    def test_what_waits_is_bounded_for_all_members_together(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sessions_module, "_MOST_HELD", 300)
        relay = SessionRelay()
        anna, bert, carl = joined(relay, "anna", "bert", "carl")
        anna.say(b"x" * 100, own=2)
        bert.say(b"x" * 100, own=2)
        anna.say(b"x" * 100, own=3)
        assert relay.dropped() == {"early-limit": 1}
        anna.say(b"x", own=1)
        assert [d.own for d in carl.take()] == [1, 2]
        # There is room again.
        bert.say(b"x" * 100, own=3)
        assert relay.dropped() == {"early-limit": 1}

    def test_what_waits_is_forgotten_with_its_member(self) -> None:
        relay = SessionRelay()
        anna, _ = joined(relay, "anna", "bert")
        anna.say(b"x" * 100, own=2)
        assert relay.hub._sessions._held == 118
        relay.wait(46)
        assert relay.hub._sessions._held == 0


class TestUnreliable:
    @pytest.mark.parametrize("flags", [0, SEALED])
    def test_goes_through_as_it_comes(self, flags: int) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        for own in (5, 3, 3, 2**32 - 2):
            anna.say(b"x", flags, own)
        assert bert.take() == [
            data(anna, 3 + n, 1, own, b"x", flags) for n, own in enumerate((5, 3, 3, 2**32 - 2))
        ]

    def test_may_be_as_large_as_a_datagram(self) -> None:
        anna, bert = joined(SessionRelay(), "anna", "bert")
        payload = bytes(65_507 - 30)
        anna.say(payload, 0)
        assert bert.take(Data)[0].payload == payload

    def test_its_sender_learns_the_places_a_little_later(self) -> None:
        relay = SessionRelay()
        anna, _ = joined(relay, "anna", "bert")
        anna.say(b"1", 0)
        anna.say(b"2", 0)
        relay.wait(0.049)
        assert anna.take() == []
        relay.wait(0.001)
        assert anna.take() == [Ack(anna.id, 1, 0, 1, 0, ((3, 2),))]
        relay.wait(0.05)
        assert anna.take() == []

    def test_or_a_little_earlier_if_something_comes_in_then(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.say(b"1", 0)
        relay.wait(0.0399)
        bert.say(b"2", 0)
        assert anna.take(Ack) == []
        relay.wait(0.0002)
        bert.say(b"3", 0)
        assert anna.take(Ack) == [Ack(anna.id, 1, 0, 1, 0, ((3, 1),))]
        assert bert.take(Ack) == [Ack(bert.id, 1, 0, 1, 0, ((4, 2),))]
        relay.wait(0.05)
        assert (anna.take(Ack), bert.take(Ack)) == ([], [])

    def test_or_at_once_if_others_speak_between(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        relay.receive_batch(
            *[(one.source, one.data(b"x", 0)) for _ in range(64) for one in (anna, bert)]
        )
        expected = tuple((3 + 2 * number, 1) for number in range(64))
        assert anna.take(Ack) == [Ack(anna.id, 1, 0, 1, 0, expected)]
        relay.wait(0.05)
        assert anna.take(Ack) == []

    def test_also_if_each_datagram_comes_alone(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        for _ in range(ACK_AT_ONCE - 1):
            anna.say(b"a", 0)
            bert.say(b"b", 0)
        assert (anna.take(Ack), bert.take(Ack)) == ([], [])
        anna.say(b"a", 0)
        (ack,) = anna.take(Ack)
        assert len(ack.ranges) == ACK_AT_ONCE

    def test_more_ranges_than_an_ack_has_room_for_take_two(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        relay.receive_batch(
            *[(one.source, one.data(b"x", 0)) for _ in range(100) for one in (anna, bert)]
        )
        (first,) = anna.take(Ack)
        relay.wait(0.05)
        (second,) = anna.take(Ack)
        assert (len(first.ranges), len(second.ranges)) == (64, 36)
        assert first.ranges[0] == (3, 1)
        assert second.ranges[-1] == (201, 1)

    def test_who_has_left_learns_nothing_more(self) -> None:
        relay = SessionRelay()
        anna, _ = joined(relay, "anna", "bert")
        anna.say(b"x", 0)
        relay.hub.kick(anna.session, relay.now)
        relay.settle()
        anna.take()
        relay.wait(0.05)
        assert anna.take() == []


class TestStreams:
    """Many datagrams of one stream in a row are looked at less closely: that must not show."""

    @pytest.fixture(params=[False, True], ids=["listed", "joined"])
    def relay(self, request: pytest.FixtureRequest) -> SessionRelay:
        relay = SessionRelay()
        relay.joins = request.param
        return relay

    def test_own_sequences_may_be_any(self, relay: SessionRelay) -> None:
        anna, bert = joined(relay, "anna", "bert")
        every = [1, 255, 256, 511, 2**24, 2**32 - 2, 7]
        relay.receive_batch(*[(anna.source, anna.data(b"x", 0, own)) for own in every])
        assert [d.own for d in bert.take(Data)] == every

    @pytest.mark.parametrize("cut", [0, 3, 13, 14, 17, 18])
    def test_one_that_is_cut_short_is_dropped(self, relay: SessionRelay, cut: int) -> None:
        anna, bert = joined(relay, "anna", "bert")
        stream = [anna.data(b"x", 0) for _ in range(4)]
        stream[2] = stream[2][:cut]
        relay.receive_batch(*[(anna.source, datagram) for datagram in stream])
        # The last is from a plain member, if nothing is there that tells otherwise.
        assert [d.own for d in bert.take(Data)] == [1, 2, 4]

    def test_many_without_a_payload_are_dropped(self, relay: SessionRelay) -> None:
        anna, bert = joined(relay, "anna", "bert")
        relay.receive_batch(*[(anna.source, anna.data(b"x", 0)[:18]) for _ in range(4)])
        assert bert.take() == []
        assert relay.dropped() == {"malformed": 4}

    def test_what_has_another_beginning_is_none(self, relay: SessionRelay) -> None:
        anna, bert = joined(relay, "anna", "bert")
        said = [b"\xfdXX" + anna.data(b"x", 0)[3:] for _ in range(3)]
        relay.receive_batch(*[(anna.source, payload) for payload in said])
        # So they are a plain member's, with the first byte of the signature by chance.
        assert [(d.own, d.payload) for d in bert.take(Data)] == [(0, payload) for payload in said]

    def test_other_datagrams_in_between_are_taken_in_their_turn(self, relay: SessionRelay) -> None:
        anna, bert = joined(relay, "anna", "bert")
        stream = [anna.data(b"12345", 0) for _ in range(6)]
        stream[2] = anna.data(b"12345", RELIABLE, own=1)
        relay.receive_batch(*[(anna.source, datagram) for datagram in stream])
        assert [d.flags for d in bert.take(Data)] == [0, 0, RELIABLE, 0, 0, 0]

    def test_one_without_an_own_sequence_is_dropped(self, relay: SessionRelay) -> None:
        anna, bert = joined(relay, "anna", "bert")
        stream = [anna.data(b"x", 0) for _ in range(4)]
        stream[2] = stream[2][:14] + bytes(4) + b"x"
        relay.receive_batch(*[(anna.source, datagram) for datagram in stream])
        assert [d.own for d in bert.take(Data)] == [1, 2, 4]
        assert relay.dropped() == {"malformed": 1}

    def test_one_from_elsewhere_is_noticed(self, relay: SessionRelay) -> None:
        anna, bert = joined(relay, "anna", "bert")
        stream = [(anna.source, anna.data(b"12345", 0)) for _ in range(4)]
        stream[2] = (CARL, stream[2][1])
        relay.receive_batch(*stream)
        assert len(bert.take(Data)) == 4
        assert len(relay.inboxes[CARL]) == 1

    def test_others_may_speak_in_between(self, relay: SessionRelay) -> None:
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
        assert [d.payload for d in bert.take(Data)] == [b"1", b"2", b"3", b"4", b"5"]
        assert relay.inboxes[CARL] == [b"4", b"5", b"6", b"7"]


class TestInvalid:
    @pytest.mark.parametrize(
        ("place", "value"),
        [
            pytest.param(5, bytes([flags]), id=f"flags {flags}")
            for flags in (CONTINUED, MORE, AGAIN, AGAIN | SEALED, 32, 33, 128)
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
        assert (anna.take(), bert.take()) == ([], [])
        assert relay.dropped() == {"malformed": 1}


class TestAmongPlainMembers:
    def test_they_hear_the_payload_alone_and_are_heard(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        relay.receive(CARL, b"plain")
        anna.say(b"framed")
        assert relay.inboxes[CARL] == [b"framed"]
        assert bert.take(Data) == [
            data(bert, 4, 3, 0, b"plain", RELIABLE),
            data(bert, 5, 1, 1, b"framed", RELIABLE),
        ]

    def test_they_hear_all_of_a_burst(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        relay.join(CARL)
        said = [b"%d" % number for number in range(20)]
        relay.receive_batch(*[(anna.source, anna.data(payload, 0)) for payload in said])
        assert relay.inboxes[CARL] == said
        assert [d.payload for d in bert.take(Data)] == said

    def test_what_is_offered_again_is_not_for_them(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        relay.join(CARL)
        relay.target("192.0.2.7:2055")
        anna.say(b"again", RELIABLE | AGAIN)
        assert len(bert.take(Data)) == 1
        assert relay.inboxes == {anna.source: relay.inboxes[anna.source]}

    def test_their_joining_and_leaving_has_its_place_too(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        relay.receive_batch((BERT, b"1"), (anna.source, anna.data(b"2")), (CARL, b"3"))
        sequence = [
            (one.sequence, type(getattr(one, "body", one)))
            for one in anna.take()
            if type(one) is not Ack
        ]
        assert sequence == [(2, JoinEntry), (3, Data), (5, JoinEntry), (6, Data)]
        relay.hub.kick(relay.member(BERT), relay.now)
        relay.settle()
        assert anna.take() == [Entry(anna.welcome.tag, 7, 2, LeaveEntry("kicked"))]

    def test_an_empty_datagram_joins_and_is_told(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        relay.receive(CARL, b"")
        assert [type(one) for one in anna.take()] == [Entry]

    def test_targets_come_and_go_unseen(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        relay.hub.remove_target(relay.target("192.0.2.7:2055"), relay.now)
        relay.settle()
        assert anna.take() == []

    def test_the_console_hears_and_is_heard(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        console = relay.hub.add_console("lobby", "terminal", relay.now)
        relay.settle()
        anna.say(b"hello")
        relay.deliver(relay.hub.say(console, b"hello to you", relay.now))
        assert relay.inboxes["console"] == [b"hello"]
        assert anna.take(Data) == [data(anna, 4, 2, 0, b"hello to you", RELIABLE)]

    def test_a_session_that_plain_members_precede_gives_them_their_places(self) -> None:
        relay = SessionRelay()
        relay.receive(BERT, b"before there were any sessions")
        relay.receive(CARL, b"likewise")
        (anna,) = joined(relay, "anna")
        assert [m.nick for m in anna.welcome.members] == ["guest-1", "guest-2", "anna"]
        relay.receive(BERT, b"after")
        assert anna.take() == [data(anna, 2, 1, 0, b"after", RELIABLE)]

    def test_payloads_are_logged_once_if_that_is_wanted(self) -> None:
        relay = SessionRelay(session_rules(log_payloads=True))
        anna, _ = joined(relay, "anna", "bert")
        anna.say(b"hello")
        (relayed,) = relay.events(events.DatagramRelayed)
        assert (relayed.member, relayed.payload) == ("anna", "hello")


class TestCounters:
    def test_are_those_of_payloads_and_of_deliveries_in_any_form(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        before = relay.room().deliveries
        relay.join(CARL)
        # Two were told that carl has joined.
        assert relay.room().deliveries == before + 2
        relay.receive_batch((anna.source, anna.data(b"12345")), (CARL, b"123"))
        room, listener = relay.room(), relay.listeners["main"]
        assert (room.datagrams, room.bytes) == (2, 8)
        assert (listener.datagrams, listener.bytes) == (2, 8)
        assert room.deliveries == listener.deliveries == before + 2 + 4
        assert bert.take(Data)

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 2),
                st.sampled_from([b"", b"x", b"longer"]),
                st.sampled_from([0, RELIABLE, RELIABLE | AGAIN]),
            )
        ),
        st.booleans(),
    )
    def test_what_the_relay_counts_is_what_arrives(
        self, said: list[tuple[int, bytes, int]], at_once: bool
    ) -> None:
        relay = SessionRelay()
        clients = joined(relay, "anna", "bert")
        relay.inboxes.clear()
        before = relay.hub.roster.deliveries
        batch = [
            (BERT, payload)
            if who == 2
            else (clients[who].source, clients[who].data(payload or b"y", flags))
            for who, payload, flags in said
        ]
        batches = [batch] if at_once else [[one] for one in batch]
        for one in batches:
            relay.receive_batch(*one)
        arrived = sum(
            not datagram.startswith(b"\xfdUR\x01\x24")
            for inbox in relay.inboxes.values()
            for datagram in inbox
        )
        assert relay.hub.roster.deliveries - before == arrived
        spoken = sum(who < 2 or bool(payload) for who, payload, _ in said)
        assert relay.hub.roster.datagrams == spoken


class TestAllowance:
    RULES = session_rules(room={"member_rate": 2.0})

    def test_more_than_a_member_may_say_is_dropped(self) -> None:
        relay = SessionRelay(self.RULES)
        anna, bert = joined(relay, "anna", "bert")
        for number in range(4):
            anna.say(b"%d" % number, 0)
        assert len(bert.take()) == 2
        assert relay.dropped() == {"member-limit": 2}
        relay.now += 0.5
        anna.say(b"later", 0)
        assert len(bert.take()) == 1

    def test_bytes_count_too(self) -> None:
        relay = SessionRelay(session_rules(room={"member_bandwidth": 10}))
        anna, bert = joined(relay, "anna", "bert")
        for _ in range(3):
            anna.say(b"12345", 0)
        assert len(bert.take()) == 2

    def test_what_is_dropped_so_is_not_acknowledged(self) -> None:
        relay = SessionRelay(self.RULES)
        anna, bert = joined(relay, "anna", "bert")
        for _ in range(3):
            anna.say(b"x")
        assert [ack.next for ack in anna.take()] == [2, 3]
        assert len(bert.take()) == 2


class TestPlainRooms:
    """A room of plain members alone has no frames, no history, no sequence."""

    def test_has_no_session_side(self) -> None:
        relay = Relay()
        relay.join(ANNA, BERT)
        assert relay.hub.roster.rooms["lobby"].sessions is None

    def test_loses_it_some_time_after_the_last_session_member_has_left(self) -> None:
        relay = SessionRelay(session_rules(room={"idle_timeout": 1000.0}))
        joined(relay, "anna")
        relay.join(BERT)
        relay.wait(46)
        assert len(relay.room()) == 1
        assert relay.room().sessions
        relay.wait(130)
        assert relay.room().sessions is None
        assert relay.hub.next_deadline() > relay.now + 500

    def test_is_no_matter_for_other_rooms(self) -> None:
        relay = SessionRelay(session_rules(room={"idle_timeout": 1000.0}))
        relay.join(BERT)
        (anna,) = joined(relay, "anna", room="attic")
        for _ in range(3):
            relay.wait(15)
            anna.ping()
        assert (relay.room().sessions, relay.room("attic").sessions) == (
            None,
            anna.session.side,
        )

    def test_keeps_it_if_somebody_comes_back(self) -> None:
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
        assert relay.room().sessions
        missed = anna.nack((2, 10))
        assert missed


def test_nobody_is_a_sender_in_no_group() -> None:
    assert (NOBODY.slot, NOBODY.group.members, NOBODY.address) == (-1, [], "")


def test_several_rooms_in_one_batch_each_have_their_own_sequence() -> None:
    relay = SessionRelay()
    anna, bert = joined(relay, "anna", "bert", room="red")
    carl = Client(relay, CARL, "carl", "blue")
    dora = Client(relay, "10.0.9.9:9", "dora", "blue")
    for one in (carl, dora):
        one.join()
    carl.take()
    speakers = [anna, carl, anna, carl]
    relay.receive_batch(*[(one.source, one.data(b"x")) for one in speakers])
    assert [d.sequence for d in bert.take(Data)] == [3, 4]
    assert [d.sequence for d in dora.take(Data)] == [3, 4]
