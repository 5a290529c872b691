"""Senders that are faster than receivers: nobody who reports in time loses anything."""

from __future__ import annotations

from random import Random

import pytest
from virtual_checks import check_promises, check_silence
from virtual_client import Client
from virtual_ledger import Stream
from virtual_network import Conditions
from virtual_stage import OPEN, Stage, rules_for

from udprelay.relay.rules import RoomRules
from udprelay.session_client.events import Event, Lost, Missed, WaitingFor


def entered(stage: Stage, *nicks: str) -> list[Client]:
    """Return clients that have joined one after the other."""
    clients = [stage.add_client(nick, OPEN) for nick in nicks]
    for client in clients:
        client.start()
        stage.run(2.0)
        assert client.joined
    return clients


def orders(client: Client, sender: Client, stream: Stream = Stream.ROOM) -> list[int]:
    """Return the orders of the messages that a client received from another."""
    return [
        message.order
        for message in client.visit.received
        if message.sender is sender.visit and message.stream is stream
    ]


def kinds(client: Client, *kinds: type[Event]) -> list[Event]:
    return [event for event in client.events if isinstance(event, kinds)]


@pytest.mark.parametrize("seed", range(12))
def test_a_receiver_that_is_less_than_ten_seconds_behind_loses_nothing(seed: int) -> None:
    random = Random(seed)
    history = random.choice([8, 16, 64])
    count = {8: 40, 16: 60, 64: 200}[history]
    conditions = Conditions(
        loss=random.choice([0.0, 0.02]), delay=random.choice([(0.001, 0.01), (0.01, 0.05)])
    )
    stage = Stage(seed, conditions, rules_for(RoomRules(history=history)))
    *senders, slow, _, _ = clients = entered(stage, "ada", "bob", "slow", "eve", "fay")
    for sender in senders:
        for number in range(count):
            sender.send(40)
            if number % 4 == 0:
                sender.send_private(slow.visit, 20)
    stage.run(random.uniform(0.0, 0.2))
    slow.sleep(random.uniform(3.0, 6.0))
    stage.run(60.0)
    stage.settle()
    for client in clients:
        assert kinds(client, Lost, Missed) == []
    assert orders(slow, senders[0], Stream.PRIVATE) == list(range(1, count // 4 + 1))
    check_promises(stage)
    check_silence(stage)


def test_a_receiver_that_is_too_slow_loses_and_all_others_get_everything() -> None:
    stage = Stage(rules=rules_for(RoomRules(history=64)))
    ada, slow, eve = entered(stage, "ada", "slow", "eve")
    for _ in range(400):
        ada.send(40)
    slow.sleep(30.0)
    stage.run(9.0)
    assert orders(eve, ada)[-1] < 400
    assert [event.nicks for event in kinds(ada, WaitingFor)] == [("slow",)]  # type: ignore[attr-defined]
    stage.run(30.0)
    assert orders(eve, ada) == list(range(1, 401))
    stage.calm = False
    stage.settle()
    assert kinds(slow, Lost)
    assert kinds(ada, Missed)
    assert [event.nicks for event in kinds(ada, WaitingFor)] == [("slow",), ()]  # type: ignore[attr-defined]
    check_promises(stage)


def test_senders_wait_for_a_receiver_that_comes_back_with_a_restarted_relay() -> None:
    stage = Stage(rules=rules_for(RoomRules(history=64)))
    ada, slow, _ = entered(stage, "ada", "slow", "eve")
    for _ in range(200):
        ada.send(40)
    stage.run(0.05)
    slow.sleep(4.0)
    stage.run(1.0)
    stage.relay.restart(0.0, silently=True)
    stage.run(60.0)
    for _ in range(200):
        ada.send(40)
    stage.run(0.05)
    slow.sleep(4.0)
    stage.run(30.0)
    assert orders(slow, ada)[-200:] == list(range(201, 401))
