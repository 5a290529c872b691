"""
``python -m bench.spoofed_hellos``: HELLOs from 100,000 addresses that nobody stands behind.

The relay has a room with two plain members who talk all the while. It says what the relay's memory
grew by, how many bytes came back for those sent, and whether the members lost anything.
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

from bench.relays import TWISTD
from bench.run import started, wait_for_ports
from udprelay.protocol.wire.joining import Hello

_AT_ONCE = 200


def main() -> int:
    """Run it; return 1 if the relay grew by over 1 MiB, amplified, or lost a datagram."""
    parser = argparse.ArgumentParser(prog="python -m bench.spoofed_hellos", description=__doc__)
    parser.add_argument("--addresses", type=int, default=100_000)
    options = parser.parse_args()
    command = [*TWISTD, "-n", "--pidfile=", "udprelay", "--log-format", "json", "--port", "0"]
    with tempfile.TemporaryDirectory(prefix="udprelay-bench-") as directory:
        place = Path(directory)
        with started(command, place, min(os.sched_getaffinity(0))) as (process, log):
            (port,) = wait_for_ports(process, log, 1)
            return _report(_flood(process, port, options.addresses))


def _flood(process: subprocess.Popen[bytes], port: int, addresses: int) -> dict[str, int]:
    speaker, listener = (_opened("127.0.0.1", port) for _ in range(2))
    listener.send(b"here")
    speaker.send(b"here")
    listener.recv(100)
    sent = received = heard = said = 0
    hello = Hello(nonce=bytes(8), room="lobby").encode()
    # What the first ones allocate, once, is not growth.
    _greet(port, 0, _AT_ONCE, hello)
    before = _resident(process.pid)
    for start in range(_AT_ONCE, addresses + _AT_ONCE, _AT_ONCE):
        out, back = _greet(port, start, _AT_ONCE, hello)
        sent, received = sent + out, received + back
        speaker.send(b"%d" % said)
        said += 1
        if select.select([listener], [], [], 1)[0]:
            heard += listener.recv(100) == b"%d" % (said - 1)
    return {
        "addresses": addresses,
        "bytes_sent": sent,
        "bytes_received": received,
        "grown": _resident(process.pid) - before,
        "said": said,
        "heard": heard,
    }


def _greet(port: int, start: int, count: int, hello: bytes) -> tuple[int, int]:
    """Send a HELLO from each of so many addresses; return bytes sent and come back."""
    sockets = []
    for number in range(start, start + count):
        high, low = divmod(number, 250)
        sockets.append(_opened(f"127.{1 + high // 250}.{high % 250}.{1 + low}", port))
        sockets[-1].send(hello)
    received = 0
    for member in sockets:
        # An answer, if there is one, has come before that to the last one.
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
        and found["heard"] == found["said"]
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
