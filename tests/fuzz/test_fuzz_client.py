"""The client's state machine with mutated inputs; ``fuzz/README.rst`` says how to try more."""

from __future__ import annotations

import pytest

from fuzz import client
from fuzz.client_steps import OPERATIONS, played
from fuzz.client_world import World
from fuzz.mutation import corpus, run_random
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
)
from udprelay.session_client.state import State

TELLS: dict[str, set[type]] = {
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
OUTSIDE = {
    "nothing": State.NEW,
    "keys for another salt": State.KEYING,
    "no answer": State.GREETING,
    "no nick": State.CLOSED,
    "versions": State.CLOSED,
    "refused": State.CLOSED,
    "all nicks taken": State.CLOSED,
}
"""Where those end that never join."""


def end_of(name: str) -> World:
    return played(client.files()[f"{name.replace(' ', '-')}.bin"])


def test_mutated_inputs_show_no_fault() -> None:
    run_random(client.load(), corpus(client.CORPUS), 1000, seed=1)


def test_the_corpus_is_what_the_plays_are() -> None:
    files = {path.name: path.read_bytes() for path in client.CORPUS.iterdir()}
    assert files == client.files(), "python -m fuzz.client --write-corpus"


def test_each_operation_is_in_a_play() -> None:
    steps = [step for play in client.PLAYS.values() for step in play]
    assert OPERATIONS.keys() <= {step[0] for step in steps if step}


@pytest.mark.parametrize("name", client.PLAYS)
def test_who_joins_in_a_play(name: str) -> None:
    world = end_of(name)
    assert (Joined in world.events) == (name not in OUTSIDE)
    assert world.membership.state is OUTSIDE.get(name, world.membership.state)


@pytest.mark.parametrize("name", TELLS)
def test_what_a_play_comes_to(name: str) -> None:
    assert TELLS[name] <= end_of(name).events
