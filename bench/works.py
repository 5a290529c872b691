"""The workloads, and the goals of udprelay for each."""

from __future__ import annotations

from dataclasses import dataclass

RATE, CPU, P50, P99 = "deliveries/s", "CPU per delivery", "p50", "p99"


@dataclass(frozen=True)
class Goal:
    """
    A bound on udprelay's figure divided by a peer's, in the same round.

    :param minimum: whether ``bound`` is a minimum; else it is a maximum.
    """

    peer: str
    metric: str
    bound: float
    minimum: bool

    def met(self, ratio: float) -> bool:
        """Return whether ``ratio`` meets the goal."""
        return ratio >= self.bound if self.minimum else ratio <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.minimum else '≤'} {self.bound:.3g}"


@dataclass(frozen=True)
class Work:
    """
    One workload.

    :param members: of each room.
    :param senders: of each room; the others only receive.
    :param size: bytes of a payload; 0 is a mix of 60 to 1,200.
    :param window: datagrams of a room in flight in a closed loop.
    :param burst: datagrams that one sender sends in a row.
    :param rate: datagrams/s into the relay, independent of deliveries; 0 is the closed loop.
    :param echo: whether member 1 answers member 0, to measure the round trip.
    :param plotted: whether it is in the plot.
    """

    name: str
    title: str
    members: int
    senders: int = 1
    rooms: int = 1
    size: int = 100
    window: int = 256
    burst: int = 64
    rate: int = 0
    echo: bool = False
    host: str = "127.0.0.1"
    goals: tuple[Goal, ...] = ()
    quick: bool = False
    plotted: bool = False

    @property
    def saturates(self) -> bool:
        """Whether the load keeps the relay's receive buffer non-empty."""
        return self.rate == 0

    @property
    def overloads(self) -> bool:
        """Whether the offered rate exceeds what any relay can deliver."""
        return self.rate > 10_000

    @property
    def metrics(self) -> tuple[str, ...]:
        """The figures that are compared."""
        if self.echo:
            return P50, P99
        return (RATE,) if self.saturates or self.overloads else (CPU,)

    def load_arguments(self) -> list[str]:
        """Return the options of the load program."""
        arguments = {
            "host": self.host,
            "members": self.members,
            "speakers": self.senders,
            "size": self.size or "mixed",
            "window": self.window,
            "burst": self.burst,
            "rate": self.rate,
            "echo": int(self.echo),
        }
        return [text for name, value in arguments.items() for text in (f"--{name}", str(value))]


def _rate(*bounds: tuple[str, float]) -> tuple[Goal, ...]:
    return tuple(Goal(peer, RATE, bound, minimum=True) for peer, bound in bounds)


# Session members get at least 0.85 of the rate of plain members.
_SESSIONS = Goal("udprelay-session", RATE, 1 / 0.85, minimum=False)
_FAN = _rate(("twisted", 6), ("c-sendto", 2.5), ("ncat", 2.5), ("c-mmsg-gso", 0.85))
_FAN += (_SESSIONS,)
_CONFERENCE = (*_rate(("twisted", 6), ("c-sendto", 3)), _SESSIONS)
_LIGHT = (
    Goal("twisted", CPU, 0.6, minimum=False),
    Goal("c-sendto", CPU, 1.15, minimum=False),
    Goal("udprelay-session", CPU, 0.85, minimum=True),
)
_LATENCY = tuple(Goal("c-sendto", metric, 1.3, minimum=False) for metric in (P50, P99))

WORKS = (
    Work("fan-10", "1 → 10, 100 B", 11, goals=_FAN, plotted=True),
    Work("fan-50", "1 → 50, 100 B", 51, goals=_FAN, quick=True, plotted=True),
    Work("fan-1000", "1 → 1,000, 100 B", 1001, window=128, plotted=True),
    Work("fan-10-1200", "1 → 10, 1,200 B", 11, size=1200, goals=_FAN),
    Work("fan-50-1200", "1 → 50, 1,200 B", 51, size=1200, goals=_FAN, plotted=True),
    Work("fan-10-mixed", "1 → 10, mixed sizes", 11, size=0),
    Work("fan-50-mixed", "1 → 50, mixed sizes", 51, size=0, plotted=True),
    Work("fan-50-ipv6", "1 → 50, 100 B, IPv6", 51, host="::1", goals=_FAN),
    Work("conference-20", "20 all send, 100 B", 20, 20, burst=1, goals=_CONFERENCE),
    Work(
        "conference-100",
        "100 all send, 100 B",
        100,
        100,
        burst=1,
        goals=_CONFERENCE,
        quick=True,
        plotted=True,
    ),
    Work(
        "pairs-25",
        "25 rooms of 2, 100 B",
        2,
        2,
        rooms=25,
        window=64,
        burst=16,
        goals=(*_rate(("twisted", 3)), _SESSIONS),
        quick=True,
        plotted=True,
    ),
    Work("overload-10", "1 → 10, 150,000/s offered", 11, rate=150_000),
    Work("light-20", "20 members, 1,000/s in", 20, 20, rate=1000, goals=_LIGHT, quick=True),
    Work("latency", "round trip at 1,000/s", 2, rate=1000, echo=True, goals=_LATENCY, quick=True),
)
