"""What anybody may send at any time: nothing breaks, nothing grows, little is answered."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from relay_driver import ANNA, BERT, CARL, Relay
from relay_session import Client, SessionRelay, joined, session_rules

from udprelay.protocol.endpoint import MAX_PAYLOAD
from udprelay.protocol.wire.from_client import Ping
from udprelay.protocol.wire.header import SIGNATURE, Type
from udprelay.protocol.wire.joining import Hello
from udprelay.relay.rules import Limits
from udprelay.relay.session.intake import _MOST_WAITING

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


@settings(deadline=None)
@given(st.lists(st.lists(st.tuples(sources, datagrams), max_size=6), max_size=6), st.booleans())
def test_nothing_that_comes_in_breaks_anything(
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
    assert room is None or room.sessions is None or not room.sessions.by_identity
    relay.hub.close(relay.now)


@settings(deadline=None)
@given(st.lists(st.tuples(sources, datagrams)))
def test_how_datagrams_fall_into_batches_makes_no_difference(
    all_of_them: list[tuple[str, bytes]],
) -> None:
    def seen(one_by_one: bool) -> object:
        relay = SessionRelay()
        clients = joined(relay, "anna", "bert")
        # What is not data is done after the batch, so that ids are told apart by that.
        batch = [(s, replaced(d, clients)) for s, d in all_of_them if d[3:5] == b"\x01\x10"]
        for part in [[one] for one in batch] if one_by_one else [batch]:
            relay.receive_batch(*part)
        room = relay.room()
        return room.datagrams, room.bytes, room.deliveries, relay.dropped(), room.sessions.newest

    assert seen(True) == seen(False)


def test_a_hundred_thousand_forged_hellos_leave_nothing_behind() -> None:
    relay = Relay(session_rules())
    relay.hub.take_events()
    came = went = 0
    kept = len(vars(relay.hub._session_intake)), len(vars(relay.hub._sessions))
    listener = relay.listeners["main"]
    for number in range(0, 100_000, 50):
        hello = Hello(number.to_bytes(8, "big"), f"room-{number % 1000}").encode()
        batch = [
            (f"203.0.{n >> 8 & 255}.{n & 255}:4000", [hello]) for n in range(number, number + 50)
        ]
        came += len(hello) * len(batch)
        assert relay.hub.receive(listener, batch, relay.now) == []
        assert relay.hub.control(relay.now) == []
        went += sum(len(reply.payload) for reply in relay.hub.take_replies())
    assert went <= came
    hub = relay.hub
    assert (len(vars(hub._session_intake)), len(vars(hub._sessions))) == kept
    assert (len(hub.roster.rooms), len(hub._session_intake.waiting), len(listener.sessions)) == (
        0,
        0,
        0,
    )
    assert hub.take_events() == []
    assert hub.next_deadline() is None


def test_no_stranger_gets_more_bytes_than_it_has_sent() -> None:
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


def test_answers_to_one_prefix_are_limited_whatever_asks_for_them() -> None:
    relay = Relay(session_rules(Limits(session_rate=1, session_burst=20)))
    for port in range(1, 1000):
        source = f"203.0.113.7:{port}"
        relay.receive(source, Ping(b"nobodys!", bytes(8), 0).encode())
        relay.receive(source, SIGNATURE + b"\x02" + bytes(20))
    assert len(relay.replies()) == 20


def test_what_is_put_aside_is_bounded() -> None:
    relay = Relay(session_rules())
    batch = [(ANNA, SIGNATURE)] * (_MOST_WAITING + 5)
    relay.receive_batch(*batch)
    assert relay.dropped() == {"control-limit": 5, "malformed": _MOST_WAITING}


def test_there_is_something_to_settle_while_anything_is_put_aside() -> None:
    relay = SessionRelay()
    (anna,) = joined(relay, "anna")
    relay.hub.take_events()
    relay.hub.next_deadline()
    listener = relay.listeners["main"]
    assert not relay.hub.unsettled
    relay.hub.receive(listener, [(ANNA, [Hello(bytes(8), "lobby").encode()])], relay.now)
    assert relay.hub.unsettled
    relay.settle()
    assert not relay.hub.unsettled
    relay.deliver(relay.hub.receive(listener, [(BERT, [anna.data(b"12345")])], relay.now))
    assert relay.hub.unsettled


def test_the_largest_datagrams_with_the_signature_are_dropped() -> None:
    relay = SessionRelay()
    (anna,) = joined(relay, "anna")
    for kind in Type:
        datagram = SIGNATURE + bytes([1, kind, 0]) + anna.id
        relay.receive(ANNA, datagram.ljust(MAX_PAYLOAD, b"\0"))
    assert ANNA not in relay.inboxes
    assert set(relay.dropped()) == {"malformed"}
