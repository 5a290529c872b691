"""Eight clients on a bad network, and a relay that is killed and started again."""

from __future__ import annotations

import os
import signal
from collections import defaultdict
from random import Random

import pytest
from system_processes import Process, Start

pytest_plugins = ("system_fixtures",)

CLIENTS, LINES, LOSS = 8, 60, 0.2
OTHERS = (CLIENTS - 1) * LINES
RUNS = int(os.environ.get("UDPRELAY_RESTART_RUNS", 0))


def streams(client: Process) -> dict[str, list[str]]:
    """Return what a client has printed, by the nick of the sender."""
    found = defaultdict(list)
    for line in client.stdout.lines:
        nick, _, text = line.partition(": ")
        found[nick].append(text)
    return found


@pytest.mark.timeout(900)
@pytest.mark.skipif(not RUNS, reason="takes minutes: UDPRELAY_RESTART_RUNS=50")
@pytest.mark.parametrize("seed", range(max(RUNS, 1)))
def test_every_stream_is_exact_and_under_its_nick(start: Start, seed: int) -> None:
    random = Random(seed)
    relay = start.relay()
    network = f"127.0.0.1:{start.bad_network(relay.port, LOSS, 0.0, 0.0, seed)}"
    # The first one leaves a second after its last message is acknowledged.
    clients = [start.session("--nick", "n0", network)]
    clients += [
        start.session("-n", f"n{number}", "--wait", "inf", "--count", str(OTHERS), network)
        for number in range(1, CLIENTS)
    ]
    for number in range(CLIENTS):
        relay.event("member.joined", member=f"n{number}")
    for number, client in enumerate(clients):
        client.type("".join(f"{number} {line}\n" for line in range(LINES)))
        client.close_input()
    received = random.randrange(1, OTHERS * 3 // 4)
    clients[1].stdout.wait_until(lambda text, _: text.count("\n") >= received)
    relay.signal(signal.SIGKILL)
    relay.status()
    start.relay("--port", str(relay.port))
    for client in clients:
        assert client.status(240) == 0, client.stderr.all
    for number, client in enumerate(clients[1:], 1):
        others = [sender for sender in range(CLIENTS) if sender != number]
        expected = {
            f"n{sender}": [f"{sender} {line}" for line in range(LINES)] for sender in others
        }
        assert streams(client) == expected, f"n{number} after {received} lines"
