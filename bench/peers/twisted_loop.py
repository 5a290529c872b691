"""The relay of a Twisted tutorial: ``transport.write`` to each address but the sender's."""

from __future__ import annotations

import json
import socket
import sys
from typing import Any, TypeAlias, cast

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorUDP
from twisted.internet.protocol import DatagramProtocol

Address: TypeAlias = tuple[str, int]


class Relay(DatagramProtocol):
    noisy = False

    def __init__(self) -> None:
        self.addresses: set[Address] = set()

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        assert self.transport is not None
        self.addresses.add(addr)
        for address in self.addresses:
            if address != addr:
                self.transport.write(datagram, address)


host, count = sys.argv[2], int(sys.argv[4])
for _ in range(count):
    # IListeningPort does not promise a socket.
    port: Any = cast(IReactorUDP, reactor).listenUDP(0, Relay(), host, 8192)
    port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    print(json.dumps({"event": "listener.opened", "port": port.getHost().port}), flush=True)
reactor.run()
