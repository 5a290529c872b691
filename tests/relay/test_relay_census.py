"""One call returns all counters and the sizes of all tables."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from relay_driver import ANNA, BERT, CARL, UNTRUSTED, Relay
from relay_session import Client, SessionRelay, joined

from udprelay.protocol.wire.from_client import Leave, Ping
from udprelay.relay.census import Census
from udprelay.relay.events import RelayStatistics
from udprelay.segments import Segments


def changes(relay: Relay, act: Callable[[], object]) -> dict[str, int]:
    """Return the differences that an act makes in the census."""
    before = relay.hub.census.read()
    act()
    return {
        name: count - before[name]
        for name, count in relay.hub.census.read().items()
        if count != before[name]
    }


def test_all_counters_are_there_from_the_start() -> None:
    fixed = "tables.budgets."
    counts = Relay().hub.census.read()
    assert {count for name, count in counts.items() if not name.startswith(fixed)} == {0}
    assert [count for name, count in counts.items() if name.startswith(fixed)] == [
        4096,
        3 * 4096,
        3 * 4096,
        2 * 4096,
    ]


def test_members_are_counted_by_kind() -> None:
    relay = SessionRelay()
    joined(relay, "anna")
    relay.join(BERT)
    relay.target(CARL)
    relay.console()
    counts = relay.hub.census.read()
    kinds = ("session", "plain", "target", "console")
    assert [counts[f"members.{kind}"] for kind in kinds] == [1, 1, 1, 1]
    assert (counts["rooms"], counts["joins"]) == (1, 4)


@pytest.mark.parametrize("reason", ["idle", "kicked", "left", "replaced"])
def test_leaves_are_counted_by_reason(reason: str) -> None:
    relay = SessionRelay()
    anna = Client(relay, ANNA, "anna")
    acts: dict[str, Callable[[], object]] = {
        "idle": lambda: relay.wait(400),
        "kicked": lambda: relay.hub.kick(anna.session, relay.now),
        "left": lambda: anna.send(Leave(anna.id).encode()),
        "replaced": lambda: relay.target(BERT),
    }
    anna.join()
    if reason == "replaced":
        relay.join(BERT)
    changed = changes(relay, acts[reason])
    assert changed[f"leaves.{reason}"] == 1
    assert sum(n for name, n in changed.items() if name.startswith("leaves.")) == 1


def test_datagrams_bytes_and_deliveries_are_counted_in_all_and_by_listener() -> None:
    relay = Relay()
    relay.join(ANNA, BERT, CARL)
    assert changes(relay, lambda: relay.receive(ANNA, b"hello")) == {
        "datagrams": 1,
        "bytes": 5,
        "deliveries": 2,
        "listeners.main.datagrams": 1,
        "listeners.main.bytes": 5,
        "rooms.lobby.datagrams": 1,
        "rooms.lobby.bytes": 5,
        "rooms.lobby.deliveries": 2,
    }


def test_a_closed_room_has_no_members_and_no_counts() -> None:
    relay = Relay()
    relay.join(ANNA, BERT)
    relay.receive(ANNA, b"hello")
    assert relay.hub.census.read()["rooms.lobby.members"] == 2
    relay.wait(400)
    counts = relay.hub.census.read()
    assert {n for name, n in counts.items() if name.startswith("rooms.lobby.")} == {0}


def test_drops_are_counted_by_reason() -> None:
    relay = Relay()
    changed = changes(relay, lambda: relay.receive(UNTRUSTED, b"hello", b"hello"))
    assert (changed["dropped.challenged"], changed["tables.drops"]) == (2, 1)


def test_tables_of_members_and_of_those_that_were_kicked() -> None:
    relay = SessionRelay()
    _, bert = joined(relay, "anna", "bert")
    changed = changes(relay, lambda: relay.hub.kick(bert.session, relay.now))
    # Its address and its identity.
    assert changed["tables.kicked"] == 2
    assert changed["tables.departed"] == 1
    counts = relay.hub.census.read()
    assert (counts["tables.expiry"], counts["tables.logs"], counts["tables.tags"]) == (1, 1, 1)
    assert changes(relay, lambda: relay.target(CARL))["tables.targets"] == 1


def test_what_is_kept_of_datagrams() -> None:
    relay = SessionRelay()
    (anna,) = joined(relay, "anna")
    changed = changes(relay, lambda: anna.send_data(b"hello"))
    assert (changed["history.datagrams"], changed["tables.schedule.acks"]) == (1, 1)
    assert changed["history.bytes"] > 5
    assert changes(relay, lambda: anna.send_data(b"early", own=9))["early.bytes"] > 0
    assert changes(relay, lambda: anna.send_private(anna, b"psst"))["private.datagrams"] == 1


def test_queues_are_empty_when_the_hub_is_settled() -> None:
    relay = SessionRelay()
    anna, bert = joined(relay, "anna", "bert")
    listener = relay.listeners["main"]
    ping = Ping(anna.id, bytes(8), 0).encode()
    batch = [(ANNA, Segments(ping, len(ping)))]

    def queues() -> dict[str, int]:
        counts = relay.hub.census.read()
        return {name: n for name, n in counts.items() if name.startswith("queues.") and n}

    relay.hub.drain_events()
    relay.hub.receive(listener, batch, relay.now)
    assert queues() == {"queues.control": 1}
    relay.hub.kick(bert.session, relay.now)
    assert queues() == {
        "queues.control": 1,
        "queues.entries": 1,
        "queues.events": 1,
        "queues.replies": 1,
    }
    relay.settle()
    relay.hub.drain_events()
    relay.hub.drain_replies()
    assert queues() == {}


class TestAnotherCounter:
    """A counter or a table is one line in the census; nothing else changes."""

    def test_is_in_the_census_and_in_the_statistics(self) -> None:
        relay = Relay()
        challenges = [1, 2, 3]
        relay.hub.census.add("tables.example", challenges.__len__)
        relay.hub.census.add("example", lambda: {"one": 1, "none": 0})
        counts = relay.hub.census.read()
        assert list(counts.items())[-3:] == [
            ("tables.example", 3),
            ("example.one", 1),
            ("example.none", 0),
        ]
        assert RelayStatistics(counts=counts).human().endswith("tables.example 3, example.one 1")

    def test_takes_the_place_of_one_with_the_same_name(self) -> None:
        census = Census()
        census.add("example", lambda: 1)
        census.add("example", lambda: 2)
        assert census.read() == {"example": 2}
