"""Run one relay under one load, each on its own core."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import relays, veth
from bench.build import COUNT
from bench.relays import Launch, Relay
from bench.sessions import CannotJoinError, joined
from bench.works import Work

DISTURBED = 0.05
"""Share of a core used by other processes above which a run is repeated."""
_MAX_TRIES = 3
_START_TIMEOUT = 15.0
_COUNTED_SECONDS = 0.3

COUNTS = ("system_calls", "python_calls", "c_calls")
"""What a counting run counts; the last are calls of built-in functions from Python."""

Result = dict[str, Any]
"""The counters of the load program and what follows from them; or ``failed``."""


class FailedError(Exception):
    """A relay or the load has failed."""


@dataclass(frozen=True)
class Cores:
    """The cores of the relay and of the load; the same one if there is only one."""

    relay: int
    load: int

    @property
    def shared(self) -> bool:
        return self.relay == self.load


@dataclass(frozen=True)
class Bench:
    """
    The settings of all runs.

    :param programs: the directory of the C programs.
    :param warm: seconds of load before the counters start.
    :param repeat_disturbed: whether to repeat a run that other processes have disturbed.
    """

    programs: Path
    cores: Cores
    warm: float
    seconds: float
    repeat_disturbed: bool

    def measure(self, relay: Relay, work: Work) -> Result:
        """Measure once; repeat if other processes used too much of the two cores."""
        best: Result = {}
        for _ in range(_MAX_TRIES if self.repeat_disturbed else 1):
            try:
                result = derive(work, self._run(relay, work))
            except FailedError as error:
                return {"failed": str(error)}
            if self.cores.shared:
                return result | {"disturbed": 0.0}  # by the load itself, which cannot be separated
            if not best or result["disturbed"] < best["disturbed"]:
                best = result
            if best["disturbed"] <= DISTURBED:
                break
        return best

    def count(self, relay: Relay, work: Work) -> Result:
        """
        Count system calls and calls of Python functions per 1,000 datagrams, in a short run.

        They are divided by the datagrams that the relay has relayed. At light load there is one
        datagram under way: so no turn of the relay has two.
        """
        if work.rate and not work.overloads:
            work = replace(work, rate=0, window=1, echo=False)
        brief = replace(self, warm=min(self.warm, 0.2), seconds=_COUNTED_SECONDS)
        try:
            counted = brief._run(relay, work, counters=True)
        except FailedError as error:
            return {"failed": str(error)}
        deliveries = counted["received"] + counted["receiver_drops"]
        relayed = max(1, deliveries / (work.members - 1))
        return {name: 1000 * counted[name] / relayed for name in COUNTS}

    def load_limit(self, members: int) -> Result:
        """Return what the load side reads of a flood without a relay: its own limit."""
        work = Work("", "", members)
        with _directory() as directory:
            launch = relays.flood(members, self.programs)
            return self._with(launch, work, Path(directory), {"flood": 1})

    def _run(self, relay: Relay, work: Work, counters: bool = False) -> Result:
        with ExitStack() as stack:
            place = Path(stack.enter_context(_directory()))
            launch = relay.launch(work, place, self.programs)
            options: dict[str, object] = {}
            if counters:
                file = place / "counters"
                file.write_bytes(bytes(4096))
                options["counters"] = file
                launch = _counting(launch, file, self.programs)
            if work.veth is None:
                return self._with(launch, work, place, options, relay.sessions)
            try:
                inside = stack.enter_context(veth.opened(work.veth))
            except veth.CannotMakeError as error:
                raise FailedError(str(error)) from error
            launch = replace(launch, command=[*inside.relay, *launch.command])
            return self._with(launch, work, place, options, before_load=inside.load)

    def _with(
        self,
        launch: Launch,
        work: Work,
        place: Path,
        more: dict[str, object],
        sessions: bool = False,
        before_load: Sequence[str] = (),
    ) -> Result:
        with started(launch, place, self.cores.relay) as (process, log):
            ports = launch.ports or wait_for_ports(process, log, work.rooms)
            options = more | {
                "ports": ",".join(map(str, ports)),
                "pid": process.pid,
                "also": _softirqd(self.cores.relay),
                "core": self.cores.relay,
                "own-core": self.cores.load,
                "warm": self.warm,
                "seconds": self.seconds,
                "drowsy": int(self.cores.shared),
            }
            command = [*before_load, str(self.programs / "load"), *work.load_arguments()]
            command += [text for name, v in options.items() for text in (f"--{name}", str(v))]
            if not sessions:
                return self._load(command, process, log)
            try:
                with joined(work, ports, place) as (ids, sockets):
                    return self._load([*command, *ids], process, log, sockets)
            except CannotJoinError as error:
                raise FailedError(str(error)) from error

    def _load(
        self,
        command: Sequence[str],
        relay: subprocess.Popen[bytes],
        log: Path,
        sockets: Sequence[int] = (),
    ) -> Result:
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                timeout=300 + self.warm + self.seconds,
                preexec_fn=on_core(self.cores.load),
                pass_fds=sockets,
            )
        except subprocess.TimeoutExpired as error:
            raise FailedError("the load timed out") from error
        if relay.poll() is not None:
            raise FailedError(f"the relay ended: {_tail(log)}")
        if done.returncode:
            raise FailedError(done.stderr.decode(errors="replace").strip())
        result: Result = json.loads(done.stdout)
        return result


def _directory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="udprelay-bench-")


def _counting(launch: Launch, counters: Path, programs: Path) -> Launch:
    path = (str(relays.PEERS / "counting"), os.environ.get("PYTHONPATH"))
    variables = {
        "LD_PRELOAD": str(programs / COUNT),
        "UDPRELAY_BENCH_COUNTERS": str(counters),
        "PYTHONPATH": os.pathsep.join(entry for entry in path if entry),
    }
    return replace(launch, environment=variables)


def derive(work: Work, counted: Result) -> Result:
    """Add rates and shares to the counters."""
    seconds = counted["seconds"]
    deliveries = counted["received"] + counted["receiver_drops"]
    expected = counted["expected"]
    lost = max(0, counted["gaps"] - counted["receiver_drops"])
    if work.overloads:
        # A datagram in a long queue is not delivered either.
        expected = counted["sent"] * (work.members - 1)
        lost = max(0, expected - deliveries)
    mistakes = ("echoed", "disorder", "wrong_length", "foreign")
    relay_share = (counted["relay_cpu"] + counted["softirqd_cpu"]) / seconds
    load_share = counted["load_cpu"] / seconds
    elsewhere = max(0.0, 1 - relay_share - counted["core_idle"] / seconds)
    beside_load = max(0.0, 1 - load_share - counted["own_core_idle"] / seconds)
    return counted | {
        "deliveries": deliveries,
        "rate": deliveries / seconds,
        "cpu_us": (counted["relay_cpu"] + counted["softirqd_cpu"]) / max(1, deliveries) * 1e6,
        "loss": lost / max(1, expected),
        "mistakes": sum(counted[name] for name in mistakes),
        "relay_share": relay_share,
        "load_share": load_share,
        "disturbed": max(elsewhere, beside_load),
        "unsaturated": work.saturates and counted["core_idle"] / seconds > DISTURBED,
    }


@contextmanager
def started(
    launch: Launch, place: Path, core: int
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Start a relay on one core; its output goes to a file, so that it never blocks."""
    log = place / "relay.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            launch.command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=launch.checkout,
            env=os.environ | launch.environment,
            preexec_fn=on_core(core),
        )
    try:
        yield process, log
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_ports(process: subprocess.Popen[bytes], log: Path, count: int) -> list[int]:
    """Wait until a relay reports ``count`` open ports; return them."""
    deadline = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < deadline:
        ports = opened_ports(log.read_text(errors="replace"))
        if len(ports) >= count:
            return ports
        if process.poll() is not None:
            break
        time.sleep(0.01)
    raise FailedError(f"the relay did not start: {_tail(log)}")


def opened_ports(log: str) -> list[int]:
    """Return the ports of all ``listener.opened`` lines of a JSON log."""
    ports = []
    for line in log.splitlines(keepends=True):
        if '"listener.opened"' in line and line.endswith("\n"):
            ports.append(int(json.loads(line)["port"]))
    return ports


def choose_cores() -> Cores:
    """Choose the first and the last core that this process may run on."""
    usable = sorted(os.sched_getaffinity(0))
    return Cores(usable[0], usable[-1])


def on_core(core: int) -> Callable[[], None]:
    """Return the function with which a child pins itself to one core."""
    return lambda: os.sched_setaffinity(0, {core})


def _softirqd(core: int) -> int:
    """Return the kernel thread that may do part of the relay's work on its core, or 0."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "comm").read_text().strip() == f"ksoftirqd/{core}":
                return int(process.name)
        except OSError:
            continue
    return 0


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return " / ".join(lines[-3:]) or "no output"
