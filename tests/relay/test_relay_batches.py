"""A batch has the same effects as its datagrams one by one."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from relay_driver import ANNA, BERT, CARL, UNTRUSTED, Relay

from udprelay.protocol.endpoint import MAX_PAYLOAD
from udprelay.relay.rules import Label, RelayRules, RoomRules

TARGET = "10.0.0.7:2055"
sources = st.sampled_from(
    [ANNA, BERT, CARL, "[fd00::4]:4000", "10.0.0.5:5000", UNTRUSTED, TARGET, "10.0.0.6:0"]
)
payloads = st.one_of(
    st.sampled_from([b"", b"x", b"a longer one than sixteen bytes", b"y" * MAX_PAYLOAD]),
    st.binary(max_size=4),
)
relay_rules = st.builds(
    lambda label, room, relay, payloads: RelayRules(
        max_members=relay,
        room_defaults=RoomRules(label=label, max_members=room),
        log_payloads=payloads,
    ),
    st.sampled_from(Label),
    st.integers(2, 7),
    st.integers(2, 7),
    st.booleans(),
)


def effects(rules: RelayRules, batches: list[list[tuple[str, bytes]]]) -> tuple[object, ...]:
    """Let a new relay receive batches; return all output and counters."""
    relay = Relay(rules)
    relay.target(TARGET)
    relay.console()
    for batch in batches:
        relay.receive_batch(*batch)
    replies, room = relay.replies(), relay.hub.roster.rooms["lobby"]
    counters = (
        relay.hub.roster.datagrams,
        relay.hub.roster.payload_bytes,
        relay.hub.roster.deliveries,
        relay.hub.census.read()["joins"],
    )
    room_counters = (room.datagrams, room.bytes, room.deliveries)
    # Without order: DatagramRelayed comes at the end of a batch, MemberRejected at once.
    events = Counter(repr(event) for event in relay.drain_events())
    return relay.inboxes, replies, counters, room_counters, relay.dropped(), events


@given(
    relay_rules,
    st.lists(st.tuples(sources, payloads)),
    st.lists(st.integers(0, 40)),
)
def test_the_division_into_batches_makes_no_difference(
    rules: RelayRules, datagrams: list[tuple[str, bytes]], edges_at: list[int]
) -> None:
    edges = [0, *sorted(min(edge, len(datagrams)) for edge in edges_at), len(datagrams)]
    batches = [datagrams[start:end] for start, end in pairwise(edges)]
    assert effects(rules, batches) == effects(rules, [[datagram] for datagram in datagrams])


@given(st.lists(st.tuples(sources, payloads)))
def test_the_counters_agree_with_the_deliveries(datagrams: list[tuple[str, bytes]]) -> None:
    relay = Relay()
    relay.receive_batch(*datagrams)
    assert relay.hub.roster.deliveries == sum(map(len, relay.inboxes.values()))
    expected = sum(1 for source, payload in datagrams if payload or source not in relay.members())
    assert relay.hub.roster.datagrams + sum(relay.dropped().values()) == expected
