"""A UDP port that nobody has, nor is given meanwhile: other tests run at the same time."""

from __future__ import annotations

import socket
from random import SystemRandom

# Below those that the kernel gives to whoever wants any port (ip_local_port_range).
_FIRST, _LAST = 20_000, 32_000


def free_port() -> int:
    """Return a port for whoever must be there again, or for nobody to be at."""
    while True:
        port = SystemRandom().randint(_FIRST, _LAST)
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("::", port))
            except OSError:
                continue
        return port
