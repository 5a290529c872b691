"""One of a group: it sends and prints payloads in hexadecimal."""

import socket
import sys
import threading

server = (sys.argv[1], int(sys.argv[2]))
family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
group = socket.socket(family, socket.SOCK_DGRAM)
group.connect(server)


def listen() -> None:
    while True:
        print(group.recv(65_535).hex(), flush=True)


threading.Thread(target=listen, daemon=True).start()
for line in sys.stdin:
    group.send(bytes.fromhex(line))
