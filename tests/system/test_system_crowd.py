"""Twenty plain programs receive all datagrams of each other."""

from __future__ import annotations

import itertools

import pytest
from system_processes import Start

pytest_plugins = ("system_fixtures",)

CROWD, EACH = 20, 60
# In each turn two programs send five datagrams each. Ten datagrams fit into the smallest usual
# receive buffer: it has 212,992 bytes, and a datagram of 8,000 bytes uses up to 16,640. So the
# kernel drops none, even if the relay is slow.
SENDERS, RUN = 2, 5
CYCLE = CROWD // SENDERS
TURNS = EACH // RUN * CYCLE


@pytest.mark.timeout(600)
def test_each_of_twenty_programs_receives_all_datagrams_intact_and_in_order(
    start: Start,
) -> None:
    relay = start.relay()
    hosts = itertools.cycle(("127.0.0.1", "::1"))
    crowd = [
        start.program("crowd", next(hosts), relay.port, me, CROWD, TURNS, SENDERS, RUN)
        for me in range(CROWD)
    ]
    for program in crowd:
        assert program.stdout.next_line() == "ready"
    relay.event("member.joined", member=f"guest-{CROWD}")

    for turn in range(TURNS):
        for program in crowd[turn % CYCLE :: CYCLE]:
            program.type("send\n")
        for program in crowd:
            assert program.stdout.next_line() == "received"

    start.member(relay).send(b"the end")
    for me, program in enumerate(crowd):
        counts = [0 if number == me else EACH for number in range(CROWD)]
        assert program.stdout.next_line() == f"received {counts}, then b'the end'"
    totals = relay.stop()
    assert totals["datagrams"] == CROWD * EACH + 1
    assert totals["deliveries"] == CROWD * EACH * (CROWD - 1) + CROWD
    assert totals["dropped"] == {}
