"""The target ``client`` with mutated inputs; see ``fuzz/README.rst``."""

from __future__ import annotations

import pytest

from fuzz import client
from fuzz.client_steps import OPERATIONS, run_input
from fuzz.client_world import World
from fuzz.mutation import corpus, run_random
from fuzz.steps import STEP
from reachable import footprint
from udprelay.session_client.events import (
    Closed,
    ContactLost,
    Delivered,
    Distrusted,
    Failed,
    Joined,
    KeysNeeded,
    Lost,
    MemberJoined,
    MemberLeft,
    Missed,
    NickChanged,
    NickRefused,
    NoAnswer,
    Ponged,
    Received,
    Refused,
    WaitingFor,
)
from udprelay.session_client.settings import State

EVENTS: dict[str, set[type]] = {
    "join": {Joined, Ponged},
    "join with a key": {KeysNeeded, Joined},
    "no answer": {NoAnswer},
    "no nick": {Refused},
    "versions": {Refused},
    "refused": {Refused},
    "nick taken": {Joined},
    "all nicks taken": {Refused},
    "sent away for a while": {ContactLost, Joined},
    "data": {Received},
    "data sealed": {Received},
    "data not sealed": {Distrusted},
    "pieces": {Received},
    "pieces that end nowhere": {Lost, MemberLeft},
    "pieces, too many": {Lost},
    "a gap": {Received},
    "a gap for good": {Lost},
    "far ahead": {Ponged},
    "gone": {Lost, Received},
    "run": {Received, Lost},
    "private": {Received},
    "private sealed": {Received},
    "entries": {MemberJoined, MemberLeft, NickChanged},
    "strangers": {Received, MemberJoined},
    "strangers of two sessions": {ContactLost, Lost},
    "notices": {Missed, Failed},
    "send": {Delivered},
    "send sealed": {Delivered},
    "send in pieces": {Delivered},
    "send before joining": {Delivered, Failed},
    "send with an allowance": {Delivered},
    "send to nobody": {Failed, ContactLost},
    "send, not heard": {Failed, ContactLost},
    "send private": {Delivered},
    "nick": {NickChanged, NickRefused},
    "waiting": {WaitingFor},
    "unreachable": {ContactLost},
    "silent": {ContactLost, Received},
    "resumed": {ContactLost, Delivered, Received},
    "restarted": {ContactLost, Delivered, Received},
    "stopping": {ContactLost},
    "kicked": {Closed, Failed},
    "leave": {Closed},
    "leave unheard": {Closed},
    "leave between": {Closed, ContactLost},
}
LAST_STATES = {
    "nothing": State.NEW,
    "keys for another salt": State.KEYING,
    "no answer": State.GREETING,
    "no nick": State.CLOSED,
    "versions": State.CLOSED,
    "refused": State.CLOSED,
    "all nicks taken": State.CLOSED,
}
"""The last states of the plays without a join."""

REPETITIONS = 40
MAX_MEMORY = 2 * 1024 * 1024
"""Bytes that a client uses after a play has been repeated."""


def input_of(name: str) -> bytes:
    return client.files()[f"{name.replace(' ', '-')}.bin"]


def memory_of(world: World) -> int:
    return footprint(world.session_client).size


def test_mutated_inputs_show_no_fault() -> None:
    run_random(client.load(), corpus(client.CORPUS), 200, seed=1)


def test_the_corpus_has_the_plays() -> None:
    files = {path.name: path.read_bytes() for path in client.CORPUS.iterdir()}
    assert files == client.files(), "python -m fuzz.client --write-corpus"


def test_each_operation_is_in_a_play() -> None:
    steps = [step for play in client.PLAYS.values() for step in play]
    assert OPERATIONS.keys() <= {step[0] for step in steps if step}


@pytest.mark.parametrize("name", client.PLAYS)
def test_each_play_has_a_join_or_ends_in_its_state(name: str) -> None:
    world = run_input(input_of(name))
    assert (Joined in world.events) == (name not in LAST_STATES)
    assert world.session_client.state is LAST_STATES.get(name, world.session_client.state)


@pytest.mark.parametrize("name", EVENTS)
def test_each_play_causes_its_events(name: str) -> None:
    assert EVENTS[name] <= run_input(input_of(name)).events


@pytest.mark.parametrize("name", client.PLAYS)
def test_memory_is_bounded_when_a_play_is_repeated(name: str) -> None:
    options, steps = input_of(name)[:STEP], input_of(name)[STEP:]
    assert memory_of(run_input(options + steps * REPETITIONS)) <= MAX_MEMORY
