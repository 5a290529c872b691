"""A member leaves after ``idle_timeout`` seconds without a datagram from it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from relay_driver import ANNA, BERT, START, Relay, open_to_all, with_room

from reachable import footprint
from udprelay.relay.events import MemberLeft
from udprelay.relay.expiry import Expiry
from udprelay.relay.rules import Limits, RelayRules, RoomRules


def test_a_member_leaves_idle_timeout_after_its_last_datagram() -> None:
    relay = Relay(with_room(idle_timeout=10))
    relay.join(ANNA)
    relay.hub.expire(START + 9.999)
    assert relay.members() == {ANNA}
    relay.hub.expire(START + 10)
    assert relay.members() == set()


@given(st.lists(st.floats(0.1, 9.9), max_size=20))
def test_each_datagram_restarts_the_timeout(pauses: list[float]) -> None:
    relay = Relay(with_room(idle_timeout=10))
    relay.join(ANNA)
    for pause in pauses:
        relay.wait(pause)
        relay.receive(ANNA, b"hello")
    last_heard = relay.now
    relay.wait(9.999)
    assert relay.members() == {ANNA}
    relay.now = last_heard + 10
    relay.expire()
    assert relay.members() == set()


def test_an_empty_datagram_restarts_the_timeout() -> None:
    relay = Relay(with_room(idle_timeout=10))
    relay.join(ANNA)
    relay.wait(9)
    relay.receive(ANNA, b"")
    relay.wait(9)
    assert relay.members() == {ANNA}


def test_receiving_does_not_restart_the_timeout() -> None:
    relay = Relay(with_room(idle_timeout=10))
    relay.join(ANNA, BERT)
    for _ in range(4):
        relay.wait(5)
        relay.receive(BERT, b"hello")
    assert relay.members() == {BERT}


def test_a_member_that_timed_out_rejoins_with_a_new_number() -> None:
    relay = Relay(with_room(idle_timeout=10))
    relay.join(ANNA)
    relay.wait(5)
    relay.join(BERT)
    relay.wait(5)
    relay.receive(BERT, b"hello?")
    relay.receive(ANNA, b"back")
    assert relay.inboxes == {BERT: [b"back"]}
    assert relay.member(ANNA).name == "guest-3"


def test_each_room_has_its_own_timeout() -> None:
    relay = Relay(open_to_all(short=RoomRules(idle_timeout=5), long=RoomRules(idle_timeout=50)))
    relay.join(ANNA, listener="long")
    relay.join(ANNA, listener="short")
    relay.wait(5)
    assert (relay.members("short"), relay.members("long")) == (set(), {ANNA})


def test_targets_and_the_console_never_time_out() -> None:
    relay = Relay()
    relay.target("192.0.2.7:2055")
    relay.console()
    assert relay.hub.next_deadline() is None
    relay.wait(1e9)
    assert len(relay.hub.roster.rooms["lobby"]) == 2


def test_a_hub_without_members_has_no_deadline() -> None:
    relay = Relay()
    assert relay.hub.next_deadline() is None
    relay.join(ANNA)
    assert relay.hub.next_deadline() == START + 300


def test_the_next_deadline_is_the_earliest_one() -> None:
    relay = Relay(RelayRules(room_defaults=RoomRules(idle_timeout=30), limits=Limits()))
    relay.join(ANNA)
    relay.wait(25)
    relay.receive("203.0.113.1:0", b"a drop, to be reported in 10 s")
    assert relay.hub.next_deadline() == START + 30
    relay.receive(ANNA)
    relay.hub.expire(START + 30)
    assert relay.hub.next_deadline() == START + 35


def test_many_members_time_out_in_portions_of_256() -> None:
    """Datagrams of other members do not wait for all of them."""
    relay = Relay(with_room(idle_timeout=10))
    relay.join(*(f"10.0.0.1:{port}" for port in range(1, 1001)))
    relay.now += 10
    portions = []
    while relay.members():
        assert relay.deadline() <= relay.now
        relay.expire()
        portions.append(len(relay.events(MemberLeft)))
    assert portions == [256, 256, 256, 232]
    assert relay.hub.next_deadline() is None


def test_due_looks_at_a_limited_number_of_entries() -> None:
    relay = Relay(with_room(idle_timeout=10))
    relay.join(*(f"10.0.0.1:{port}" for port in range(1, 6)))
    for port in (1, 2):
        relay.now = START + 5
        relay.receive(f"10.0.0.1:{port}")
    expiry = Expiry()
    for member in relay.listeners["main"].members.values():
        heard, member.last_heard = member.last_heard, START
        expiry.watch(member)
        member.last_heard = heard
    # The first two sent something in between: moving each deadline counts as one entry.
    assert expiry.due(START + 10, 3) == [relay.member("10.0.0.1:3")]
    assert expiry.deadline == START + 10
    assert len(expiry.due(START + 10, 9)) == 2
    assert expiry.deadline == START + 15


def test_the_datagrams_of_a_member_use_no_memory() -> None:
    relay = Relay()
    relay.join(ANNA)
    relay.receive(ANNA, *[b"hello"] * 10)
    before = footprint(relay.hub)
    relay.receive(ANNA, *[b"hello"] * 1000)
    assert footprint(relay.hub) == before


def test_a_kicked_member_does_not_time_out() -> None:
    relay = Relay(with_room(idle_timeout=10))
    relay.join(ANNA, BERT)
    relay.hub.kick(relay.member(ANNA), relay.now)
    relay.wait(10)
    left = [(event.address, event.reason) for event in relay.events(MemberLeft)]
    assert left == [(ANNA, "kicked"), (BERT, "idle")]
