"""The client of a UDP tutorial: it sends one message and prints the answer."""

import socket
import sys

host, port = sys.argv[1], int(sys.argv[2])
family = socket.AF_INET6 if ":" in host else socket.AF_INET
with socket.socket(family, socket.SOCK_DGRAM) as client:
    client.settimeout(60)
    client.sendto(b"hello server", (host, port))
    answer, server = client.recvfrom(1024)
# The peer may have ended its line.
text = answer.decode().removesuffix("\n")
print(f"[{server[0]}:{server[1]}] {text}")
