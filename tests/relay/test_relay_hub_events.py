"""What the relay says of itself: events, counters, totals."""

from __future__ import annotations

from relay_driver import ANNA, BERT, CARL, STRANGER, Relay, reports, with_policy, with_room

from udprelay.relay import events
from udprelay.relay.drops import DropReason
from udprelay.relay.rules import Limits, PlainPolicy, RelayRules


def test_the_first_member_opens_the_room() -> None:
    relay = Relay()
    relay.receive(ANNA, b"hello")
    relay.receive(BERT, b"hello")
    assert relay.hub.take_events() == [
        events.RoomOpened(room="lobby"),
        events.MemberJoined(
            room="lobby", member="guest-1", kind="plain", address=ANNA, listener="main"
        ),
        events.MemberJoined(
            room="lobby", member="guest-2", kind="plain", address=BERT, listener="main"
        ),
    ]


def test_the_last_member_closes_it_and_its_counts_are_said() -> None:
    relay = Relay(with_room(idle_timeout=10))
    relay.join(ANNA, BERT)
    relay.receive(ANNA, b"hello", b"again")
    relay.wait(10)
    assert relay.hub.take_events() == [
        events.MemberLeft(
            room="lobby", member="guest-1", address=ANNA, listener="main", reason="idle"
        ),
        events.MemberLeft(
            room="lobby", member="guest-2", address=BERT, listener="main", reason="idle"
        ),
        events.RoomClosed(room="lobby", reason="empty", datagrams=2, bytes=10, deliveries=2),
    ]
    assert relay.hub.roster.rooms == {}


def test_a_listener_that_admits_everybody_is_warned_of() -> None:
    relay = Relay(with_policy(PlainPolicy.ANY))
    assert relay.hub.take_events() == [events.ListenerUnprotected(listener="main")]


def test_a_refusal_is_said_once_in_a_window_for_each_reason_and_counted_thereafter() -> None:
    relay = Relay(with_policy(PlainPolicy.NETWORKS))
    for number in range(1, 6):
        relay.receive(f"203.0.113.{number}:1000", b"hello")
    relay.receive("10.0.0.9:0", b"hello")
    assert relay.hub.take_events() == [
        events.MemberRejected(
            room="lobby",
            address="203.0.113.1:1000",
            listener="main",
            reason="outside-networks",
        ),
        events.MemberRejected(
            room="lobby", address="10.0.0.9:0", listener="main", reason="invalid-source"
        ),
    ]
    relay.wait(10)
    assert relay.hub.take_events() == [
        events.DatagramsDropped(
            listener="main", room="lobby", reason="outside-networks", count=5, window=10.0
        ),
        events.DatagramsDropped(
            listener="main", room="lobby", reason="invalid-source", count=1, window=10.0
        ),
    ]
    relay.receive(STRANGER, b"hello")
    assert [event.address for event in relay.events(events.MemberRejected)] == [STRANGER]


class TestDrops:
    def test_the_window_begins_with_the_first_drop(self) -> None:
        relay = Relay(RelayRules(limits=Limits(drop_window=60)))
        relay.wait(1000)
        assert relay.hub.next_deadline() is None
        relay.hub.drop("main", "lobby", DropReason.TOO_LONG, relay.now, 3)
        assert relay.hub.next_deadline() == relay.now + 60

    def test_nothing_is_said_before_its_end(self) -> None:
        relay = Relay()
        relay.hub.drop("main", "lobby", DropReason.TOO_LONG, relay.now)
        relay.hub.expire(relay.now + 9.999)
        assert relay.hub.take_events() == []
        relay.hub.expire(relay.now + 10)
        assert len(relay.hub.take_events()) == 1

    def test_totals_are_kept_beyond_the_window(self) -> None:
        relay = Relay()
        for _ in range(3):
            relay.hub.drop("main", "lobby", DropReason.TOO_LONG, relay.now, 2)
            relay.wait(10)
        assert relay.dropped() == {"too-long": 6}

    def test_strangers_cannot_make_the_table_grow(self) -> None:
        relay = Relay(with_policy(PlainPolicy.NETWORKS))
        for number in range(1000):
            relay.receive(f"203.0.113.1:{number + 1}", b"hello")
        relay.wait(10)
        assert [event.count for event in reports(relay.hub.take_events())] == [1000]


class TestUndelivered:
    def test_a_delivery_that_the_kernel_refused_is_a_drop_and_no_delivery(self) -> None:
        relay = Relay()
        relay.join(ANNA, BERT, CARL)
        (fan_out,) = relay.hub.receive(relay.listeners["main"], [(ANNA, [b"x"])], relay.now)
        assert (fan_out.room.deliveries, relay.hub.roster.deliveries) == (2, 2)
        relay.hub.undelivered(
            fan_out.room, relay.listeners["main"], DropReason.SEND_BUFFER, relay.now
        )
        assert (fan_out.room.deliveries, relay.hub.roster.deliveries) == (1, 1)
        assert relay.dropped() == {"send-buffer": 1}

    def test_an_icmp_error_is_counted_and_ends_no_membership(self) -> None:
        relay = Relay()
        relay.join(ANNA, BERT)
        for source in (BERT, STRANGER):
            relay.hub.unreachable(
                relay.listeners["main"], source, DropReason.UNREACHABLE, "refused", relay.now
            )
        assert relay.members() == {ANNA, BERT}
        assert relay.dropped() == {"unreachable": 2}
        assert relay.hub.take_events() == []


class TestPayloads:
    def test_are_not_in_any_event(self) -> None:
        relay = Relay()
        relay.receive_batch((ANNA, b"secret"), (BERT, b"secret"))
        relay.hub.close(relay.now)
        assert "secret" not in repr(relay.hub.take_events())

    def test_are_events_if_that_is_wanted(self) -> None:
        relay = Relay(RelayRules(log_payloads=True))
        relay.join(ANNA)
        relay.receive(ANNA, b"two\nlines \x1b[2J\n")
        assert relay.hub.take_events() == [
            events.DatagramRelayed(
                room="lobby",
                member="guest-1",
                address=ANNA,
                bytes=15,
                payload=r"two\nlines \x1b[2J",
            )
        ]


class TestClose:
    def test_says_what_is_left_to_say_and_the_totals(self) -> None:
        relay = Relay(with_policy(PlainPolicy.NETWORKS))
        relay.join(ANNA, BERT)
        relay.receive(ANNA, b"hello")
        relay.receive(STRANGER, b"hello")
        relay.hub.take_events()
        relay.now += 2.5
        relay.hub.close(relay.now)
        assert relay.hub.take_events() == [
            events.DatagramsDropped(
                listener="main", room="lobby", reason="outside-networks", count=1, window=2.5
            ),
            events.RoomClosed(room="lobby", reason="stopping", datagrams=1, bytes=5, deliveries=1),
            events.RelayStopped(
                uptime=2.5,
                members=2,
                datagrams=1,
                bytes=5,
                deliveries=1,
                dropped={"outside-networks": 1},
            ),
        ]

    def test_the_totals_of_a_relay_that_nobody_used_are_zero(self) -> None:
        relay = Relay()
        relay.hub.close(relay.now)
        assert relay.hub.take_events() == [
            events.RelayStopped(
                uptime=0, members=0, datagrams=0, bytes=0, deliveries=0, dropped={}
            )
        ]


def test_what_has_been_taken_is_not_given_again() -> None:
    relay = Relay()
    relay.receive(ANNA)
    relay.receive(STRANGER, b"hello")
    assert relay.hub.take_events()
    assert relay.hub.take_replies()
    assert relay.hub.take_events() == []
    assert relay.hub.take_replies() == []


def test_only_news_leaves_something_to_settle() -> None:
    relay = Relay()
    relay.join(ANNA, BERT)
    relay.hub.take_events()
    relay.hub.next_deadline()
    assert not relay.hub.unsettled
    relay.receive(ANNA, b"hello")
    assert not relay.hub.unsettled
    relay.hub.drop("main", "lobby", DropReason.TOO_LONG, relay.now)
    assert relay.hub.unsettled


def test_what_the_console_misses_is_counted_under_its_name() -> None:
    relay = Relay()
    console = relay.hub.add_console("lobby", "terminal", relay.now)
    relay.join(ANNA)
    (fan_out,) = relay.hub.receive(relay.listeners["main"], [(ANNA, [b"x"])], relay.now)
    relay.hub.undelivered(fan_out.room, console.group.way, DropReason.CONSOLE_BEHIND, relay.now)
    relay.hub.close(relay.now)
    (report,) = reports(relay.hub.take_events())
    assert (report.listener, report.reason) == ("console", "console-behind")


def test_statistics_are_the_counters_of_every_room() -> None:
    relay = Relay()
    relay.join(ANNA, BERT, CARL)
    relay.receive(ANNA, b"hello")
    assert relay.hub.roster.statistics() == [
        events.RoomStatistics(room="lobby", members=3, datagrams=1, bytes=5, deliveries=2)
    ]
