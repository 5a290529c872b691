"""Make one table of the raw results of all rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.relays import Relay
from bench.run import COUNTS, DISTURBED, Result
from bench.works import CPU, P50, P99, RATE, Goal, Work

FIELDS = {RATE: "rate", CPU: "cpu_us", P50: "p50_us", P99: "p99_us"}
HEADINGS = (
    "work",
    "relay",
    "deliveries/s",
    "CPU µs/delivery",
    "loss %",
    "p50 µs",
    "p99 µs",
    "cores % r/l",
    "udprelay ÷ it",
    "CPU ÷ its CPU",
    "goal",
    "",
)


@dataclass(frozen=True)
class Spread:
    """Median, minimum and maximum of some rounds."""

    median: float
    low: float
    high: float

    def show(self, form: Callable[[float], str]) -> str:
        """Return ``median (low…high)``; the median alone if low and high look the same."""
        middle, low, high = form(self.median), form(self.low), form(self.high)
        return middle if low == high else f"{middle} ({low}…{high})"


@dataclass(frozen=True)
class Case:
    """
    One relay under one workload: the results of all rounds, None for a failed one.

    :param counts: the calls per 1,000 datagrams, of a run of its own.
    """

    work: Work
    relay: Relay
    rounds: list[Result | None]
    failures: tuple[str, ...] = ()
    counts: Result | None = None

    def spread(self, field: str) -> Spread | None:
        """Return the spread of one field over the rounds that did not fail."""
        return spread(r[field] for r in self.rounds if r is not None)

    def worst(self, field: str) -> float:
        """Return the highest value of a field."""
        return max((r[field] for r in self.rounds if r is not None), default=0)


def spread(values: Iterable[float]) -> Spread | None:
    """Return the spread of some values; None if there are none."""
    found = sorted(values)
    return Spread(median(found), found[0], found[-1]) if found else None


def ratios(ours: Case, other: Case, field: str) -> Spread | None:
    """Return the spread of ours divided by the other's, round by round."""
    pairs = zip(ours.rounds, other.rounds, strict=False)
    return spread(
        a[field] / b[field]
        for a, b in pairs
        if a is not None and b is not None and min(a[field], b[field]) > 0
    )


def rate(value: float) -> str:
    """Return deliveries/s for people: ``812 k``."""
    return f"{value / 1000:.0f} k" if value >= 99_950 else f"{value / 1000:.1f} k"


def _two(value: float) -> str:
    return f"{value:.2f}"


def _microseconds(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.2f}"


def _whole(value: float) -> str:
    return f"{value:.0f}"


def _percent(value: float) -> str:
    return "0" if value == 0 else f"{100 * value:.2g}"


def table(cases: Sequence[Case]) -> str:
    """Return the table as text."""
    by_name = {(case.work.name, case.relay.name): case for case in cases}
    rows: list[Sequence[str]] = [HEADINGS]
    before = ""
    for case in cases:
        name = case.work.name if case.work.name != before else ""
        before = case.work.name
        rows += [
            [name if i == 0 else "", *row]
            for i, row in enumerate(
                _rows(case, by_name.get((case.work.name, case.relay.compared)))
            )
        ]
    return layout(rows)


def _rows(case: Case, ours: Case | None) -> list[list[str]]:
    if case.spread("rate") is None:
        return [[case.relay.name, "failed", *[""] * (len(HEADINGS) - 3)]]
    cells = [
        case.relay.name,
        _show(case.spread("rate"), rate),
        _show(case.spread("cpu_us"), _microseconds),
        _show(case.spread("loss"), _percent),
    ]
    if case.work.saturates:
        cells += ["", ""]
    else:
        cells += [_show(case.spread(field), _whole) for field in ("p50_us", "p99_us")]
    cells.append(_cores(case))
    comparisons = _comparisons(case, ours) or [["", "", ""]]
    rows = [[*cells, *comparisons[0], notes(case)]]
    rows += [[*[""] * len(cells), *comparison, ""] for comparison in comparisons[1:]]
    return rows


def _show(found: Spread | None, form: Callable[[float], str]) -> str:
    return found.show(form) if found is not None else ""


def _cores(case: Case) -> str:
    relay, load = case.spread("relay_share"), case.spread("load_share")
    if relay is None or load is None:
        return ""
    # At a fixed rate the load side never sleeps.
    return f"{100 * relay.median:.0f}/" + (
        f"{100 * load.median:.0f}" if case.work.saturates else "spins"
    )


def _comparisons(case: Case, ours: Case | None) -> list[list[str]]:
    if ours is None or ours is case:
        return []
    by_cpu = ratios(ours, case, "cpu_us")
    found = [["", _show(by_cpu, _two), verdict(case, CPU, by_cpu)]]
    for number, metric in enumerate(case.work.metrics):
        ratio = ratios(ours, case, FIELDS[metric])
        if ratio is None:
            continue
        if number:
            found.append(["", "", ""])
        prefix = "" if metric == RATE else f"{metric} "
        found[-1][0] = prefix + ratio.show(_two)
        found[-1][2] = ", ".join(filter(None, [verdict(case, metric, ratio), found[-1][2]]))
    return found


def verdict(case: Case, metric: str, ratio: Spread | None) -> str:
    """Return the goal and whether the median meets it; ``?`` if other processes disturbed it."""
    goal = goal_for(case.work, case.relay.name, metric)
    if goal is None or ratio is None:
        return ""
    doubt = "?" if case.worst("disturbed") > DISTURBED else ""
    prefix = f"{metric} " if metric == CPU else ""
    return f"{prefix}{goal} {'met' if goal.met(ratio.median) else 'MISSED'}{doubt}"


def goal_for(work: Work, peer: str, metric: str) -> Goal | None:
    """Return the goal of a workload against a peer."""
    return next((g for g in work.goals_for(peer) if g.metric == metric), None)


def counted(cases: Sequence[Case]) -> str:
    """Return the table of the calls per 1,000 datagrams; "" if none were counted."""
    rows: list[Sequence[str]] = [
        ["work", "relay", "system calls", "Python functions", "built-in functions"]
    ]
    before = ""
    for case in cases:
        if case.counts is None or "failed" in case.counts:
            continue
        name = case.work.name if case.work.name != before else ""
        before = case.work.name
        rows.append([name, case.relay.name, *(f"{case.counts[field]:,.0f}" for field in COUNTS)])
    return layout(rows) if len(rows) > 1 else ""


def notes(case: Case) -> str:
    """Return the reasons to doubt a case."""
    done = [r for r in case.rounds if r is not None]
    found = []
    if case.failures:
        found.append(f"{len(case.failures)} failed")
    mistakes = sum(r["mistakes"] for r in done)
    if mistakes:
        found.append(f"{mistakes} WRONG DATAGRAMS")
    if any(r["unsaturated"] for r in done):
        found.append("idle")
    if case.worst("disturbed") > DISTURBED:
        found.append(f"disturbed {100 * case.worst('disturbed'):.0f} %")
    if case.work.saturates and case.worst("load_share") > 0.9:
        found.append("load at its limit")
    return ", ".join(found)


def layout(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells in columns, with a line before each group."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for number, row in enumerate(rows):
        if number and row[0]:
            lines.append("─" * (sum(widths) + 2 * (len(widths) - 1)))
        cells = [
            cell.ljust(width) if i < 2 or i == len(row) - 1 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


EXPLANATION = """\
Medians over the rounds (minimum…maximum). A delivery is a datagram that a receiver has read, or
that the kernel dropped at a receiver's full buffer; out of a veth, one that the device has sent.
CPU is user + system time of the relay's process (and of ksoftirqd on its core). Loss: deliveries
that are missing. p50, p99: at `latency` the round trip through the relay twice, elsewhere from a
sender to each other member. cores: share of its own core that the relay/the load side was
running. The ratios are formed within each round: deliveries/s under saturation (more is better),
p50 and p99 at light load and CPU per delivery (less is better; other processes disturb it less
than the rate). Sessions of an earlier commit are compared with sessions. disturbed: share of one
of the two cores that other processes used in the worst round; idle: the relay was idle at times
though the load should have saturated it."""

COUNTED = """\
Calls per 1,000 datagrams that the relay has relayed, in a run of its own: functions of the C
library that make a system call, Python functions, and built-in functions called from Python. At
light load one datagram is under way at a time."""
