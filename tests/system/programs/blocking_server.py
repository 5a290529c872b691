"""The server of a UDP tutorial: it prints a message, and sends a line of input as the answer."""

import socket

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("127.0.0.1", 0))
    print(server.getsockname()[1], flush=True)
    while True:
        message, (host, port) = server.recvfrom(1024)
        print(f"[{host}:{port}] {message.decode()}", flush=True)
        server.sendto(input().encode(), (host, port))
