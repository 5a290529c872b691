"""Notable things that happen to people, each told once, on a good network."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from virtual_client import Client
from virtual_ledger import Stream
from virtual_reckoning import fall_silent, reckon
from virtual_stage import KEYED, OPEN, Stage, rules_for

from udprelay.relay.rules import RoomRules
from udprelay.session_client.events import (
    Closed,
    ContactLost,
    Delivered,
    Joined,
    MemberLeft,
    NoAnswer,
    Refused,
)

HOUR = 3600.0
IDLE = 45.0


def events_of(client: Client, kind: type) -> list:
    return [event for event in client.happened if isinstance(event, kind)]


def texts(client: Client, sender: Client) -> list[int]:
    """Return which reliable messages of somebody a client has, by their places."""
    received = client.visit.received
    return [
        said.order
        for said in received
        if said.sender is sender.visit and said.stream is Stream.ROOM
    ]


class Pair:
    """Anna and Bert in a room; everything on the stage is held to the promises in the end."""

    def __init__(self, room: str = OPEN, rules: RoomRules | None = None) -> None:
        self.stage = Stage(rules=rules_for(rules))
        self.anna, self.bert = (self.stage.client(nick, room) for nick in ("Anna", "Bert"))
        for client in (self.anna, self.bert):
            client.come()
            self.stage.run(1.0)
        assert self.anna.joined
        assert self.bert.joined

    def end(self) -> None:
        """Settle, and hold everybody to what is promised."""
        self.stage.settle()
        reckon(self.stage)
        fall_silent(self.stage)


@pytest.mark.parametrize("room", [OPEN, KEYED])
@pytest.mark.parametrize("pause", [1.0, 10.0, 30.0, 60.0])
@pytest.mark.parametrize("farewell", [False, True])
def test_a_relay_killed_in_the_middle_of_a_conversation_loses_and_repeats_nothing(
    room: str, pause: float, farewell: bool
):
    pair = Pair(room)
    for second in range(20):
        pair.stage.time.after(second, pair.anna.say, 40)
        pair.stage.time.after(second + 0.5, pair.bert.say, 2000)
    pair.stage.run(10.2)
    pair.stage.relay.restart(pause, farewell=farewell)
    pair.stage.run(10.0 + pause)
    pair.end()
    assert texts(pair.bert, pair.anna) == texts(pair.anna, pair.bert) == list(range(1, 21))
    assert not events_of(pair.anna, MemberLeft)
    assert pair.bert.visit.lost == pair.anna.visit.lost == 0


def test_what_was_acknowledged_and_not_passed_on_is_offered_to_the_next_relay():
    pair = Pair()
    pair.stage.network.deafen(pair.stage.host(pair.bert))
    pair.anna.say(40)
    pair.anna.whisper(pair.bert.visit, 40)
    pair.stage.run(1.0)
    assert len(events_of(pair.anna, Delivered)) == 2
    assert texts(pair.bert, pair.anna) == []
    pair.stage.relay.restart(2.0)
    pair.stage.network.heal()
    pair.end()
    assert {said.stream for said in pair.bert.visit.received} == {Stream.ROOM, Stream.PRIVATE}


def test_a_nat_that_rebinds_in_the_middle_loses_nothing():
    pair = Pair()
    for second in range(10):
        pair.stage.time.after(second, pair.anna.say, 40)
        pair.stage.time.after(second + 0.5, pair.bert.say, 40)
    pair.stage.run(4.2)
    pair.stage.rebind(pair.bert, 40_000)
    pair.stage.run(6.0)
    pair.end()
    assert texts(pair.bert, pair.anna) == list(range(1, 11))
    assert not events_of(pair.bert, ContactLost)
    assert {session.source for session in pair.stage.relay.sessions()} == {
        pair.stage.network.seen_as(client.address) for client in (pair.anna, pair.bert)
    }


@pytest.mark.parametrize("stands_still", [False, True])
@pytest.mark.parametrize("seconds", [20.0, 60.0, HOUR])
def test_a_client_that_was_asleep_comes_back(seconds: float, stands_still: bool):
    pair = Pair()
    pair.bert.sleep(seconds, stands_still=stands_still)
    pair.stage.run(5.0)
    pair.anna.say(40)
    pair.stage.run(seconds)
    # The relay's history is two minutes long; what is older is told to both.
    pair.stage.calm = seconds < HOUR
    pair.end()
    assert bool(pair.bert.visit.lost) is not pair.stage.calm
    assert texts(pair.bert, pair.anna) == ([1] if pair.stage.calm else [])
    assert [event.reason for event in events_of(pair.anna, MemberLeft)] == (
        ["idle"] if seconds > IDLE else []
    )


def test_of_two_with_one_nick_the_second_is_refused_or_takes_another():
    pair = Pair()
    second = pair.stage.client("ANNA")
    third = pair.stage.client("anna", other_nicks=True)
    second.come()
    third.come()
    pair.stage.run(2.0)
    assert [event.code for event in events_of(second, Refused)] == ["nick-taken"]
    assert third.membership.nick == "anna-2"
    pair.end()


def test_who_joins_and_never_answers_receives_nothing_after_the_idle_time():
    pair = Pair()
    pair.bert.die()
    to_bert = pair.stage.network.seen_as(pair.bert.address)
    for second in range(0, 120, 2):
        pair.stage.time.after(second, pair.anna.say, 40)
    pair.stage.run(120.0)
    sent = [when for when, _, to, _ in pair.stage.network.trace if to == to_bert]
    assert IDLE < max(sent) < IDLE + 5.0
    assert [event.reason for event in events_of(pair.anna, MemberLeft)] == ["idle"]
    pair.end()


def test_who_hears_and_is_not_heard_loses_contact_on_both_sides():
    pair = Pair()
    pair.stage.network.mute(pair.stage.host(pair.bert))
    for second in range(0, 100, 5):
        pair.stage.time.after(second, pair.anna.say, 40)
        pair.stage.time.after(second, pair.bert.say, 40)
    pair.stage.run(100.0)
    assert pair.bert.membership.state.value == "greeting"
    assert [event.reason for event in events_of(pair.bert, ContactLost)] == ["idle"]
    assert [event.reason for event in events_of(pair.anna, MemberLeft)] == ["idle"]
    assert events_of(pair.bert, NoAnswer)
    pair.end()
    assert texts(pair.bert, pair.anna) == texts(pair.anna, pair.bert) == list(range(1, 21))


def test_who_is_heard_and_does_not_hear_loses_contact_and_resumes():
    pair = Pair()
    pair.stage.network.deafen(pair.stage.host(pair.bert))
    for second in range(0, 60, 5):
        pair.stage.time.after(second, pair.anna.say, 40)
    pair.stage.run(60.0)
    assert [event.reason for event in events_of(pair.bert, ContactLost)] == ["silent"]
    pair.end()
    assert texts(pair.bert, pair.anna) == list(range(1, 13))
    assert [event.resumed for event in events_of(pair.bert, Joined)] == [False, True]


def test_a_late_joiner_is_given_the_last_of_the_room():
    pair = Pair(rules=RoomRules(history_on_join=3))
    for _ in range(10):
        pair.anna.say(40)
    pair.stage.run(2.0)
    late = pair.stage.client("Carla")
    late.come()
    pair.stage.run(2.0)
    assert texts(late, pair.anna) == [8, 9, 10]
    pair.end()


def test_whoever_is_put_out_is_gone_and_may_come_back_later():
    pair = Pair()
    pair.stage.relay.kick(1)
    pair.stage.run(1.0)
    assert [event.code for event in events_of(pair.bert, Closed)] == ["kicked"]
    pair.bert.come()
    pair.stage.run(1.0)
    assert [event.code for event in events_of(pair.bert, Refused)] == ["kicked"]
    pair.stage.run(30.0)
    pair.bert.come()
    pair.stage.run(1.0)
    assert pair.bert.joined
    pair.end()


def test_plain_members_and_the_console_talk_with_session_members():
    stage = Stage(console=OPEN)
    anna, program = stage.client("Anna"), stage.program("b")
    anna.come()
    stage.run(1.0)
    stage.say_plainly(program)
    stage.run(1.0)
    said: list[bytes] = [stage.say_plainly(program), stage.say_at_console()]
    anna.say(40)
    stage.run(1.0)
    assert program.heard[-2:] == [said[1], next(iter(anna.visit.said.values())).payload]
    nicks = [m.nick for n, m in anna.membership.members.items() if n != anna.membership.number]
    assert sorted(nicks) == ["console", f"guest-{len(nicks) + 1}"]


def waits(stage: Stage) -> None:
    stage.run(HOUR)


def is_suspended(stage: Stage) -> None:
    stage.relay.sleep(HOUR)
    stage.run(HOUR)


def is_hammered(stage: Stage) -> None:
    for _ in range(300):
        stage.relay.restart(0.1)
        stage.run(0.3)


@pytest.mark.parametrize("trouble", [waits, is_suspended, is_hammered])
def test_everybody_is_still_there_after(trouble: Callable[[Stage], None]):
    pair = Pair()
    trouble(pair.stage)
    pair.anna.say(40)
    pair.end()
    assert texts(pair.bert, pair.anna) == [1]
