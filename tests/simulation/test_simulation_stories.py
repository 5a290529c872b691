"""Restarts, NAT rebinding, suspension and other events, each once, on a good network."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest
from virtual_checks import check_promises, check_silence
from virtual_client import Client
from virtual_ledger import Stream
from virtual_stage import KEYED, OPEN, Stage, rules_for

from udprelay.relay.rules import RoomRules
from udprelay.session_client.events import (
    Closed,
    ContactLost,
    Delivered,
    Event,
    Joined,
    MemberLeft,
    NoAnswer,
    Refused,
)

E = TypeVar("E", bound=Event)

HOUR = 3600.0
IDLE = 45.0


def events_of(client: Client, kind: type[E]) -> list[E]:
    return [event for event in client.events if isinstance(event, kind)]


def orders(client: Client, sender: Client) -> list[int]:
    """Return the orders of the reliable room messages that a client received from another."""
    return [
        message.order
        for message in client.visit.received
        if message.sender is sender.visit and message.stream is Stream.ROOM
    ]


class Pair:
    """Anna and Bert in a room; the promises are checked at the end."""

    def __init__(self, room: str = OPEN, rules: RoomRules | None = None) -> None:
        self.stage = Stage(rules=rules_for(rules))
        self.anna, self.bert = (self.stage.add_client(nick, room) for nick in ("Anna", "Bert"))
        for client in (self.anna, self.bert):
            client.start()
            self.stage.run(1.0)
        assert self.anna.joined
        assert self.bert.joined

    def end(self) -> None:
        """Settle, and check the promises."""
        self.stage.settle()
        check_promises(self.stage)
        check_silence(self.stage)


@pytest.mark.parametrize("room", [OPEN, KEYED])
@pytest.mark.parametrize("pause", [1.0, 10.0, 30.0, 60.0])
@pytest.mark.parametrize("farewell", [False, True])
def test_a_restart_of_the_relay_causes_no_losses_and_no_duplicates(
    room: str, pause: float, farewell: bool
) -> None:
    pair = Pair(room)
    for second in range(20):
        pair.stage.time.after(second, pair.anna.send, 40)
        pair.stage.time.after(second + 0.5, pair.bert.send, 2000)
    pair.stage.run(10.2)
    pair.stage.relay.restart(pause, farewell=farewell)
    pair.stage.run(10.0 + pause)
    pair.end()
    assert orders(pair.bert, pair.anna) == orders(pair.anna, pair.bert) == list(range(1, 21))
    assert not events_of(pair.anna, MemberLeft)
    assert pair.bert.visit.lost == pair.anna.visit.lost == 0


def test_acknowledged_messages_that_were_not_forwarded_are_resubmitted_to_the_next_relay() -> None:
    pair = Pair()
    pair.stage.network.block_incoming(pair.stage.host_of(pair.bert))
    pair.anna.send(40)
    pair.anna.send_private(pair.bert.visit, 40)
    pair.stage.run(1.0)
    assert len(events_of(pair.anna, Delivered)) == 2
    assert orders(pair.bert, pair.anna) == []
    pair.stage.relay.restart(2.0)
    pair.stage.network.unblock()
    pair.end()
    assert {message.stream for message in pair.bert.visit.received} == {
        Stream.ROOM,
        Stream.PRIVATE,
    }


def test_nat_rebinding_causes_no_losses() -> None:
    pair = Pair()
    for second in range(10):
        pair.stage.time.after(second, pair.anna.send, 40)
        pair.stage.time.after(second + 0.5, pair.bert.send, 40)
    pair.stage.run(4.2)
    pair.stage.rebind(pair.bert, 40_000)
    pair.stage.run(6.0)
    pair.end()
    assert orders(pair.bert, pair.anna) == list(range(1, 11))
    assert not events_of(pair.bert, ContactLost)
    assert {session.source for session in pair.stage.relay.sessions()} == {
        pair.stage.network.seen_as(client.address) for client in (pair.anna, pair.bert)
    }


@pytest.mark.parametrize("clock_stops", [False, True])
@pytest.mark.parametrize("seconds", [20.0, 60.0, HOUR])
def test_a_suspended_client_resumes(seconds: float, clock_stops: bool) -> None:
    pair = Pair()
    pair.bert.sleep(seconds, clock_stops=clock_stops)
    pair.stage.run(5.0)
    pair.anna.send(40)
    pair.stage.run(seconds)
    # The relay's history is two minutes long; both report the loss of older messages.
    pair.stage.calm = seconds < HOUR
    pair.end()
    assert bool(pair.bert.visit.lost) is not pair.stage.calm
    assert orders(pair.bert, pair.anna) == ([1] if pair.stage.calm else [])
    assert [event.reason for event in events_of(pair.anna, MemberLeft)] == (
        ["idle"] if seconds > IDLE else []
    )


def test_a_client_with_a_taken_nick_is_refused_or_tries_other_nicks() -> None:
    pair = Pair()
    second = pair.stage.add_client("ANNA")
    third = pair.stage.add_client("anna", other_nicks=True)
    second.start()
    third.start()
    pair.stage.run(2.0)
    assert [event.code for event in events_of(second, Refused)] == ["nick-taken"]
    assert third.session_client.nick == "anna-2"
    pair.end()


def test_a_silent_member_receives_nothing_after_the_session_timeout() -> None:
    pair = Pair()
    pair.bert.kill()
    to_bert = pair.stage.network.seen_as(pair.bert.address)
    for second in range(0, 120, 2):
        pair.stage.time.after(second, pair.anna.send, 40)
    pair.stage.run(120.0)
    sent = [when for when, _, to, _ in pair.stage.network.trace if to == to_bert]
    assert IDLE < max(sent) < IDLE + 5.0
    assert [event.reason for event in events_of(pair.anna, MemberLeft)] == ["idle"]
    pair.end()


def test_with_outgoing_datagrams_blocked_the_session_ends_on_both_sides() -> None:
    pair = Pair()
    pair.stage.network.block_outgoing(pair.stage.host_of(pair.bert))
    for second in range(0, 100, 5):
        pair.stage.time.after(second, pair.anna.send, 40)
        pair.stage.time.after(second, pair.bert.send, 40)
    pair.stage.run(100.0)
    assert pair.bert.session_client.state.value == "greeting"
    assert [event.reason for event in events_of(pair.bert, ContactLost)] == ["idle"]
    assert [event.reason for event in events_of(pair.anna, MemberLeft)] == ["idle"]
    assert events_of(pair.bert, NoAnswer)
    pair.end()
    assert orders(pair.bert, pair.anna) == orders(pair.anna, pair.bert) == list(range(1, 21))


def test_with_incoming_datagrams_blocked_the_client_loses_contact_and_resumes() -> None:
    pair = Pair()
    pair.stage.network.block_incoming(pair.stage.host_of(pair.bert))
    for second in range(0, 60, 5):
        pair.stage.time.after(second, pair.anna.send, 40)
    pair.stage.run(60.0)
    assert [event.reason for event in events_of(pair.bert, ContactLost)] == ["silent"]
    pair.end()
    assert orders(pair.bert, pair.anna) == list(range(1, 13))
    assert [event.resumed for event in events_of(pair.bert, Joined)] == [False, True]


def test_a_new_member_receives_the_history_of_the_room() -> None:
    pair = Pair(rules=RoomRules(history_on_join=3))
    for _ in range(10):
        pair.anna.send(40)
    pair.stage.run(2.0)
    late = pair.stage.add_client("Carla")
    late.start()
    pair.stage.run(2.0)
    assert orders(late, pair.anna) == [8, 9, 10]
    pair.end()


def test_a_kicked_member_can_join_again_after_the_kick_time() -> None:
    pair = Pair()
    pair.stage.relay.kick(1)
    pair.stage.run(1.0)
    assert [event.code for event in events_of(pair.bert, Closed)] == ["kicked"]
    pair.bert.start()
    pair.stage.run(1.0)
    assert [event.code for event in events_of(pair.bert, Refused)] == ["kicked"]
    pair.stage.run(30.0)
    pair.bert.start()
    pair.stage.run(1.0)
    assert pair.bert.joined
    pair.end()


def test_plain_members_and_the_console_exchange_messages_with_session_members() -> None:
    stage = Stage(console=OPEN)
    anna, program = stage.add_client("Anna"), stage.add_program("b")
    anna.start()
    stage.run(1.0)
    stage.send_from_program(program)
    stage.run(1.0)
    sent: list[bytes] = [stage.send_from_program(program), stage.send_from_console()]
    anna.send(40)
    stage.run(1.0)
    assert program.received[-2:] == [sent[1], next(iter(anna.visit.sent.values())).payload]
    nicks = [
        m.nick for n, m in anna.session_client.members.items() if n != anna.session_client.number
    ]
    assert sorted(nicks) == ["console", f"guest-{len(nicks) + 1}"]


def wait(stage: Stage) -> None:
    stage.run(HOUR)


def suspend_relay(stage: Stage) -> None:
    stage.relay.sleep(HOUR)
    stage.run(HOUR)


def restart_relay_often(stage: Stage) -> None:
    for _ in range(300):
        stage.relay.restart(0.1)
        stage.run(0.3)


@pytest.mark.parametrize("trouble", [wait, suspend_relay, restart_relay_often])
def test_all_members_stay_after(trouble: Callable[[Stage], None]) -> None:
    pair = Pair()
    trouble(pair.stage)
    pair.anna.send(40)
    pair.end()
    assert orders(pair.bert, pair.anna) == [1]
