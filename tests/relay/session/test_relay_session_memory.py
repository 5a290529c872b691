"""One budget bounds the memory for members, rooms, and all that is kept for them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from forged_datagrams import sixteen, source
from relay_driver import ANNA, BERT, CARL, Relay
from relay_session import Client, SessionRelay, joined, refused, session_rules

from reachable import footprint
from udprelay.protocol.wire.from_client import Leave
from udprelay.protocol.wire.joining import Welcome
from udprelay.protocol.wire.sequenced import Data, Private
from udprelay.relay.events import MemoryFull
from udprelay.relay.rules import Limits, RelayRules
from udprelay.relay.session.sequences import MAX_DATAGRAMS
from udprelay.relay.sizes import LOG_SIZE, PLAIN_SIZE, PRIVATE_SIZE, ROOM_SIZE, SESSION_SIZE

MIB = 2**20
LITTLE = MIB // 4
"""Bytes of memory that a few members fill."""


def limited(memory: int = MIB, **limits: object) -> RelayRules:
    """Return rules with so much memory, and no other limit that these tests meet."""
    rates = {"session_rate": 1e6, "session_burst": 10**6}
    values = {**rates, "memory": memory, **limits}
    return session_rules(
        Limits(**values),  # type: ignore[arg-type]
        room={"max_members": 10**6, "history_size": 64 * MIB, "history": 10**6},
        max_members=10**6,
        max_rooms=10**6,
    )


def used(relay: Relay) -> dict[str, int]:
    """Return the bytes in use, and in each pool."""
    read = relay.hub.census.read()
    return {name.removeprefix("memory."): n for name, n in read.items() if "memory." in name}


def newcomers(relay: SessionRelay) -> Iterator[Client]:
    for number in count(1):
        room = f"room-{number % 7}"
        yield Client(relay, source(number), f"nick-{number}", room, secret=sixteen(number))


def fill(relay: SessionRelay) -> list[Client]:
    """Fill all pools, until nobody is admitted any more; return who is."""
    clients: list[Client] = []
    for client in newcomers(relay):
        answer = client.try_to_join()
        if not isinstance(answer, Welcome):
            return clients
        client.welcome = answer
        clients.append(client)
        client.send_data(bytes(1200))
        for number in range(8):
            client.send_data(b"short %d" % number)
            client.send_data(b"early", own=20 + number)
            client.send_private(client, b"psst")
        if len(clients) % 5 == 0:
            client.send(Leave(client.id).encode())
            clients.pop()
        relay.receive(f"10.77.0.1:{len(clients) + 1}", b"plain")
        relay.inboxes.clear()
        assert used(relay)["used"] <= LITTLE
    raise AssertionError("newcomers do not end")


TABLES = ("tables.", "queues.", "history.", "private.", "early.", "members.", "rooms")
STAYS = ("memory.trimmed", "memory.refused", "tables.flood_counts")
"""Two counters, and a table of fixed size that strangers fill."""


def sizes(relay: Relay) -> dict[str, int]:
    """Return the sizes in the census; counters only grow."""
    read = relay.hub.census.read()
    named = {name: n for name, n in read.items() if name.startswith((*TABLES, "memory."))}
    return {name: n for name, n in named.items() if name not in STAYS}


def test_all_pools_together_keep_to_the_budget_and_are_empty_when_all_have_left() -> None:
    relay = SessionRelay(limited(LITTLE))
    relay.drain_events()
    empty = sizes(relay)
    for _ in range(10):
        clients = fill(relay)
        pools = used(relay)
        assert 0.9 * LITTLE < pools["used"] <= LITTLE
        named = ("members", "rooms", "departed", "histories", "private", "early")
        assert sum(pools[name] for name in named) == pools["used"]
        assert min(pools[name] for name in named if name != "histories") > 0
        for client in clients:
            client.send(Leave(client.id).encode())
        # Plain members, what the drops are summed over, and the tags of rooms.
        relay.wait(90_000)
        relay.drain_events()
        assert sizes(relay) == empty


def test_what_is_counted_is_at_least_what_it_takes() -> None:
    relay = SessionRelay(limited(8 * MIB))
    before = footprint(relay.hub, relay.listeners).size
    clients = joined(relay, *(f"nick-{number}" for number in range(100)))
    for client in clients:
        client.send_private(client, b"psst")
        client.send_data(b"hello")
        client.send_data(b"early", own=9)
        relay.receive(f"10.77.0.1:{client.welcome.number}", b"plain")
    relay.inboxes.clear()
    relay.drain_events()
    relay.wait(1)
    relay.inboxes.clear()
    # Numbers, which are not in it, take less than twice as much.
    assert footprint(relay.hub, relay.listeners).size - before < used(relay)["used"]


def test_a_member_and_its_room_are_counted_until_they_are_gone() -> None:
    relay = SessionRelay()
    relay.join(BERT)
    assert used(relay)["used"] == ROOM_SIZE + PLAIN_SIZE
    (anna,) = joined(relay, "anna", room="other")
    pools = used(relay)
    assert pools["members"] == PLAIN_SIZE + SESSION_SIZE
    assert pools["rooms"] == 2 * ROOM_SIZE + LOG_SIZE
    anna.send(Leave(anna.id).encode())
    relay.wait(300)
    assert used(relay)["used"] == 0


class TestHistories:
    def test_the_oldest_datagrams_of_all_rooms_make_way_first(self) -> None:
        relay = SessionRelay(limited())
        (anna,) = joined(relay, "anna")
        (bert,) = joined(relay, "bert", room="other")
        for number in range(100):
            relay.wait(0.01)
            (anna if number % 2 else bert).send_data(b"old %d" % number)
        oldest_of_bert = relay.room_log("other").history.first
        relay.wait(0.01)
        for _ in range(700):
            anna.send_data(bytes(1200))
        assert used(relay)["used"] <= MIB
        assert relay.room_log("other").history.first > oldest_of_bert
        assert len(relay.room_log("other").history) == 0
        assert len(relay.room_log().history) > 500

    def test_a_member_that_asks_for_what_has_made_way_is_told_what_is_left(self) -> None:
        relay = SessionRelay(limited())
        anna, bert = joined(relay, "anna", "bert")
        for _ in range(900):
            anna.send_data(bytes(1200))
        newest = relay.room_log().newest
        (answer,) = bert.nack((newest, 1))
        assert isinstance(answer, Data)
        assert relay.room_log().history.first > bert.welcome.first

    def test_they_make_way_for_new_members(self) -> None:
        relay = SessionRelay(limited())
        (anna,) = joined(relay, "anna")
        for _ in range(900):
            anna.send_data(bytes(1200))
        before = used(relay)["histories"]
        joined(relay, *(f"n{number}" for number in range(20)), room="other")
        assert used(relay)["histories"] < before

    def test_a_history_larger_than_the_memory_keeps_to_it(self) -> None:
        relay = SessionRelay(limited())
        (anna,) = joined(relay, "anna")
        for _ in range(2000):
            anna.send_data(bytes(1200))
            assert used(relay)["used"] <= MIB

    def test_what_is_too_old_is_counted_no_more(self) -> None:
        relay = SessionRelay()
        (anna,) = joined(relay, "anna")
        anna.send_data(bytes(1200))
        before = used(relay)["histories"]
        relay.wait(30)
        for _ in range(20):
            relay.wait(7)
            anna.ping()
        assert used(relay)["histories"] < before - 1200


class TestRefusals:
    def test_a_session_is_refused_with_a_time_after_which_to_try_again(self) -> None:
        relay = SessionRelay(limited(LITTLE))
        fill(relay)
        client = Client(relay, "10.66.0.1:1", "late")
        answer = refused(client)
        assert (answer.code, answer.retry_after) == ("relay-full", 10_000)

    def test_a_plain_member_is_refused(self) -> None:
        relay = SessionRelay(limited(LITTLE))
        fill(relay)
        relay.receive("10.66.0.1:1", b"hello")
        assert "10.66.0.1:1" not in relay.members()
        assert relay.dropped()["relay-full"] > 0

    def test_who_is_refused_is_admitted_when_others_have_left(self) -> None:
        relay = SessionRelay(limited(LITTLE))
        clients = fill(relay)
        for client in clients[:9]:
            client.send(Leave(client.id).encode())
        relay.drain_events()
        Client(relay, "10.66.0.1:1", "late").join()

    def test_an_event_says_so_once_in_a_window(self) -> None:
        relay = SessionRelay(limited(LITTLE))
        fill(relay)
        relay.wait(10)
        relay.drain_events()
        for port in range(1, 6):
            relay.receive(f"10.66.0.1:{port}", b"hello")
        relay.wait(10)
        (event,) = relay.events(MemoryFull)
        assert (event.budget, event.refused, event.trimmed) == (LITTLE, 5, 0)
        assert event.used <= LITTLE
        relay.wait(100)
        assert relay.events(MemoryFull) == []

    def test_datagrams_that_made_way_are_in_it(self) -> None:
        relay = SessionRelay(limited())
        (anna,) = joined(relay, "anna")
        for _ in range(900):
            anna.send_data(bytes(1200))
        relay.wait(10)
        (event,) = relay.events(MemoryFull)
        assert (event.refused, event.trimmed) == (0, used(relay)["trimmed"])
        assert event.trimmed > 100

    def test_a_relay_that_stops_says_so_before(self) -> None:
        relay = SessionRelay(limited(LITTLE))
        fill(relay)
        relay.drain_events()
        relay.hub.close(relay.now)
        assert len(relay.events(MemoryFull)) == 1


def test_a_member_of_the_operator_is_admitted_to_a_full_relay() -> None:
    relay = SessionRelay(limited(LITTLE))
    fill(relay)
    relay.target(CARL)
    relay.receive(ANNA, b"hello")
    assert relay.hub.census.read()["members.target"] == 1


class TestPrivate:
    def test_what_has_been_settled_is_removed(self) -> None:
        relay = SessionRelay()
        anna, bert = (Client(relay, *one) for one in ((ANNA, "anna"), (BERT, "bert")))
        for client in (anna, bert):
            client.join(reports=True)
        for _ in range(5):
            anna.send_private(bert, b"psst")
        assert relay.hub.census.read()["private.datagrams"] == 5
        bert.report(relay.room_log().newest, 4)
        assert relay.hub.census.read()["private.datagrams"] == 1
        assert [answer.payload for answer in bert.nack((5, 1), stream=1)] == [b"psst"]  # type: ignore[union-attr]
        bert.report(relay.room_log().newest, 5)
        assert used(relay)["private"] == 0

    def test_what_is_too_old_is_removed(self) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        anna.send_private(bert, b"psst")
        for _ in range(20):
            relay.wait(7)
            anna.ping()
            bert.ping()
        assert (anna.is_member(), used(relay)["private"]) == (True, 0)

    def test_each_session_has_a_share_and_keeps_the_newest(self) -> None:
        """An eighth of the memory is for them; a session has a 64th of what is free in that."""
        relay = SessionRelay(limited(8 * MIB))
        anna, bert = joined(relay, "anna", "bert")
        for number in range(MAX_DATAGRAMS):
            anna.send_private(bert, b"%d" % number + bytes(1000))
        stored = relay.hub.census.read()["private.datagrams"]
        assert 8 < stored <= MIB // 64 // (1000 + PRIVATE_SIZE)
        newest = bert.drain(Private)[-1].sequence
        assert len(bert.nack((newest - stored + 1, stored), stream=1)) == stored

    def test_what_has_no_share_is_delivered_and_not_stored(self) -> None:
        relay = SessionRelay(limited(LITTLE))
        anna, bert = joined(relay, "anna", "bert")
        anna.send_private(bert, b"short")
        anna.send_private(bert, bytes(1100))
        assert [len(message.payload) for message in bert.drain(Private)] == [5, 1100]
        assert relay.hub.census.read()["private.datagrams"] == used(relay)["private"] == 0

    @pytest.mark.parametrize("count", [1, MAX_DATAGRAMS, MAX_DATAGRAMS + 5])
    def test_the_last_64_are_counted(self, count: int) -> None:
        relay = SessionRelay()
        anna, bert = joined(relay, "anna", "bert")
        for _ in range(count):
            anna.send_private(bert, b"psst")
        each = PRIVATE_SIZE + len(bert.drain_raw()[-1])
        assert used(relay)["private"] == each * min(count, MAX_DATAGRAMS)
