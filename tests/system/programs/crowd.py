"""
One of a crowd: its payloads follow from its number, and it knows those of all others.

In each turn some of the crowd send a few datagrams each, after a line on standard input. A line
of output confirms that all datagrams of a turn were received: each once, intact, in its sender's
order, and none of its own.
"""

import random
import socket
import sys
from hashlib import sha256

host, port, me, crowd, turns, senders, run = (sys.argv[1], *map(int, sys.argv[2:]))
cycle = crowd // senders


def payloads_of(number: int) -> list[bytes]:
    chance = random.Random(number)
    count = turns // cycle * run
    return [chance.randbytes(chance.randint(1, 8000)) for _ in range(count)]


mine = iter(payloads_of(me))
known = {
    sha256(payload).digest(): (number, index)
    for number in range(crowd)
    for index, payload in enumerate(payloads_of(number))
}
received = [0] * crowd

family = socket.AF_INET6 if ":" in host else socket.AF_INET
program = socket.socket(family, socket.SOCK_DGRAM)
program.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
program.settimeout(60)
program.connect((host, port))
program.send(b"")
print("ready", flush=True)

for turn in range(turns):
    sending = [number for number in range(crowd) if number % cycle == turn % cycle]
    if me in sending:
        sys.stdin.readline()
        for _ in range(run):
            program.send(next(mine))
    for _ in range(run * (len(sending) - (me in sending))):
        payload = program.recv(65_535)
        number, index = known.get(sha256(payload).digest(), (-1, -1))
        if number < 0:
            sys.exit(f"{me} got {len(payload)} bytes of an unknown payload")
        if number == me:
            sys.exit(f"{me} got its own datagram {index}")
        if index != received[number]:
            sys.exit(f"{me} got datagram {index} of {number} instead of {received[number]}")
        received[number] += 1
    print("received", flush=True)

rest = program.recv(65_535)
print(f"received {received}, then {rest!r}", flush=True)
