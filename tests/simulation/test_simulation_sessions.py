"""The promises to session members hold in conversations over bad networks."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from virtual_checks import check_promises, check_silence
from virtual_conversation import Conversation

RUNS = 100
SEEDS_PER_TEST = 25
# The bugs that these seeds showed; code changes since may have changed their conversations.
PINNED = [
    (1454, "a private message whose receiver was absent failed again when its sender left"),
    (140, "sealed messages of an unknown sender raised a suspicion against an honest relay"),
    (164, "MISSED was sent once and lost, so the sender never got the report"),
    (156, "a private message resubmitted to another relay failed silently"),
    (196, "an incomplete message timed out while its receiver was not a member"),
    (370, "a datagram duplicated in transit to the relay was blamed on the relay"),
    (458, "a message was emitted without a nick after 2 s, and again once its sender was known"),
    (577, "the same, out of order"),
    (265, "messages to a dead relay from a member known from a page only were lost silently"),
    (662, "MISSED was given up before there was a roster, and while the relay was suspended"),
    (2771, "an incomplete message was lost as its receiver was suspended"),
    (7445, "messages to a member that timed out were lost silently"),
    (12834, "UNKNOWN of another relay discarded what the dead one had acknowledged"),
    (1923, "the check of silence counted answers to late datagrams"),
    (2604, "the check of silence counted the messages of a client that got a place"),
    (17549, "a suspended client counted as waiting for a place"),
    (39443, "a late datagram kept a session alive: no promise covers that"),
]


def converse(seed: int) -> Conversation:
    """Run the conversation of a seed, and check the promises."""
    conversation = Conversation(seed)
    conversation.run_all()
    check_promises(conversation)
    check_silence(conversation)
    return conversation


def parts() -> list[range]:
    """Return ranges of seeds, each short enough for one test."""
    runs = int(os.environ.get("UDPRELAY_SIM_RUNS", RUNS))
    if os.environ.get("UDPRELAY_SIM_SEED"):
        # The fixture replaces this range by that seed.
        return [range(1)]
    return [
        range(first, min(first + SEEDS_PER_TEST, runs)) for first in range(0, runs, SEEDS_PER_TEST)
    ]


@pytest.mark.parametrize("seeds", parts(), ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_promises_hold_in_conversations(for_each_seed: Callable[..., None], seeds: range) -> None:
    for_each_seed(converse, seeds)


@pytest.mark.parametrize(("seed", "bug"), PINNED)
def test_promises_hold_for_seeds_that_showed_bugs(seed: int, bug: str) -> None:
    converse(seed)


def digest(seed: int) -> str:
    return hashlib.sha256(repr(converse(seed).network.trace).encode()).hexdigest()


def test_a_seed_determines_the_whole_conversation() -> None:
    in_another_process = subprocess.run(
        [sys.executable, "-c", "import test_simulation_sessions as t; print(t.digest(1))"],
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONHASHSEED": "17", "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    assert in_another_process.stdout.strip() == digest(1) != digest(2)
