"""
A bad network in front of a relay: it loses, duplicates and delays datagrams in both directions.

It prints the port for clients. Each client gets a socket of its own to the relay. At the end of
standard input it prints its counters and exits.
"""

from __future__ import annotations

import heapq
import json
import random
import selectors
import socket
import sys
import time
from contextlib import suppress
from typing import TypeAlias

relay = int(sys.argv[1])
loss, duplication, reordering, seed = map(float, sys.argv[2:])
chance = random.Random(seed)
selector = selectors.DefaultSelector()
counts = {"forwarded": 0, "lost": 0, "duplicated": 0, "delayed": 0}
Address: TypeAlias = tuple[str, int]
# When it is due, a random number for ties, and the arguments of forward().
delayed: list[tuple[float, float, socket.socket, bytes, Address]] = []


def open_socket() -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    opened.setblocking(False)
    return opened


def forward(through: socket.socket, datagram: bytes, destination: Address) -> None:
    counts["forwarded"] += 1
    with suppress(OSError):  # the other end is down
        through.sendto(datagram, destination)


def carry(through: socket.socket, datagram: bytes, destination: Address) -> None:
    if chance.random() < loss:
        counts["lost"] += 1
        return
    copies = 1
    if chance.random() < duplication:
        counts["duplicated"] += 1
        copies = 2
    for _ in range(copies):
        if chance.random() < reordering:
            counts["delayed"] += 1
            due = time.monotonic() + chance.uniform(0.001, 0.03)
            heapq.heappush(delayed, (due, chance.random(), through, datagram, destination))
        else:
            forward(through, datagram, destination)


front = open_socket()
front.bind(("127.0.0.1", 0))
selector.register(front, selectors.EVENT_READ, None)
selector.register(sys.stdin, selectors.EVENT_READ, None)
to_relay: dict[Address, socket.socket] = {}
print(front.getsockname()[1], flush=True)

ended = False
while not ended:
    wait = max(0.0, delayed[0][0] - time.monotonic()) if delayed else None
    for key, _ in selector.select(wait):
        readable = key.fileobj
        if not isinstance(readable, socket.socket):
            ended = not sys.stdin.read(1)
            continue
        while True:
            try:
                datagram, source = readable.recvfrom(65_535)
            except BlockingIOError:
                break
            except OSError:
                continue  # an ICMP error for an earlier datagram
            if readable is not front:
                carry(front, datagram, key.data)
                continue
            if source not in to_relay:
                to_relay[source] = open_socket()
                to_relay[source].connect(("127.0.0.1", relay))
                selector.register(to_relay[source], selectors.EVENT_READ, source)
            carry(to_relay[source], datagram, ("127.0.0.1", relay))
    while delayed and delayed[0][0] <= time.monotonic():
        through, datagram, destination = heapq.heappop(delayed)[2:]
        forward(through, datagram, destination)
print(json.dumps(counts), flush=True)
