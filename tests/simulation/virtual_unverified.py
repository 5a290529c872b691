"""Unverified sources: forged addresses, wrong cookies, noise, and recorded datagrams."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from virtual_network import Address, Network

from udprelay.protocol.wire.from_client import DataUp, Ping
from udprelay.protocol.wire.header import HEADER_SIZE, PREFIX, Type
from udprelay.protocol.wire.joining import Hello, Join

_TYPE = 4
# Only an attacker that reads the wire can replay these: see "Not protected".
_ENDS_SESSIONS = (bytes([Type.LEAVE]), bytes([Type.NICK]))


class UnverifiedSources:
    """
    Send datagrams from forged addresses.

    :param relays: addresses of the relay.
    :param clients: addresses of clients; they get datagrams with the relay as source.
    """

    def __init__(
        self,
        network: Network,
        random: Random,
        relays: Sequence[Address],
        clients: Sequence[Address],
        rooms: Sequence[str],
    ) -> None:
        self._network = network
        self._random = random
        self._relays = relays
        self._clients = clients
        self._rooms = rooms

    def act(self) -> None:
        """Send one datagram of a random kind."""
        send = self._random.choice(
            [self._hello, self._join, self._data, self._noise, self._replay, self._to_client]
        )
        send()

    def _forged(self) -> Address:
        random = self._random
        return (f"192.0.2.{random.randrange(256)}", random.randrange(1, 65536))

    def _send(self, datagram: bytes) -> None:
        relay = self._random.choice(self._relays)
        self._network.send(self._forged(), relay, datagram)

    def _hello(self) -> None:
        random = self._random
        self._send(Hello(random.randbytes(8), random.choice(self._rooms)).encode())

    def _join(self) -> None:
        random = self._random
        self._send(
            Join(
                random.randbytes(8),
                random.randbytes(random.randint(1, 64)),
                random.choice(self._rooms),
                "eve",
                random.randbytes(16),
            ).encode()
        )

    def _data(self) -> None:
        random = self._random
        session_id = random.randbytes(8)
        data = DataUp(session_id, random.randrange(2), random.randrange(1, 9), b"forged")
        self._send(random.choice([data.encode(), Ping(session_id, bytes(8), 0).encode()]))

    def _noise(self) -> None:
        random = self._random
        size = random.randrange(60)
        beginning = random.choice(
            [b"", PREFIX[:3], PREFIX, PREFIX + bytes([random.randrange(48)])]
        )
        self._send(beginning + random.randbytes(size))

    def _recorded(self, ends: Sequence[Address]) -> bytes | None:
        trace = self._network.trace
        for _ in range(4):
            if trace:
                _, _, destination, datagram = self._random.choice(trace)
                if destination in ends and datagram[_TYPE : _TYPE + 1] not in _ENDS_SESSIONS:
                    return datagram
        return None

    def _replay(self) -> None:
        datagram = self._recorded(self._relays)
        if datagram is not None:
            self._send(datagram)

    def _to_client(self) -> None:
        random = self._random
        client = random.choice(self._clients)
        seen_as = self._network.seen_as(client)
        datagram = self._recorded([seen_as])
        if datagram is None or random.random() < 0.3:
            # Room tags are known to members, session ids and nonces to one client and the relay.
            kind = bytes([random.randrange(48), random.randrange(4)])
            datagram = PREFIX + kind + random.randbytes(random.randrange(HEADER_SIZE, 60))
        self._network.send(random.choice(self._relays), seen_as, datagram)
