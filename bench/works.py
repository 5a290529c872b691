"""What the relays are given to do, and what is expected of ours."""

from __future__ import annotations

from dataclasses import dataclass

RATE, CPU, P50, P99 = "deliveries/s", "CPU per delivery", "p50", "p99"


@dataclass(frozen=True)
class Goal:
    """
    A bound on udprelay's figure divided by a peer's, in the same round.

    :param least: whether ``bound`` is the least that will do; else it is the most.
    """

    peer: str
    metric: str
    bound: float
    least: bool

    def met(self, ratio: float) -> bool:
        """Return whether ``ratio`` is good enough."""
        return ratio >= self.bound if self.least else ratio <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.least else '≤'} {self.bound:.3g}"


@dataclass(frozen=True)
class Work:
    """
    One load.

    :param members: of each room.
    :param speakers: of each room; the others only listen.
    :param size: bytes of a payload; 0 is a mix of 60 to 1,200.
    :param window: datagrams of a room that are under way at once in a closed loop.
    :param burst: datagrams that one speaker sends in one go.
    :param rate: datagrams/s into the relay whatever comes of them; 0 is the closed loop.
    :param echo: whether member 1 answers member 0, which measures the round trip.
    :param plotted: whether the plot shows it.
    """

    name: str
    title: str
    members: int
    speakers: int = 1
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
        """Whether the relay's receive buffer should never be empty."""
        return self.rate == 0

    @property
    def overloads(self) -> bool:
        """Whether more is offered than any relay can deliver."""
        return self.rate > 10_000

    @property
    def metrics(self) -> tuple[str, ...]:
        """The figures that udprelay's are compared in."""
        if self.echo:
            return P50, P99
        return (RATE,) if self.saturates or self.overloads else (CPU,)

    def load_arguments(self) -> list[str]:
        """Return the options of the load program."""
        arguments = {
            "host": self.host,
            "members": self.members,
            "speakers": self.speakers,
            "size": self.size or "mixed",
            "window": self.window,
            "burst": self.burst,
            "rate": self.rate,
            "echo": int(self.echo),
        }
        return [text for name, value in arguments.items() for text in (f"--{name}", str(value))]


def _rate(*bounds: tuple[str, float]) -> tuple[Goal, ...]:
    return tuple(Goal(peer, RATE, bound, least=True) for peer, bound in bounds)


# Of what plain members get, session members get 0.85 at least.
_SESSIONS = Goal("udprelay-session", RATE, 1 / 0.85, least=False)
_FAN = _rate(("twisted", 6), ("c-sendto", 2.5), ("ncat", 2.5), ("c-mmsg-gso", 0.85))
_FAN += (_SESSIONS,)
_CONFERENCE = (*_rate(("twisted", 6), ("c-sendto", 3)), _SESSIONS)
_LIGHT = (
    Goal("twisted", CPU, 0.6, least=False),
    Goal("c-sendto", CPU, 1.15, least=False),
    Goal("udprelay-session", CPU, 0.85, least=True),
)
_LATENCY = tuple(Goal("c-sendto", metric, 1.3, least=False) for metric in (P50, P99))

WORKS = (
    Work("fan-10", "1 → 10, 100 B", 11, goals=_FAN, plotted=True),
    Work("fan-50", "1 → 50, 100 B", 51, goals=_FAN, quick=True, plotted=True),
    Work("fan-1000", "1 → 1,000, 100 B", 1001, window=128, plotted=True),
    Work("fan-10-1200", "1 → 10, 1,200 B", 11, size=1200, goals=_FAN),
    Work("fan-50-1200", "1 → 50, 1,200 B", 51, size=1200, goals=_FAN, plotted=True),
    Work("fan-10-mixed", "1 → 10, mixed sizes", 11, size=0),
    Work("fan-50-mixed", "1 → 50, mixed sizes", 51, size=0, plotted=True),
    Work("fan-50-ipv6", "1 → 50, 100 B, IPv6", 51, host="::1", goals=_FAN),
    Work("conference-20", "20 all speak, 100 B", 20, 20, burst=1, goals=_CONFERENCE),
    Work(
        "conference-100",
        "100 all speak, 100 B",
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
