"""
The cost of a delivery in rooms of 10 to 10,000 members: ``python -m bench.room_size``.

It runs ``twistd -n udprelay`` and one socket for each member. Members join with empty datagrams.
Then one of them sends bursts of 64 datagrams of 100 bytes; each size of room gets the same
number of deliveries. It prints the relay's CPU time per delivery, and the ratio to the smallest
room. Loopback only.
"""

from __future__ import annotations

import resource
import select
import socket
import sys
import tempfile
import time
from pathlib import Path

from bench.relays import NO_LIMITS, TWISTD, Launch
from bench.run import choose_cores, on_core, started, wait_for_ports

SIZES = (10, 100, 1000, 10_000)
BURST = 64
DELIVERIES = 2_000_000
GOAL = 1.2
CONFIGURATION = f"""\
[udprelay]
max_members = 20000
[listener:main]
port = 0
{NO_LIMITS}max_members = 20000
"""


def main() -> int:
    """Measure each size of room with a relay of its own."""
    limit = max(SIZES) + 100
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, max(limit, _hard_limit())))
    cores = choose_cores()
    on_core(cores.load)()
    first = 0.0
    print(f"members  CPU µs/delivery  ratio  goal ≤ {GOAL}")
    for size in SIZES:
        cost = _measure(size, cores.relay)
        first = first or cost
        ratio = cost / first
        verdict = "met" if ratio <= GOAL else "MISSED"
        print(f"{size:7,}  {cost:15.3f}  {ratio:5.2f}  {verdict}", flush=True)
    return 0


def _hard_limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def _measure(size: int, core: int) -> float:
    with tempfile.TemporaryDirectory(prefix="udprelay-bench-") as directory:
        file = Path(directory) / "udprelay.ini"
        file.write_text(CONFIGURATION)
        command = [*TWISTD, "-n", "--pidfile=", "udprelay", "--log-format", "json"]
        with started(Launch([*command, "--config", str(file)]), Path(directory), core) as (
            relay,
            log,
        ):
            (port,) = wait_for_ports(relay, log, 1)
            members = _join(size + 1, port, log)
            try:
                return _send_bursts(members, relay.pid)
            finally:
                for member in members:
                    member.close()


def _join(count: int, port: int, log: Path) -> list[socket.socket]:
    members = []
    for number in range(count):
        member = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        member.connect(("127.0.0.1", port))
        member.setblocking(False)
        member.send(b"")
        members.append(member)
        if number % 500 == 499:
            _wait_for_joins(log, number + 1)
    _wait_for_joins(log, count)
    return members


def _wait_for_joins(log: Path, count: int) -> None:
    deadline = time.monotonic() + 30
    while log.read_bytes().count(b'"member.joined"') < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{count} members have not joined")
        time.sleep(0.01)


def _send_bursts(members: list[socket.socket], pid: int) -> float:
    sender, *others = members
    bursts = max(2, DELIVERIES // (BURST * len(others)))
    _burst(sender, others)
    before = cpu_seconds(pid)
    for _ in range(bursts):
        _burst(sender, others)
    return (cpu_seconds(pid) - before) / (bursts * BURST * len(others)) * 1e6


def _burst(sender: socket.socket, others: list[socket.socket]) -> None:
    for number in range(BURST):
        sender.send(number.to_bytes(2, "big") * 50)
    for other in others:
        for _ in range(BURST):
            while True:
                try:
                    other.recv(200)
                    break
                except BlockingIOError:
                    if not _readable(other):
                        raise TimeoutError("a datagram was lost") from None


def _readable(member: socket.socket) -> bool:
    poll = select.poll()
    poll.register(member, select.POLLIN)
    return bool(poll.poll(5000))


def cpu_seconds(pid: int) -> float:
    """Return the seconds of CPU that a process has used."""
    # As clock_getcpuclockid(3) makes it: the clock of all threads of another process.
    return time.clock_gettime(~pid << 3 | 2)


if __name__ == "__main__":
    sys.exit(main())
