"""Events, counters and totals of a hub."""

from __future__ import annotations

from relay_driver import ANNA, BERT, CARL, UNTRUSTED, Relay, reports, with_policy, with_room

from udprelay.relay import events
from udprelay.relay.drops import DropReason
from udprelay.relay.rules import Limits, PlainPolicy, RelayRules


def test_the_first_member_opens_the_room() -> None:
    relay = Relay()
    relay.receive(ANNA, b"hello")
    relay.receive(BERT, b"hello")
    assert relay.hub.drain_events() == [
        events.RoomOpened(room="lobby"),
        events.MemberJoined(
            room="lobby", member="guest-1", kind="plain", address=ANNA, listener="main"
        ),
        events.MemberJoined(
            room="lobby", member="guest-2", kind="plain", address=BERT, listener="main"
        ),
    ]


def test_the_last_member_closes_the_room_and_its_counters_are_reported() -> None:
    relay = Relay(with_room(idle_timeout=10))
    relay.join(ANNA, BERT)
    relay.receive(ANNA, b"hello", b"again")
    relay.wait(10)
    assert relay.hub.drain_events() == [
        events.MemberLeft(
            room="lobby", member="guest-1", address=ANNA, listener="main", reason="idle"
        ),
        events.MemberLeft(
            room="lobby", member="guest-2", address=BERT, listener="main", reason="idle"
        ),
        events.RoomClosed(room="lobby", reason="empty", datagrams=2, bytes=10, deliveries=2),
    ]
    assert relay.hub.roster.rooms == {}


def test_a_listener_that_admits_all_addresses_causes_a_warning() -> None:
    relay = Relay(with_policy(PlainPolicy.ANY))
    assert relay.hub.drain_events() == [events.ListenerUnprotected(listener="main")]


def test_a_rejection_has_one_event_per_window_and_reason() -> None:
    relay = Relay(with_policy(PlainPolicy.NETWORKS))
    for number in range(1, 6):
        relay.receive(f"203.0.113.{number}:1000", b"hello")
    relay.receive("10.0.0.9:0", b"hello")
    assert relay.hub.drain_events() == [
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
    assert relay.hub.drain_events() == [
        events.DatagramsDropped(
            listener="main", room="lobby", reason="outside-networks", count=5, window=10.0
        ),
        events.DatagramsDropped(
            listener="main", room="lobby", reason="invalid-source", count=1, window=10.0
        ),
    ]
    relay.receive(UNTRUSTED, b"hello")
    assert [event.address for event in relay.events(events.MemberRejected)] == [UNTRUSTED]


class TestDrops:
    def test_the_window_begins_with_the_first_drop(self) -> None:
        relay = Relay(RelayRules(limits=Limits(drop_window=60)))
        relay.wait(1000)
        assert relay.hub.next_deadline() is None
        relay.hub.drop("main", "lobby", DropReason.TOO_LONG, relay.now, 3)
        assert relay.hub.next_deadline() == relay.now + 60

    def test_drops_are_reported_at_the_end_of_the_window(self) -> None:
        relay = Relay()
        relay.hub.drop("main", "lobby", DropReason.TOO_LONG, relay.now)
        relay.hub.expire(relay.now + 9.999)
        assert relay.hub.drain_events() == []
        relay.hub.expire(relay.now + 10)
        assert len(relay.hub.drain_events()) == 1

    def test_totals_include_earlier_windows(self) -> None:
        relay = Relay()
        for _ in range(3):
            relay.hub.drop("main", "lobby", DropReason.TOO_LONG, relay.now, 2)
            relay.wait(10)
        assert relay.dropped() == {"too-long": 6}

    def test_drops_of_many_sources_are_added_up(self) -> None:
        relay = Relay(with_policy(PlainPolicy.NETWORKS))
        for number in range(1000):
            relay.receive(f"203.0.113.1:{number + 1}", b"hello")
        relay.wait(10)
        assert [event.count for event in reports(relay.hub.drain_events())] == [1000]


class TestUndelivered:
    def test_a_failed_delivery_is_counted_as_a_drop(self) -> None:
        relay = Relay()
        relay.join(ANNA, BERT, CARL)
        (fan_out,) = relay.hub.receive(relay.listeners["main"], [(ANNA, [b"x"])], relay.now)
        assert (fan_out.room.deliveries, relay.hub.roster.deliveries) == (2, 2)
        relay.hub.undelivered(
            fan_out.room, relay.listeners["main"], DropReason.SEND_BUFFER, relay.now
        )
        assert (fan_out.room.deliveries, relay.hub.roster.deliveries) == (1, 1)
        assert relay.dropped() == {"send-buffer": 1}

    def test_an_icmp_error_is_counted_and_removes_no_member(self) -> None:
        relay = Relay()
        relay.join(ANNA, BERT)
        for source in (BERT, UNTRUSTED):
            relay.hub.unreachable(
                relay.listeners["main"], source, DropReason.UNREACHABLE, "refused", relay.now
            )
        assert relay.members() == {ANNA, BERT}
        assert relay.dropped() == {"unreachable": 2}
        assert relay.hub.drain_events() == []


class TestPayloads:
    def test_are_not_in_any_event(self) -> None:
        relay = Relay()
        relay.receive_batch((ANNA, b"secret"), (BERT, b"secret"))
        relay.hub.close(relay.now)
        assert "secret" not in repr(relay.hub.drain_events())

    def test_are_events_with_log_payloads(self) -> None:
        relay = Relay(RelayRules(log_payloads=True))
        relay.join(ANNA)
        relay.receive(ANNA, b"two\nlines \x1b[2J\n")
        assert relay.hub.drain_events() == [
            events.DatagramRelayed(
                room="lobby",
                member="guest-1",
                address=ANNA,
                bytes=15,
                payload=r"two\nlines \x1b[2J",
            )
        ]


class TestClose:
    def test_reports_the_last_drops_and_the_totals(self) -> None:
        relay = Relay(with_policy(PlainPolicy.NETWORKS))
        relay.join(ANNA, BERT)
        relay.receive(ANNA, b"hello")
        relay.receive(UNTRUSTED, b"hello")
        relay.hub.drain_events()
        relay.now += 2.5
        relay.hub.close(relay.now)
        assert relay.hub.drain_events() == [
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

    def test_an_unused_relay_has_totals_of_zero(self) -> None:
        relay = Relay()
        relay.hub.close(relay.now)
        assert relay.hub.drain_events() == [
            events.RelayStopped(
                uptime=0, members=0, datagrams=0, bytes=0, deliveries=0, dropped={}
            )
        ]


def test_events_and_replies_are_drained_once() -> None:
    relay = Relay()
    relay.receive(ANNA)
    relay.receive(UNTRUSTED, b"hello")
    assert relay.hub.drain_events()
    assert relay.hub.drain_replies()
    assert relay.hub.drain_events() == []
    assert relay.hub.drain_replies() == []


def test_a_hub_is_unsettled_only_with_new_output() -> None:
    relay = Relay()
    relay.join(ANNA, BERT)
    relay.hub.drain_events()
    relay.hub.next_deadline()
    assert not relay.unsettled()
    relay.receive(ANNA, b"hello")
    assert not relay.unsettled()
    relay.hub.drop("main", "lobby", DropReason.TOO_LONG, relay.now)
    assert relay.unsettled()


def test_a_delivery_that_the_console_loses_is_counted_under_its_name() -> None:
    relay = Relay()
    console = relay.console()
    relay.join(ANNA)
    (fan_out,) = relay.hub.receive(relay.listeners["main"], [(ANNA, [b"x"])], relay.now)
    relay.hub.undelivered(
        fan_out.room, console.group.transport, DropReason.CONSOLE_BEHIND, relay.now
    )
    relay.hub.close(relay.now)
    (report,) = reports(relay.hub.drain_events())
    assert (report.listener, report.reason) == ("console", "console-behind")


def test_statistics_are_the_counters_of_each_room() -> None:
    relay = Relay()
    relay.join(ANNA, BERT, CARL)
    relay.receive(ANNA, b"hello")
    assert relay.hub.roster.statistics() == [
        events.RoomStatistics(room="lobby", members=3, datagrams=1, bytes=5, deliveries=2)
    ]
