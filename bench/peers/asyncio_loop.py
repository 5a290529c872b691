"""The relay of an asyncio tutorial: ``transport.sendto`` to each address but the sender's."""

import asyncio
import json
import socket
import sys


class Relay(asyncio.DatagramProtocol):
    def __init__(self):
        self.addresses = set()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.addresses.add(addr)
        for address in self.addresses:
            if address != addr:
                self.transport.sendto(data, address)


async def main(host, count):
    loop = asyncio.get_running_loop()
    for _ in range(count):
        transport, _ = await loop.create_datagram_endpoint(Relay, (host, 0))
        made = transport.get_extra_info("socket")
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        opened = {"event": "listener.opened", "port": made.getsockname()[1]}
        print(json.dumps(opened), flush=True)
    await asyncio.Event().wait()


asyncio.run(main(sys.argv[2], int(sys.argv[4])))
