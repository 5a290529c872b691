"""Datagrams with the signature from any source: errors, answers and queues are bounded."""

from __future__ import annotations

from collections import Counter

from forged_datagrams import source
from hypothesis import given
from hypothesis import strategies as st
from relay_driver import ANNA, BERT, CARL, Relay
from relay_session import Client, SessionRelay, joined, session_rules

from udprelay.protocol.endpoint import MAX_PAYLOAD
from udprelay.protocol.wire.from_client import Ping
from udprelay.protocol.wire.header import SIGNATURE, Type
from udprelay.protocol.wire.joining import Hello
from udprelay.relay.rules import Limits
from udprelay.segments import Segments

headers = st.builds(
    lambda version, kind, flags, id_: SIGNATURE + bytes([version, kind, flags]) + id_,
    st.sampled_from([1, 1, 1, 1, 0, 2, 255]),
    st.one_of(st.sampled_from([int(kind) for kind in Type]), st.integers(0, 255)),
    st.one_of(st.just(0), st.integers(0, 31), st.integers(0, 255)),
    st.sampled_from([b"ANNA", b"BERT", b"12345678"]),
)
datagrams = st.one_of(
    st.builds(bytes.__add__, headers, st.binary(max_size=40)),
    st.builds(bytes.__add__, st.just(SIGNATURE), st.binary(max_size=30)),
    st.binary(max_size=20),
)
sources = st.sampled_from(["10.0.1.1:4000", "10.0.1.2:4000", CARL, "203.0.113.9:9", "10.0.0.6:0"])


def replaced(datagram: bytes, clients: list[Client]) -> bytes:
    """Return a datagram with real session ids in it."""
    for client, name in zip(clients, (b"ANNA", b"BERT"), strict=True):
        datagram = datagram.replace(name, client.id, 1)
    return datagram


@given(st.lists(st.lists(st.tuples(sources, datagrams), max_size=6), max_size=6), st.booleans())
def test_no_datagrams_cause_an_exception_or_keep_a_session_open(
    batches: list[list[tuple[str, bytes]]], time_passes: bool
) -> None:
    relay = SessionRelay()
    clients = joined(relay, "anna", "bert")
    for batch in batches:
        relay.receive_batch(*((source, replaced(d, clients)) for source, d in batch))
        if time_passes:
            relay.wait(0.2)
    relay.wait(200)
    room = relay.hub.roster.rooms.get("lobby")
    assert room is None or room.log is None
    assert not relay.listeners["main"].sessions
    relay.hub.close(relay.now)


@given(st.lists(st.tuples(sources, datagrams)))
def test_the_division_into_batches_makes_no_difference(
    all_datagrams: list[tuple[str, bytes]],
) -> None:
    def effects(one_by_one: bool) -> object:
        relay = SessionRelay()
        clients = joined(relay, "anna", "bert")
        # Only DATA: control datagrams are read after the batch.
        batch = [(s, replaced(d, clients)) for s, d in all_datagrams if d[3:5] == b"\x01\x10"]
        for part in [[one] for one in batch] if one_by_one else [batch]:
            relay.receive_batch(*part)
        room, newest = relay.room(), relay.room_log().newest
        counters = room.datagrams, room.bytes, room.deliveries
        return counters, newest, relay.dropped()

    assert effects(True) == effects(False)


def test_forged_hellos_get_no_more_bytes_than_they_have_and_open_nothing() -> None:
    relay = Relay(session_rules())
    relay.drain_events()
    received = sent = 0
    listener = relay.listeners["main"]
    for number in range(0, 8_000, 50):
        hello = Hello(number.to_bytes(8, "big"), f"room-{number % 1000}").encode()
        hellos = Segments(hello, len(hello))
        batch = [(source(n), hellos) for n in range(number, number + 50)]
        received += len(hello) * len(batch)
        assert relay.hub.receive(listener, batch, relay.now) == []
        assert relay.hub.control(relay.now) == []
        sent += sum(len(payload) for _, _, payload in relay.hub.drain_replies())
    assert sent <= received
    assert (relay.hub.roster.rooms, listener.sessions) == ({}, {})
    assert relay.drain_events() == []
    assert relay.hub.next_deadline() is None


def test_no_unverified_source_gets_more_bytes_than_it_has_sent() -> None:
    relay = Relay(session_rules())
    sent: Counter[str] = Counter()
    for kind in range(256):
        for version in (1, 2):
            for size in (0, 7, 8, 9, 20, 26, 200):
                datagram = SIGNATURE + bytes([version, kind, 0]) + bytes(size)
                source = f"203.0.113.{kind}:{1000 + size}"
                relay.receive(source, datagram)
                sent[source] += len(datagram)
    got: Counter[str] = Counter()
    for source, payload in relay.replies():
        got[source] += len(payload)
    assert all(got[source] <= sent[source] for source in got)
    assert relay.hub.roster.rooms == {}


def test_answers_to_one_prefix_are_limited() -> None:
    relay = Relay(session_rules(Limits(session_rate=1, session_burst=20)))
    for port in range(1, 1000):
        source = f"203.0.113.7:{port}"
        relay.receive(source, Ping(b"nobodys!", bytes(8), 0).encode())
        relay.receive(source, SIGNATURE + b"\x02" + bytes(20))
    assert len(relay.replies()) == 20


def test_the_queue_of_control_datagrams_is_bounded() -> None:
    relay = Relay(session_rules())
    relay.receive_batch(*[(ANNA, SIGNATURE)] * 1029)
    assert relay.dropped() == {"control-limit": 5, "malformed": 1024}


def test_a_hub_with_a_queue_is_unsettled() -> None:
    relay = SessionRelay()
    (anna,) = joined(relay, "anna")
    relay.drain_events()
    relay.hub.next_deadline()
    listener = relay.listeners["main"]
    assert not relay.unsettled()
    hello = Hello(bytes(8), "lobby").encode()
    relay.hub.receive(listener, [(ANNA, Segments(hello, len(hello)))], relay.now)
    assert relay.unsettled()
    relay.settle()
    assert not relay.unsettled()
    data = anna.data(b"12345")
    relay.hub.receive(listener, [(BERT, Segments(data, len(data)))], relay.now)
    assert relay.unsettled()


def test_the_largest_control_datagrams_are_dropped() -> None:
    relay = SessionRelay()
    (anna,) = joined(relay, "anna")
    for kind in Type:
        datagram = SIGNATURE + bytes([1, kind, 0]) + anna.id
        relay.receive(ANNA, datagram.ljust(MAX_PAYLOAD, b"\0"))
    assert ANNA not in relay.inboxes
    assert set(relay.dropped()) == {"malformed"}
