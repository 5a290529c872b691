"""Members that have left and rooms that are closed are let go at once, however they left."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from relay_driver import ANNA, BERT, CARL, Relay, with_room
from relay_session import Client, SessionRelay, joined, session_rules

from reachable import instances
from udprelay.protocol.wire.from_client import Leave
from udprelay.relay.loop_watch import LONE_COPIES
from udprelay.relay.room import NOBODY, Member, Room
from udprelay.relay.session.flow_control import FULL
from udprelay.relay.session.sequences import MAX_DATAGRAMS


def kept(relay: Relay) -> set[str]:
    """Return the names of all members and rooms that anything in the relay refers to."""
    found = instances((Member, Room), relay.hub, relay.listeners)
    return {one.name for one in found if one not in (NOBODY, NOBODY.room)}


def leave(client: Client) -> None:
    client.send(Leave(client.id).encode())


def be_kicked(client: Client) -> None:
    client.relay.hub.kick(client.session, client.relay.now)
    client.relay.settle()


WAYS = pytest.mark.parametrize("go", [leave, be_kicked])


def busy(client: Client, other: Client) -> None:
    """Let a client cause all that is kept of a member for a while."""
    client.send_data(b"hello")
    client.send_data(b"early", own=9)
    client.send_private(other, b"psst")
    client.send_private(client, b"note")
    client.send_private(other, b"early", own=9)
    client.relay.receive("10.9.9.9:9", client.data(b"moved " * 9, own=10))


@WAYS
def test_a_session_that_has_left_is_let_go(go: Callable[[Client], None]) -> None:
    relay = SessionRelay()
    anna, bert = joined(relay, "anna", "bert")
    busy(anna, bert)
    busy(bert, anna)
    go(anna)
    assert kept(relay) == {"bert", "lobby"}


@WAYS
def test_a_room_that_is_closed_is_let_go(go: Callable[[Client], None]) -> None:
    relay = SessionRelay()
    anna, bert = joined(relay, "anna", "bert")
    busy(anna, bert)
    go(bert)
    go(anna)
    assert kept(relay) == set()


def test_a_session_that_has_timed_out_is_let_go() -> None:
    relay = SessionRelay(session_rules(room={"session_timeout": 10}))
    anna, bert = joined(relay, "anna", "bert")
    busy(anna, bert)
    relay.wait(5)
    bert.ping()
    relay.wait(5)
    assert kept(relay) == {"bert", "lobby"}


def waiting_sender() -> tuple[SessionRelay, Client, Client]:
    """Return a relay, a sender of private messages that wait, and who does not report them."""
    relay = SessionRelay(session_rules())
    anna, bert = (Client(relay, *one) for one in ((ANNA, "anna"), (BERT, "bert")))
    for client in (anna, bert):
        client.join(reports=True)
    for number in range(int(FULL * MAX_DATAGRAMS) + 2):
        anna.send_private(bert, b"%d" % number)
    assert relay.hub.census.read()["early.waiting"] == 1
    return relay, anna, bert


def test_a_sender_of_private_messages_that_waits_and_leaves_is_let_go() -> None:
    relay, anna, _ = waiting_sender()
    leave(anna)
    assert kept(relay) == {"bert", "lobby"}


def test_a_sender_is_let_go_that_leaves_with_the_member_for_which_it_waits() -> None:
    relay, anna, bert = waiting_sender()
    relay.hub.kick(bert.session, relay.now)
    relay.hub.kick(anna.session, relay.now)
    relay.settle()
    assert kept(relay) == set()


def test_a_sender_that_resumes_waits_no_more_and_is_let_go() -> None:
    relay, anna, _ = waiting_sender()
    anna.join(reports=True, own=(1, 1000))
    assert relay.hub.census.read()["early.waiting"] == 0
    leave(anna)
    assert kept(relay) == {"bert", "lobby"}


def test_plain_members_that_have_left_are_let_go() -> None:
    relay = Relay(with_room(idle_timeout=10))
    relay.join(ANNA, BERT)
    relay.wait(5)
    relay.receive(BERT, b"hello")
    relay.wait(5)
    assert kept(relay) == {"guest-2", "lobby"}
    relay.wait(5)
    assert kept(relay) == set()


def on_trial(*sources: str) -> Relay:
    """Return a relay that holds back what the first of some members has sent again and again."""
    relay = Relay()
    relay.join(*sources)
    for _ in range(LONE_COPIES + 2):
        relay.wait(0.001)
        relay.receive(sources[0], b"again")
    assert relay.hub.census.read()["queues.loop"]
    return relay


def test_a_member_on_trial_that_is_kicked_is_let_go_and_what_it_sent_is_counted() -> None:
    relay = on_trial(ANNA, BERT, CARL)
    held = relay.hub.census.read()["queues.loop"]
    relay.receive(ANNA, b"behind it")
    relay.hub.kick(relay.member(ANNA), relay.now)
    assert kept(relay) == {"guest-2", "guest-3", "lobby"}
    assert relay.dropped()["loop"] == held + 1


def test_what_others_have_sent_during_the_trial_of_one_that_is_kicked_arrives() -> None:
    relay = on_trial(ANNA, BERT, CARL)
    relay.receive(BERT, b"again")
    relay.inboxes.clear()
    relay.hub.kick(relay.member(ANNA), relay.now)
    relay.wait(5)
    assert relay.inboxes[CARL] == [b"again"]


def test_a_room_in_which_there_is_a_trial_is_let_go_when_all_have_left() -> None:
    relay = on_trial(ANNA, BERT)
    for source in (BERT, ANNA):
        relay.hub.kick(relay.member(source), relay.now)
    assert kept(relay) == set()
