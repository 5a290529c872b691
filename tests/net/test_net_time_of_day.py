"""A relay whose time of day jumps: nothing happens."""

from __future__ import annotations

import pytest_twisted
from net_peers import MakePeer, OpenRelay, loopback, one_listener
from net_reactors import NamedReactor
from twisted.internet.defer import Deferred

from name_resolver import NameResolver
from time_of_day import SetTimeOfDay
from udprelay.net.targets import Targets
from udprelay.relay import events
from udprelay.relay.rules import RelayRules, RoomRules


@pytest_twisted.ensureDeferred
async def test_silent_members_leave_and_others_stay(
    open_relay: OpenRelay, make_peer: MakePeer, set_time_of_day: SetTimeOfDay, jump: float
) -> None:
    rules = RelayRules(
        listeners={"main": loopback(), "short": loopback(room="short")},
        rooms={"short": RoomRules(idle_timeout=0.1)},
    )
    relay = open_relay(rules)
    sender, member = [await make_peer().join(relay) for _ in range(2)]
    silent = await make_peer().join(relay, "short")
    set_time_of_day(jump)
    (left,) = await relay.seen(events.MemberLeft)
    assert left.address == str(silent)
    sender.send(b"still here", relay)
    assert await member.receive() == [b"still here"]
    assert len(relay.of(events.MemberLeft)) == 1


@pytest_twisted.ensureDeferred
async def test_statistics_and_drops_are_reported(
    open_relay: OpenRelay, make_peer: MakePeer, set_time_of_day: SetTimeOfDay, jump: float
) -> None:
    relay = open_relay(one_listener(), statistics=0.02)
    await relay.seen(events.RelayStatistics)
    set_time_of_day(jump)
    await relay.seen(events.RelayStatistics, len(relay.of(events.RelayStatistics)) + 2)


@pytest_twisted.ensureDeferred
async def test_targets_are_looked_up(
    open_relay: OpenRelay, set_time_of_day: SetTimeOfDay, jump: float
) -> None:
    looked_up: Deferred[None] = Deferred()

    class Resolver(NameResolver):
        def answer(self) -> None:
            super().answer()
            if self.look_ups == 3:
                looked_up.callback(None)

    room = RoomRules(targets=(("collector.example", 2055),), target_refresh=0.02)
    rules = RelayRules(listeners={"main": loopback()}, rooms={"lobby": room})
    relay = open_relay(rules, NamedReactor(Resolver("127.0.0.1")))
    targets = Targets(relay.relay)
    targets.start()
    set_time_of_day(jump)
    await looked_up
    targets.stop()
