"""
One of a crowd: says what only its number tells, and knows what all others have to say.

Turn by turn some of the crowd send a few datagrams each, at a word on standard input. A line of
output says that all of a turn have come: each once, intact, in its sender's order, and none of
one's own.
"""

import random
import socket
import sys
from hashlib import sha256

host, port, me, crowd, turns, speakers, burst = (sys.argv[1], *map(int, sys.argv[2:]))
cycle = crowd // speakers


def saying(number: int) -> list[bytes]:
    chance = random.Random(number)
    count = turns // cycle * burst
    return [chance.randbytes(chance.randint(1, 8000)) for _ in range(count)]


mine = iter(saying(me))
known = {
    sha256(payload).digest(): (number, place)
    for number in range(crowd)
    for place, payload in enumerate(saying(number))
}
heard = [0] * crowd

family = socket.AF_INET6 if ":" in host else socket.AF_INET
program = socket.socket(family, socket.SOCK_DGRAM)
program.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
program.settimeout(30)
program.connect((host, port))
program.send(b"")
print("ready", flush=True)

for turn in range(turns):
    speaking = [number for number in range(crowd) if number % cycle == turn % cycle]
    if me in speaking:
        sys.stdin.readline()
        for _ in range(burst):
            program.send(next(mine))
    for _ in range(burst * (len(speaking) - (me in speaking))):
        payload = program.recv(65_535)
        number, place = known.get(sha256(payload).digest(), (-1, -1))
        if number < 0:
            sys.exit(f"{me} got {len(payload)} bytes that nobody sent")
        if number == me:
            sys.exit(f"{me} got its own datagram {place}")
        if place != heard[number]:
            sys.exit(f"{me} got datagram {place} of {number} instead of {heard[number]}")
        heard[number] += 1
    print("heard", flush=True)

rest = program.recv(65_535)
print(f"heard {heard}, then {rest!r}", flush=True)
