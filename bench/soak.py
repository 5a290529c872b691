"""
Ten minutes of load on one relay: ``python -m bench.soak``.

One ``twistd -n udprelay`` has a dual-stack listener, a room with a target, events as JSON, and
statistics. A conference of 20 saturates it, then sends at a rate well below saturation, in turn;
first with plain members, then with sessions. Every load run has new members and leaves the old
ones behind, silent and unreachable until they time out: joins, ICMP errors and timeouts never
stop. In a second room, with labels and a key, one ``udprelay-client`` sends to another. After
each load it prints resident memory, open descriptors and loss. Loopback only; it ends by itself.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.build import build
from bench.relays import NO_LIMITS, TWISTD, Launch
from bench.run import choose_cores, on_core, started, wait_for_ports
from bench.sessions import joined
from bench.works import Work
from udprelay.protocol.access_key import AccessKey

CONFIGURATION = """\
[udprelay]
[listener:main]
port = 0
{limits}label = nick
[room:lobby]
label = none
idle_timeout = 5s
session_timeout = 10s
targets = 127.0.0.1:{target}
[room:chat]
access_key = {key}
[log]
statistics = 10s
"""
PASSPHRASE = "for ten minutes"
CONFERENCE = Work("saturated", "", 20, 20, burst=1)
PACED = Work("paced", "", 20, 20, burst=1, rate=2000)
_LINES = 20
_CLIENT = [sys.executable, "-m", "udprelay.client"]


def main() -> int:
    """Run the soak; return 1 if memory grew or a datagram was lost."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    minutes = parser.parse_args().minutes
    programs, cores = build(), choose_cores()
    with (
        tempfile.TemporaryDirectory(prefix="udprelay-soak-") as directory,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target,
    ):
        place = Path(directory)
        # It is never read: its full buffer must not affect other members.
        target.bind(("127.0.0.1", 0))
        key = AccessKey.make(PASSPHRASE, os.urandom(16))
        file = place / "udprelay.ini"
        file.write_text(
            CONFIGURATION.format(limits=NO_LIMITS, target=target.getsockname()[1], key=key)
        )
        command = [*TWISTD, "-n", "--pidfile=", "udprelay", "--log-format", "json"]
        with started(Launch([*command, "--config", str(file)]), place, cores.relay) as (
            relay,
            log,
        ):
            (port,) = wait_for_ports(relay, log, 1)
            load = [str(programs / "load"), "--ports", str(port), "--pid", str(relay.pid)]
            load += ["--core", str(cores.relay), "--own-core", str(cores.load), "--warm", "0.5"]
            load += ["--seconds", "8"]
            with chat(port, place, cores.load) as clients:
                soak = Soak(relay.pid, load, port, log, cores.load, clients)
                return soak.run(60 * minutes)


class Chat:
    """Two clients in a room with a passphrase: one sends lines, the other receives them."""

    def __init__(self, sender: subprocess.Popen[bytes], received: Path) -> None:
        self._sender = sender
        self._received = received
        self.sent = 0

    def send_some(self) -> None:
        """Send a few lines."""
        stdin = self._sender.stdin
        assert stdin is not None
        lines = range(self.sent, self.sent + _LINES)
        stdin.write(b"".join(b"line %d\n" % line for line in lines))
        stdin.flush()
        self.sent += _LINES

    def missed(self) -> int:
        """Wait until the sender has left; return how many lines were not received in order."""
        self._sender.communicate(timeout=120)
        expected = [f"sender: line {line}" for line in range(self.sent)]
        deadline = time.monotonic() + 10
        while (lines := self._received.read_text().splitlines()) != expected:
            if time.monotonic() > deadline:
                return max(1, self.sent - len(set(lines)))
            time.sleep(0.1)
        return 0


@contextmanager
def chat(port: int, place: Path, core: int) -> Iterator[Chat]:
    """Start both clients."""
    environment = {**os.environ, "UDPRELAY_PASSPHRASE": PASSPHRASE}
    received = place / "received"
    arguments = ["--quiet", "--room", "chat", "--wait", "inf", f"127.0.0.1:{port}"]

    def client(nick: str, **streams: Any) -> subprocess.Popen[bytes]:
        command = [*_CLIENT, "--nick", nick, *arguments]
        return subprocess.Popen(command, env=environment, preexec_fn=on_core(core), **streams)

    with received.open("wb") as output:
        receiver = client("receiver", stdin=subprocess.DEVNULL, stdout=output)
        arguments[arguments.index("inf")] = "1"
        sender = client("sender", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        yield Chat(sender, received)
    finally:
        for process in (sender, receiver):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(10)


class Soak:
    """One load after the other on one relay, which is checked after each."""

    def __init__(
        self, pid: int, load: list[str], port: int, log: Path, core: int, clients: Chat
    ) -> None:
        self._pid = pid
        self._log = log
        self._command = load
        self._port = port
        self._core = core
        self._chat = clients

    def run(self, seconds: float) -> int:
        """Run for ``seconds``; return 1 if memory grew or a datagram was lost."""
        print("round  members   work       deliveries     lost  resident KiB  descriptors")
        begin = time.monotonic()
        sizes, number, lost_below, descriptors = [], 0, 0, set()
        while time.monotonic() < begin + seconds:
            number += 1
            for sessions in (False, True):
                for work in (CONFERENCE, PACED):
                    counted = self._load(work, sessions)
                    self._chat.send_some()
                    if work is PACED:
                        lost_below += counted["gaps"]
                    resident = _resident(self._pid)
                    open_files = len(os.listdir(f"/proc/{self._pid}/fd"))
                    # By then, everything that is allocated only once has been allocated.
                    if time.monotonic() > begin + seconds / 5:
                        sizes.append(resident)
                        descriptors.add(open_files)
                    print(
                        f"{number:5}  {'sessions' if sessions else 'plain':8}  {work.name:9}"
                        f"  {counted['received']:11}  {counted['gaps']:7}"
                        f"  {resident:12}  {open_files:11}",
                        flush=True,
                    )
        missed = self._chat.missed()
        growth = sizes[-1] / sizes[0] - 1 if sizes else 0.0
        print(
            f"memory growth after the first fifth: {growth:+.2%}\n"
            f"lost below saturation: {lost_below}\n"
            f"lines of the clients: {self._chat.sent}; not received in order: {missed}\n"
            f"tables larger than in the first fifth: {_grown(self._log) or 'none'}"
        )
        return int(growth > 0.01 or lost_below > 0 or len(descriptors) > 1 or missed > 0)

    def _load(self, work: Work, sessions: bool) -> dict[str, int]:
        with ExitStack() as stack:
            options: list[str] = []
            sockets: list[int] = []
            if sessions:
                options, sockets = stack.enter_context(
                    joined(work, [self._port], self._log.parent)
                )
            done = subprocess.run(
                [*self._command, *work.load_arguments(), *options],
                capture_output=True,
                timeout=60,
                preexec_fn=on_core(self._core),
                pass_fds=sockets,
            )
        if done.returncode:
            raise RuntimeError(f"the load failed: {done.stderr.decode(errors='replace')}")
        counted: dict[str, int] = json.loads(done.stdout)
        return counted


def _grown(log: Path) -> str:
    """Return the tables of the relay that have been larger than in the first fifth."""
    lines = (line for line in log.read_text().splitlines() if '"relay.statistics"' in line)
    counts: list[dict[str, int]] = [json.loads(line)["counts"] for line in lines]
    first = 1 + len(counts) // 5
    grown = []
    for name in counts[0] if counts else ():
        sizes = [count[name] for count in counts]
        if name.startswith(("tables.", "queues.", "early.")) and max(sizes) > max(sizes[:first]):
            grown.append(f"{name} {max(sizes[:first])} to {max(sizes)}")
    return ", ".join(grown)


def _resident(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise ProcessLookupError(pid)


if __name__ == "__main__":
    sys.exit(main())
