"""
What a flood costs the others: ``python -m bench.floods NAME``.

Two talkers with a listener each: in the room of the flood, and in another one. The relay has the
first core, the talkers and the attacker the last one. It prints what the listeners get, with the
flood and without it, the log lines of the relay and its memory. All traffic is on loopback; forged
sources need root: they are in a network namespace of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from bench.flood_attack import ATTACKS, FORGED, RELAY
from bench.relays import TWISTD, Launch
from bench.run import on_core, started, wait_for_ports

_RELAY_CORE, _LOAD_CORE = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))

TALK_RATE = 500
"""Datagrams a second of each talker."""
_NAMESPACE = (
    # Answers to forged sources go to a gateway whose link address nobody has.
    "ip link set lo up && ip link add out type veth peer name nobody && ip link set nobody up && "
    "ip link set out up && ip address add 192.0.2.1/30 dev out && "
    "ip neighbour add 192.0.2.2 lladdr 02:00:00:00:00:03 dev out && "
    'ip route add default via 192.0.2.2 && exec "$@"'
)
_CONFIGURATION = """
[listener:main]
port = 0
room = lobby
[listener:other]
port = 0
room = other
[room:lobby]
[room:other]
"""


@dataclass(frozen=True)
class Result:
    """
    One run.

    :ivar same: part of the datagrams that the listener in the room of the flood got; ``other``,
        the listener in another room.
    :ivar attack: datagrams that the attacker sent, per second.
    :ivar lines: of the log, per second.
    :ivar lost: datagrams that had no space in the receive buffer, while no filter was attached.
    :ivar filtered: what the kernel dropped while one was.
    :ivar memory: the growth of the resident memory in MiB.
    """

    same: float
    other: float
    attack: float
    lines: float
    memory: float
    lost: int
    filtered: int


@contextmanager
def _attacker(port: int, name: str, rate: int, seconds: float, sources: int) -> Iterator[
    subprocess.Popen[str]
]:  # fmt: skip
    words = [str(port), name, str(rate), str(seconds), str(sources)]
    with subprocess.Popen(
        [sys.executable, "-m", "bench.flood_attack", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=on_core(_LOAD_CORE),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", "the attacker cannot start"
        yield process


def _pair(port: int) -> tuple[socket.socket, socket.socket]:
    """Return a talker and a listener that have joined."""
    pair = []
    for _ in range(2):
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        opened.connect((RELAY, port))
        opened.send(b"")
        pair.append(opened)
    talker, listener = pair
    while not select.select([listener], [], [], 0.2)[0]:
        talker.send(b"are you there?")
    return talker, listener


def _drain(listener: socket.socket, tag: bytes) -> int:
    count = 0
    while True:
        try:
            count += listener.recv(100, socket.MSG_DONTWAIT).startswith(tag)
        except BlockingIOError:
            return count


def _talk(pairs: list[tuple[socket.socket, socket.socket]], seconds: float) -> list[float]:
    """Talk in each room; return the part that each listener got."""
    number, counts, start = int(TALK_RATE * seconds), [0, 0], monotonic()
    tags = [b"talker %d" % room for room in range(len(pairs))]
    for index in range(number):
        while (left := start + index / TALK_RATE - monotonic()) > 0:
            select.select([], [], [], left)
        for (talker, _), tag in zip(pairs, tags, strict=True):
            talker.send(tag.ljust(100))
        if index % 16 == 0:
            for room, (_, listener) in enumerate(pairs):
                counts[room] += _drain(listener, tags[room])
    end = monotonic() + 1
    while monotonic() < end:
        select.select([listener for _, listener in pairs], [], [], 0.1)
        for room, (_, listener) in enumerate(pairs):
            counts[room] += _drain(listener, tags[room])
    return [count / number for count in counts]


def measure(name: str, rate: int, seconds: float, sources: int) -> Result:
    """Run the relay once; a ``name`` of "" is the control run."""
    with TemporaryDirectory(prefix="udprelay-floods-") as directory:
        place = Path(directory)
        (place / "relay.ini").write_text(_CONFIGURATION)
        command = [*TWISTD, "-n", "--pidfile=", "udprelay", "--log-format", "json"]
        launch = Launch([*command, "-c", str(place / "relay.ini")])
        with started(launch, place, _RELAY_CORE) as (process, log):
            port, other = wait_for_ports(process, log, 2)
            pairs = [_pair(port), _pair(other)]
            before, lines = _resident(process.pid), len(log.read_text().splitlines())
            if name:
                with _attacker(port, name, rate, seconds + 0.5, sources) as attacker:
                    assert attacker.stdin is not None
                    assert attacker.stdout is not None
                    attacker.stdin.write("go\n")
                    attacker.stdin.flush()
                    same, elsewhere = _talk(pairs, seconds)
                    attack = int(attacker.stdout.read() or 0) / (seconds + 0.5)
            else:
                (same, elsewhere), attack = _talk(pairs, seconds), 0.0
            grown = (_resident(process.pid) - before) / 2**20
            more = (len(log.read_text().splitlines()) - lines) / seconds
        lost, filtered = _kernel_drops(log)
    return Result(same, elsewhere, attack, more, grown, lost, filtered)


def _kernel_drops(log: Path) -> tuple[int, int]:
    """Return what the kernel has dropped for the first listener, from its last statistics."""
    for line in log.read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "listener.statistics" and event["listener"] == "main":
            return event["receive_drops"], event["filtered_drops"]
    return 0, 0


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Print a control run, and the runs with the flood."""
    parser = argparse.ArgumentParser(prog="python -m bench.floods", description=__doc__)
    parser.add_argument("name", choices=sorted([*ATTACKS, *FORGED]))
    parser.add_argument("--seconds", type=float, default=10, help="of each run (%(default)s)")
    parser.add_argument("--sources", type=int, default=1, help="sockets (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print one object for each run")
    options = parser.parse_args()
    if options.name in FORGED and "UDPRELAY_FLOODS" not in os.environ:
        again = [sys.executable, "-m", "bench.floods", *sys.argv[1:]]
        os.environ["UDPRELAY_FLOODS"] = "in a namespace"
        os.execvp("unshare", ["unshare", "--net", "sh", "-c", _NAMESPACE, "sh", *again])
    on_core(_LOAD_CORE)()
    print(
        f"{'':12}{'attack/s':>10}{'same room':>11}{'other room':>12}{'log/s':>7}{'MiB':>6}"
        f"{'lost':>9}{'filtered':>11}"
    )
    for title, name, rate in (
        ("control", "", 0),
        ("20,000/s", options.name, 20_000),
        ("full speed", options.name, 0),
    ):
        found = measure(name, rate, options.seconds, options.sources)
        if options.json:
            print(json.dumps({"run": title, **vars(found)}))
            continue
        print(
            f"{title:12}{found.attack:10,.0f}{100 * found.same:10.1f}%{100 * found.other:11.1f}%"
            f"{found.lines:7.1f}{found.memory:6.1f}{found.lost:9,}{found.filtered:11,}"
        )


if __name__ == "__main__":
    main()
