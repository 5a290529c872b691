"""One side of a chat of two: it sends its input, and a thread prints the received text."""

import socket
import sys
import threading

other = (sys.argv[1], int(sys.argv[2]))
family = socket.AF_INET6 if ":" in other[0] else socket.AF_INET
chat = socket.socket(family, socket.SOCK_DGRAM)
chat.bind(("", 0))


def listen() -> None:
    while True:
        print(chat.recv(65_535).decode(), flush=True)


threading.Thread(target=listen, daemon=True).start()
for line in sys.stdin:
    chat.sendto(line.rstrip("\n").encode(), other)
