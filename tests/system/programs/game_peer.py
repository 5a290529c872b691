"""
A game with one or more UDP peers.

Usage: ``game_peer.py PORT [PEER...]``: its own port, or 0, and those of its peers; without peers
it is a server, and all its senders are peers. It prints its own port. Ten times a second it sends
the last line of its input to all peers. It prints each new datagram after the port of its sender.
"""

import io
import select
import socket
import sys
import time

TICK = 0.1

game = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
game.bind(("127.0.0.1", int(sys.argv[1])))
print(game.getsockname()[1], flush=True)

peers = {("127.0.0.1", int(port)) for port in sys.argv[2:]}
is_server = not peers
text = b""
seen = set()
# Unbuffered, as select does not see buffered input.
lines = io.FileIO(0)
tick = time.monotonic()

while True:
    wait = max(0.0, tick - time.monotonic())
    sources: list[socket.socket | io.FileIO] = [game, lines]
    for ready in select.select(sources, [], [], wait)[0]:
        if ready is game:
            received = game.recvfrom(65_536)
            if is_server:
                peers.add(received[1])
            if received not in seen:
                seen.add(received)
                print(received[1][1], received[0].decode(), flush=True)
        else:
            text = lines.readline().strip()
            if not text:
                sys.exit()
    if time.monotonic() >= tick:
        tick += TICK
        if text:
            for peer in peers:
                game.sendto(text, peer)
