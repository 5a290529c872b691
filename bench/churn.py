"""
The relay's CPU for a session's join and leave, deliveries included: ``python -m bench.churn``.

It runs ``twistd -n udprelay`` and lets sessions join and leave among 100 and 2,000 others, one at
a time and 50 at once. Each join and leave is delivered to all members, whose sockets are never
read: the kernel drops what does not fit in their buffers. The CPU is that of the relay's process
until 0.1 s after the last event, and user time is what is not the kernel's, for both together.
``--members 100 10000`` takes long if the relay does not combine joins. ``bench.session_members``
measures the hub alone. Loopback only.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.relays import TWISTD, Launch
from bench.room_size import cpu_seconds
from bench.run import choose_cores, on_core, started, wait_for_ports
from udprelay.protocol.wire import WireError, decode_from_relay
from udprelay.protocol.wire.from_client import Leave
from udprelay.protocol.wire.joining import Challenge, Hello, Join, Welcome

SIZES = (100, 2_000)
AT_ONCE = {1: 30, 50: 4}
"""Sessions that join at once, and how often."""
CONFIGURATION = """\
[udprelay]
max_members = 20000
[limits]
session_rate = 100000
session_burst = 100000
exempt_networks = 127.0.0.0/8
[listener:main]
port = 0
[room:*]
max_members = 20000
session_timeout = 1h
"""
_CHUNK = 50
_TIMEOUT = 30
_QUIET = 0.1


@dataclass(frozen=True)
class Relay:
    """A running relay: its port, its process and its log."""

    port: int
    pid: int
    log: Path

    def times(self) -> tuple[float, float]:
        """Return the seconds of user and of system time that it has used, to 10 ms."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        ticks = os.sysconf("SC_CLK_TCK")
        return int(fields[11]) / ticks, int(fields[12]) / ticks

    @contextmanager
    def costing(self, costs: list[float], event: str, count: int) -> Iterator[None]:
        """Add the CPU until so many events more are reported, and a moment longer."""
        before, reported = cpu_seconds(self.pid), self._reported(event)
        yield
        self.wait_for(event, reported + count)
        time.sleep(_QUIET)
        costs.append(cpu_seconds(self.pid) - before)

    def wait_for(self, event: str, count: int) -> None:
        """Wait until the log has that many events."""
        deadline = time.monotonic() + _TIMEOUT
        while self._reported(event) < count:
            if time.monotonic() > deadline:
                raise SystemExit(f"the relay has not reported {count} times {event}")
            time.sleep(0.01)

    def _reported(self, event: str) -> int:
        return self.log.read_bytes().count(f'"{event}"'.encode())


class Sessions:
    """Sessions of one address; each has a cookie of its own."""

    def __init__(self, relay: Relay) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.connect(("127.0.0.1", relay.port))
        self._socket.settimeout(_TIMEOUT)
        self._cookies: list[bytes] = []

    def prepare(self, count: int) -> None:
        """Get the cookies of so many new sessions."""
        while len(self._cookies) < count:
            self._socket.send(Hello(os.urandom(8), "lobby").encode())
            challenge = decode_from_relay(self._socket.recv(65_535))
            assert isinstance(challenge, Challenge)
            self._cookies.append(challenge.cookie)

    def join(self, count: int) -> None:
        """Send JOIN of so many new sessions that are prepared."""
        for _ in range(count):
            secret = os.urandom(16)
            join = Join(os.urandom(8), self._cookies.pop(), "lobby", secret.hex()[:20], secret)
            self._socket.send(join.encode())

    def wait_for_welcomes(self, count: int) -> list[bytes]:
        """Return the ids of so many sessions that have received WELCOME."""
        ids: list[bytes] = []
        while len(ids) < count:
            with suppress(WireError):
                answer = decode_from_relay(self._socket.recv(65_535))
                if isinstance(answer, Welcome):
                    ids.append(answer.session_id)
        return ids

    def leave(self, ids: Sequence[bytes]) -> None:
        """Send LEAVE of each session."""
        for session_id in ids:
            self._socket.send(Leave(session_id).encode())

    def close(self) -> None:
        self._socket.close()


@contextmanager
def room(size: int, core: int) -> Iterator[Relay]:
    """Run a relay with a room of ``size`` sessions."""
    with tempfile.TemporaryDirectory(prefix="udprelay-bench-") as directory, ExitStack() as stack:
        file = Path(directory) / "udprelay.ini"
        file.write_text(CONFIGURATION)
        command = [*TWISTD, "-n", "--pidfile=", "udprelay", "--log-format", "json"]
        launch = Launch([*command, "--config", str(file)])
        process, log = stack.enter_context(started(launch, Path(directory), core))
        relay = Relay(wait_for_ports(process, log, 1)[0], process.pid, log)
        for start in range(0, size, _CHUNK):
            sessions = Sessions(relay)
            stack.callback(sessions.close)
            sessions.prepare(min(_CHUNK, size - start))
            sessions.join(min(_CHUNK, size - start))
            relay.wait_for("member.joined", min(start + _CHUNK, size))
        yield relay


def measure(relay: Relay, at_once: int, repetitions: int) -> tuple[dict[str, float], float]:
    """Return the median microseconds of a join and of a leave, and the share of user time."""
    costs: dict[str, list[float]] = {"join": [], "leave": []}
    user, system = relay.times()
    for _ in range(repetitions):
        sessions = Sessions(relay)
        sessions.prepare(at_once)
        time.sleep(_QUIET)
        with relay.costing(costs["join"], "member.joined", at_once):
            sessions.join(at_once)
            ids = sessions.wait_for_welcomes(at_once)
        with relay.costing(costs["leave"], "member.left", at_once):
            sessions.leave(ids)
        sessions.close()
    user, system = (after - was for after, was in zip(relay.times(), (user, system), strict=True))
    medians = {work: median(found) * 1e6 / at_once for work, found in costs.items()}
    return medians, user / max(user + system, 0.01)


def main() -> int:
    """Measure each size of room with a relay of its own."""
    parser = argparse.ArgumentParser(prog="python -m bench.churn", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--members", type=int, nargs="+", default=SIZES, help="sizes of rooms")
    sizes = parser.parse_args().members
    cores = choose_cores()
    on_core(cores.load)()
    first: dict[tuple[str, int], float] = {}
    print(f"{'work':8}{'at once':>9}{'members':>9}{'CPU µs each':>13}{'ratio':>7}{'user':>7}")
    for size in sizes:
        with room(size, cores.relay) as relay:
            for at_once, repetitions in AT_ONCE.items():
                costs, user = measure(relay, at_once, repetitions)
                for work, cost in costs.items():
                    ratio = cost / first.setdefault((work, at_once), cost)
                    print(
                        f"{work:8}{at_once:9}{size:9,}{cost:13.0f}{ratio:7.2f}{100 * user:5.0f} %",
                        flush=True,
                    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
