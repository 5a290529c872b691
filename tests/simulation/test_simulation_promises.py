"""What holds on any network, and what holds on a good one."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from virtual_hosts import Program
from virtual_network import Conditions
from virtual_scenario import JOINED, World

END = 20.0
PERFECT = Conditions()
WITHOUT_REORDERING = Conditions(loss=0.2, duplication=0.1)
BAD = Conditions(loss=0.2, duplication=0.2, delay=(0.001, 2.0), reordering=True)


def perfect(seed: int) -> World:
    """On a network that delays only, everybody gets everything once, and in order."""
    world = World(seed, PERFECT)
    world.join()
    codes = [code for program in world.everybody() for code in program.codes]
    assert not any(world.relay.promises.was_delivered(code) for code in codes)
    world.talk(JOINED, JOINED + END)
    world.time.run(JOINED + END + 1)
    for room, programs in world.programs.items():
        for program in programs:
            for other in programs:
                expected = other.said if other is not program else []
                assert said_by(other, program.heard) == expected
        said = sorted(payload for program in programs for payload in program.said)
        receiver = world.target_heard if room == "attic" else world.relay.console_heard
        assert sorted(p for p in receiver if not p.startswith(b"console ")) == said
    world.relay.stop()
    assert set(world.relay.hub.dropped) <= {"challenged"}
    return world


def said_by(program: Program, heard: list[bytes]) -> list[bytes]:
    return [payload for payload in heard if payload.split()[:1] == [program.name.encode()]]


def numbers(payloads: list[bytes]) -> list[int]:
    return [int(payload.split()[1]) for payload in payloads]


def in_order(seed: int) -> World:
    """Where nothing overtakes, the relay lets nothing overtake, whatever else goes wrong."""
    world = World(seed, WITHOUT_REORDERING, idle_timeout=15.0, refusals=0.05)
    world.join()
    world.talk(JOINED, JOINED + END)
    world.haunt(0, JOINED + END, rate=3)
    world.time.run(JOINED + END + 1)
    for programs in world.programs.values():
        for program in programs:
            assert said_by(program, program.heard) == []
            for other in programs:
                heard = numbers(said_by(other, program.heard))
                assert heard == sorted(heard)
    world.relay.stop()
    return world


def anything_goes(seed: int) -> World:
    """On a network that does everything that a network can do, the promises hold."""
    world = World(seed, BAD, idle_timeout=8.0, refusals=0.05, max_members=5)
    world.talk(0, END)
    world.haunt(0, END, rate=20)
    world.trouble(0, END)
    world.time.run(END + 60)
    for room, programs in world.programs.items():
        said = {payload for program in programs for payload in program.said}
        for program in programs:
            # Strangers may speak; but nobody speaks with a member's words in another room.
            for other in world.everybody():
                assert set(said_by(other, program.heard)) <= said, room
            # What it said from an address that it has lost may come to it at the next one.
            if program not in world.rebound:
                assert said_by(program, program.heard) == []
    world.relay.stop()
    # Everybody has been silent for long enough.
    assert sum(len(listener.members) for listener in world.relay.listeners.values()) == 0
    return world


@pytest.mark.parametrize("simulate", [perfect, in_order, anything_goes])
def test_promises_hold(for_each_seed, simulate):
    for_each_seed(simulate)


def digest(seed: int) -> str:
    return hashlib.sha256(repr(anything_goes(seed).network.trace).encode()).hexdigest()


def test_a_seed_says_it_all():
    in_another_process = subprocess.run(
        [sys.executable, "-c", "import test_simulation_promises as t; print(t.digest(7))"],
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONHASHSEED": "17"},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    assert in_another_process.stdout.strip() == digest(7) != digest(8)


def test_a_failure_names_its_seed(for_each_seed, monkeypatch):
    monkeypatch.delenv("UDPRELAY_SIM_SEED", raising=False)

    def simulate(seed: int) -> None:
        assert seed < 5

    with pytest.raises(AssertionError, match=r"UDPRELAY_SIM_SEED=5\Z"):
        for_each_seed(simulate)
    monkeypatch.setenv("UDPRELAY_SIM_SEED", "3")
    for_each_seed(simulate)
