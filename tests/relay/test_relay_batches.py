"""Reading many datagrams in one turn changes nothing but the speed."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from relay_driver import ANNA, BERT, CARL, STRANGER, Relay

from udprelay.protocol.endpoint import MAX_PAYLOAD
from udprelay.relay.rules import Label, RelayRules, RoomRules

TARGET = "10.0.0.7:2055"
sources = st.sampled_from(
    [ANNA, BERT, CARL, "[fd00::4]:4000", "10.0.0.5:5000", STRANGER, TARGET, "10.0.0.6:0"]
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


def seen(
    rules: RelayRules, batches: list[list[tuple[str, bytes]]], joins: bool = False
) -> tuple[object, ...]:
    """Run batches through a new relay; return all that anybody can see of them."""
    relay = Relay(rules)
    relay.joins = joins
    relay.target(TARGET)
    relay.hub.add_console("lobby", "terminal", relay.now)
    for batch in batches:
        relay.receive_batch(*batch)
    replies, room = relay.replies(), relay.hub.roster.rooms["lobby"]
    counters = (
        relay.hub.roster.datagrams,
        relay.hub.roster.payload_bytes,
        relay.hub.roster.deliveries,
        relay.hub.roster.joined,
    )
    of_the_room = (room.datagrams, room.bytes, room.deliveries)
    relay.hub.close(relay.now)
    # Not in order: what a batch was relayed is said at its end, refusals at once.
    events = Counter(repr(event) for event in relay.hub.take_events()[:-1])
    return relay.inboxes, replies, counters, of_the_room, relay.dropped(), events


@given(
    relay_rules,
    st.lists(st.tuples(sources, payloads)),
    st.lists(st.integers(0, 40)),
    st.booleans(),
)
def test_how_datagrams_fall_into_batches_makes_no_difference(
    rules: RelayRules, datagrams: list[tuple[str, bytes]], cuts: list[int], joins: bool
) -> None:
    edges = [0, *sorted(min(cut, len(datagrams)) for cut in cuts), len(datagrams)]
    batches = [datagrams[start:end] for start, end in pairwise(edges)]
    assert seen(rules, batches, joins) == seen(rules, [[datagram] for datagram in datagrams])


@given(st.lists(st.tuples(sources, payloads)))
def test_what_the_relay_counts_is_what_arrives(datagrams: list[tuple[str, bytes]]) -> None:
    relay = Relay()
    relay.receive_batch(*datagrams)
    assert relay.hub.roster.deliveries == sum(map(len, relay.inboxes.values()))
    assert relay.hub.roster.datagrams + relay.hub.dropped.total() == sum(
        1 for source, payload in datagrams if payload or source not in relay.members()
    )
