"""
The cost of a session's join and leave among many others: ``python -m bench.session_members``.

Sessions join rooms of 100, 2,000 and 10,000 sessions and leave again, one in a turn of the relay,
and ten. Only the hub is measured: it receives JOIN or LEAVE, and does what is due 50 ms later. The
deliveries are left out, but the fan-outs are counted: each is a delivery to every member. The
shapes alternate in each round. The garbage collector is off while the clock runs, the clock counts
CPU time of this process, and the median of the rounds is printed. Then it measures the memory of
idle sessions in a process of its own. What exceeds a goal makes the exit status 1.
"""

from __future__ import annotations

import argparse
import gc
import subprocess
import sys
from collections.abc import Iterator, Sequence
from statistics import median
from typing import TypeVar

from bench.members import SilentTransport, Stopwatch, resident, sources
from udprelay.protocol.wire import decode_from_relay
from udprelay.protocol.wire.from_client import Leave
from udprelay.protocol.wire.joining import Challenge, Hello, Join, Welcome
from udprelay.relay.driver import HubDriver
from udprelay.relay.hub import Hub
from udprelay.relay.room import Group
from udprelay.relay.rules import Limits, ListenerRules, RelayRules, RoomRules
from udprelay.segments import Run, Source, runs_by_source

SIZES = (100, 2_000, 10_000)
TURNS = (1, 10)
"""Sessions that join or leave in one turn."""
JOINING = 200
IDLE = 10_000

GOAL = 1.5
MEMORY_GOAL = 2048
_LATER = 0.05
_MANY = 1_000_000_000
_FILLING = 50

Answer = TypeVar("Answer", Challenge, Welcome)
Key = tuple[str, int, int]
"""What is done, by how many in a turn, and the size of the room."""


class CountingTransport(SilentTransport):
    """
    Counts fan-outs, and keeps replies.

    :ivar fan_outs: how many there were.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.fan_outs = 0
        self.replies: list[tuple[Source, bytes]] = []

    def deliver(self, runs: Sequence[Run], group: Group, count: int) -> tuple[()]:
        """Count a fan-out."""
        self.fan_outs += 1
        return ()

    def reply(self, datagrams: Sequence[tuple[Source, bytes]]) -> tuple[()]:
        """Keep the datagrams."""
        self.replies += datagrams
        return ()


class Relay:
    """A hub with one room of sessions, and its owner."""

    def __init__(self) -> None:
        rules = RelayRules(
            max_members=_MANY,
            listeners={"main": ListenerRules()},
            room_defaults=RoomRules(max_members=_MANY, session_timeout=1e6),
            limits=Limits(
                session_rate=_MANY,
                session_burst=_MANY,
                source_members=0,
                join_rate=1e6,
                join_burst=10**6,
            ),
        )
        self._hub = Hub(rules, bytes(32), lambda _: False, 0.0)
        self._now = 0.0
        self._driver = HubDriver(self._hub, lambda: self._now, lambda event: None)
        self._transport = CountingTransport("main")
        self._listener = self._hub.open_listener("main", self._transport)

    @property
    def members(self) -> int:
        """How many sessions there are."""
        return self._hub.roster.member_count

    @property
    def fan_outs(self) -> int:
        """How many fan-outs there were."""
        return self._transport.fan_outs

    def receive(self, turn: Sequence[tuple[Source, bytes]]) -> None:
        """Receive the datagrams of one turn, and do what is due a little later."""
        self._driver.receive(self._listener, runs_by_source(turn), self._now)
        self._now += _LATER
        deadline = self._hub.next_deadline()
        if deadline is not None and deadline <= self._now:
            self._driver.expire()

    def answers(self, kind: type[Answer]) -> Iterator[tuple[Source, Answer]]:
        """Yield the answers of one kind since the last call."""
        replies, self._transport.replies = self._transport.replies, []
        for source, datagram in replies:
            answer = decode_from_relay(datagram)
            if isinstance(answer, kind):
                yield source, answer


def joins(relay: Relay, newcomers: Sequence[Source]) -> list[tuple[Source, bytes]]:
    """Return JOIN of each newcomer."""
    hello = Hello(bytes(8), "lobby").encode()
    relay.receive([(source, hello) for source in newcomers])
    found = []
    for source, challenge in relay.answers(Challenge):
        secret = f"{source[0][7:]}".encode().ljust(16)
        nick = secret.decode().strip()
        join = Join(challenge.nonce, challenge.cookie, "lobby", nick, secret)
        found.append((source, join.encode()))
    return found


def leaves(relay: Relay) -> list[tuple[Source, bytes]]:
    """Return LEAVE of each that has joined since the last call."""
    return [(source, Leave(w.session_id).encode()) for source, w in relay.answers(Welcome)]


def fill(relay: Relay, members: Sequence[Source]) -> None:
    """Let all members join."""
    for start in range(0, len(members), _FILLING):
        relay.receive(joins(relay, members[start : start + _FILLING]))
        list(relay.answers(Welcome))


def measure(size: int) -> dict[Key, tuple[float, float]]:
    """Return the microseconds and the fan-outs of each join and leave in a room of ``size``."""
    addresses = sources(size + JOINING)
    relay = Relay()
    fill(relay, addresses[JOINING:])
    found = {}
    for turn in TURNS:
        datagrams = joins(relay, addresses[:JOINING])
        found["join", turn, size] = _time(relay, datagrams, turn)
        if relay.members != size + JOINING:
            raise SystemExit("not all members have joined")
        found["leave", turn, size] = _time(relay, leaves(relay), turn)
        if relay.members != size:
            raise SystemExit("not all members have left")
    return found


def _time(
    relay: Relay, datagrams: Sequence[tuple[Source, bytes]], turn: int
) -> tuple[float, float]:
    before = relay.fan_outs
    turns = [datagrams[start : start + turn] for start in range(0, len(datagrams), turn)]
    watch = Stopwatch()
    with watch:
        for batch in turns:
            relay.receive(batch)
    count = len(datagrams)
    return watch.seconds * 1e6 / count, (relay.fan_outs - before) / count


def compare(rounds: int) -> bool:
    """Print the cost of each step in each size of room; return whether every goal is met."""
    results: dict[Key, list[tuple[float, float]]] = {}
    measure(SIZES[0])  # warms up
    for number in range(rounds):
        shift = number % len(SIZES)
        for size in SIZES[shift:] + SIZES[:shift]:
            for key, cost in measure(size).items():
                results.setdefault(key, []).append(cost)
    met = True
    print(
        f"{'work':8}{'in a turn':>10}{'members':>9}{'µs each':>9}{'fan-outs':>10}{'ratio':>7}"
        f"   goal ≤ {GOAL}"
    )
    for work in ("join", "leave"):
        for turn in TURNS:
            few = [time for time, _ in results[work, turn, SIZES[0]]]
            for size in SIZES:
                times, fan_outs = zip(*results[work, turn, size], strict=True)
                ratio = median(time / base for time, base in zip(times, few, strict=True))
                met = met and ratio <= GOAL
                print(
                    f"{work:8}{turn:10}{size:9,}{median(times):9.1f}{median(fan_outs):10.2f}"
                    f"{ratio:7.2f}   {'met' if ratio <= GOAL else 'MISSED'}"
                )
    return met


def grow() -> None:
    """Print the bytes that each of :data:`IDLE` idle sessions of one room takes."""
    addresses = sources(IDLE + SIZES[0])
    relay = Relay()
    # What the first ones allocate once is not theirs.
    fill(relay, addresses[: SIZES[0]])
    gc.collect()
    before = resident()
    fill(relay, addresses[SIZES[0] :])
    gc.collect()
    if relay.members != len(addresses):
        raise SystemExit("not all members have joined")
    print((resident() - before) // IDLE)


def memory() -> bool:
    """Print the memory of an idle session; return whether the goal is met."""
    child = [sys.executable, "-m", "bench.session_members", "--grow"]
    each = int(subprocess.run(child, check=True, stdout=subprocess.PIPE).stdout)
    verdict = "met" if each <= MEMORY_GOAL else "MISSED"
    print(f"{IDLE:,} idle sessions: {each} bytes each   goal ≤ {MEMORY_GOAL:,} {verdict}")
    return each <= MEMORY_GOAL


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m bench.session_members", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default 3)")
    parser.add_argument("--grow", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.grow:
        grow()
        return 0
    return 0 if all([compare(arguments.rounds), memory()]) else 1


if __name__ == "__main__":
    sys.exit(main())
