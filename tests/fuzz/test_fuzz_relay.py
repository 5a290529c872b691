"""The target ``relay`` with mutated inputs; see ``fuzz/README.rst``."""

from __future__ import annotations

import pytest

from fuzz import relay
from fuzz.mutation import corpus, run_random
from fuzz.relay_steps import OPERATIONS, run_input
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

EVENTS: dict[str, type] = {
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
"""Room sequences at the end, if no datagram of the play is dropped."""


def world_after(name: str) -> World:
    return run_input(relay.files()[f"{name.replace(' ', '-')}.bin"])


def test_mutated_inputs_show_no_fault() -> None:
    run_random(relay.load(), corpus(relay.CORPUS), 200, seed=1)


def test_the_corpus_has_the_plays() -> None:
    files = {path.name: path.read_bytes() for path in relay.CORPUS.iterdir()}
    assert files == relay.files(), "python -m fuzz.relay --write-corpus"


def test_each_operation_is_in_a_play() -> None:
    steps = [step for play in relay.PLAYS.values() for step in play]
    assert OPERATIONS.keys() <= {step[0] for step in steps if step}


@pytest.mark.parametrize("name", [name for name in relay.PLAYS if name != "nothing"])
def test_each_play_has_a_join(name: str) -> None:
    assert MemberJoined in world_after(name).events


@pytest.mark.parametrize("name", EVENTS)
def test_each_play_causes_its_event(name: str) -> None:
    assert EVENTS[name] in world_after(name).events


@pytest.mark.parametrize("name", SEQUENCES)
def test_each_play_reaches_its_room_sequence(name: str) -> None:
    assert sum(world_after(name).sequences.newest.values()) == SEQUENCES[name]
