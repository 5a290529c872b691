"""Through the death of a relay each stream is exact and under its nick, at each member."""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random

import pytest
from virtual_client import Client
from virtual_network import Conditions
from virtual_stage import Stage, rules_for

CLIENTS = 8
LINES = 60
BEGIN = 20.0
"""Seconds after which all clients have joined in spite of the losses."""
RUNS = int(os.environ.get("UDPRELAY_SIM_RUNS", 100)) // 50
"""Seeds: one takes as long as 50 conversations of two clients."""
SEEDS_PER_TEST = 3
PINNED = [
    (2, "a client left while a dead relay had acknowledged what others had not received"),
    (106, "the question to a dead relay was answered by the next one, which lacked the messages"),
    (17, "a client offered all again, left, and was the last in the room: its history was gone"),
]


class Pipes(Stage):
    """
    Clients that send lines, 20 % loss each way, and a relay that is killed and started again.

    The first client leaves a while after its last line was acknowledged, as at the end of a file.
    The relay dies at the latest when it leaves, or soon after.

    :param outlives: so many seconds after; None: when it leaves.
    """

    def __init__(self, seed: int, outlives: float | None = None) -> None:
        self._random = random = Random(f"{seed} restart")
        delay = random.choice([(0.0001, 0.001), (0.001, 0.02), (0.02, 0.1)])
        super().__init__(seed, Conditions(loss=0.2, delay=delay), rules_for())
        self._killed = False
        self._outlives = outlives
        self._wait = random.choice([0.0, 1.0, 5.0, 10.0])
        pace = random.choice([0.0, 0.01, 0.05])
        for number in range(CLIENTS):
            client = self.add_client(f"n{number}")
            self.time.at(random.uniform(0, 1), client.start)
            when = BEGIN + random.uniform(0, 0.5)
            for _ in range(LINES):
                self.time.at(when, client.send, random.choice([1, 20, 40]))
                when += pace * random.uniform(0.5, 1.5)
            if not number:
                self.time.at(when, self._leave_when_delivered, client)
        self.time.at(BEGIN + random.uniform(0, 15), self._kill)

    def _leave_when_delivered(self, client: Client) -> None:
        if client.session_client.outstanding:
            self.time.after(0.05, self._leave_when_delivered, client)
        else:
            self.time.after(self._wait, self._leave, client)

    def _leave(self, client: Client) -> None:
        if self._outlives is None:
            self._kill()
        client.leave()
        if self._outlives is not None:
            self._die_after(client)

    def _die_after(self, client: Client) -> None:
        """Kill the relay when the client is gone."""
        if client.running:
            self.time.after(0.05, self._die_after, client)
        else:
            self.time.after(self._outlives or 0.0, self._kill)

    def _kill(self) -> None:
        if not self._killed:
            self._killed = True
            pause = self._random.choice([0.0, 0.5, 1.0])
            self.relay.restart(pause, silently=self._random.random() < 0.5)


def play(seed: int, outlives: float | None = None) -> None:
    """Run the pipes of a seed, and check what each client but the first received."""
    stage = Pipes(seed, outlives)
    stage.run(BEGIN)
    assert all(client.joined for client in stage.clients)
    stage.run(100.0)
    for receiver in (client.visit for client in stage.clients[1:]):
        for sender in (client.visit for client in stage.clients):
            if sender is not receiver:
                received = [m.order for m in receiver.received if m.sender is sender]
                name = f"{receiver.name} of {sender.name}"
                assert received == list(range(1, LINES + 1)), name
                assert receiver.nicks_of[sender.name] == {f"n{sender.name[1]}"}, name
        assert not receiver.lost


@pytest.mark.parametrize("first", range(0, RUNS, SEEDS_PER_TEST))
def test_every_stream_survives_the_relay(for_each_seed: Callable[..., None], first: int) -> None:
    for_each_seed(play, range(first, min(first + SEEDS_PER_TEST, RUNS)))


@pytest.mark.parametrize(("seed", "bug"), PINNED)
def test_every_stream_survives_for_seeds_that_showed_bugs(seed: int, bug: str) -> None:
    play(seed)


@pytest.mark.parametrize("seed", [11, 21, 27])
def test_a_sender_stays_until_the_others_have_its_messages(seed: int) -> None:
    play(seed, outlives=0.0)
