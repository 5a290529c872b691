"""Promises to plain members, on perfect and on bad networks."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
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
    """Without loss and reordering, all members get all payloads once and in order."""
    world = World(seed, PERFECT)
    world.join()
    codes = [code for program in world.all_programs() for code in program.codes]
    assert not any(world.relay.promises.was_delivered(code) for code in codes)
    world.send_payloads(JOINED, JOINED + END)
    world.time.run(JOINED + END + 1)
    for room, programs in world.programs.items():
        for program in programs:
            for other in programs:
                expected = other.sent if other is not program else []
                assert from_program(other, program.received) == expected
        sent = sorted(payload for program in programs for payload in program.sent)
        received = world.target_received if room == "attic" else world.relay.console_received
        assert sorted(p for p in received if not p.startswith(b"console ")) == sent
    world.relay.stop()
    assert world.relay.stopped is not None
    assert set(world.relay.stopped.dropped) <= {"challenged"}
    return world


def from_program(program: Program, received: list[bytes]) -> list[bytes]:
    return [payload for payload in received if payload.split()[:1] == [program.name.encode()]]


def numbers(payloads: list[bytes]) -> list[int]:
    return [int(payload.split()[1]) for payload in payloads]


def in_order(seed: int) -> World:
    """On a network that keeps the order, the relay keeps it too."""
    world = World(seed, WITHOUT_REORDERING, idle_timeout=15.0, failures=0.05)
    world.join()
    world.send_payloads(JOINED, JOINED + END)
    world.forge(0, JOINED + END, rate=3)
    world.time.run(JOINED + END + 1)
    for programs in world.programs.values():
        for program in programs:
            assert from_program(program, program.received) == []
            for other in programs:
                received = numbers(from_program(other, program.received))
                assert received == sorted(received)
    world.relay.stop()
    return world


def anything_goes(seed: int) -> World:
    """The promises hold on a network with loss, duplication, reordering and delays."""
    world = World(seed, BAD, idle_timeout=8.0, failures=0.05, max_members=5)
    world.send_payloads(0, END)
    world.forge(0, END, rate=20)
    world.disturb(0, END)
    world.time.run(END + 60)
    for room, programs in world.programs.items():
        sent = {payload for program in programs for payload in program.sent}
        for program in programs:
            # Forged payloads may be relayed, but no payload reaches another room.
            for other in world.all_programs():
                assert set(from_program(other, program.received)) <= sent, room
            # A payload sent from an address before a rebinding may return to the next one.
            if program not in world.rebound:
                assert from_program(program, program.received) == []
    world.relay.stop()
    # All members have timed out.
    assert sum(len(listener.members) for listener in world.relay.listeners.values()) == 0
    return world


@pytest.mark.parametrize("simulate", [perfect, in_order, anything_goes])
def test_the_promises_hold(
    for_each_seed: Callable[..., None], simulate: Callable[[int], World]
) -> None:
    for_each_seed(simulate)


def digest(seed: int) -> str:
    return hashlib.sha256(repr(anything_goes(seed).network.trace).encode()).hexdigest()


def test_a_seed_determines_the_whole_simulation() -> None:
    in_another_process = subprocess.run(
        [sys.executable, "-c", "import test_simulation_promises as t; print(t.digest(7))"],
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONHASHSEED": "17"},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    assert in_another_process.stdout.strip() == digest(7) != digest(8)


def test_a_failure_names_its_seed(
    for_each_seed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UDPRELAY_SIM_SEED", raising=False)

    def simulate(seed: int) -> None:
        assert seed < 5

    with pytest.raises(AssertionError, match=r"UDPRELAY_SIM_SEED=5\Z"):
        for_each_seed(simulate)
    monkeypatch.setenv("UDPRELAY_SIM_SEED", "3")
    for_each_seed(simulate)
