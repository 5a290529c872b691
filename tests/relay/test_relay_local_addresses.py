"""A peer is one member, answered from the address of the relay that it has written to last."""

from __future__ import annotations

from relay_driver import ANNA, BERT, CARL, UNTRUSTED, Relay

from udprelay.relay import events
from udprelay.relay.drops import DropReason

ASKS_ONE, ASKS_OTHER = f"{ANNA} of 192.0.2.1", f"{ANNA} of 192.0.2.2"
"""One peer that writes to two addresses."""


def test_a_peer_that_writes_to_another_address_is_answered_from_there() -> None:
    relay = Relay()
    relay.join(ASKS_ONE, BERT)
    relay.receive(ASKS_OTHER)
    relay.receive(BERT, b"where are you?")
    assert relay.inboxes == {ASKS_OTHER: [b"where are you?"]}
    assert relay.drain_events() == []


def test_a_peer_that_writes_to_two_addresses_is_one_member_and_does_not_hear_itself() -> None:
    relay = Relay()
    relay.join(ASKS_ONE, BERT)
    relay.receive_batch((ASKS_ONE, b"1"), (ASKS_OTHER, b"2"), (BERT, b"3"), (ASKS_ONE, b"4"))
    assert relay.inboxes == {BERT: [b"1", b"2", b"4"], ASKS_ONE: [b"3"]}
    assert relay.hub.roster.member_count == 2


def test_a_member_that_has_asked_two_addresses_leaves_once_and_can_join_again() -> None:
    relay = Relay()
    relay.join(ASKS_ONE, BERT)
    relay.receive(ASKS_OTHER)
    relay.hub.kick(relay.member(ASKS_OTHER), relay.now)
    assert relay.members() == {BERT}
    assert [event.address for event in relay.events(events.MemberLeft)] == [ANNA]
    relay.wait(3600)
    relay.join(ASKS_ONE)
    assert relay.members() == {ASKS_ONE}


def test_an_icmp_error_is_of_the_member_whichever_address_it_has_asked() -> None:
    relay = Relay()
    relay.join(ASKS_ONE)
    relay.hub.unreachable(
        relay.listeners["main"], ANNA, DropReason.UNREACHABLE, "refused", relay.now
    )
    assert relay.members() == {ASKS_ONE}
    assert relay.dropped()["unreachable"] == 1


def test_a_challenge_comes_from_the_address_that_was_asked() -> None:
    relay = Relay()
    asks = f"{UNTRUSTED} of 192.0.2.2"
    relay.receive(asks, b"let me in, please")
    ((source, challenge),) = relay.replies()
    assert source == asks
    # The code is that of the peer: it may be sent to any address of the relay.
    relay.receive(f"{UNTRUSTED} of 192.0.2.1", challenge.split()[-1])
    assert relay.members() == {f"{UNTRUSTED} of 192.0.2.1"}


def test_members_of_one_room_may_ask_different_addresses() -> None:
    relay = Relay()
    relay.join(ASKS_ONE, f"{BERT} of 192.0.2.2", CARL)
    relay.receive(CARL, b"to all")
    assert relay.inboxes == {ASKS_ONE: [b"to all"], f"{BERT} of 192.0.2.2": [b"to all"]}
