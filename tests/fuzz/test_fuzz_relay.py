"""The relay's state machine with mutated inputs; ``fuzz/README.rst`` says how to try more."""

from __future__ import annotations

import pytest

from fuzz import relay
from fuzz.mutation import corpus, run_random
from fuzz.relay_steps import OPERATIONS, played
from fuzz.relay_world import World
from udprelay.relay.events import (
    DatagramsDropped,
    MemberJoined,
    MemberLeft,
    MemberMoved,
    MemberRejected,
    MemberRenamed,
    TargetUnreachable,
)

TELLS: dict[str, type] = {
    "join with a key": MemberRejected,
    "data beyond the allowance": DatagramsDropped,
    "private to nobody": MemberLeft,
    "nick": MemberRenamed,
    "another address": MemberMoved,
    "resumed": MemberLeft,
    "silent": MemberLeft,
    "late": MemberLeft,
    "kicked": MemberRejected,
    "plain with a code": MemberRejected,
    "plain becomes a session": MemberLeft,
    "targets": TargetUnreachable,
    "anything": DatagramsDropped,
}
SEQUENCES = {"data": 12, "data early": 6, "data in a batch": 10, "recovery": 15, "console": 5}
"""Room sequences at the end: nothing of it was dropped on the way."""


def end_of(name: str) -> World:
    return played(relay.files()[f"{name.replace(' ', '-')}.bin"])


def test_mutated_inputs_show_no_fault() -> None:
    run_random(relay.load(), corpus(relay.CORPUS), 800, seed=1)


def test_the_corpus_is_what_the_plays_are() -> None:
    files = {path.name: path.read_bytes() for path in relay.CORPUS.iterdir()}
    assert files == relay.files(), "python -m fuzz.relay --write-corpus"


def test_each_operation_is_in_a_play() -> None:
    steps = [step for play in relay.PLAYS.values() for step in play]
    assert OPERATIONS.keys() <= {step[0] for step in steps if step}


@pytest.mark.parametrize("name", [name for name in relay.PLAYS if name != "nothing"])
def test_somebody_joins_in_each_play(name: str) -> None:
    assert MemberJoined in end_of(name).events


@pytest.mark.parametrize("name", TELLS)
def test_what_a_play_comes_to(name: str) -> None:
    assert TELLS[name] in end_of(name).events


@pytest.mark.parametrize("name", SEQUENCES)
def test_how_far_a_play_comes(name: str) -> None:
    assert sum(end_of(name).newest.values()) == SEQUENCES[name]
