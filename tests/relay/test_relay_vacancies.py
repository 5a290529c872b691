"""Full rooms: who is refused and silent makes room."""

from __future__ import annotations

import pytest
from relay_driver import Relay, with_room
from relay_session import Client, SessionRelay, joined, session_rules

from udprelay.protocol.wire.from_client import PathResponse, Ping
from udprelay.protocol.wire.from_relay import Bye, PathChallenge
from udprelay.protocol.wire.joining import Refused
from udprelay.relay.drops import DropReason
from udprelay.relay.events import MemberLeft, MemberRejected
from udprelay.relay.vacancies import REFUSED_FOR, headroom
from udprelay.segments import Segments


def peer(number: int) -> str:
    return f"10.0.0.1:{number}"


def refuse(relay: Relay, source: str) -> bool:
    """Let an ICMP error arrive for a source."""
    return relay.hub.unreachable(
        relay.listeners["main"], source, DropReason.UNREACHABLE, "refused", relay.now
    )


def left(relay: Relay) -> list[str]:
    """Drain the events; return the addresses of those that had to leave."""
    return [event.address for event in relay.events(MemberLeft) if event.reason == "unreachable"]


@pytest.fixture
def full() -> Relay:
    """A full room of four."""
    relay = Relay(with_room(max_members=4))
    relay.join(*map(peer, range(1, 5)))
    return relay


def test_a_member_that_is_refused_and_silent_makes_room(full: Relay) -> None:
    assert refuse(full, peer(2))
    full.wait(REFUSED_FOR)
    assert left(full) == [peer(2)]
    full.receive(peer(9))
    assert peer(9) in full.members()


def test_places_are_made_before_they_are_needed() -> None:
    relay = Relay(with_room(max_members=4))
    relay.join(*map(peer, range(1, 4)))
    refuse(relay, peer(2))
    relay.wait(REFUSED_FOR)
    for number in range(4, 6):
        relay.receive(peer(number))
    assert relay.members() == {peer(1), peer(3), peer(4), peer(5)}
    assert relay.events(MemberRejected) == []


def test_a_datagram_that_is_too_large_makes_nobody_leave(full: Relay) -> None:
    listener = full.listeners["main"]
    for _ in range(2):
        full.hub.unreachable(listener, peer(2), DropReason.TOO_LONG, "too long", full.now)
        full.wait(REFUSED_FOR)
    assert left(full) == []


def test_a_room_that_is_not_full_keeps_them(full: Relay) -> None:
    relay = Relay(with_room(max_members=100))
    relay.join(peer(1), peer(2))
    refuse(relay, peer(1))
    relay.wait(10)
    relay.receive(peer(3))
    assert left(relay) == []


def test_the_longest_refused_leaves_first(full: Relay) -> None:
    for number in (3, 1, 2, 3):
        refuse(full, peer(number))
        full.now += 0.1
    full.wait(5)
    assert left(full) == [peer(3)]
    for number in (9, 10, 11):
        full.receive(peer(number))
    assert left(full) == [peer(1), peer(2)]
    assert full.members() == {peer(4), peer(9), peer(10), peer(11)}


@pytest.mark.parametrize("how", ["spoke", "recovered", "just now", "stranger"])
def test_others_stay(full: Relay, how: str) -> None:
    assert refuse(full, peer(7) if how == "stranger" else peer(2)) is (how != "stranger")
    full.wait(REFUSED_FOR / 2)
    if how == "spoke":
        full.receive(peer(2))
    if how == "recovered":
        (member,) = full.hub.reachable(full.listeners["main"], peer(2))
        assert member is full.member(peer(2))
    if how != "just now":
        full.wait(REFUSED_FOR)
    full.receive(peer(9))
    assert left(full) == []
    assert peer(9) not in full.members()


def test_who_was_refused_again_after_it_spoke_makes_room(full: Relay) -> None:
    refuse(full, peer(2))
    full.wait(REFUSED_FOR / 2)
    full.receive(peer(2))
    full.wait(REFUSED_FOR)
    refuse(full, peer(2))
    full.receive(peer(9))
    assert left(full) == []
    full.wait(2 * REFUSED_FOR)
    assert left(full) == [peer(2)]


def test_targets_stay() -> None:
    relay = Relay(with_room(max_members=2))
    target = relay.target(peer(1))
    relay.join(peer(2))
    refuse(relay, peer(1))
    relay.wait(REFUSED_FOR)
    relay.receive(peer(9))
    assert target.slot >= 0


def test_a_full_relay_has_space_made_in_any_room() -> None:
    relay = SessionRelay(session_rules(max_members=3))
    relay.join(peer(1))
    joined(relay, "ada", "bob", room="other")
    refuse(relay, peer(1))
    relay.wait(REFUSED_FOR)
    relay.receive(peer(9))
    assert left(relay) == [peer(1)]


def test_a_room_that_is_closed_needs_no_places() -> None:
    relay = Relay(with_room(max_members=1))
    relay.join(peer(1))
    relay.driver.receive(relay.listeners["main"], [], relay.now)
    relay.receive(peer(9))
    assert left(relay) == []
    relay.hub.roster.short_of_places["gone"] = None
    relay.settle()
    assert left(relay) == []


def test_a_refused_session_leaves_nothing_to_be_done() -> None:
    relay = SessionRelay(session_rules(room={"max_members": 1}))
    joined(relay, "ada")
    bob = Client(relay, peer(9), "bob")
    join = bob.join_datagram().encode()
    relay.driver.receive(
        relay.listeners["main"], [(bob.source, Segments(join, len(join)))], relay.now
    )
    assert not relay.unsettled()
    assert len(bob.drain(Refused)) == 1


def test_a_session_is_silent_after_half_of_its_idle_time() -> None:
    relay = SessionRelay(session_rules(room={"max_members": 2}))
    ada, bob = joined(relay, "ada", "bob")
    bob.drain()
    refuse(relay, ada.source)
    relay.wait(20)
    bob.ping()
    relay.receive(peer(9))
    assert left(relay) == []
    relay.wait(10)
    bob.ping()
    relay.receive(peer(9))
    assert left(relay) == [ada.source]
    # Clients know it as a timeout, and come back.
    assert ada.drain(Bye)[0].code == "idle"


def test_a_session_is_found_where_it_has_moved() -> None:
    relay = SessionRelay()
    (ada,) = joined(relay, "ada")
    before, ada.source = ada.source, peer(7)
    ada.send(Ping(ada.id, bytes(8), 0).encode())
    (challenge,) = ada.drain(PathChallenge)
    ada.send(PathResponse(ada.id, challenge.token).encode())
    assert (refuse(relay, before), refuse(relay, peer(7))) == (False, True)


@pytest.mark.parametrize(("places", "free"), [(1, 1), (16, 1), (160, 10), (10_000, 64)])
def test_a_sixteenth_of_the_places_is_kept_free(places: int, free: int) -> None:
    assert headroom(places) == free
