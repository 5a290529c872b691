"""
A game that knows one UDP peer, or several, and nothing of relays.

Usage: ``game_peer.py PORT [PEER...]``: its own port, or 0, and those of its peers; without peers
it answers to whom it hears, as a server does. It prints its own port. Ten times a second it says
the last line of its input to all peers. What it hears for the first time it prints, behind the
port that it came from.
"""

import select
import socket
import sys
import time

TICK = 0.1

game = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
game.bind(("127.0.0.1", int(sys.argv[1])))
print(game.getsockname()[1], flush=True)

peers = {("127.0.0.1", int(port)) for port in sys.argv[2:]}
serves = not peers
said = b""
heard = set()
tick = time.monotonic()

while True:
    wait = max(0.0, tick - time.monotonic())
    for ready in select.select([game, sys.stdin], [], [], wait)[0]:
        if ready is game:
            told = game.recvfrom(65_536)
            if serves:
                peers.add(told[1])
            if told not in heard:
                heard.add(told)
                print(told[1][1], told[0].decode(), flush=True)
        else:
            said = sys.stdin.buffer.raw.readline().strip()
            if not said:
                sys.exit()
    if time.monotonic() >= tick:
        tick += TICK
        if said:
            for peer in peers:
                game.sendto(said, peer)
