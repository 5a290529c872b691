"""
Members of a room for :mod:`bench.troubled`, in one namespace.

``listen RELAY``: one member that counts until its standard input ends.
``talk RELAY NETWORK LIVE VANISHED REFUSED NUMBER RATE SIZE``: a talker with listeners.
"""

from __future__ import annotations

import json
import select
import socket
import sys
from contextlib import suppress
from time import monotonic

PORT = 6000
_SO_RCVBUFFORCE = 33
_QUIET = 1.0
"""Seconds without a datagram after which all have arrived."""


def joined(relay: str, own: str = "") -> socket.socket:
    """Return a socket that has joined."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 8 << 20)
    opened.bind((own, 0))
    opened.connect((relay, PORT))
    opened.send(b"")
    opened.setblocking(False)
    return opened


def drain(opened: socket.socket) -> int:
    """Count what has arrived."""
    count = 0
    with suppress(BlockingIOError):
        while True:
            opened.recv(2000)
            count += 1
    return count


def listen(relay: str) -> None:
    """Count until standard input ends."""
    member, count = joined(relay), 0
    print("joined", flush=True)
    while sys.stdin not in select.select([member, sys.stdin], [], [])[0]:
        count += drain(member)
    print(count + drain(member))


def talk(
    relay: str,
    network: str,
    live: str,
    vanished: str,
    refused: str,
    number: str,
    rate: str,
    size: str,
) -> None:
    """Send at a rate, and count what each live listener gets."""
    talker = joined(relay)
    for _ in range(int(refused)):
        joined(relay).close()
    gone = [joined(relay, f"{network}.{100 + last}") for last in range(int(vanished))]
    listeners = [joined(relay) for _ in range(int(live))]
    # The first that joined hears when the last one has.
    listeners[-1].send(b"all")
    select.select([talker], [], [])
    for member in (talker, *gone, *listeners):
        drain(member)
    print("joined", flush=True)
    sys.stdin.readline()
    payload, start = bytes(int(size)), monotonic()
    for index in range(int(number)):
        due = start + index / float(rate)
        while (left := due - monotonic()) > 0:
            select.select([], [], [], left)
        talker.send(payload)
    counts = [0] * len(listeners)
    while ready := select.select(listeners, [], [], _QUIET)[0]:
        for index, member in enumerate(listeners):
            if member in ready:
                counts[index] += drain(member)
    print(json.dumps(counts))


if __name__ == "__main__":
    if sys.argv[1] == "listen":
        listen(*sys.argv[2:])
    else:
        talk(*sys.argv[2:])
