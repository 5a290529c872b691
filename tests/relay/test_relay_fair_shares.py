"""Fair shares of room_output and [limits] output, in virtual time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest
from attrs import evolve
from relay_driver import Relay, open_to_all

from udprelay.relay.rules import Limits, RoomRules
from udprelay.relay.shares import WINDOW, Budget, Usage

SIZE = 800
"""With what each delivery counts besides, 1,000 bytes."""
RATE = 1_000_000


class World:
    """
    Rooms of ten members each, and what the gate accepts of some of them.

    :ivar accepted: bytes that are sent because of each source.
    """

    def __init__(self, *rooms: str, output: int = 0, room_output: int = 0) -> None:
        room = RoomRules(
            member_rate=0, member_bandwidth=0, member_output=0, room_output=room_output
        )
        rules = open_to_all(**dict.fromkeys(rooms, room))
        self.relay = Relay(evolve(rules, limits=Limits(output=output)))
        for n, name in enumerate(rooms):
            for source in (f"10.{n}.0.{member}:1" for member in range(11)):
                self.relay.receive(source, b"", listener=name)
        self.rooms = rooms
        self.offered: Counter[tuple[str, int]] = Counter()
        self.accepted: Counter[tuple[str, int]] = Counter()

    def run(self, seconds: float, rates: Mapping[tuple[str, int], int]) -> None:
        """Let members, by room and number, send datagrams at rates per second."""
        step = 0.01
        due: Counter[tuple[str, int]] = Counter()
        for _ in range(round(seconds / step)):
            self.relay.now += step
            for (name, number), rate in rates.items():
                due[name, number] += round(rate * step * 1000)
                count, due[name, number] = divmod(due[name, number], 1000)
                if count:
                    self.send(name, number, count)

    def send(self, name: str, number: int, count: int) -> None:
        source = f"10.{self.rooms.index(name)}.0.{number}:1"
        member = self.relay.member(source, name)
        now = self.relay.now
        taken = self.relay.hub.gate.accept(member, count, count * SIZE, SIZE, now)
        self.offered[name, number] += count
        self.accepted[name, number] += taken


FLOOD = 2000
"""Datagrams a second: with ten receivers twenty times what the relay may send."""


@pytest.mark.parametrize("budget", ["output", "room_output"])
class TestOneFlooder:
    def test_takes_nothing_from_small_talkers_of_its_room(self, budget: str) -> None:
        world = World("a", **{budget: RATE})
        world.run(5.0, {("a", 0): FLOOD})
        small = {("a", number): 5 for number in range(1, 6)}
        world.run(10.0, {("a", 0): FLOOD, **small})
        assert [world.accepted[one] for one in small] == [world.offered[one] for one in small]

    def test_gets_what_the_others_leave(self, budget: str) -> None:
        world = World("a", **{budget: RATE})
        rates = {("a", 0): FLOOD, **{("a", number): 5 for number in range(1, 6)}}
        world.run(5.0, rates)
        world.accepted.clear()
        world.run(20.0, rates)
        assert sum(world.accepted.values()) * 10 * 1000 == pytest.approx(20 * RATE, rel=0.05)

    def test_that_begins_later_takes_nothing_either(self, budget: str) -> None:
        world = World("a", **{budget: RATE})
        small = {("a", number): 5 for number in range(1, 6)}
        world.run(2.0, small)
        world.run(10.0, {("a", 0): FLOOD, **small})
        assert [world.accepted[one] for one in small] == [world.offered[one] for one in small]


def test_a_flooder_takes_nothing_from_another_room() -> None:
    world = World("a", "b", output=RATE)
    talkers = {("b", number): 8 for number in range(5)}
    world.run(10.0, {("a", 0): FLOOD, **talkers})
    assert [world.accepted[one] for one in talkers] == [world.offered[one] for one in talkers]


def test_many_flooders_of_one_room_take_no_more_than_one_of_another() -> None:
    world = World("a", "b", output=RATE)
    rates = {("b", 0): FLOOD, **{("a", number): FLOOD for number in range(8)}}
    world.run(5.0, rates)
    world.accepted.clear()
    world.run(20.0, rates)
    by_room = Counter[str]()
    for (name, _), count in world.accepted.items():
        by_room[name] += count
    assert by_room["a"] == pytest.approx(by_room["b"], rel=0.15)
    assert sum(by_room.values()) * 10 * 1000 == pytest.approx(20 * RATE, rel=0.05)


def test_flooders_get_the_same_however_much_they_send() -> None:
    world = World("a", room_output=RATE)
    rates = {("a", 0): 200, ("a", 1): 1000, ("a", 2): 4000}
    world.run(5.0, rates)
    world.accepted.clear()
    world.run(30.0, rates)
    shares = sorted(world.accepted.values())
    assert shares[-1] <= 1.3 * shares[0]


def test_nobody_is_cut_while_there_is_enough() -> None:
    world = World("a", "b", output=RATE, room_output=RATE)
    world.run(10.0, {("a", 0): 45, ("b", 0): 45})
    assert world.accepted == world.offered
    assert world.relay.hub.census.read()["tables.shares"] == 0


def test_a_room_that_has_closed_is_forgotten() -> None:
    world = World("a", "b", output=RATE)
    world.run(1.0, {("a", 0): FLOOD, ("b", 0): 5})
    assert world.relay.hub.census.read()["tables.shares"] > 0
    for room in list(world.relay.hub.roster.rooms.values()):
        for member in list(room.members()):
            world.relay.hub.kick(member, world.relay.now)
    assert world.relay.hub.census.read()["tables.shares"] == 0


class TestBudget:
    def test_a_debt_is_limited_to_a_second(self) -> None:
        budget = Budget(1000)
        budget.charge(1_000_000, 10.0)
        assert budget.fair(0, 1, 1, 100, 11.0 - 0.01) == 0
        assert budget.fair(0, 1, 1, 100, 11.0 + 0.01) == 1

    def test_without_a_limit_all_is_fair(self) -> None:
        assert Budget(0).fair(1e12, 1000, 64, 10**9, 0.0) == 64


class TestUsage:
    def test_fades_after_a_window(self) -> None:
        usage = Usage()
        assert usage.look_up("a", 10.0) == 0
        usage.add("a", 1000)
        assert usage.look_up("a", 10.0) == 1000
        assert usage.look_up("a", 10.0 + WINDOW) == 1000
        assert usage.look_up("a", 10.0 + 1.5 * WINDOW) == 500
        assert usage.look_up("a", 10.0 + 4 * WINDOW) == 0

    def test_counts_users_of_two_windows_once(self) -> None:
        usage = Usage()
        usage.look_up("a", 10.0)
        usage.look_up("b", 10.0)
        usage.look_up("a", 10.0 + WINDOW)
        usage.look_up("c", 10.0 + WINDOW)
        assert usage.users == 3
