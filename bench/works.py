"""The workloads, and the goals of udprelay for each."""

from __future__ import annotations

from dataclasses import dataclass

from bench.veth import DEVICE, MEMBERS, RELAY, Veth

BEFORE = "before"
"""The name of an earlier commit of ours as a peer; those of its variants begin with it."""

RATE, CPU, P50, P99 = "deliveries/s", "CPU", "p50", "p99"


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
    :param burst: datagrams that one sender sends in a row, as one message.
    :param turn: the most that one sender sends in a row, one by one; 0 is ``burst``.
    :param rate: datagrams/s into the relay, independent of deliveries; 0 is the closed loop.
    :param veth: the way to the members; None is loopback.
    :param peers: those that are measured; none is all.
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
    turn: int = 0
    rate: int = 0
    echo: bool = False
    host: str = "127.0.0.1"
    veth: Veth | None = None
    peers: tuple[str, ...] = ()
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
        return self.rate > 100_000

    @property
    def metrics(self) -> tuple[str, ...]:
        """The figures that are compared besides the CPU per delivery."""
        if self.veth is not None:
            return ()
        if self.echo:
            return P50, P99
        return (RATE,) if self.saturates or self.overloads else (P50,)

    def goals_for(self, peer: str) -> list[Goal]:
        """Return the goals against one peer; every work has one against an earlier commit."""
        if peer.startswith(BEFORE):
            return [Goal(peer, CPU, 1.05, minimum=False)]
        return [goal for goal in self.goals if goal.peer == peer]

    def load_arguments(self) -> list[str]:
        """Return the options of the load program."""
        arguments = {
            "host": self.host,
            "members": self.members,
            "speakers": self.senders,
            "size": self.size or "mixed",
            "window": self.window,
            "burst": self.burst,
            "turn": self.turn,
            "rate": self.rate,
            "echo": int(self.echo),
        }
        if self.veth is not None:
            arguments |= {"device": DEVICE, "source": MEMBERS}
        return [text for name, value in arguments.items() for text in (f"--{name}", str(value))]


def _rate(*bounds: tuple[str, float]) -> tuple[Goal, ...]:
    return tuple(Goal(peer, RATE, bound, minimum=True) for peer, bound in bounds)


def _at_most(metric: str, *bounds: tuple[str, float]) -> tuple[Goal, ...]:
    return tuple(Goal(peer, metric, bound, minimum=False) for peer, bound in bounds)


# A session takes at most 1.15 times the CPU of a plain member, so a plain one 1 / 1.15 of it.
_SESSIONS = Goal("udprelay-session", CPU, 1 / 1.15, minimum=True)
_SAME_CALLS = (*_at_most(CPU, ("c-mmsg-gso", 1.1)), _SESSIONS)
_FAN = (*_rate(("twisted", 6), ("c-sendto", 2.5), ("ncat", 2.5)), *_SAME_CALLS)
_CONFERENCE = (*_rate(("twisted", 6), ("c-sendto", 3)), *_SAME_CALLS)
_LIGHT = (*_at_most(CPU, ("twisted", 0.9)), *_at_most(P50, ("twisted", 1)))
_LATENCY = tuple(Goal("c-sendto", metric, 1.3, minimum=False) for metric in (P50, P99))
_LIGHT_PEERS = ("twisted", "c-sendto", "c-mmsg-gso")

_WHOLE, _SINGLE, _SPLIT = Veth(True, True), Veth(True, False), Veth(False, False)


def _out(name: str, title: str, members: int, veth: Veth, bound: float, quick: bool) -> Work:
    return Work(
        name,
        title,
        members + 1,
        host=RELAY,
        veth=veth,
        peers=("twisted", "c-sendto", "c-mmsg-gso", "c-mmsg-gro"),
        goals=_at_most(CPU, ("c-mmsg-gso", bound)),
        quick=quick,
    )


def _pair(rate: int) -> Work:
    title = f"room of 2, {rate:,}/s in"
    return Work(
        f"pair-{rate}",
        title,
        2,
        2,
        rate=rate,
        peers=_LIGHT_PEERS,
        goals=_LIGHT,
        quick=rate == 1000,
    )


WORKS = (
    _out("out-10", "out of a veth, 10 members", 10, _SPLIT, 1.15, quick=False),
    _out("out-50", "out of a veth, 50 members", 50, _SPLIT, 1.1, quick=True),
    _out("out-10-gso", "as out-10, device segments", 10, _SINGLE, 1.35, quick=False),
    _out("out-50-gso", "as out-50, device segments", 50, _SINGLE, 1.2, quick=False),
    _out("out-10-gro", "as out-10-gso, aggregates in", 10, _WHOLE, 1.35, quick=False),
    _out("out-50-gro", "as out-50-gso, aggregates in", 50, _WHOLE, 1.2, quick=True),
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
    Work("bursts-50", "50 all send, 1 to 3 in a row", 50, 50, turn=3, goals=(_SESSIONS,)),
    Work(
        "pairs-25",
        "25 rooms of 2, 100 B",
        2,
        2,
        rooms=25,
        window=64,
        burst=16,
        goals=(*_rate(("twisted", 3)), *_at_most(CPU, ("c-mmsg-gso", 1.35)), _SESSIONS),
        quick=True,
        plotted=True,
    ),
    Work("overload-10", "1 → 10, 150,000/s offered", 11, rate=150_000),
    *(_pair(rate) for rate in (1_000, 5_000, 10_000, 20_000)),
    Work("light-20", "20 members, 1,000/s in", 20, 20, rate=1000, goals=_LIGHT, quick=True),
    Work("latency", "round trip at 1,000/s", 2, rate=1000, echo=True, goals=_LATENCY, quick=True),
)
