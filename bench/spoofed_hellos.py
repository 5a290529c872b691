"""
``python -m bench.spoofed_hellos``: HELLOs from 100,000 forged addresses.

Meanwhile one of two plain members sends to the other. It prints the growth of the relay's memory,
the bytes sent and received, and the datagrams that the members sent and received.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.relays import TWISTD, Launch
from bench.run import started, wait_for_ports
from udprelay.protocol.wire.joining import Hello

_BATCH = 200


def main() -> int:
    """Run it; return 1 if the relay grew by over 1 MiB, amplified, or lost a datagram."""
    parser = argparse.ArgumentParser(prog="python -m bench.spoofed_hellos", description=__doc__)
    parser.add_argument("--addresses", type=int, default=100_000)
    options = parser.parse_args()
    command = [*TWISTD, "-n", "--pidfile=", "udprelay", "--log-format", "json", "--port", "0"]
    with tempfile.TemporaryDirectory(prefix="udprelay-bench-") as directory:
        place = Path(directory)
        with started(Launch(command), place, min(os.sched_getaffinity(0))) as (process, log):
            (port,) = wait_for_ports(process, log, 1)
            return _report(_flood(process, port, options.addresses))


def _flood(process: subprocess.Popen[bytes], port: int, addresses: int) -> dict[str, int]:
    sender, receiver = (_opened("127.0.0.1", port) for _ in range(2))
    receiver.send(b"here")
    sender.send(b"here")
    receiver.recv(100)
    sent = received = delivered = number = 0
    hello = Hello(nonce=bytes(8), room="lobby").encode()
    # Memory that the first ones allocate once is not growth.
    _greet(port, 0, _BATCH, hello)
    before = _resident(process.pid)
    for start in range(_BATCH, addresses + _BATCH, _BATCH):
        out, back = _greet(port, start, _BATCH, hello)
        sent, received = sent + out, received + back
        sender.send(b"%d" % number)
        number += 1
        if select.select([receiver], [], [], 1)[0]:
            delivered += receiver.recv(100) == b"%d" % (number - 1)
    return {
        "addresses": addresses,
        "bytes_sent": sent,
        "bytes_received": received,
        "grown": _resident(process.pid) - before,
        "sent": number,
        "delivered": delivered,
    }


def _greet(port: int, start: int, count: int, hello: bytes) -> tuple[int, int]:
    """Send a HELLO from each of ``count`` addresses; return bytes sent and received."""
    sockets = []
    for number in range(start, start + count):
        high, low = divmod(number, 250)
        sockets.append(_opened(f"127.{1 + high // 250}.{high % 250}.{1 + low}", port))
        sockets[-1].send(hello)
    received = 0
    for member in sockets:
        # Answers arrive in order: an earlier one is there before the last one.
        if select.select([member], [], [], 0.05)[0]:
            received += len(member.recv(65_535))
        member.close()
    return count * len(hello), received


def _opened(host: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((host, 0))
    made.connect(("127.0.0.1", port))
    return made


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _report(found: dict[str, int]) -> int:
    print(json.dumps(found))
    good = (
        found["grown"] <= 1024 * 1024
        and found["bytes_received"] <= found["bytes_sent"]
        and found["delivered"] == found["sent"]
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
