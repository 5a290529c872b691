"""A hub keeps nothing of plain members that have left, and nothing of forged datagrams."""

from __future__ import annotations

from collections.abc import Callable

from virtual_hosts import VirtualRelay
from virtual_network import Conditions
from virtual_scenario import World

from reachable import Footprint, footprint, growth

END = 20.0
BAD = Conditions(loss=0.2, duplication=0.2, delay=(0.001, 2.0), reordering=True)
TOLERANCE = Footprint(objects=20, size=4096)
"""For drop counters, and for containers that do not give memory back."""


def footprint_of(relay: VirtualRelay) -> Footprint:
    # The transports belong to the network.
    transports = [listener.transport for listener in relay.listeners.values()]
    return footprint(relay.hub, relay.listeners, without=transports)


def test_members_and_forged_datagrams_leave_nothing_in_the_hub(
    for_each_seed: Callable[..., None],
) -> None:
    def simulate(seed: int) -> None:
        world = World(seed, BAD, idle_timeout=8.0, failures=0.05, max_members=5)
        world.send_payloads(0, END)
        world.forge(0, END, rate=100)
        # Cookies that have made a member are kept for up to a minute.
        world.time.run(END + 80)
        relay = world.relay
        relay.stop()
        used = footprint_of(relay)
        relay.start()
        relay.stop()
        grown = growth(footprint_of(relay), used)
        assert grown.objects <= TOLERANCE.objects, f"more than in a new hub: {grown}"
        assert grown.size <= TOLERANCE.size, f"more than in a new hub: {grown}"

    for_each_seed(simulate, range(10))
