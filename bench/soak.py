"""
Ten minutes of load on one relay: ``python -m bench.soak``.

One ``twistd -n udprelay``: a dual-stack listener, a room with a
target, events as JSON, statistics. A conference of 20 saturates it, then speaks at a rate well
below saturation, in turn. Every load run has new members and leaves the old ones behind, silent
and unreachable until they expire, so that joining, ICMP errors and expiry go on all the time.
Printed after each round: resident memory, open descriptors, loss. Loopback only; it ends by
itself.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.build import build
from bench.relays import TWISTD
from bench.run import choose_cores, on_core, started, wait_for_ports

CONFIGURATION = """\
[udprelay]
[listener:main]
port = 0
[room:lobby]
idle_timeout = 5s
targets = 127.0.0.1:{target}
[log]
statistics = 10s
"""
CONFERENCE = ("--members", "20", "--speakers", "20")
PACED = ("--members", "20", "--speakers", "20", "--rate", "2000")


def main() -> int:
    """Run the soak; return 1 if something grew or was lost."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    minutes = parser.parse_args().minutes
    programs, cores = build(), choose_cores()
    with (
        tempfile.TemporaryDirectory(prefix="udprelay-soak-") as directory,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target,
    ):
        # Never read: its buffer is full all the time, which must trouble nobody.
        target.bind(("127.0.0.1", 0))
        file = Path(directory) / "udprelay.ini"
        file.write_text(CONFIGURATION.format(target=target.getsockname()[1]))
        command = [*TWISTD, "-n", "--pidfile=", "udprelay", "--log-format", "json"]
        with started([*command, "--config", str(file)], Path(directory), cores.relay) as (
            relay,
            log,
        ):
            (port,) = wait_for_ports(relay, log, 1)
            load = [str(programs / "load"), "--ports", str(port), "--pid", str(relay.pid)]
            load += ["--core", str(cores.relay), "--own-core", str(cores.load), "--warm", "0.5"]
            return _soak(relay.pid, load, cores.load, time.monotonic() + 60 * minutes)


def _soak(pid: int, load: list[str], core: int, end: float) -> int:
    print("round  work        deliveries     lost  resident KiB  descriptors", flush=True)
    sizes, number, lost_below, descriptors = [], 0, 0, set()
    warm = time.monotonic() + (end - time.monotonic()) / 5
    while time.monotonic() < end:
        number += 1
        for work, arguments in (("saturated", CONFERENCE), ("paced", PACED)):
            done = subprocess.run(
                [*load, *arguments, "--seconds", "8"],
                capture_output=True,
                timeout=60,
                preexec_fn=on_core(core),
            )
            counted = json.loads(done.stdout)
            if work == "paced":
                lost_below += counted["gaps"]
            resident, open_files = _resident(pid), len(os.listdir(f"/proc/{pid}/fd"))
            # What is allocated once has been allocated by then.
            if time.monotonic() > warm:
                sizes.append(resident)
                descriptors.add(open_files)
            print(
                f"{number:5}  {work:9}  {counted['received']:11}  {counted['gaps']:7}"
                f"  {resident:12}  {open_files:11}",
                flush=True,
            )
    growth = sizes[-1] / sizes[0] - 1 if sizes else 0.0
    print(f"memory since a fifth of the time: {growth:+.2%}; lost below saturation: {lost_below}")
    return int(growth > 0.01 or lost_below > 0 or len(descriptors) > 1)


def _resident(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise ProcessLookupError(pid)


if __name__ == "__main__":
    sys.exit(main())
