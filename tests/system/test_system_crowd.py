"""Twenty programs that know nothing but ``socket`` hear each other, whatever they say."""

from __future__ import annotations

import itertools

import pytest
from system_processes import Start

pytest_plugins = ("system_fixtures",)

CROWD, EACH = 20, 200
# In each turn two say five datagrams each. Ten fit into the smallest usual receive buffer
# whatever their size (212,992 bytes, of which one of 8,000 takes up to 16,640), so that
# nothing is lost in the kernel, however slowly this machine runs the relay.
SPEAKERS, BURST = 2, 5
CYCLE = CROWD // SPEAKERS
TURNS = EACH // BURST * CYCLE


@pytest.mark.timeout(240)
def test_each_of_twenty_programs_gets_every_datagram_of_the_others_intact_and_in_order(
    start: Start,
) -> None:
    relay = start.relay()
    hosts = itertools.cycle(("127.0.0.1", "::1"))
    crowd = [
        start.program("crowd", next(hosts), relay.port, me, CROWD, TURNS, SPEAKERS, BURST)
        for me in range(CROWD)
    ]
    for program in crowd:
        assert program.stdout.next_line() == "ready"
    relay.event("member.joined", member=f"guest-{CROWD}")

    for turn in range(TURNS):
        for program in crowd[turn % CYCLE :: CYCLE]:
            program.type("speak\n")
        for program in crowd:
            assert program.stdout.next_line() == "heard"

    start.member(relay).send(b"the end")
    for me, program in enumerate(crowd):
        heard = [0 if number == me else EACH for number in range(CROWD)]
        assert program.stdout.next_line() == f"heard {heard}, then b'the end'"
    totals = relay.stop()
    assert totals["datagrams"] == CROWD * EACH + 1
    assert totals["deliveries"] == CROWD * EACH * (CROWD - 1) + CROWD
    assert totals["dropped"] == {}
