"""A file piped in: every line arrives at every client, also at one that is stopped meanwhile."""

from __future__ import annotations

import json
import os
import signal
from threading import Thread

import pytest
from system_processes import TIMEOUT, Process, Relay, Start

pytest_plugins = ("system_fixtures",)

LINES = int(os.environ.get("UDPRELAY_PIPE_LINES", 2000))


def receivers(start: Start, relay: Relay, *nicks: str) -> list[Process]:
    """Start clients in pipes, which leave after all lines."""
    clients = []
    for nick in nicks:
        options = ("--nick", nick, "--count", str(LINES), "--wait", "inf")
        clients.append(start.session(*options, f"127.0.0.1:{relay.port}"))
        relay.event("member.joined", member=nick)
    return clients


def pipe(sender: Process, text: str) -> Thread:
    """Write to a client's standard input, as far as it reads it, and close it."""

    def write() -> None:
        sender.type(text)
        sender.close_input()

    thread = Thread(target=write)
    thread.start()
    return thread


@pytest.mark.timeout(400)
@pytest.mark.parametrize("history", [20, 500])
def test_every_line_arrives_at_a_client_that_is_stopped_for_a_while(
    start: Start, history: int
) -> None:
    relay = start.relay(config=f"[room:lobby]\nhistory = {history}\n")
    clients = receivers(start, relay, "slow", "bob", "eve")
    sender = start.session("--nick", "cat", f"127.0.0.1:{relay.port}")
    relay.event("member.joined", member="cat")
    writer = pipe(sender, "".join(f"line {number}\n" for number in range(LINES)))
    clients[0].stdout.wait_for_line("cat: line 10")
    clients[0].signal(signal.SIGSTOP)
    sender.stderr.wait_for_line("udprelay-client: waiting for slow")
    clients[0].signal(signal.SIGCONT)
    sender.stderr.wait_for_line("udprelay-client: no longer waiting")
    for client in clients:
        assert client.status(5 * TIMEOUT) == 0, client.stderr.all
        assert client.stdout.lines == [f"cat: line {number}" for number in range(LINES)]
    writer.join()
    assert sender.status() == 0
    assert relay.event("member.awaited", member="slow", outcome="caught up")["seconds"] <= 10.0


@pytest.mark.timeout(400)
def test_every_private_line_arrives_at_a_client_that_is_stopped_for_a_while(start: Start) -> None:
    relay = start.relay()
    (slow,) = receivers(start, relay, "slow")
    sender = start.session("--nick", "cat", "--json", f"127.0.0.1:{relay.port}")
    relay.event("member.joined", member="cat")
    messages = ({"to": "slow", "text": f"line {number}"} for number in range(LINES))
    writer = pipe(sender, "".join(json.dumps(message) + "\n" for message in messages))
    slow.stdout.wait_for_line("cat (private): line 10")
    slow.signal(signal.SIGSTOP)
    sender.stdout.wait_for('"messages.waiting"')
    slow.signal(signal.SIGCONT)
    assert slow.status(5 * TIMEOUT) == 0, slow.stderr.all
    assert slow.stdout.lines == [f"cat (private): line {number}" for number in range(LINES)]
    writer.join()
    assert sender.status() == 0
