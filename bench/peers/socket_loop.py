"""The relay without any framework: a blocking socket, ``recvfrom`` and ``sendto``."""

from __future__ import annotations

import json
import socket
import sys
from contextlib import suppress
from typing import Any

family = socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET
relay = socket.socket(family, socket.SOCK_DGRAM)
relay.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
relay.bind((sys.argv[2], 0))
print(json.dumps({"event": "listener.opened", "port": relay.getsockname()[1]}), flush=True)
addresses: set[tuple[Any, ...]] = set()
while True:
    try:
        datagram, sender = relay.recvfrom(65536)
    except ConnectionRefusedError:
        continue
    addresses.add(sender)
    for address in addresses:
        if address != sender:
            with suppress(OSError):
                relay.sendto(datagram, address)
