"""Honest senders of one payload, again and again: nothing is lost, nobody is muted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from random import Random

import pytest
from relay_driver import Relay, open_to_all

from udprelay.relay.events import LoopFound
from udprelay.relay.rules import RoomRules

MAX_DELAY = 0.7
"""Seconds until a payload is delivered, or the next one of these senders is received."""

Sent = tuple[float, str, bytes]
"""When something is sent, by whom, and what."""


def player(number: int) -> str:
    return f"10.0.0.{number}:1000"


def regularly(
    sender: str, period: float, seconds: float, payload: bytes = b"alive", start: float = 0.0
) -> Iterator[Sent]:
    for number in range(round(seconds / period)):
        yield start + number * period, sender, payload


def jittered(sender: str, period: float, seconds: float, seed: int) -> Iterator[Sent]:
    random, time = Random(f"{seed} {sender}"), 0.0
    while time < seconds:
        time += random.uniform(0.2, 1.8) * period
        yield time, sender, b"alive"


def bursts(sender: str, copies: int, spacing: float, period: float) -> Iterator[Sent]:
    for number in range(60):
        for copy in range(copies):
            yield number * period + copy * spacing, sender, b"state"


def talk(sender: str, seed: int) -> Iterator[Sent]:
    """Yield frames of 20 ms: silence, all alike, and speech."""
    random, speaks = Random(f"{seed} {sender}"), False
    for number in range(1000):
        speaks ^= random.random() < 0.02
        frame = random.randbytes(40) if speaks else b"\xf8\xff\xfe"
        yield number * 0.02 + random.uniform(0, 0.005), sender, frame


def changing(sender: str) -> Iterator[Sent]:
    """Yield the values of a sensor, each many times."""
    for number in range(3000):
        yield number * 0.001, sender, b"%d" % (20 + number // 400 % 3)


def stalled(sender: str, seed: int) -> Iterator[Sent]:
    """Yield what a program sends that the scheduler stops for a while, now and then."""
    random, time = Random(seed), 0.0
    for _ in range(3000):
        time += 0.001 if random.random() > 0.01 else random.uniform(0, 0.5)
        yield time, sender, b"alive"


def mixed(*senders: Iterable[Sent]) -> list[Sent]:
    return list(merge(*senders))


def in_bursts(period: float) -> Callable[[int], list[Sent]]:
    return lambda seed: mixed(bursts(player(1), 4 + seed, 0.001, period))


TRAFFIC: dict[str, Callable[[int], list[Sent]]] = {
    "telemetry of 1,000/s": lambda seed: mixed(regularly(player(1), 0.001, 8)),
    "two sensors of 1,000/s in step": lambda seed: mixed(
        regularly(player(1), 0.001, 3), regularly(player(2), 0.001, 3, start=0.0005)
    ),
    "a sensor whose values change": lambda seed: mixed(changing(player(1))),
    "64 players' heartbeats": lambda seed: mixed(
        *(regularly(player(n), 1, 30, start=n / 64) for n in range(1, 65))
    ),
    "64 players' heartbeats at once": lambda seed: mixed(
        *(regularly(player(n), 0.05, 3) for n in range(1, 65))
    ),
    "12 players of 20/s": lambda seed: mixed(
        *(jittered(player(n), 0.05, 20, seed) for n in range(1, 13))
    ),
    "a game of 128 ticks": lambda seed: mixed(
        *(regularly(player(n), 1 / 128, 10, start=n / 256) for n in (1, 2))
    ),
    "three players of 128 ticks": lambda seed: mixed(
        *(jittered(player(n), 1 / 128, 10, seed) for n in (1, 2, 3))
    ),
    "a voice conference": lambda seed: mixed(*(talk(player(n), seed) for n in (1, 2, 3))),
    "programs that are stopped at times": lambda seed: mixed(
        stalled(player(1), seed), stalled(player(2), seed + 100)
    ),
    "one burst": lambda seed: mixed(regularly(player(1), 0.0005, 0.01 * (seed + 1))),
    **{f"bursts every {ms} ms": in_bursts(ms / 1000) for ms in range(60, 660, 50)},
}


@pytest.mark.parametrize("traffic", TRAFFIC.values(), ids=TRAFFIC)
def test_honest_senders_lose_nothing(traffic: Callable[[int], list[Sent]]) -> None:
    for seed in range(2):
        relay = Relay(open_to_all(lobby=RoomRules()))
        sent = traffic(seed)
        senders = {sender for _, sender, _ in sent}
        relay.join("10.9.9.9:9", *senders, listener="lobby")
        begun, arrived, expected = relay.now, 0, []
        inbox = relay.inboxes["10.9.9.9:9"]
        for time, sender, payload in sent:
            relay.wait(max(0.0, begun + time - relay.now))
            relay.receive(sender, payload, listener="lobby")
            expected.append((begun + time, payload))
            while arrived < len(inbox):
                assert relay.now - expected[arrived][0] <= MAX_DELAY
                arrived += 1
        relay.wait(2)
        assert sorted(inbox) == sorted(payload for _, payload in expected)
        assert not relay.events(LoopFound)
        assert not any(relay.dropped().values())
