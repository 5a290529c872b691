"""
The cost of a member among many others.

``python -m bench.members`` makes 10,000 members join, time out and get kicked. It compares the
cost of each step with that in a room of 100: all in one room, and in 1,000 rooms of 10. Then it
measures the memory of idle members, 10,000 and 100,000 plain ones and 10,000 session members, each
in a process of its own.

Only the hub and its driver are measured. Members join with empty datagrams: a payload would add
the cost of its fan-out. The shapes alternate in each round. The garbage collector is off while
the clock runs, the clock counts CPU time of this process, and the median of the rounds is
printed. A ratio above the goal makes the exit status 1.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from statistics import median
from time import process_time
from typing import Any

from attrs import frozen

from udprelay.protocol.endpoint import Endpoint, endpoint
from udprelay.protocol.wire import FromRelay, decode_from_relay
from udprelay.protocol.wire.joining import Challenge, Hello, Join
from udprelay.relay.driver import HubDriver
from udprelay.relay.flood_source import FloodSource
from udprelay.relay.hub import Hub
from udprelay.relay.room import Group, Listener
from udprelay.relay.rules import Limits, ListenerRules, RelayRules, RoomRules
from udprelay.segments import Run, Segments, Source, SourceRun

MEMBERS = 10_000
BATCH = 10
"""Datagrams in a batch: the size of the smallest room, for all shapes."""

NOTHING = Segments(b"", 0)

GOAL = 1.5
MEMORY_GOALS = (("plain", 10_000, 1024), ("plain", 100_000, 1024), ("session", 10_000, 2048))
"""The kind of the members, their number, and the bytes of each."""

WORKS = ("join", "expire", "leave")
_LIMITS = ("challenge_rate", "challenge_burst", "session_rate", "session_burst", "join_burst")


@frozen
class Shape:
    """
    How :data:`MEMBERS` members are divided into rooms.

    :param hubs: number of relays, one after the other.
    :param rooms: rooms of each relay.
    :param members: members of each room.
    """

    name: str
    hubs: int
    rooms: int
    members: int


FEW = Shape("1 room of 100", 100, 1, 100)
SHAPES = (FEW, Shape("1 room of 10,000", 1, 1, MEMBERS), Shape("1,000 rooms of 10", 1, 1000, 10))


class SilentTransport:
    """Sends nothing, and counts what it is given to send."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sent = 0

    def deliver(self, runs: Sequence[Run], group: Group, count: int) -> tuple[()]:
        """Count the runs."""
        self.sent += len(runs)
        return ()

    def reply(self, datagrams: Sequence[tuple[Source, bytes]]) -> tuple[()]:
        """Count the datagrams."""
        self.sent += len(datagrams)
        return ()

    def endpoint(self, source: Source) -> Endpoint:
        """Return the endpoint of a source, as the port does."""
        return endpoint(source[0], source[1])

    def source_of(self, host: str, port: int) -> None:
        """Return None: it reaches no address that it has not heard."""
        return

    def peer_of(self, source: Source) -> Source:
        """Return the source: there is one local address."""
        return source

    def is_neighbour(self, source: Source) -> bool:
        """Return whether a source is near the interface of arrival."""
        return False

    def filter(self, sources: Sequence[FloodSource]) -> None:
        """Drop nothing: all is to be read."""

    def own_endpoints(self) -> tuple[()]:
        """Return no endpoint."""
        return ()

    def start_reading(self) -> None:
        """Do nothing: the batches are made here."""

    def stop_reading(self) -> None:
        """Do nothing: the batches are made here."""

    def statistics(self) -> int:
        """Return what it was given to send."""
        return self.sent

    def close(self) -> None:
        """Do nothing: there is no socket."""


class Relay:
    """A hub with as many listeners as it has rooms, and its owner."""

    def __init__(self, rooms: int) -> None:
        names = [f"room-{number}" for number in range(rooms)]
        limits: dict[str, Any] = dict.fromkeys(_LIMITS, 10**9)
        limits |= {"source_members": 0, "source_rooms": 0}
        rules = RelayRules(
            max_members=10_000_000,
            listeners={name: ListenerRules(room=name) for name in names},
            room_defaults=RoomRules(max_members=10_000_000),
            limits=Limits(**limits),
        )
        self.hub = Hub(rules, bytes(32), lambda _: False, 0.0)
        self.driver = HubDriver(self.hub, lambda: self.now, lambda event: None, self._set_timer)
        self.deadline: float | None = None
        self.now = 0.0
        self.listeners = [self.hub.open_listener(name, SilentTransport(name)) for name in names]

    def _set_timer(self, deadline: float | None) -> None:
        self.deadline = deadline


def sources(count: int) -> list[Source]:
    """Return addresses in the form of a dual-stack socket, in a scattered order."""
    return [
        (f"::ffff:10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}", 1024 + n % 60_000, 0, 0)
        for n in (number * 7919 % count for number in range(count))
    ]


def batches(relay: Relay, members: int) -> Iterator[tuple[Listener, list[SourceRun]]]:
    """Yield the datagrams with which the members of each room join."""
    rooms = len(relay.listeners)
    all_sources = sources(rooms * members)
    for start in range(0, len(all_sources), BATCH):
        listener = relay.listeners[start // BATCH % rooms]
        yield listener, [(source, NOTHING) for source in all_sources[start : start + BATCH]]


def join(relay: Relay, joining: Sequence[tuple[Listener, list[SourceRun]]]) -> None:
    """Let all members join."""
    driver = relay.driver
    for listener, batch in joining:
        driver.receive(listener, batch, 0.0)


def expire(relay: Relay) -> None:
    """Let all members time out."""
    relay.now = 10_000.0
    while relay.deadline is not None:
        relay.driver.expire()


def leave(relay: Relay) -> None:
    """Kick all members, the first of each room first."""
    hub, driver = relay.hub, relay.driver
    for listener in relay.listeners:
        for member in list(listener.members.values()):
            hub.kick(member, 0.0)
            driver.settle()


class Stopwatch:
    """Adds up CPU time, with the garbage collector switched off."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> None:
        gc.collect()
        gc.disable()
        self._start = process_time()

    def __exit__(self, *_: object) -> None:
        self.seconds += process_time() - self._start
        gc.enable()


def measure(shape: Shape) -> dict[str, float]:
    """Return the microseconds of each step per member."""
    watches = {work: Stopwatch() for work in WORKS}
    for end in (expire, leave):
        relays = [Relay(shape.rooms) for _ in range(shape.hubs)]
        joining = [list(batches(relay, shape.members)) for relay in relays]
        with watches["join"]:
            for relay, datagrams in zip(relays, joining, strict=True):
                join(relay, datagrams)
        if any(relay.hub.roster.member_count != shape.rooms * shape.members for relay in relays):
            raise SystemExit("not all members have joined")
        with watches[end.__name__]:
            for relay in relays:
                end(relay)
        if any(relay.hub.roster.member_count for relay in relays):
            raise SystemExit("not all members have left")
    times = {work: watch.seconds * 1e6 / MEMBERS for work, watch in watches.items()}
    times["join"] /= 2
    return times


def compare(rounds: int) -> bool:
    """Print the cost of each step in each shape; return whether every goal is met."""
    results: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds + 1):
        # The first shape of a round is slower at times.
        turn = number % len(SHAPES)
        for shape in SHAPES[turn:] + SHAPES[:turn]:
            for work, time in measure(shape).items():
                # The first round warms up.
                results.setdefault((work, shape.name), []).extend([time] if number else [])
    met = True
    print(f"{'work':8}{'shape':20}{'µs each':>9}{'ratio':>8}   goal ≤ {GOAL}")
    for work in WORKS:
        few = results[work, FEW.name]
        for shape in SHAPES:
            times = results[work, shape.name]
            ratio = median(time / base for time, base in zip(times, few, strict=True))
            met = met and ratio <= GOAL
            verdict = "" if ratio <= GOAL else "   MISSED"
            print(f"{work:8}{shape.name:20}{median(times):9.2f}{ratio:8.2f}{verdict}")
    return met


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def exchange(relay: Relay, source: Source, datagram: bytes, now: float) -> list[FromRelay]:
    """Let the hub receive a datagram; return the answers."""
    hub, relay.now = relay.hub, now
    hub.receive(relay.listeners[0], [(source, Segments(datagram, len(datagram)))], now)
    hub.control(now)
    hub.drain_events()
    return [decode_from_relay(payload) for _, _, payload in hub.drain_replies()]


def join_one(relay: Relay, kind: str, number: int) -> None:
    """Let one member join, at an address of its own: those that the hub keeps are counted."""
    address = f"::ffff:10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    source, now = (address, 1024 + number % 60_000, 0, 0), float(number)
    if kind == "plain":
        relay.driver.receive(relay.listeners[0], [(source, NOTHING)], now)
        return
    nonce, room = number.to_bytes(8, "big"), "room-0"
    (challenge,) = exchange(relay, source, Hello(nonce, room).encode(), now)
    if isinstance(challenge, Challenge):
        secret = number.to_bytes(16, "big")
        join = Join(nonce, challenge.cookie, room, f"member-{number}", secret)
        exchange(relay, source, join.encode(), now)


def grow(kind: str, count: int) -> None:
    """Print the bytes that each of ``count`` idle members of one room takes."""
    relay = Relay(1)
    # The first ones load tables.
    for number in range(BATCH):
        join_one(relay, kind, number)
    gc.collect()
    before = resident()
    for number in range(BATCH, BATCH + count):
        join_one(relay, kind, number)
    gc.collect()
    if relay.hub.roster.member_count != BATCH + count:
        raise SystemExit("not all members have joined")
    print((resident() - before) // count)


def memory() -> bool:
    """Print the memory of idle members; return whether the goals are met."""
    met = True
    for kind, count, goal in MEMORY_GOALS:
        child = [sys.executable, "-m", "bench.members", "--grow", kind, str(count)]
        each = int(subprocess.run(child, check=True, stdout=subprocess.PIPE).stdout)
        met = met and each <= goal
        print(f"{count:>9,} idle {kind} members: {each:5} bytes each   goal ≤ {goal:,}")
    return met


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m bench.members", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rounds", type=int, default=7, help="measured rounds (default 7)")
    parser.add_argument("--grow", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.grow:
        grow(arguments.grow[0], int(arguments.grow[1]))
        return 0
    return 0 if all([compare(arguments.rounds), memory()]) else 1


if __name__ == "__main__":
    sys.exit(main())
