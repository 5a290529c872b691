"""The relay of an asyncio tutorial: ``transport.sendto`` to each address but the sender's."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from typing import Any, TypeAlias

Address: TypeAlias = tuple[Any, ...]


class Relay(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.addresses: set[Address] = set()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        # typeshed asks for a BaseTransport, which has no sendto.
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.addresses.add(addr)
        for address in self.addresses:
            if address != addr:
                self.transport.sendto(data, address)


async def main(host: str, count: int) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(count):
        transport, _ = await loop.create_datagram_endpoint(Relay, (host, 0))
        made = transport.get_extra_info("socket")
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        opened = {"event": "listener.opened", "port": made.getsockname()[1]}
        print(json.dumps(opened), flush=True)
    await asyncio.Event().wait()


asyncio.run(main(sys.argv[2], int(sys.argv[4])))
