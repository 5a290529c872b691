"""The relay of a Twisted tutorial: ``transport.write`` to each address but the sender's."""

import json
import socket
import sys

from twisted.internet import reactor
from twisted.internet.protocol import DatagramProtocol


class Relay(DatagramProtocol):
    noisy = False

    def __init__(self):
        self.addresses = set()

    def datagramReceived(self, datagram, addr):
        self.addresses.add(addr)
        for address in self.addresses:
            if address != addr:
                self.transport.write(datagram, address)


host, count = sys.argv[2], int(sys.argv[4])
for _ in range(count):
    port = reactor.listenUDP(0, Relay(), interface=host)
    port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    print(json.dumps({"event": "listener.opened", "port": port.getHost().port}), flush=True)
reactor.run()
