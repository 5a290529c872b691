"""``python -m bench``: run it from the checkout, on an idle machine."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench import build, machine, plot, relays, report, veth
from bench.relays import OURS, RELAYS, Relay
from bench.report import Case
from bench.run import Bench, FailedError, Result, choose_cores
from bench.works import WORKS, Work


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen workloads; return 1 if a relay of ours failed or relayed wrongly."""
    options = parse(arguments)
    with ExitStack() as stack:
        try:
            peers = stack.enter_context(earlier(options.against)) if options.against else ()
        except ValueError as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
        return measure(options, peers)


def measure(options: argparse.Namespace, earlier_relays: Sequence[Relay]) -> int:
    """Measure and report; return 1 if a relay of ours failed or relayed wrongly."""
    try:
        programs = build.build()
    except build.CannotBuildError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    cores = choose_cores()
    if cores.shared:
        print("bench: only one core: relay and load share it, the figures are not reliable")
    else:
        os.sched_setaffinity(0, {cores.load})
    bench = Bench(programs, cores, options.warm, options.seconds, not options.quick)
    works, relays, missing = selected(options, earlier_relays)
    facts = machine.facts(cores, missing)
    machine.show(facts, options)
    facts["load_limit"] = limit = show_load_limit(bench)
    pairs = [(work, relay) for work in works for relay in relays if relay.runs(work)]
    results = run_rounds(bench, works, relays, options.rounds)
    counts = count_calls(bench, counted_pairs(pairs, options)) if options.counts else {}
    facts["loadavg_end"] = os.getloadavg()
    cases = [
        _case(work, relay, results[work.name, relay.name], counts.get((work.name, relay.name)))
        for work, relay in pairs
    ]
    print(report.table(cases), report.EXPLANATION, sep="\n\n")
    if options.counts:
        print("", report.counted(cases), report.COUNTED, sep="\n\n")
    show_load_share(cases, limit)
    show_failures(cases)
    if options.json:
        write_json(options.json, facts, cases)
    if options.svg:
        options.svg.write_text(plot.chart(cases, subtitle(facts)))
    return int(any(_broken(case) for case in cases))


def subtitle(facts: dict[str, Any]) -> str:
    """Return the subtitle of the plot: machine, versions, day, and what is drawn."""
    versions = f"Python {facts['python']}, Twisted {facts['versions']['twisted']}"
    where = f"{facts['cpu']}, Linux {facts['kernel']}, {versions}, {facts['date'][:10]}"
    return f"{where}; loopback; median, minimum, maximum"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; ``--quick`` changes the defaults."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="fewer workloads, relays and rounds: two minutes (default: about 45 minutes)",
    )
    parser.add_argument("--rounds", type=int, help="alternating rounds (default: 5; quick: 2)")
    parser.add_argument("--seconds", type=float, help="of each run (default: 1; quick: 0.5)")
    parser.add_argument("--warm", type=float, help="seconds before that (default: 0.3)")
    names = [work.name for work in WORKS]
    parser.add_argument("--work", action="append", choices=names, help="only this (repeatable)")
    names = [relay.name for relay in RELAYS]
    parser.add_argument("--relay", action="append", choices=names, help="only this (repeatable)")
    parser.add_argument(
        "--against",
        metavar="REVISION",
        help="also measure that commit of ours, as one more relay",
    )
    parser.add_argument(
        "--no-counts",
        action="store_false",
        dest="counts",
        help="leave out the runs in which calls are counted",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all raw results")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write a bar chart")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (2 if options.quick else 5)
    options.seconds = options.seconds or (0.5 if options.quick else 1.0)
    options.warm = options.warm or (0.15 if options.quick else 0.3)
    return options


def selected(
    options: argparse.Namespace, earlier_relays: Sequence[Relay] = ()
) -> tuple[list[Work], list[Relay], dict[str, str]]:
    """Return workloads and relays to run, and the reason for each that is left out."""
    works = [
        w for w in WORKS if (w.name in options.work if options.work else _selected(w, options))
    ]
    wanted = [
        r for r in RELAYS if (r.name in options.relay if options.relay else _selected(r, options))
    ]
    names = {relay.name for relay in wanted}
    wanted += [relay for relay in earlier_relays if relay.compared in names]
    missing = {relay.name: why for relay in wanted if (why := relay.missing())}
    if any(work.veth for work in works) and (why := veth.missing()):
        missing["out of a veth"] = why
        works = [work for work in works if work.veth is None]
    return works, [r for r in wanted if r.name not in missing], missing


def _selected(item: Work | Relay, options: argparse.Namespace) -> bool:
    return item.quick or not options.quick


def run_rounds(
    bench: Bench, works: Sequence[Work], relays: Sequence[Relay], rounds: int
) -> dict[tuple[str, str], list[Result]]:
    """Run every relay under every workload in each round; each round begins with another relay."""
    results: dict[tuple[str, str], list[Result]] = {}
    for number in range(rounds):
        for work in works:
            for relay in rotated(relays, number):
                if not relay.runs(work):
                    continue
                _progress(f"round {number + 1} of {rounds}: {work.name}, {relay.name}")
                result = bench.measure(relay, work)
                results.setdefault((work.name, relay.name), []).append(result)
    _progress("")
    return results


def counted_pairs(
    pairs: Sequence[tuple[Work, Relay]], options: argparse.Namespace
) -> list[tuple[Work, Relay]]:
    """Return what to count the calls of: ``--quick`` leaves out the calls of others."""
    return [(work, relay) for work, relay in pairs if relay.always or not options.quick]


def count_calls(
    bench: Bench, pairs: Sequence[tuple[Work, Relay]]
) -> dict[tuple[str, str], Result]:
    """Count the calls of each relay under each workload."""
    counts = {}
    for work, relay in pairs:
        _progress(f"counting calls: {work.name}, {relay.name}")
        counts[work.name, relay.name] = bench.count(relay, work)
    _progress("")
    return counts


@contextmanager
def earlier(revision: str) -> Iterator[tuple[Relay, ...]]:
    """
    Copy a commit of ours into a directory of its own.

    :return: its relays.
    :raises ValueError: if git does not know it.
    """
    with tempfile.TemporaryDirectory(prefix="udprelay-before-") as directory:
        archive = subprocess.run(
            ["git", "archive", revision], capture_output=True, cwd=Path(__file__).parents[1]
        )
        if archive.returncode:
            raise ValueError(archive.stderr.decode(errors="replace").strip())
        subprocess.run(["tar", "-x"], input=archive.stdout, cwd=directory, check=True)
        yield relays.before(Path(directory), revision)


def rotated(relays: Sequence[Relay], number: int) -> list[Relay]:
    """Return the order of one round, so that no relay always follows the same one."""
    start = number % len(relays) if relays else 0
    return [*relays[start:], *relays[:start]]


def _case(work: Work, relay: Relay, results: Sequence[Result], counts: Result | None) -> Case:
    failures = [result["failed"] for result in results if "failed" in result]
    if counts is not None and "failed" in counts:
        failures.append(f"calls not counted: {counts['failed']}")
    rounds = [None if "failed" in r else r for r in results]
    return Case(work, relay, rounds, tuple(failures), counts)


def _broken(case: Case) -> bool:
    wrong = any(r["mistakes"] for r in case.rounds if r is not None)
    return case.relay.name.startswith(OURS) and (wrong or bool(case.failures))


def show_load_limit(bench: Bench) -> float:
    """Print how much the load side can read; return its rate on a whole core, 0 on failure."""
    try:
        counted = bench.load_limit(51)
    except FailedError as error:
        print(f"load side: cannot measure its limit: {error}\n")
        return 0
    per_second = float(counted["received"] / counted["seconds"])
    share = float(counted["load_cpu"] / counted["seconds"])
    limit = per_second / max(share, 0.01)
    print(
        f"load side alone: reads {report.rate(per_second)} datagrams/s of a flood with "
        f"{100 * share:.0f} % of its core: {report.rate(limit)} with all of it\n"
    )
    return limit


def show_load_share(cases: Sequence[Case], limit: float) -> None:
    """Print whether the load side was the bottleneck of any run."""
    closed = [case for case in cases if case.work.saturates]
    worst = max(closed, key=lambda case: case.worst("load_share"), default=None)
    if worst is not None:
        share = f"{100 * worst.worst('load_share'):.0f} %"
        print(
            f"\nUnder saturation the load side needed at most {share} of its core "
            f"({worst.work.name}, {worst.relay.name}); alone it reads {report.rate(limit)}/s."
        )


def show_failures(cases: Sequence[Case]) -> None:
    """Print the reasons of failed runs."""
    for case in cases:
        for why in dict.fromkeys(case.failures):
            print(f"failed: {case.work.name}, {case.relay.name}: {why}")


def write_json(path: Path, facts: dict[str, Any], cases: Sequence[Case]) -> None:
    """Write all measurements."""
    found = [
        {
            "work": case.work.name,
            "relay": case.relay.name,
            "rounds": case.rounds,
            "failures": case.failures,
            "counts": case.counts,
        }
        for case in cases
    ]
    path.write_text(json.dumps({"machine": facts, "cases": found}, indent=1) + "\n")


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    # Ended by a signal, it still ends its relays.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    start = time.monotonic()
    status = main()
    print(f"{time.monotonic() - start:.0f} s in all")
    sys.exit(status)
