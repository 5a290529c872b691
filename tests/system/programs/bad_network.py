"""
A bad network in front of a relay: what goes through it is lost, doubled and overtaken, each way.

It prints the port that clients are to use. Each client gets a socket of its own towards the
relay. When standard input ends, it prints what it has done and ends.
"""

import heapq
import json
import random
import selectors
import socket
import sys
import time
from contextlib import suppress

relay, loss, doubled, overtaken, seed = int(sys.argv[1]), *map(float, sys.argv[2:])
chance = random.Random(seed)
selector = selectors.DefaultSelector()
counts = {"passed": 0, "lost": 0, "doubled": 0, "overtaken": 0}
late = []


def opened():
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    made.setblocking(False)
    return made


def passed(way, datagram, destination):
    counts["passed"] += 1
    with suppress(OSError):  # the other end is not there now
        way.sendto(datagram, destination)


def carry(way, datagram, destination):
    if chance.random() < loss:
        counts["lost"] += 1
        return
    copies = 1
    if chance.random() < doubled:
        counts["doubled"] += 1
        copies = 2
    for _ in range(copies):
        if chance.random() < overtaken:
            counts["overtaken"] += 1
            due = time.monotonic() + chance.uniform(0.001, 0.03)
            heapq.heappush(late, (due, chance.random(), way, datagram, destination))
        else:
            passed(way, datagram, destination)


front = opened()
front.bind(("127.0.0.1", 0))
selector.register(front, selectors.EVENT_READ, None)
selector.register(sys.stdin, selectors.EVENT_READ, None)
ways = {}
print(front.getsockname()[1], flush=True)

ended = False
while not ended:
    wait = max(0.0, late[0][0] - time.monotonic()) if late else None
    for key, _ in selector.select(wait):
        if key.fileobj is sys.stdin:
            ended = not sys.stdin.read(1)
            continue
        while True:
            try:
                datagram, source = key.fileobj.recvfrom(65_535)
            except BlockingIOError:
                break
            except OSError:
                continue  # an ICMP error for an earlier datagram
            if key.fileobj is not front:
                carry(front, datagram, key.data)
                continue
            if source not in ways:
                ways[source] = opened()
                ways[source].connect(("127.0.0.1", relay))
                selector.register(ways[source], selectors.EVENT_READ, source)
            carry(ways[source], datagram, ("127.0.0.1", relay))
    while late and late[0][0] <= time.monotonic():
        passed(*heapq.heappop(late)[2:])
print(json.dumps(counts), flush=True)
